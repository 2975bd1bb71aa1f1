//! Conclusions from one connection of a pool about the others: they may be broken, or must not be used any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

/// The longest a suspect connection may take to answer a ping.
const PING_LIMIT: Duration = Duration::from_millis(300);

/// The state of the connections of a pool. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct PoolHealth {
    known: Arc<Mutex<Known>>,
    answers: Arc<Answers>,
    /// Whether the last connection that was opened has lost the settings that it asked for.
    lacks_session: Arc<AtomicBool>,
}

/// The moment at which the database last answered.
#[derive(Debug)]
struct Answers {
    opened: Instant,
    /// In microseconds after the pool was opened.
    last: AtomicU64,
}

impl Default for Answers {
    fn default() -> Self {
        Self { opened: Instant::now(), last: AtomicU64::new(0) }
    }
}

#[derive(Debug, Default)]
struct Known {
    /// The moment at which a connection was last discarded: others that have been idle since before are pinged before
    /// use.
    suspect_before: Option<Instant>,
    /// The moment at which all connections turned out to be unusable: all that were opened before it are closed.
    stale_before: Option<Instant>,
}

/// The decision about an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Use,
    Ping,
    Close,
}

impl PoolHealth {
    /// Notes that a connection was discarded. Others may be broken for the same reason.
    pub(in crate::store::sql) fn suspect_others(&self) {
        self.set(|known, now| known.suspect_before = Some(now));
    }

    /// Notes that the database has answered a statement, if only with an error.
    pub(in crate::store::sql) fn note_answer(&self) {
        let Answers { opened, last } = &*self.answers;
        last.store(u64::try_from(opened.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Notes whether a new connection has lost the settings that it asked for.
    pub(in crate::store::sql) fn note_session(&self, is_lost: bool) {
        self.lacks_session.store(is_lost, Ordering::Relaxed);
    }

    /// Returns whether the last connection that was opened has lost the settings that it asked for.
    pub(in crate::store::sql) fn lacks_session(&self) -> bool {
        self.lacks_session.load(Ordering::Relaxed)
    }

    /// Returns whether the database has answered any statement since a moment.
    pub(in crate::store::sql) fn has_answered_since(&self, moment: Instant) -> bool {
        let Answers { opened, last } = &*self.answers;
        *opened + Duration::from_micros(last.load(Ordering::Relaxed)) >= moment
    }

    /// Closes all present connections before their next use: they do not answer, or take no writes.
    pub(in crate::store) fn replace_all(&self) {
        self.set(|known, now| known.stale_before = Some(now));
    }

    /// Returns whether an idle connection may be used.
    pub(in crate::store::sql) async fn may_use(
        &self,
        connection: &mut PgConnection,
        age: Duration,
        idle: Duration,
    ) -> bool {
        match self.verdict(age, idle) {
            Verdict::Use => true,
            Verdict::Close => false,
            Verdict::Ping => {
                let answered = timeout(PING_LIMIT, connection.ping()).await.is_ok_and(|answer| answer.is_ok());
                if !answered {
                    // Pinging one connection after another would cost every caller the limit several times.
                    self.replace_all();
                }
                answered
            }
        }
    }

    fn verdict(&self, age: Duration, idle: Duration) -> Verdict {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_before = |span: Duration, moment: Option<Instant>| moment.is_some_and(|moment| moment.elapsed() <= span);
        if is_before(age, known.stale_before) {
            Verdict::Close
        } else if is_before(idle, known.suspect_before) {
            Verdict::Ping
        } else {
            Verdict::Use
        }
    }

    fn set(&self, change: impl FnOnce(&mut Known, Instant)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_older_than_a_failure_are_asked_or_closed() {
        let (old, new) = (Duration::from_secs(60), Duration::ZERO);
        let health = PoolHealth::default();
        assert_eq!(health.verdict(old, old), Verdict::Use);
        health.suspect_others();
        assert_eq!(health.verdict(old, old), Verdict::Ping);
        assert_eq!(health.verdict(old, new), Verdict::Use, "it was used since");
        health.replace_all();
        assert_eq!([health.verdict(old, old), health.verdict(old, new)], [Verdict::Close; 2]);
        assert_eq!(health.verdict(new, new), Verdict::Use, "it was opened since");
    }

    #[test]
    fn answers_count_from_the_moment_they_came() {
        let health = PoolHealth::default();
        let before = Instant::now();
        health.note_answer();
        assert!(health.has_answered_since(before - Duration::from_micros(1)));
        assert!(!health.has_answered_since(Instant::now() + Duration::from_secs(1)));
    }
}
