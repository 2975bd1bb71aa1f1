//! One connection: what it may call, and when it is to end, because it has been idle for too long or has grown old.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::answer::Keeping;
use super::health::probe::{LIVE_PATH, READY_PATH};
use super::{faces, status};
use crate::config::GrpcConfig;

/// The time that a client has for its first call; without one it is silent, or speaks no HTTP.
const FIRST_CALL: Duration = Duration::from_secs(10);
/// The time after which a connection without calls is closed. Clients open another one for their next call.
const IDLE: Duration = Duration::from_secs(300);
/// The time that a probe has.
const PROBE: Duration = Duration::from_secs(5);
/// The time that a client has for leaving a connection that is being closed, once its calls have ended.
const LEAVE: Duration = Duration::from_secs(5);

/// The paths of probes.
const PROBE_PATHS: [&str; 3] = ["/grpc.health.v1.Health/Check", LIVE_PATH, READY_PATH];

/// The calls that a connection may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Every RPC.
    All,
    /// Probes of health alone: there are as many other connections as there may be.
    Probes,
}

/// The age at which a connection takes no more calls, and the time that its calls then have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    age: Duration,
    grace: Duration,
}

impl Lifetime {
    /// Returns the lifetime of one connection: up to a tenth shorter or longer, so that connections that began together do not end together.
    pub(crate) fn of(config: &GrpcConfig, random: u16) -> Option<Self> {
        let age = config.max_connection_age?;
        let share = 0.9 + 0.2 * f64::from(random) / f64::from(u16::MAX);
        Some(Self { age: age.mul_f64(share), grace: config.max_connection_age_grace })
    }
}

/// The permit of a connection.
pub(crate) type Seat = OwnedSemaphorePermit;

/// A connection, with its seat until it is given up.
pub(crate) struct Connection {
    admitted: Admitted,
    activity: Arc<Mutex<Activity>>,
    seat: Arc<Mutex<Option<Seat>>>,
    given_up: CancellationToken,
    /// The signal for streams that the connection takes no more calls and waits for them to end.
    closing: CancellationToken,
}

/// A connection as long as it has made no call.
pub(crate) struct Newcomer {
    activity: Arc<Mutex<Activity>>,
    seat: Arc<Mutex<Option<Seat>>>,
    given_up: CancellationToken,
}

