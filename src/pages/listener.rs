//! The listener of the pages: plain HTTP/1.1 and HTTP/2, for an ingress that speaks TLS.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::Pages;
use crate::server::seats::Seats;

/// The connections that there may be at once.
const CONNECTIONS: usize = 256;
/// The requests that one connection may have in flight.
const STREAMS: u32 = 32;
/// The most bytes of the headers of a request: a cookie of a visit has up to three thousand.
const MAX_HEADERS: u16 = 16 * 1024;
/// The time that a client has for its headers.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause of accepting connections while the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The end of a listener: the signal to take no more connections, a time after it, and the signal to cut those that are left.
pub(crate) struct End {
    pub(crate) drain: CancellationToken,
    pub(crate) delay: Duration,
    pub(crate) cut: CancellationToken,
}

/// Answers requests for pages until stopped.
pub(crate) async fn serve(listener: TcpListener, pages: Arc<Pages>, end: End) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(MAX_HEADERS.into());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(MAX_HEADERS.into());
    let (close, mut seats) = (CancellationToken::new(), Seats::new(CONNECTIONS));
    let mut ending = std::pin::pin!(async {
        end.drain.cancelled().await;
        sleep(end.delay).await;
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut ending => return close.cancel(),
            () = end.cut.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(connection) = seats.take() else { continue };
                let service = PageService { pages: Arc::clone(&pages), peer: peer.ip().to_canonical() };
                let requests = TowerToHyperService::new(connection.service(service));
                let served = builder.serve_connection(TokioIo::new(stream), requests).into_owned();
                tokio::spawn(connection.follow(served, None, close.clone(), end.cut.clone()));
            }
            Err(error) => {
                log_event!(warn, ACCEPT_FAILED, %error, "a connection could not be accepted; accepting continues");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The pages for the requests of one connection.
#[derive(Clone)]
struct PageService {
    pages: Arc<Pages>,
    peer: IpAddr,
}

impl Service<Request<Incoming>> for PageService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let Self { pages, peer } = self.clone();
        Box::pin(async move { Ok(pages.answer(request, peer).await) })
    }
}
