//! WatchEvents: an account's events as they get their position, from any position on.
//!
//! A watch holds a position and nothing else. Behind the feed it reads from the database, page by page; at the feed's
//! position it takes the batches that all watches share. If the two do not meet, it reads again. It reads no events
//! before its client has taken the earlier ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use tracing::Instrument as _;
use uuid::Uuid;

use super::resume_token;
use crate::api::execute::{Api, Call};
use crate::api::parse::filter;
use crate::background::event_feed::EventFeed;
use crate::domain::invitation::event::EventType;
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::server::admission::Admission;
use crate::server::status;
use crate::store::{EventBatch, PositionedEvent};

/// The number of events that wait for a client beside those on the wire.
const BUFFERED_EVENTS: usize = 64;
/// The number of events that are read at a time.
const PAGE_EVENTS: u64 = 256;
/// The time for which the organizations of a credential count as known, in microseconds.
const HOSTS_TTL: i64 = 15_000_000;
/// The number of tries of a read while the database does not answer, and the delay between them.
const MAX_READS: u32 = 20;
const READ_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The settings and the feed that all watches share.
#[derive(Clone, Debug)]
pub struct Watches {
    /// The feed of the newest events.
    pub feed: EventFeed,
    /// The longest time for which a client may read nothing.
    pub patience: Duration,
    /// The signal that the service ends.
    pub drain: CancellationToken,
}

/// The stream of the answer.
pub(crate) type Events = ReceiverStream<Result<pb::Event, Status>>;

/// The watch of one client.
struct Watch {
    api: Arc<Api>,
    call: Call,
    types: Vec<EventType>,
    patience: Duration,
    batches: Receiver<Arc<EventBatch>>,
    /// The position up to which the client has been sent everything.
    position: i64,
    /// The organizations whose events it may see, and the moment of that look-up.
    hosts: (Option<Vec<Uuid>>, Timestamp),
}

