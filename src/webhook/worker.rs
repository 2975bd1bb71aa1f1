//! Posts due messages: claims as many as can be posted at the same time, posts them with no transaction open, and
//! settles under their leases those that have finished.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::POLL_INTERVAL;
use super::client::{Answer, NoAnswer, WebhookClient};
use super::request::{NO_JSON, NO_SECRET, UNKNOWN_FORMAT, error, headers, with_traceparent};
use crate::clock::Clock;
use crate::domain::invitation::event::Event;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::id::IdSeed;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::retry;
use crate::entropy::Entropy;
use crate::event_json::encoded_event;
use crate::store::{
    Attempt, AttemptOutcome, ClaimLimit, ClaimedMessage, MessageContent, Store, StoreError, Topic,
    WebhookAttemptResult, last_served,
};
use crate::telemetry::log_limiter::LogLimiter;
use crate::telemetry::metrics::table::ATTEMPTS;
use crate::telemetry::traces::Span;

/// The time that a lease lasts beyond the time limit of a request: for reading the message, and settling.
const LEASE_SLACK: Duration = Duration::from_secs(30);
/// The time that a stop waits for requests under way. Their messages are then put back, to be posted again under the
/// same id.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// The time for which a result is kept while the database does not take it, within the slack, and the delay between the
/// tries.
const RESULT_RETENTION: Duration = Duration::from_secs(15);
const SETTLE_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The time after the end of the retries at which a message fails for good whose attempts never finish, for example
/// because they crash the process. Longer than any delay between two attempts.
const UNFINISHED_LIMIT: Duration = Duration::from_secs(2 * 86_400);

/// The settings of the webhook worker.
#[derive(Clone, Copy, Debug)]
pub struct WebhookWorkerOptions {
    /// The number of requests at the same time.
    pub concurrency: u32,
    /// The duration of a lease; posting has to end before.
    pub lease: Duration,
}

impl WebhookWorkerOptions {
    /// Returns options for requests with a time limit.
    pub fn new(concurrency: u32, timeout: Duration) -> Self {
        Self { concurrency, lease: timeout + LEASE_SLACK }
    }
}

/// Posts messages to endpoints.
#[derive(Debug)]
pub struct WebhookWorker {
    store: Store,
    ring: KeyRing,
    client: WebhookClient,
    clock: Clock,
    entropy: Entropy,
    options: WebhookWorkerOptions,
    /// The account that was served last.
    after: String,
    /// The messages under way, by task: a task may be aborted, or panic.
    under_way: HashMap<Id, ClaimedMessage>,
    requests: JoinSet<WebhookAttemptResult>,
    /// The results that are not settled yet, and the moments since which they wait.
    ended: Vec<(WebhookAttemptResult, Instant)>,
}

impl WebhookWorker {
    /// Creates a worker that has posted nothing yet.
    pub fn new(
        store: Store,
        ring: KeyRing,
        client: WebhookClient,
        clock: Clock,
        options: WebhookWorkerOptions,
    ) -> Self {
        let (entropy, after) = (Entropy::system(), String::new());
        let (under_way, requests, ended) = (HashMap::new(), JoinSet::new(), Vec::new());
        Self { store, ring, client, clock, entropy, options, after, under_way, requests, ended }
    }

