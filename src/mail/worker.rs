//! The mail worker: claims due messages, sends them with no transaction open, and settles them under their lease.
//!
//! Delivery is at least once: if a process dies between the mail server's answer and the commit of the result, the
//! lease of the message expires and it is sent again under the same Message-ID.

mod settle;

use std::fmt::Display;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::mailer::Mailer;
use super::pace::Pace;
use super::transport::{SendError, SendFailure, SharedTransport};
use crate::clock::Clock;
use crate::domain::delivery::backoff::Backoff;
use crate::domain::delivery::{DeliveryEnd, REPLACED};
use crate::domain::suppression::{ADDRESS_SUPPRESSED, SuppressionRule};
use crate::entropy::Entropy;
use crate::store::{ClaimLimit, ClaimedDelivery, Store, StoreError, Topic, last_served, within};
use crate::telemetry::log_limiter::LogLimiter;
use crate::telemetry::metrics::table::{ATTEMPTS, MAIL_SUPPRESSED};
use crate::telemetry::traces::{Origin, Span};

/// The actor of the events of deliveries.
const ACTOR: &str = "system/mail";
/// The delays between attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(6 * 3_600) };
/// The time without sending after the transport has shown that it cannot send anything.
const OUTAGE_PAUSE: Duration = Duration::from_secs(30);
/// The longest wait for a notification: messages that fall due, or that another process enqueued, are found within it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The part of a lease that is reserved for the settle: sending is aborted before.
pub const SETTLE_RESERVE: Duration = Duration::from_secs(10);
/// The time limit of one step in the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time to wait for several free slots, although one would be enough.
const SLOT_WAIT: Duration = Duration::from_millis(10);
/// The delay before a settle is retried that the database did not answer.
const SETTLE_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The settings of the mail worker.
#[derive(Clone, Copy, Debug)]
pub struct MailWorkerOptions {
    /// The duration of a lease; sending has to end before.
    pub lease: Duration,
    /// The number of messages that are sent at the same time.
    pub concurrency: u32,
    /// The most messages that are sent within a second; `None` for any number.
    pub per_second: Option<u32>,
    /// The number of attempts after which a message fails for good.
    pub attempts: u32,
}

/// Sends the messages of the outbox. Clones share the pace and the transport's health.
#[derive(Clone, Debug)]
pub struct MailWorker {
    store: Store,
    mailer: Arc<dyn Mailer>,
    clock: Clock,
    entropy: Entropy,
    options: MailWorkerOptions,
    slots: Arc<Semaphore>,
    course: Arc<Mutex<Course>>,
    /// Notified when a message has ended: its account may have another one that waits.
    ended: Arc<Notify>,
    /// The transport, if it may be replaced.
    transport: Option<SharedTransport>,
    /// The rule on suppressed addresses.
    suppressions: Option<SuppressionRule>,
    log_limiter: Arc<std::sync::Mutex<LogLimiter>>,
}

/// The state that one claim hands to the next.
#[derive(Debug)]
struct Course {
    pace: Pace,
    /// The account that was served last.
    after: String,
    /// The moment until which nothing is sent, since the transport cannot; after it a single message shows whether it
    /// can again.
    paused: Option<Instant>,
    /// The moment of the last look for messages that were planned for later.
    planned: Option<Instant>,
}

/// The result of a claim.
enum Step {
    /// As many messages were due as could be sent: there may be more.
    Full,
    /// All due messages are being sent, or those of their accounts that may be sent at the same time.
    Idle,
    /// Nothing can be sent before this moment.
    Until(Instant),
}

