//! Loops beside the calls: rounds of work until they are told to stop, through outages, without flooding the log.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often something that goes on being wrong is logged.
const COMPLAINT: Duration = Duration::from_secs(10);
/// How long a round may take before it counts as failed.
const LONGEST: Duration = Duration::from_secs(30);
/// How soon to look again where somebody else was at work.
const BUSY: Duration = Duration::from_millis(50);
/// The time that another process may be at it without getting on before that is logged.
const STUCK: Duration = Duration::from_secs(5);
/// How long to wait after a failure.
const FAILED: Duration = Duration::from_secs(1);

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickResult {
    /// There is nothing left to do for now.
    Done,
    /// There may be more to do at once.
    More,
    /// Another process is at it, and may have missed the latest.
    Busy {
        /// How far that process has come: if the number stays, the process may be stuck.
        at: i64,
    },
}

/// Says what is wrong, but not over and over.
#[derive(Debug)]
pub struct LogLimiter {
    last: Option<Instant>,
}

impl LogLimiter {
    /// Has said nothing yet.
    pub fn new() -> Self {
        Self { last: None }
    }

    /// Logs a problem, unless something was logged a moment ago.
    pub fn warn(&mut self, name: &'static str, error: &dyn Display) {
        if self.last.is_none_or(|last| last.elapsed() >= COMPLAINT) {
            self.last = Some(Instant::now());
            tracing::warn!(task = name, %error, "a task in the background is held up");
        }
    }
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self::new()
    }
}

/// When rounds are made.
#[derive(Debug)]
pub struct PeriodicTask {
    /// What the work is called in the log.
    pub name: &'static str,
    /// Tells that there is something to do; none where only time does.
    pub heard: Option<watch::Receiver<()>>,
    /// How long what is told may gather before it is looked at.
    pub gather: Duration,
    /// How long to wait at most for being told.
    pub interval: Duration,
    /// Ends it, also in the middle of a round.
    pub stop: CancellationToken,
}

impl PeriodicTask {
    /// Makes rounds until stopped. Whatever goes wrong in one, the next is made.
    pub async fn run<E: Display, F: Future<Output = Result<TickResult, E>>>(self, mut round: impl FnMut() -> F) {
        let Self { name, mut heard, gather, interval, stop } = self;
        let work = async {
            let mut log_limiter = LogLimiter::new();
            let mut others = Others(None);
            loop {
                let result = timeout(LONGEST, AssertUnwindSafe(round()).catch_unwind().map(Result::ok)).await;
                if others.are_stuck(&result) {
                    log_limiter.warn(name, &"another process has held the lock for seconds");
                }
                let wait = match result {
                    Ok(Some(Ok(TickResult::More))) => continue,
                    Ok(Some(Ok(TickResult::Busy { .. }))) => Some(BUSY),
                    Ok(Some(Ok(TickResult::Done))) => None,
                    Ok(Some(Err(error))) => {
                        log_limiter.warn(name, &error);
                        Some(FAILED)
                    }
                    Ok(None) => {
                        tracing::error!(task = name, "a task in the background panicked");
                        Some(FAILED)
                    }
                    Err(_) => {
                        log_limiter.warn(name, &"no answer in time");
                        Some(FAILED)
                    }
                };
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => told(&mut heard, gather, interval).await,
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Since when another process has been at the work, and how far it had come then.
struct Others(Option<(i64, Instant)>);

impl Others {
    /// Notes how a round ended, and returns whether another process does not get on.
    fn are_stuck<E, T>(&mut self, result: &Result<Option<Result<TickResult, E>>, T>) -> bool {
        let Ok(Some(Ok(TickResult::Busy { at }))) = result else {
            self.0 = None;
            return false;
        };
        let (_, since) = *self.0.get_or_insert_with(|| (*at, Instant::now()));
        if self.0.is_some_and(|(before, _)| before != *at) {
            self.0 = Some((*at, Instant::now()));
            return false;
        }
        since.elapsed() >= STUCK
    }
}

/// Returns when there is something to do, or it is time to look whether there is.
async fn told(heard: &mut Option<watch::Receiver<()>>, gather: Duration, interval: Duration) {
    let Some(heard) = heard else { return sleep(interval).await };
    if let Ok(Ok(())) = timeout(interval, heard.changed()).await {
        sleep(gather).await;
        heard.mark_unchanged();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn rounds_go_on_after_failures_and_panics_until_stopped() {
        let (count, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let interval = Duration::from_secs(5);
        let rounds = PeriodicTask { name: "test", heard: None, gather: Duration::ZERO, interval, stop: stop.clone() };
        let began = Instant::now();
        rounds
            .run(|| {
                let (number, stop) = (count.fetch_add(1, Ordering::SeqCst), stop.clone());
                async move {
                    match number {
                        0 => Err("refused"),
                        1 => panic!("this is a test"),
                        2 => std::future::pending().await,
                        3 => Ok(TickResult::More),
                        4 => Ok(TickResult::Busy { at: 0 }),
                        5 => Ok(TickResult::Done),
                        _ => {
                            stop.cancel();
                            Ok(TickResult::Done)
                        }
                    }
                }
            })
            .await;
        assert_eq!(count.load(Ordering::SeqCst), 7);
        assert_eq!(began.elapsed(), FAILED * 3 + LONGEST + BUSY + interval);
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn another_process_is_stuck_once_it_stays_where_it_is() {
        let busy = |at| Ok::<_, ()>(Some(Ok::<_, ()>(TickResult::Busy { at })));
        let mut others = Others(None);
        for at in 0..5 {
            assert!(!others.are_stuck(&busy(at)), "it gets on");
            sleep(STUCK - Duration::from_millis(1)).await;
        }
        assert!(!others.are_stuck(&busy(4)));
        sleep(Duration::from_millis(1)).await;
        assert!(others.are_stuck(&busy(4)));
        assert!(!others.are_stuck(&Ok::<_, ()>(Some(Ok::<_, ()>(TickResult::Done)))));
        assert!(!others.are_stuck(&busy(4)), "it is another stay");
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn what_is_told_is_looked_at_once_after_it_has_gathered() {
        let told = watch::Sender::new(());
        let (gather, interval) = (Duration::from_millis(10), Duration::from_secs(60));
        let mut heard = Some(told.subscribe());
        told.send_replace(());
        told.send_replace(());
        let began = Instant::now();
        super::told(&mut heard, gather, interval).await;
        assert_eq!(began.elapsed(), gather);
        super::told(&mut heard, gather, interval).await;
        assert_eq!(began.elapsed(), gather + interval);
    }
}