    /// Posts due messages until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut notified = self.store.notifications().subscribe(Topic::Webhook);
        let mut log_limiter = LogLimiter::default();
        let mut or_warn = |error: StoreError| log_limiter.warn("webhook", &error);
        while !stop.is_cancelled() {
            // This precedes the look, so that a notification that arrives meanwhile is noticed afterwards.
            notified.mark_unchanged();
            let claimed = self.claim_and_post().await;
            let full = claimed.map_err(&mut or_warn).unwrap_or(false);
            if full && self.requests.is_empty() {
                // No message of a full claim needed a request.
                continue;
            }
            let poll = sleep_until(Instant::now() + POLL_INTERVAL);
            tokio::select! {
                Some(done) = self.requests.join_next_with_id() => {
                    self.end(done);
                    tokio::select! {
                        settled = self.settle() => drop(settled.map_err(&mut or_warn)),
                        () = stop.cancelled() => {}
                    }
                }
                _ = notified.changed(), if !full => {}
                () = poll, if !full => {}
                () = stop.cancelled() => {}
            }
        }
        self.stop().await;
    }

    /// Posts everything that is due, and waits until all of it is settled. Returns how many messages were posted.
    pub async fn drain(&mut self) -> Result<usize, StoreError> {
        let mut posted = 0;
        loop {
            self.claim_and_post().await?;
            match self.requests.join_next_with_id().await {
                Some(done) => {
                    self.end(done);
                    posted += self.settle().await?;
                }
                None => return Ok(posted),
            }
        }
    }

    /// Claims due messages and returns them without posting them, as a process does that is frozen at that moment.
    pub async fn claim_only(&mut self) -> Result<Vec<ClaimedMessage>, StoreError> {
        self.claim(self.options.concurrency).await
    }

    /// Claims as many messages as there is room for and starts to post them. Returns whether there is no room left.
    async fn claim_and_post(&mut self) -> Result<bool, StoreError> {
        let busy = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        let room = self.options.concurrency.saturating_sub(busy);
        if room == 0 {
            return Ok(true);
        }
        let claimed = self.claim(room).await?;
        if claimed.is_empty() {
            return Ok(false);
        }
        let full = claimed.len() >= room as usize;
        let mut contents = self.store.webhook_contents(&claimed).await?;
        let (mut unposted, now) = (Vec::new(), self.clock.now());
        for message in claimed {
            match contents.remove(&message.id) {
                _ if is_unfinished(&message, now) => unposted.push(self.unposted(message, AttemptOutcome::GivenUp)),
                Some(Ok(content)) if content.endpoint.disabled_at.is_none() => self.post(message, content),
                Some(Err(error)) => {
                    log_event!(error, WEBHOOK_UNREADABLE, webhook = %message.id, %error, "the content of a webhook message cannot be read; it is tried again later");
                    self.store.put_back_webhook_message(&message).await?;
                }
                _ => unposted.push(self.unposted(message, AttemptOutcome::Needless)),
            }
        }
        unposted.iter().for_each(count);
        if !unposted.is_empty() {
            self.store.settle_webhook_messages(&unposted).await?;
        }
        Ok(full)
    }

    async fn claim(&mut self, room: u32) -> Result<Vec<ClaimedMessage>, StoreError> {
        let lease = Uuid::from_bytes(self.entropy.bytes());
        let lasts = self.options.lease;
        let limit = ClaimLimit::of_places(room, room, self.options.concurrency);
        // The next turn begins behind all endpoints of the account.
        let after = (self.after.clone(), Uuid::max());
        let claimed = self.store.claim_webhook_messages(lease, lasts, limit, &after).await?;
        self.after = last_served(&self.after, claimed.iter().map(|message| message.account.as_str()));
        Ok(claimed)
    }

    fn post(&mut self, message: ClaimedMessage, content: MessageContent) {
        let at = self.clock.now();
        let attempt = IdSeed::new(at, self.entropy.bytes()).nth(0);
        let request = self.request(&message, &content, at);
        let (client, clock) = (self.client.clone(), self.clock.clone());
        let random = u64::from_be_bytes(self.entropy.bytes());
        let posted = message.clone();
        let task = self.requests.spawn(async move {
            let begun = Instant::now();
            let Event { event, traceparent, .. } = &content.event;
            let span = Span::of_event("webhook", event.id, traceparent.as_deref());
            let answer = match request {
                Ok((headers, body)) => {
                    let headers = with_traceparent(headers, &span);
                    client.post(&content.endpoint.uri, headers, body).await
                }
                Err(reason) => Err(reason),
            };
            if error(&answer).is_some() {
                span.fail("not taken");
            }
            let outcome = outcome(&message, &answer, random, (at, clock.now()));
            let attempt = Attempt {
                id: attempt,
                webhook_id: content.event.event.id,
                http_status: answer.as_ref().ok().map(|answer| answer.status),
                error: error(&answer),
                duration: begun.elapsed(),
            };
            WebhookAttemptResult { message, outcome, at, attempt: Some(attempt) }
        });
        self.under_way.insert(task.id(), posted);
    }

    /// Returns the headers and the body of a request, or the failure that there is none. An event has the same `webhook-id` at
    /// each endpoint, and the same as everywhere else.
    fn request(
        &self,
        message: &ClaimedMessage,
        MessageContent { endpoint, event }: &MessageContent,
        at: Timestamp,
    ) -> Result<(HeaderMap, String), NoAnswer> {
        let id = event.event.id.to_string();
        let format = endpoint.format.known().ok_or(UNKNOWN_FORMAT)?;
        let event = encoded_event(event, format).map_err(|_| NO_JSON)?;
        let headers = headers(&self.ring, &message.account, endpoint, (&id, at, &event)).ok_or(NO_SECRET)?;
        Ok((headers, event.body))
    }

    /// Records the result of a request.
    fn end(&mut self, done: Result<(Id, WebhookAttemptResult), JoinError>) {
        let task = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(message) = self.under_way.remove(&task) else { return };
        let settled = match done {
            Ok((_, settled)) => settled,
            Err(_) => {
                log_event!(error, WEBHOOK_PANICKED, webhook = %message.id, "posting a webhook message panicked; it counts as a failed attempt");
                let (at, random) = (self.clock.now(), u64::from_be_bytes(self.entropy.bytes()));
                let outcome = outcome(&message, &Err(NoAnswer("")), random, (at, at));
                self.unposted(message, outcome)
            }
        };
        count(&settled);
        note(&settled);
        self.ended.push((settled, Instant::now()));
    }

    /// Settles the finished requests, and retries while the database does not answer. Returns their number. Results
    /// that are not settled when this is aborted are kept.
    async fn settle(&mut self) -> Result<usize, StoreError> {
        loop {
            while let Some(done) = self.requests.try_join_next_with_id() {
                self.end(done);
            }
            let settled: Vec<WebhookAttemptResult> = self.ended.iter().map(|(settled, _)| settled.clone()).collect();
            let error = match self.store.settle_webhook_messages(&settled).await {
                Ok(disabled) => {
                    for disabled in disabled {
                        log_event!(warn, WEBHOOK_ENDPOINT_DISABLED, endpoint = %disabled.endpoint, "a webhook endpoint is disabled");
                    }
                    self.ended.clear();
                    return Ok(settled.len());
                }
                Err(error) => error,
            };
            let passes = error.is_transient();
            self.ended.retain(|(_, since)| passes && since.elapsed() < RESULT_RETENTION);
            if self.ended.is_empty() {
                return Err(error);
            }
            log_event!(debug, WEBHOOK_SETTLE_RETRIED, %error, "webhook results not settled; retrying");
            sleep(SETTLE_RETRY_DELAY).await;
        }
    }

    /// Waits shortly for requests under way, then puts back the messages that are left.
    async fn stop(mut self) {
        let until = Instant::now() + STOP_GRACE;
        while let Ok(Some(done)) = timeout_at(until, self.requests.join_next_with_id()).await {
            self.end(done);
            if !matches!(timeout_at(until, self.settle()).await, Ok(Ok(_))) {
                break;
            }
        }
        self.requests.abort_all();
        let left: Vec<ClaimedMessage> = self.under_way.drain().map(|(_, message)| message).collect();
        let left = left.into_iter().map(|message| self.unposted(message, AttemptOutcome::Retry(Duration::ZERO)));
        let ended = self.ended.iter().map(|(settled, _)| settled.clone());
        let left: Vec<WebhookAttemptResult> = ended.chain(left).collect();
        if !left.is_empty()
            && let Err(error) = self.store.settle_webhook_messages(&left).await
        {
            log_event!(warn, WEBHOOK_NOT_SETTLED, %error, "webhook messages not settled; they are posted again when their leases expire");
        }
    }

    /// Returns the result of a message that had no request.
    fn unposted(&self, message: ClaimedMessage, outcome: AttemptOutcome) -> WebhookAttemptResult {
        WebhookAttemptResult { message, outcome, at: self.clock.now(), attempt: None }
    }
}

