//! Loops beside the calls: ticks of work until they are stopped, through outages, without flooding the log.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::telemetry::log_limiter::LogLimiter;
use crate::telemetry::metrics::table::TASK_FAILURES;

/// The time that a tick may take before it counts as failed.
const TICK_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause where another process was at work.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// The time that another process may be at work without getting on before that is logged.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// The pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// The time that notifications gather, as a multiple of the time that the last tick took, so that calls have most of the database.
const GATHER_SHARE: u32 = 9;
/// The most that a slow tick makes notifications gather.
const MAX_GATHER_TIME: Duration = Duration::from_millis(50);

/// The result of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TickResult {
    /// There is nothing left to do for now.
    Done,
    /// There may be more to do at once.
    More,
    /// Another process is at work, and may have missed the latest.
    Busy {
        /// The progress of that process: if the number stays, the process may be stuck.
        at: i64,
    },
}

/// A task that runs in ticks.
#[derive(Debug)]
pub(crate) struct PeriodicTask {
    /// The name of the task in the log and in metrics.
    pub(crate) name: &'static str,
    /// Notifies the task of work; `None` if only time does.
    pub(crate) notified: Option<watch::Receiver<()>>,
    /// The time that notifications gather before a tick; longer, unless it is zero, after ticks that take long.
    pub(crate) gather: Duration,
    /// The longest time between two ticks.
    pub(crate) interval: Duration,
    /// Ends the task, also in the middle of a tick.
    pub(crate) stop: CancellationToken,
}

impl PeriodicTask {
    /// Runs ticks until stopped. A tick that fails or panics does not keep the next from being run.
    pub(crate) async fn run<E: Display, F: Future<Output = Result<TickResult, E>>>(self, mut tick: impl FnMut() -> F) {
        let Self { name, mut notified, gather, interval, stop } = self;
        TASK_FAILURES.begin([name]);
        let work = async {
            let mut log_limiter = LogLimiter::default();
            let mut others = Others(None);
            loop {
                let began = Instant::now();
                let result = timeout(TICK_TIMEOUT, AssertUnwindSafe(tick()).catch_unwind().map(Result::ok)).await;
                if others.are_stuck(&result) {
                    log_limiter.log(name, &"another process has held the lock for seconds");
                }
                let wait = match result {
                    Ok(Some(Ok(TickResult::More))) => continue,
                    Ok(Some(Ok(TickResult::Busy { .. }))) => Some(BUSY_PAUSE),
                    Ok(Some(Ok(TickResult::Done))) => None,
                    Ok(Some(Err(error))) => {
                        log_limiter.warn(name, &error);
                        Some(FAILURE_PAUSE)
                    }
                    Ok(None) => {
                        TASK_FAILURES.count([name]);
                        log_event!(error, TASK_PANICKED, task = name, "a task in the background panicked");
                        Some(FAILURE_PAUSE)
                    }
                    Err(_) => {
                        log_limiter.warn(name, &"no answer in time");
                        Some(FAILURE_PAUSE)
                    }
                };
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => wait_for_work(&mut notified, gather_time(gather, began.elapsed()), interval).await,
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The progress of another process, and since when it has been at work without any.
struct Others(Option<(i64, Instant)>);

impl Others {
    /// Notes the result of a tick, and returns whether another process is stuck.
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
        since.elapsed() >= STUCK_AFTER
    }
}

/// Returns the time that notifications gather after a tick that took some time.
fn gather_time(least: Duration, took: Duration) -> Duration {
    if least.is_zero() { least } else { least.max((took * GATHER_SHARE).min(MAX_GATHER_TIME)) }
}

/// Waits for a notification, or for the interval.
async fn wait_for_work(notified: &mut Option<watch::Receiver<()>>, gather: Duration, interval: Duration) {
    let Some(notified) = notified else { return sleep(interval).await };
    if let Ok(Ok(())) = timeout(interval, notified.changed()).await {
        sleep(gather).await;
        notified.mark_unchanged();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn ticks_go_on_after_failures_and_panics_until_stopped() {
        let (count, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let interval = Duration::from_secs(5);
        let task = PeriodicTask { name: "test", notified: None, gather: Duration::ZERO, interval, stop: stop.clone() };
        let began = Instant::now();
        task.run(|| {
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
        assert_eq!(began.elapsed(), FAILURE_PAUSE * 3 + TICK_TIMEOUT + BUSY_PAUSE + interval);
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn another_process_is_stuck_once_it_stays_where_it_is() {
        let busy = |at| Ok::<_, ()>(Some(Ok::<_, ()>(TickResult::Busy { at })));
        let mut others = Others(None);
        for at in 0..5 {
            assert!(!others.are_stuck(&busy(at)), "it gets on");
            sleep(STUCK_AFTER - Duration::from_millis(1)).await;
        }
        assert!(!others.are_stuck(&busy(4)));
        sleep(Duration::from_millis(1)).await;
        assert!(others.are_stuck(&busy(4)));
        assert!(!others.are_stuck(&Ok::<_, ()>(Some(Ok::<_, ()>(TickResult::Done)))));
        assert!(!others.are_stuck(&busy(4)), "it is another stay");
    }

    #[test]
    fn notifications_gather_for_longer_after_slow_ticks() {
        let millis = Duration::from_millis;
        for (least, took, wanted) in [(10, 1, 10), (10, 2, 18), (10, 1_000, 50), (100, 1_000, 100), (0, 1_000, 0)] {
            assert_eq!(gather_time(millis(least), millis(took)), millis(wanted), "{least} {took}");
        }
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn notifications_gather_before_one_tick() {
        let told = watch::Sender::new(());
        let (gather, interval) = (Duration::from_millis(10), Duration::from_secs(60));
        let mut notified = Some(told.subscribe());
        told.send_replace(());
        told.send_replace(());
        let began = Instant::now();
        wait_for_work(&mut notified, gather, interval).await;
        assert_eq!(began.elapsed(), gather);
        wait_for_work(&mut notified, gather, interval).await;
        assert_eq!(began.elapsed(), gather + interval);
    }
}
