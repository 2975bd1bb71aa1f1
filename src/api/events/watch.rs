//! WatchEvents: an account's events as they get their position, from any position on.
//!
//! A watch holds a position and nothing else. Behind the feed it reads from the database, page by page and in turns with the
//! watches of other accounts; at the feed's position it is woken by what the feed has for its filter. If the two do not
//! meet, it reads again. It reads no events before its client has taken the earlier ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use tracing::Instrument as _;

use super::resume_token::ResumeTokens;
use super::watch_limits::WatchLimits;
use crate::api::convert::timestamp;
use crate::api::execute::{Api, Call};
use crate::api::parse::violations::Violations;
use crate::api::parse::{filter, moment};
use crate::background::event_feed::{EventFeed, Following, Taken};
use crate::domain::invitation::event::EventFilter;
use crate::domain::reach::Reach;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::pb::watch_events_request::Start as GivenStart;
use crate::pb::watch_events_response::Item;
use crate::server::admission::Admission;
use crate::server::boundary::Closing;
use crate::server::call_log::outcome::code_name;
use crate::server::status;
use crate::store::{EventBatch, KeptEvents, PositionedEvent};

/// The number of events that wait for a client beside those on the wire.
const BUFFERED_EVENTS: usize = 16;
/// The number of events that are read at a time.
const PAGE_EVENTS: u64 = 64;
/// The time for which the organizations of a credential count as known, in microseconds.
const REACH_TTL: i64 = 15_000_000;
/// The number of tries of a read while the database does not answer, and the delay between them.
const MAX_READS: u32 = 20;
const READ_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The settings and the feed that all watches share.
#[derive(Clone, Debug)]
pub struct Watches {
    /// The feed of the newest events.
    feed: EventFeed,
    /// The longest time for which a client may read nothing.
    patience: Duration,
    /// The interval at which a watch sends a checkpoint.
    checkpoint_interval: Duration,
    /// The signal that the service ends.
    drain: CancellationToken,
    /// The number of watches.
    limits: WatchLimits,
}

/// The stream of the answer.
pub(crate) type Events = ReceiverStream<Result<pb::WatchEventsResponse, Status>>;

type Responses = Sender<Result<pb::WatchEventsResponse, Status>>;

/// The place at which a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// The next event.
    Now,
    /// The event behind a position.
    Behind(i64),
    /// The first event of a moment or later.
    At(Timestamp),
    /// The oldest event that is kept.
    Beginning,
}

/// The watch of one client.
struct Watch {
    api: Arc<Api>,
    call: Call,
    tokens: ResumeTokens,
    filter: EventFilter,
    /// Only events of this moment or later.
    since: Option<Timestamp>,
    patience: Duration,
    checkpoint_interval: Duration,
    /// The moment at which a checkpoint has to be sent.
    checkpoint_due: Instant,
    following: Following,
    /// The signal that the connection has grown old: the watch ends behind a checkpoint.
    closing: CancellationToken,
    /// The position up to which the client has been sent everything.
    position: i64,
    /// The position up to which events had been deleted when it began: it misses none of those.
    pruned_until: i64,
    /// The invitations whose events it may see, and the moment of that look-up.
    reach: (Reach, Timestamp),
}

impl Watches {
    /// Returns the settings, without watches.
    pub fn new(feed: EventFeed, patience: Duration, checkpoint_interval: Duration, drain: CancellationToken) -> Self {
        Self { feed, patience, checkpoint_interval, drain, limits: WatchLimits::default() }
    }