/// Decides the next state of a message.
fn outcome(
    message: &ClaimedMessage,
    answer: &Result<Answer, NoAnswer>,
    random: u64,
    (at, now): (Timestamp, Timestamp),
) -> AttemptOutcome {
    let asked = match answer {
        Ok(Answer { status: 200..=299, .. }) => return AttemptOutcome::Arrived,
        Ok(Answer { status: 410, .. }) => return AttemptOutcome::Gone,
        Ok(Answer { status: 429 | 503, retry_after: Some(value) }) => retry::retry_after(value, now),
        _ => None,
    };
    if retry::is_over(message.first_tried_at.unwrap_or(at), at) {
        return AttemptOutcome::GivenUp;
    }
    AttemptOutcome::Retry(retry::delay(message.attempts, random, asked))
}

fn is_unfinished(message: &ClaimedMessage, now: Timestamp) -> bool {
    message.first_tried_at.is_some_and(|first| retry::is_over(first, now.earlier(UNFINISHED_LIMIT)))
}

/// Counts an attempt by its result.
fn count(settled: &WebhookAttemptResult) {
    let result = match settled.outcome {
        AttemptOutcome::Arrived => "sent",
        AttemptOutcome::Retry(_) => "retried",
        AttemptOutcome::GivenUp | AttemptOutcome::Gone => "failed",
        AttemptOutcome::Needless => "cancelled",
    };
    ATTEMPTS.count(["webhook", result]);
}

fn note(WebhookAttemptResult { message, outcome, attempt, .. }: &WebhookAttemptResult) {
    let Some(error) = attempt.as_ref().and_then(|attempt| attempt.error.as_ref()) else { return };
    let ClaimedMessage { id, endpoint, attempts, .. } = message;
    log_event!(info, WEBHOOK_NOT_ACCEPTED, webhook = %id, %endpoint, attempts, error, outcome = outcome.word(), "a webhook message was not accepted");
}