impl MailWorker {
    /// Creates a worker that has sent nothing yet.
    pub fn new(store: Store, mailer: Arc<dyn Mailer>, clock: Clock, options: MailWorkerOptions) -> Self {
        let pace = Pace::new(options.per_second, Instant::now());
        let course = Course { pace, after: String::new(), paused: None, planned: None };
        let slots = Arc::new(Semaphore::new(options.concurrency as usize));
        let (course, ended, log_limiter) = (Arc::new(Mutex::new(course)), Arc::default(), Arc::default());
        let (entropy, transport, suppressions) = (Entropy::system(), None, None);
        Self { store, mailer, clock, entropy, options, slots, course, ended, transport, suppressions, log_limiter }
    }

    /// Goes on sending as soon as the transport has been replaced.
    pub fn following(self, transport: SharedTransport) -> Self {
        Self { transport: Some(transport), ..self }
    }

    /// Sends nothing to suppressed addresses.
    pub fn obeying(self, rule: SuppressionRule) -> Self {
        Self { suppressions: Some(rule), ..self }
    }

    /// Sends messages until `stop` is cancelled, then finishes those that it is sending.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let mut notified = self.store.notifications().subscribe(Topic::Outbox);
        // A step is short and is not aborted: the messages it has claimed would be blocked until its lease ends.
        while !stop.is_cancelled() {
            // This precedes the look, so that a notification that arrives meanwhile is noticed afterwards.
            notified.mark_unchanged();
            let step = self.step(&tasks, &stop).await.unwrap_or_else(|error| {
                self.warn(&error);
                Step::Until(Instant::now() + POLL_INTERVAL)
            });
            tokio::select! {
                () = wait(step, &mut notified, &self.ended) => {}
                () = self.transport_changed() => self.course.lock().await.paused = None,
                () = stop.cancelled() => {}
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Waits until the transport has been replaced.
    async fn transport_changed(&self) {
        match &self.transport {
            Some(transport) => transport.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Returns the number of times that the transport was replaced.
    fn transport_changes(&self) -> u64 {
        self.transport.as_ref().map_or(0, SharedTransport::changes)
    }

    /// Sends everything that is due, and waits until all of it is settled. Returns how many messages it claimed.
    pub async fn drain(&self) -> Result<usize, StoreError> {
        let mut claimed = 0;
        loop {
            self.store.plan_deliveries().await?;
            let (_, messages) = self.claim().await?;
            let messages = messages.unwrap_or_default();
            if messages.is_empty() {
                return Ok(claimed);
            }
            claimed += messages.len();
            let tasks = TaskTracker::new();
            self.send_all(messages, &tasks);
            tasks.close();
            tasks.wait().await;
        }
    }

    /// Starts to send as many due messages as there are free slots.
    async fn step(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<Step, StoreError> {
        // A message is claimed only when it can be sent, so that no lease runs while it waits its turn. The worker
        // waits for several slots, unless the messages under way take long.
        let room = async {
            let several = self.options.concurrency.div_ceil(4);
            if timeout(SLOT_WAIT, self.slots.acquire_many(several)).await.is_err() {
                drop(self.slots.acquire().await);
            }
        };
        tokio::select! {
            () = room => {}
            () = stop.cancelled() => return Ok(Step::Idle),
        }
        self.plan().await?;
        let (step, messages) = self.claim().await?;
        self.send_all(messages.unwrap_or_default(), tasks);
        Ok(step)
    }

    /// Looks from time to time for messages that were planned for later and have fallen due.
    async fn plan(&self) -> Result<(), StoreError> {
        let mut course = self.course.lock().await;
        if course.planned.is_none_or(|last| last.elapsed() >= POLL_INTERVAL) {
            within(DATABASE_TIMEOUT, self.store.plan_deliveries()).await?;
            course.planned = Some(Instant::now());
        }
        Ok(())
    }

    fn send_all(&self, messages: Vec<(ClaimedDelivery, OwnedSemaphorePermit)>, tasks: &TaskTracker) {
        for (message, slot) in messages {
            let worker = self.clone();
            tasks.spawn(async move {
                worker.send(&message).await;
                drop(slot);
                worker.ended.notify_one();
            });
        }
    }

    /// Claims a message for each free slot.
    async fn claim(&self) -> Result<(Step, Option<Vec<(ClaimedDelivery, OwnedSemaphorePermit)>>), StoreError> {
        let mut course = self.course.lock().await;
        let now = Instant::now();
        if let Some(until) = course.paused.filter(|until| *until > now) {
            return Ok((Step::Until(until), None));
        }
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        if course.paused.is_some() && free < self.options.concurrency {
            // A single message shows whether the transport can send again; no other is sent with it.
            return Ok((Step::Until(now + SLOT_WAIT), None));
        }
        let room = if course.paused.is_some() { free.min(1) } else { free };
        let wanted = course.pace.take(room, now);
        if wanted == 0 {
            return Ok((Step::Until(now + course.pace.next()), None));
        }
        let Ok(mut slots) = Arc::clone(&self.slots).try_acquire_many_owned(wanted) else {
            return Ok((Step::Full, None));
        };
        let lease = Uuid::from_bytes(self.entropy.bytes());
        let limit = ClaimLimit::of_places(wanted, free, self.options.concurrency);
        let claim = self.store.claim_deliveries(lease, self.options.lease, limit, &course.after);
        let claimed = within(DATABASE_TIMEOUT, claim).await?;
        course.after = last_served(&course.after, claimed.iter().map(|claimed| claimed.account.as_str()));
        course.pace.give_back(wanted - u32::try_from(claimed.len()).unwrap_or(wanted));
        let step = if claimed.is_empty() { Step::Idle } else { Step::Full };
        let messages = claimed.into_iter().map_while(|message| Some((message, slots.split(1)?))).collect();
        Ok((step, Some(messages)))
    }

    /// Sends one message and settles it, whatever happens.
    async fn send(&self, message: &ClaimedDelivery) {
        let origin = message.traceparent.as_deref().and_then(Origin::from_traceparent);
        let trace = Span::of_delivery("mail", origin);
        trace.set("invitation.delivery", message.delivery.message.id.to_string());
        trace.around(self.send_traced(message, &trace)).await;
    }

    async fn send_traced(&self, message: &ClaimedDelivery, trace: &Span) {
        let changes = self.transport_changes();
        let ended = match self.attempt(message).await {
            Ok(None) => {
                note("cancelled");
                Ok(())
            }
            Ok(Some(Ok(()))) => {
                note("sent");
                self.settle(message, DeliveryEnd::Sent).await
            }
            Ok(Some(Err(error))) => {
                trace.fail("not sent");
                self.failed(message, error, changes).await
            }
            Err(error @ StoreError::Corrupt { .. }) => {
                self.warn(&error);
                within(DATABASE_TIMEOUT, self.store.put_back_delivery(message)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            // Its lease expires, and another worker claims it.
            log_event!(debug, MAIL_NOT_SETTLED, delivery = %message.delivery.message.id, %error, "a message could not be settled; it is claimed again when its lease expires");
            self.warn(&error);
        }
    }

    /// Counts and logs a failure of this task.
    fn warn(&self, error: &StoreError) {
        self.log_limiter.lock().unwrap_or_else(PoisonError::into_inner).warn("mail", error);
    }

    /// Logs a problem of the mail server, but not for each message. The attempts are counted.
    fn complain(&self, error: &dyn Display) {
        self.log_limiter.lock().unwrap_or_else(PoisonError::into_inner).log("mail", error);
    }

    /// Sends a message unless it is no longer needed; `None` if it was cancelled.
    async fn attempt(&self, message: &ClaimedDelivery) -> Result<Option<Result<(), SendError>>, StoreError> {
        if message.delivery.attempts > self.options.attempts {
            // The workers that tried it before died before they could settle it.
            let unfinished = SendError { kind: SendFailure::Refused, text: "no attempt finished".to_owned() };
            return Ok(Some(Err(unfinished)));
        }
        let Some(topic) = within(DATABASE_TIMEOUT, self.store.topicality(message)).await? else {
            within(DATABASE_TIMEOUT, self.store.cancel_delivery(message, "the invitation is deleted")).await?;
            return Ok(None);
        };
        let needless = message.delivery.needless(&topic.invitation.found, topic.invitation.now);
        if let Some(reason) = needless.or(topic.is_replaced.then_some(REPLACED)) {
            within(DATABASE_TIMEOUT, self.store.cancel_delivery(message, reason)).await?;
            return Ok(None);
        }
        if self.is_suppressed(message, &topic).await? {
            return Ok(Some(Err(SendError::new(SendFailure::Suppressed, ADDRESS_SUPPRESSED))));
        }
        let sent =
            timeout(self.options.lease.saturating_sub(SETTLE_RESERVE), self.mailer.deliver(message, &topic)).await;
        let late = SendError { kind: SendFailure::Retry, text: "no answer in time".to_owned() };
        let sent = sent.unwrap_or(Err(late));
        if sent.is_ok() {
            self.course.lock().await.paused = None;
        }
        Ok(Some(sent))
    }

    /// Releases or settles a message that was not sent by the transport after so many changes.
    async fn failed(&self, message: &ClaimedDelivery, error: SendError, changes: u64) -> Result<(), StoreError> {
        let SendError { kind: failure, text } = error;
        let attempts = message.delivery.attempts;
        let id = message.delivery.message.id;
        log_event!(debug, MAIL_ATTEMPT_FAILED, delivery = %id, attempts, error = %text, failure = failure.word(), "a message was not sent");
        match failure {
            SendFailure::Retry if attempts < self.options.attempts => {
                self.complain(&text);
                note("retried");
                let delay = BACKOFF.delay(attempts, u64::from_be_bytes(self.entropy.bytes()));
                within(DATABASE_TIMEOUT, self.store.release_delivery(message, delay, true, &text)).await?;
                Ok(())
            }
            SendFailure::Suppressed => {
                note("suppressed");
                MAIL_SUPPRESSED.add(1, []);
                self.settle(message, DeliveryEnd::Suppressed).await
            }
            SendFailure::Retry | SendFailure::Refused | SendFailure::BadAddress => {
                note("failed");
                log_event!(warn, MAIL_FAILED, delivery = %id, attempts, error = %text, "a message failed for good; RedeliverDeliveries queues it again");
                let is_bad_address = failure == SendFailure::BadAddress;
                let end = if is_bad_address { DeliveryEnd::BadAddress(text) } else { DeliveryEnd::Failed(text) };
                self.settle(message, end).await
            }
            SendFailure::Needless => {
                note("cancelled");
                within(DATABASE_TIMEOUT, self.store.cancel_delivery(message, &text)).await.map(drop)
            }
            SendFailure::Misconfigured => {
                note("paused");
                let mut course = self.course.lock().await;
                // The refusal of a transport that has been replaced tells nothing about the present one.
                let pause = if changes == self.transport_changes() { OUTAGE_PAUSE } else { Duration::ZERO };
                if !pause.is_zero() {
                    self.complain(&text);
                    course.paused = Some(Instant::now() + pause);
                }
                drop(course);
                within(DATABASE_TIMEOUT, self.store.release_delivery(message, pause, false, &text)).await?;
                Ok(())
            }
        }
    }
}

/// Counts an attempt by its result.
fn note(result: &'static str) {
    ATTEMPTS.count(["mail", result]);
}

/// Waits until the next step is due.
async fn wait(step: Step, notified: &mut watch::Receiver<()>, ended: &Notify) {
    match step {
        Step::Full => {}
        Step::Idle => {
            tokio::select! {
                _ = timeout(POLL_INTERVAL, notified.changed()) => {}
                () = ended.notified() => {}
            }
        }
        Step::Until(moment) => sleep_until(moment).await,
    }
}