    /// Starts a watch.
    pub(crate) async fn begin(
        &self,
        api: &Arc<Api>,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Events, Status> {
        let admission = request.extensions().get::<Admission>().cloned().ok_or_else(status::unauthenticated)?;
        let closing = request.extensions().get::<Closing>().map(|Closing(closing)| closing.clone()).unwrap_or_default();
        let (call, message, mut violations) = Call::of(request)?;
        let tokens = ResumeTokens::of(api, &call).await?;
        let filter = filter_of(&mut violations, &message);
        let start = Start::parse(&mut violations, &tokens, message.start.as_ref());
        let start = violations.finish(start)?;
        let place = self.limits.take(&call.caller)?;
        // The subscription precedes the read of the last position: later events then arrive through the feed.
        let reach = (api.reach(&call).await?, api.clock.now());
        let filter = filter.within(&reach.0);
        let following = self.feed.follow(&call.caller.account, &filter);
        let (position, pruned_until) = start.position(api, &call).await?;
        let since = if let Start::At(time) = start { Some(time) } else { None };
        let (deadline, caller) = (call.deadline.of_stream(), call.caller.clone());
        let (sender, events) = mpsc::channel(BUFFERED_EVENTS + 1);
        // The permit is for the final status, for which a client that reads nothing would have no room.
        let end = sender.clone().reserve_owned().await.map_err(|_| status::unavailable())?;
        let (patience, checkpoint_interval, api) = (self.patience, self.checkpoint_interval, Arc::clone(api));
        let checkpoint_due = Instant::now() + checkpoint_interval;
        let watch = Watch {
            api,
            call,
            tokens,
            filter,
            since,
            patience,
            checkpoint_interval,
            checkpoint_due,
            following,
            closing,
            position,
            pruned_until,
            reach,
        };
        let drain = self.drain.clone();
        let task = async move {
            let ended = tokio::select! {
                biased;
                () = sender.closed() => return log_event!(debug, WATCH_CLOSED, "the client closed a watch"),
                () = drain.cancelled() => status::unavailable(),
                () = passed(deadline) => status::deadline_exceeded(),
                refused = admission.ended(&caller) => refused,
                ended = watch.follow(&sender) => ended,
            };
            log_event!(info, WATCH_ENDED, code = code_name(ended.code()), "ended a watch");
            end.send(Err(ended));
            drop(place);
        };
        tokio::spawn(task.in_current_span());
        Ok(ReceiverStream::new(events))
    }
}

impl Start {
    fn parse(violations: &mut Violations, tokens: &ResumeTokens, given: Option<&GivenStart>) -> Option<Self> {
        match given {
            None | Some(GivenStart::FromBeginning(false)) => Some(Self::Now),
            Some(GivenStart::FromBeginning(true)) => Some(Self::Beginning),
            Some(GivenStart::StartTime(time)) => moment(violations, "start_time", Some(*time)).map(Self::At),
            Some(GivenStart::ResumeToken(token)) => {
                violations.required("resume_token", token, |token| tokens.parse(token)).map(Self::Behind)
            }
        }
    }

