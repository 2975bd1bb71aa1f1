//! The connections: accepts them, serves HTTP/1.1 or HTTP/2 on each, and ends them all within a deadline.
//!
//! tonic's own server has no deadline for its shutdown and does not expose its timeout, hence hyper is used directly.

pub(crate) mod admin;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::boundary::Peer;
use super::call_log::refused::FailedHandshakes;
use super::connection::Lifetime;
use super::faces::Faces;
use super::in_flight::InFlight;
use super::seats::Seats;
use crate::auth::client_certificate::{Client, ClientCertificates};
use crate::config::GrpcConfig;
use crate::entropy::Entropy;
use crate::shutdown::Shutdown;
use crate::tls::ServerTls;
use crate::tls::client::ClientCertificate;

/// The time after which an idle connection is pinged, and the time that it has for the answer.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The bytes that a client may send of one call before they are read. The library derives from the window of all calls of a
/// connection how many small parts may wait, so that one is left as it is: a smaller one ends connections with many small calls.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The bytes of one answer that are kept for a connection that takes none.
const SEND_BUFFER: usize = 16 * 1024;
/// The most headers of a call that are read, in bytes. Beyond half of it the boundary refuses the call, in words.
const MAX_HEADERS: u32 = 32 * 1024;
/// The bytes of a connection of HTTP/1.1 that are read ahead, headers included, and those of an answer that are kept for one that takes none.
const MAX_BUFFER: usize = MAX_HEADERS as usize;
/// The time that a client of HTTP/1.1 has until the headers of its next call are there. It cannot be pinged, so it has less of it
/// than one of HTTP/2.
const NEXT_CALL: Duration = Duration::from_secs(60);
/// The time without calls after which an open connection is closed: the last answers are written within it, and busy
/// clients learn that the connection takes no more calls.
const QUIET_PERIOD: Duration = Duration::from_millis(500);
/// The pause of accepting connections while the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The time that a client has for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The TLS of connections.
pub(crate) struct Tls {
    pub(crate) server: ServerTls,
    /// The clients that may prove who they are by a certificate.
    pub(crate) clients: Option<ClientCertificates>,
}

/// Serves until the shutdown begins, and returns the moment by which the rest has to end, and whether every call was answered.
pub(crate) async fn serve(
    listener: TcpListener,
    faces: Faces,
    in_flight: InFlight,
    tls: Option<Tls>,
    config: &GrpcConfig,
    shutdown: &Shutdown,
) -> (Instant, bool) {
    let (close, cut, connections) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
    let answers = faces.answers();
    let sweep = tokio::spawn(async move { answers.sweep().await });
    let builder = builder(config);
    let failures = Arc::new(FailedHandshakes::default());
    let mut seats = Seats::new(config.max_connections);
    let mut end = std::pin::pin!(end_of_accepting(shutdown, config.drain_delay));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // A client beyond all seats is closed at once, so that the others keep their descriptors.
                let Some(connection) = seats.take() else { continue };
                let stream = no_delay(stream);
                let (faces, close, cut) = (faces.clone(), close.clone(), cut.clone());
                // A socket for IPv6 shows addresses of IPv4 as parts of it.
                let address = peer.ip().to_canonical();
                let lifetime = Lifetime::of(config, u16::from_ne_bytes(Entropy::system().bytes()));
                let closing = connection.closing();
                let Some(tls) = &tls else {
                    let faces = faces.for_peer(Peer { address: Some(address), client: None, closing });
                    let service = TowerToHyperService::new(connection.service(faces));
                    let served = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                    connections.spawn(connection.follow(served, lifetime, close, cut));
                    continue;
                };
                let (handshake, builder) = (shake_hands(tls, stream, address, &failures), builder.clone());
                connections.spawn(async move {
                    let Some(Some((stream, client))) = connection.prepare(handshake, &close, &cut).await else {
                        return;
                    };
                    let faces = faces.for_peer(Peer { address: Some(address), client, closing });
                    let service = TowerToHyperService::new(connection.service(faces));
                    let served = builder.serve_connection(TokioIo::new(stream), service);
                    connection.follow(served, lifetime, close, cut).await;
                });
            }
            Err(error) => pause(&error).await,
        }
    }
    drop(listener);
    let deadline = Instant::now() + config.drain_timeout;
    log_event!(info, DRAINING, drain_timeout_ms = config.drain_timeout.as_millis() as u64, "draining");
    close.cancel();
    connections.close();
    let drained = async {
        tokio::select! {
            () = connections.wait() => {}
            // A health Watch or a silent client keeps its connection open for ever; the shutdown does not wait for
            // them.
            () = quiet(&in_flight) => {}
        }
    };
    let is_drained = tokio::select! {
        () = drained => true,
        () = tokio::time::sleep_until(deadline) => {
            log_event!(warn, DRAIN_CUT, "closing connections with calls: the drain timeout has passed");
            false
        }
        () = shutdown.now.cancelled() => {
            log_event!(warn, DRAIN_CUT, "closing connections with calls: SIGINT arrived while the service drained");
            false
        }
    };
    cut.cancel();
    sweep.abort();
    (deadline, is_drained)
}

/// Returns the limits of a connection, which are the same over HTTP/1.1 and HTTP/2 as far as both have them.
fn builder(config: &GrpcConfig) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut http_1 = builder.http1();
    http_1.timer(TokioTimer::new()).header_read_timeout(NEXT_CALL).max_buf_size(MAX_BUFFER);
    let mut http_2 = builder.http2();
    http_2.timer(TokioTimer::new()).max_concurrent_streams(config.max_concurrent_streams);
    http_2.keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE).max_send_buf_size(SEND_BUFFER);
    http_2.max_header_list_size(MAX_HEADERS).initial_stream_window_size(STREAM_WINDOW);
    builder
}

/// Turns a connection into one of TLS, if its client takes part in time.
fn shake_hands(
    tls: &Tls,
    stream: TcpStream,
    peer: IpAddr,
    failures: &Arc<FailedHandshakes>,
) -> impl Future<Output = Option<(TlsStream<TcpStream>, Option<Client>)>> + Send + use<> {
    let (acceptor, failures) = (TlsAcceptor::from(tls.server.config()), Arc::clone(failures));
    let clients = tls.clients.clone();
    async move {
        let problem = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(ClientCertificate::of);
                let client = clients.zip(certificate).map(|(clients, certificate)| clients.client(certificate));
                return Some((stream, client));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no handshake in time".to_owned(),
        };
        failures.count(&problem, peer);
        None
    }
}

/// Continues to accept for a while after the shutdown began, so that load balancers can learn of it first.
async fn end_of_accepting(shutdown: &Shutdown, delay: Duration) {
    shutdown.drain.cancelled().await;
    tokio::select! {
        () = sleep(delay) => {}
        () = shutdown.now.cancelled() => {}
    }
}

/// Waits until no call was under way for a while. A client may still send calls before it learns of the shutdown.
async fn quiet(in_flight: &InFlight) {
    loop {
        in_flight.finished().await;
        sleep(QUIET_PERIOD).await;
        if in_flight.is_empty() {
            return;
        }
    }
}

/// Answers are small and complete: waiting to fill a packet only delays them.
fn no_delay(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        log_event!(debug, NODELAY_NOT_SET, %error, "TCP_NODELAY not set; answers on this connection may be delayed");
    }
    stream
}

async fn pause(error: &io::Error) {
    log_event!(warn, ACCEPT_FAILED, %error, "a connection could not be accepted; accepting continues");
    sleep(ACCEPT_PAUSE).await;
}
