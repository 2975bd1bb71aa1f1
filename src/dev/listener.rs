//! The listener of the pages: HTTP/1.1, on a loopback address.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::DevPages;

/// The connections that there may be at once; further ones wait.
const CONNECTIONS: usize = 64;
/// The time that a client has for its headers, also between two requests.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause of accepting connections after one could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until stopped; then all connections end at once.
pub(crate) async fn serve(listener: TcpListener, pages: DevPages, stop: CancellationToken) {
    let (pages, seats) = (Arc::new(pages), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (pages, stop) = (Arc::clone(&pages), stop.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let pages = Arc::clone(&pages);
                async move { Ok::<_, Infallible>(pages.answer(request).await) }
            });
            let mut builder = Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            let connection = builder.serve_connection(TokioIo::new(stream), answer);
            tokio::select! {
                // A client that has gone is nobody's problem.
                ended = connection => drop(ended),
                () = stop.cancelled() => {}
            }
            drop(seat);
        });
    }
}