    /// Returns the position behind which the watch begins, and that up to which events of its account have been deleted.
    async fn position(self, api: &Api, call: &Call) -> Result<(i64, i64), Status> {
        let (store, account) = (&api.store, &call.caller.account);
        let KeptEvents { pruned_until, last } = api.read(store.kept_events(account)).await?;
        let position = match self {
            Self::Now => last,
            Self::Beginning => 0,
            Self::At(time) => api.read(store.position_before(account, time, last)).await?,
            // A database that was restored may be behind the position of the client.
            Self::Behind(after) if after >= last => last,
            Self::Behind(after) if after >= pruned_until => after,
            Self::Behind(_) => return Err(expired(api, account).await),
        };
        Ok((position, pruned_until))
    }
}

/// Returns the status of a watch behind whose position events of its account have been deleted.
async fn expired(api: &Api, account: &AccountId) -> Status {
    match api.read(api.store.oldest_event(account)).await {
        Ok(oldest) => status::resume_token_expired(oldest.unwrap_or_else(|| api.clock.now())),
        Err(status) => status,
    }
}

fn filter_of(violations: &mut Violations, message: &pb::WatchEventsRequest) -> EventFilter {
    let types = filter::event_types(violations, "types", &message.types);
    let kinds = filter::kinds(violations, "kinds", &message.kinds);
    let scope = filter::scope(violations, "scope", message.scope.as_ref());
    EventFilter { types, kinds, scope, is_hosted: false }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Watch {
    /// Sends events until there is a reason to stop, and returns it.
    async fn follow(mut self, sender: &Responses) -> Status {
        match self.try_follow(sender).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_follow(&mut self, sender: &Responses) -> Result<std::convert::Infallible, Status> {
        self.catch_up(sender).await?;
        self.checkpoint(sender, self.api.clock.now()).await?;
        loop {
            let is_due = tokio::select! {
                biased;
                () = self.closing.cancelled() => true,
                () = sleep_until(self.checkpoint_due) => true,
                () = self.following.changed() => false,
            };
            match self.following.take(self.position) {
                Some(Taken { events, until }) => self.send(sender, &events, until).await?,
                None => self.catch_up(sender).await?,
            }
            if is_due {
                self.checkpoint(sender, self.api.clock.now()).await?;
            }
            self.check_connection()?;
        }
    }

    /// Reads and sends the stored events. A checkpoint on the way has the time of the last event so far.
    async fn catch_up(&mut self, sender: &Responses) -> Result<(), Status> {
        loop {
            let batch = self.read().await?;
            self.send(sender, &batch.events, batch.until).await?;
            if batch.is_last {
                return Ok(());
            }
            let is_due = self.checkpoint_due <= Instant::now() || self.closing.is_cancelled();
            if let Some(last) = batch.time.filter(|_| is_due) {
                self.checkpoint(sender, last).await?;
            }
            self.check_connection()?;
        }
    }

    /// Ends the watch if its connection has grown old. Its client goes on from the last token on another one.
    fn check_connection(&self) -> Result<(), Status> {
        if self.closing.is_cancelled() { Err(status::unavailable()) } else { Ok(()) }
    }

    /// Reads the next events. A database that is unavailable for a moment ends no watch.
    async fn read(&mut self) -> Result<EventBatch, Status> {
        self.look_up_reach().await?;
        let (store, reach, filter) = (&self.api.store, &self.reach.0, &self.filter);
        // The wait for a turn is no time in which the database does not answer.
        let turn = store.turn_to_catch_up(reach.account()).await;
        let _turn = self.api.done(turn)?;
        let batch = again(|| self.api.read(store.events_behind(reach, filter, self.position, PAGE_EVENTS))).await?;
        // Events may grow too old while a slow client catches up with them.
        if batch.pruned_until > self.position.max(self.pruned_until) {
            return Err(expired(&self.api, reach.account()).await);
        }
        Ok(batch)
    }

    /// Sends the events that the filter chooses, of those up to a position.
    async fn send(&mut self, sender: &Responses, events: &[Arc<PositionedEvent>], until: i64) -> Result<(), Status> {
        let since = self.since;
        for event in events.iter().filter(|event| since.is_none_or(|since| event.event.event.time >= since)) {
            self.look_up_reach().await?;
            if event.is_within(&self.reach.0) {
                let event = self.tokens.event(&self.api, &event.event)?;
                let resume_token = event.resume_token.clone();
                self.respond(sender, Item::Event(event), resume_token).await?;
            }
        }
        self.position = self.position.max(until);
        Ok(())
    }

    /// Sends a checkpoint: all events up to the present position, and so up to this time, have been sent.
    async fn checkpoint(&mut self, sender: &Responses, time: Timestamp) -> Result<(), Status> {
        let token = self.tokens.token(&self.api, self.position)?;
        self.respond(sender, Item::CheckpointTime(timestamp(time)), token).await?;
        self.checkpoint_due = Instant::now() + self.checkpoint_interval;
        Ok(())
    }

    async fn respond(&self, sender: &Responses, item: Item, resume_token: String) -> Result<(), Status> {
        let Ok(place) = timeout(self.patience, sender.reserve()).await else {
            log_event!(warn, WATCH_STALLED, "ending a watch: its client reads nothing");
            return Err(status::unavailable());
        };
        let response = pb::WatchEventsResponse { item: Some(item), resume_token };
        place.map_err(|_| status::unavailable())?.send(Ok(response));
        Ok(())
    }

    /// Looks up what the caller may see, unless that was done a moment ago.
    async fn look_up_reach(&mut self) -> Result<(), Status> {
        let now = self.api.clock.now();
        if self.call.caller.organization_id.is_some() && now.micros() - self.reach.1.micros() >= REACH_TTL {
            // The stream is silent until it is known again.
            self.reach = (again(|| self.api.reach(&self.call)).await?, now);
        }
        Ok(())
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