impl Watches {
    /// Starts a watch.
    pub(crate) async fn begin(
        &self,
        api: &Arc<Api>,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Events, Status> {
        let admission = request.extensions().get::<Admission>().cloned().ok_or_else(status::unauthenticated)?;
        let (call, message, mut violations) = Call::of(request)?;
        let types = filter::event_types(&mut violations, &message.types);
        let parse = |token: &str| resume_token::parse(api, &call, token);
        let after = violations.optional("resume_token", &message.resume_token, parse);
        violations.finish(Some(()))?;
        // The subscription precedes the read of the last position: later events then arrive through the feed.
        let batches = self.feed.follow();
        let last = api.read(api.store.last_position()).await?;
        // A database that was restored may be behind the position of the client.
        let position = after.map_or(last, |after| after.min(last));
        let hosts = (api.hosts(&call).await?, api.clock.now());
        let (deadline, caller) = (call.deadline.of_stream(), call.caller.clone());
        let (sender, events) = mpsc::channel(BUFFERED_EVENTS + 1);
        // The permit is for the final status, for which a client that reads nothing would have no room.
        let end = sender.clone().reserve_owned().await.map_err(|_| status::unavailable())?;
        let patience = self.patience;
        let watch = Watch { api: Arc::clone(api), call, types, patience, batches, position, hosts };
        let drain = self.drain.clone();
        let task = async move {
            let ended = tokio::select! {
                biased;
                () = sender.closed() => return tracing::debug!("the client closed a watch"),
                () = drain.cancelled() => status::unavailable(),
                () = passed(deadline) => status::deadline_exceeded(),
                refused = admission.ended(&caller) => refused,
                ended = watch.follow(&sender) => ended,
            };
            tracing::info!(code = ?ended.code(), "ended a watch");
            end.send(Err(ended));
        };
        tokio::spawn(task.in_current_span());
        Ok(ReceiverStream::new(events))
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Watch {
    /// Sends events until there is a reason to stop, and returns it.
    async fn follow(mut self, sender: &Sender<Result<pb::Event, Status>>) -> Status {
        match self.try_follow(sender).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_follow(
        &mut self,
        sender: &Sender<Result<pb::Event, Status>>,
    ) -> Result<std::convert::Infallible, Status> {
        self.catch_up(sender).await?;
        loop {
            match self.batches.recv().await {
                // All events before the batch have been sent.
                Ok(batch) if batch.after <= self.position => self.send(sender, &batch).await?,
                Ok(_) | Err(RecvError::Lagged(_)) => self.catch_up(sender).await?,
                Err(RecvError::Closed) => return Err(status::unavailable()),
            }
        }
    }

    /// Reads and sends the stored events.
    async fn catch_up(&mut self, sender: &Sender<Result<pb::Event, Status>>) -> Result<(), Status> {
        loop {
            let batch = self.read().await?;
            self.send(sender, &batch).await?;
            if batch.is_last {
                return Ok(());
            }
        }
    }

    /// Reads the next events. A database that is unavailable for a moment ends no watch.
    async fn read(&self) -> Result<EventBatch, Status> {
        let account = &self.call.caller.account;
        again(|| self.api.read(self.api.store.events_behind(account, self.position, PAGE_EVENTS))).await
    }

    async fn send(&mut self, sender: &Sender<Result<pb::Event, Status>>, batch: &EventBatch) -> Result<(), Status> {
        let behind = self.position;
        for event in batch.events.iter().filter(|event| event.position > behind) {
            if self.is_for_it(event) && self.reaches(event).await? {
                let converted = resume_token::event(&self.api, &self.call, &event.event)?;
                let Ok(place) = timeout(self.patience, sender.reserve()).await else {
                    tracing::warn!("ending a watch: its client reads nothing");
                    return Err(status::unavailable());
                };
                place.map_err(|_| status::unavailable())?.send(Ok(converted));
            }
        }
        self.position = self.position.max(batch.until);
        Ok(())
    }

    fn is_for_it(&self, PositionedEvent { event, .. }: &PositionedEvent) -> bool {
        let event = &event.event;
        let is_wanted = |wanted: &EventType| event.event_type == *wanted;
        event.account == self.call.caller.account && (self.types.is_empty() || self.types.iter().any(is_wanted))
    }

    /// Returns whether the caller may see an event, by organizations that were looked up a moment ago at most.
    async fn reaches(&mut self, event: &PositionedEvent) -> Result<bool, Status> {
        if self.call.caller.organization_id.is_none() {
            return Ok(true);
        }
        let now = self.api.clock.now();
        if now.micros() - self.hosts.1.micros() >= HOSTS_TTL {
            // Nothing is sent until they are known again.
            self.hosts = (again(|| self.api.hosts(&self.call)).await?, now);
        }
        let hosts = self.hosts.0.as_deref();
        Ok(hosts.is_none_or(|hosts| event.host.is_some_and(|host| hosts.contains(&host))))
    }
}

/// Repeats a read for a while if the database does not answer.
async fn again<T, F: Future<Output = Result<T, Status>>>(ask: impl Fn() -> F) -> Result<T, Status> {
    for _ in 0..MAX_READS {
        match ask().await {
            Err(away) if away.code() == tonic::Code::Unavailable => tokio::time::sleep(READ_RETRY_DELAY).await,
            answer => return answer,
        }
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn read_is_retried_for_a_while_only_while_unavailable() {
        for (away, refusal, asked, answered) in [
            (0, status::unavailable(), 1, true),
            (MAX_READS, status::unavailable(), MAX_READS + 1, true),
            (MAX_READS + 1, status::unavailable(), MAX_READS + 1, false),
            (1, status::unauthenticated(), 1, false),
        ] {
            let count = Cell::new(0);
            let ask = || {
                count.set(count.get() + 1);
                std::future::ready(if count.get() > away { Ok(()) } else { Err(refusal.clone()) })
            };
            assert_eq!(again(ask).await.is_ok(), answered, "{away} times away");
            assert_eq!(count.get(), asked);
        }
    }
}