/// Gives the seat back, whoever else can still give it up.
impl Drop for Connection {
    fn drop(&mut self) {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Newcomer {
    /// Returns whether the connection is open, and has made no call.
    pub(crate) fn is_silent(&self) -> bool {
        let is_open = self.seat.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        is_open && !self.activity.lock().unwrap_or_else(PoisonError::into_inner).has_called
    }

    /// Closes the connection and returns its seat, if it is silent.
    pub(crate) fn give_up(self) -> Option<Seat> {
        let activity = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        if activity.has_called {
            return None;
        }
        let seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.given_up.cancel();
        seat
    }
}

/// The calls of a connection.
#[derive(Clone, Copy, Debug)]
struct Activity {
    calls: usize,
    has_called: bool,
    /// The moment by which a call has to begin.
    until: Instant,
}

impl Connection {
    pub(crate) fn new(admitted: Admitted, seat: Seat) -> Self {
        let first = if admitted == Admitted::All { FIRST_CALL } else { PROBE };
        let activity = Activity { calls: 0, has_called: false, until: Instant::now() + first };
        let (activity, seat) = (Arc::new(Mutex::new(activity)), Arc::new(Mutex::new(Some(seat))));
        Self { admitted, activity, seat, given_up: CancellationToken::new(), closing: CancellationToken::new() }
    }

    /// Returns the side of it that can be given up.
    pub(crate) fn newcomer(&self) -> Newcomer {
        let (activity, seat) = (Arc::clone(&self.activity), Arc::clone(&self.seat));
        Newcomer { activity, seat, given_up: self.given_up.clone() }
    }

    /// Returns the signal that the connection waits for its streams to end.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Returns the service of this connection, which counts the calls of another one.
    pub(crate) fn service<S>(&self, inner: S) -> ConnectionService<S> {
        ConnectionService { inner, admitted: self.admitted, activity: Arc::clone(&self.activity) }
    }

    /// Waits for what has to come before the first call; `None` if the connection is given up or to be closed meanwhile.
    pub(crate) async fn prepare<T>(
        &self,
        ready: impl Future<Output = T>,
        close: &CancellationToken,
        cut: &CancellationToken,
    ) -> Option<T> {
        tokio::select! {
            ready = ready => Some(ready),
            () = self.given_up.cancelled() => None,
            () = close.cancelled() => None,
            () = cut.cancelled() => None,
        }
    }

    /// Serves the connection until its client ends it, it is to be closed, it has been idle for too long, or it has grown old. `close` lets
    /// calls finish; `cut` does not.
    pub(crate) async fn follow<S>(
        self,
        served: S,
        lifetime: Option<Lifetime>,
        close: CancellationToken,
        cut: CancellationToken,
    ) where
        S: Future + Graceful,
    {
        let mut served = pin!(served);
        let old = async {
            match lifetime {
                Some(Lifetime { age, grace }) => {
                    sleep(age).await;
                    grace
                }
                None => std::future::pending().await,
            }
        };
        let grace = tokio::select! {
            // Clients that vanish or break the protocol need no log line.
            ended = served.as_mut() => return drop(ended),
            () = cut.cancelled() => return,
            () = self.given_up.cancelled() => return,
            // The drain has a limit of its own, and tells the streams by itself.
            () = close.cancelled() => None,
            () = self.idle() => None,
            grace = old => Some(grace),
        };
        served.as_mut().close();
        self.closing.cancel();
        let over = async {
            match grace {
                Some(grace) => sleep(grace).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = served => drop(ended),
            () = cut.cancelled() => {}
            () = self.left() => {}
            () = over => {}
        }
    }

    #[cfg(test)]
    pub(crate) fn admitted(&self) -> Admitted {
        self.admitted
    }

    #[cfg(test)]
    pub(crate) fn note_call(&self) {
        drop(Active::begin(&self.activity, self.admitted));
    }

    #[cfg(test)]
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// Waits until there was no call for too long.
    async fn idle(&self) {
        loop {
            let Activity { calls, until, has_called: _ } =
                *self.activity.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if calls == 0 && until <= now {
                return;
            }
            // While there are calls, the end of the last one sets the moment anew.
            sleep_until(until.max(now + PROBE)).await;
        }
    }

    /// Waits until a client without calls has had the time to leave.
    async fn left(&self) {
        loop {
            sleep(LEAVE).await;
            if self.activity.lock().unwrap_or_else(PoisonError::into_inner).calls == 0 {
                return;
            }
        }
    }
}

/// A connection that is served, and can be told to let its calls finish and take no more.
pub(crate) trait Graceful {
    /// Takes no more calls.
    fn close(self: Pin<&mut Self>);
}

impl<I, S, B, E> Graceful for hyper_util::server::conn::auto::Connection<'_, I, S, E>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Future: 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper_util::server::conn::auto::HttpServerConnExec<S::Future, B>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// The calls of one connection.
#[derive(Clone)]
pub(crate) struct ConnectionService<S> {
    inner: S,
    admitted: Admitted,
    activity: Arc<Mutex<Activity>>,
}

impl<S> Service<Request<hyper::body::Incoming>> for ConnectionService<S>
where
    S: Service<Request<hyper::body::Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<hyper::body::Incoming>) -> Self::Future {
        let active = Active::begin(&self.activity, self.admitted);
        if self.admitted == Admitted::Probes && !PROBE_PATHS.contains(&request.uri().path()) {
            let refused = faces::refuse(&request, status::unavailable());
            return Box::pin(async { Ok(refused) });
        }
        let answered = self.inner.call(request);
        Box::pin(async move { Ok(answered.await?.map(|body| Keeping::body(body, active))) })
    }
}

/// A call of a connection, until its answer has been taken.
struct Active(Arc<Mutex<Activity>>, Duration);

impl Active {
    fn begin(activity: &Arc<Mutex<Activity>>, admitted: Admitted) -> Self {
        let mut begun = activity.lock().unwrap_or_else(PoisonError::into_inner);
        begun.calls += 1;
        begun.has_called = true;
        drop(begun);
        Self(Arc::clone(activity), if admitted == Admitted::All { IDLE } else { Duration::ZERO })
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let mut activity = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        activity.calls -= 1;
        activity.until = Instant::now() + self.1;
    }
}

#[cfg(test)]
mod tests;
