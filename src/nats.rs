//! Publishes every event to NATS JetStream, in the order of each invitation, at least once.
//!
//! One replica at a time publishes, by a lease; its cursor moves after the server's acknowledgement. An event that is
//! published again, because the acknowledgement was lost, has its id as the Nats-Msg-Id, by which the server drops the
//! duplicate. No other part of the service waits for NATS.

mod session;

use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::background::periodic_task::{PeriodicTask, TickResult};
use crate::config::{NatsBegin, NatsConfig};
use crate::entropy::Entropy;
use crate::store::{Begin, Follower, Store, StoreError, Topic};
pub(crate) use session::try_connect;
use session::{Session, SessionError, prefixes};

/// The number of events that are read, and then published, at once.
const BATCH_EVENTS: u64 = 256;
/// The interval at which it polls without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The time for which a lease counts as held without a query; the lease itself lasts longer.
const LEASE_TRUST: Duration = Duration::from_secs(10);
/// The further delay that each failed attempt to connect adds, and the number of times that it is added.
const BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFFS: u32 = 5;

/// The reason why publishing stopped early.
#[derive(Debug, thiserror::Error)]
enum NatsError {
    /// An error of the database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An error of the connection to NATS.
    #[error(transparent)]
    Session(#[from] SessionError),
}

struct Publisher {
    store: Store,
    config: NatsConfig,
    holder: Uuid,
    /// The position up to which it has published, and the moment at which the lease was last known to be held.
    held: Option<(i64, Instant)>,
    session: Option<Session>,
    failures: u32,
    /// The servers' URLs, which may be read again.
    urls: watch::Receiver<SecretString>,
}

/// Publishes until stopped. Every replica runs this, and one of them at a time publishes.
pub async fn run(store: Store, config: NatsConfig, urls: watch::Receiver<SecretString>, stop: CancellationToken) {
    let holder = Uuid::from_bytes(Entropy::system().bytes());
    let notified = Some(store.notifications().subscribe(Topic::Position));
    let publisher = Publisher { store: store.clone(), config, holder, held: None, session: None, failures: 0, urls };
    let publisher = Mutex::new(publisher);
    let task = PeriodicTask { name: "nats", notified, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    task.run(|| async { publisher.lock().await.round().await }).await;
    drop(publisher);
    // If this fails, the other replicas wait until the lease expires, which is soon enough.
    drop(store.release(Follower::Nats, holder).await);
}

impl Publisher {
    async fn round(&mut self) -> Result<TickResult, NatsError> {
        let result = self.publish().await;
        match &result {
            Ok(_) | Err(NatsError::Store(StoreError::Unavailable(_) | StoreError::Slow)) => return result,
            Err(NatsError::Session(_)) => self.failures = (self.failures + 1).min(MAX_BACKOFFS),
            Err(NatsError::Store(_)) => {}
        }
        // Another replica may reach NATS.
        self.held = None;
        if let Err(error) = self.store.release(Follower::Nats, self.holder).await {
            log_event!(debug, NATS_LEASE_NOT_RELEASED, %error, "lease not released; it expires by itself");
        }
        result
    }

    async fn publish(&mut self) -> Result<TickResult, NatsError> {
        if self.urls.has_changed().unwrap_or(false) {
            self.config.url = self.urls.borrow_and_update().clone();
            (self.session, self.failures) = (None, 0);
        }
        // The position is read before the connection, so that the start does not depend on when NATS is available.
        let Some(after) = self.position().await? else { return Ok(TickResult::Done) };
        if self.session.is_none() {
            tokio::time::sleep(BACKOFF * self.failures).await;
            self.session = Some(Session::open(&self.config).await?);
            log_event!(info, NATS_CONNECTED, "connected to NATS");
        }
        let batch = self.store.all_events_behind(after, BATCH_EVENTS).await?;
        if batch.until == after {
            return Ok(TickResult::Done);
        }
        // A message that the client still holds must not be sent later, after those that are sent again: a session that
        // did not finish its work, for example because the tick was aborted, is discarded.
        let Some(session) = self.session.take() else { return Ok(TickResult::More) };
        let mut left = prefixes(&batch.events).peekable();
        // Without events the position still moves.
        if left.peek().is_none() && !self.advance(batch.until).await? {
            return Ok(TickResult::Done);
        }
        while let Some(prefix) = left.next() {
            session.publish(prefix).await?;
            self.failures = 0;
            let until = match (left.peek(), prefix.last()) {
                (Some(_), Some(last)) => last.position,
                _ => batch.until,
            };
            // The result also shows whether the lease is still held.
            if !self.advance(until).await? {
                return Ok(TickResult::Done);
            }
        }
        self.session = Some(session);
        Ok(if batch.is_last { TickResult::Done } else { TickResult::More })
    }

    /// Moves the position after an acknowledgement; false if another replica publishes by now.
    async fn advance(&mut self, until: i64) -> Result<bool, StoreError> {
        self.held = None;
        let advanced = self.store.advance(Follower::Nats, self.holder, until).await?;
        self.held = advanced.then(|| (until, Instant::now()));
        Ok(advanced)
    }

    /// Returns the position up to which it has published; `None` while another replica publishes.
    async fn position(&mut self) -> Result<Option<i64>, StoreError> {
        if let Some((position, _)) = self.held.filter(|(_, seen)| seen.elapsed() < LEASE_TRUST) {
            return Ok(Some(position));
        }
        let begin = match self.config.begin {
            NatsBegin::Now => Begin::Now,
            NatsBegin::First => Begin::First,
        };
        let leased = self.store.lease(Follower::Nats, self.holder, begin).await?;
        self.held = leased.map(|leased| (leased.position, Instant::now()));
        Ok(leased.map(|leased| leased.position))
    }
}
