//! Judges whether a standby may be read: it has to be a copy of the primary, and to follow the primary.
//!
//! A copy is known by the key for resume tokens, which is another one in each database that is no copy. But a copy whose replication
//! is broken, or that was promoted and has changes of its own, has the same key for ever. So the last position of an event is compared
//! as well: it grows with nearly every write.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use crate::domain::secret::key_check::KeyFingerprint;
use crate::domain::value::time::Timestamp;
use crate::store::events::resume::parse_resume_key;
use crate::store::sql::Pool;
use crate::store::sql::error::StoreError;

/// The time for which a standby may stay at one position while the primary is at another one. A standby that lags moves; one that
/// does not move has lost its primary.
const STILL_LIMIT: Duration = Duration::from_secs(30);

/// Reads what a server shows of itself.
const LOOK: &str = "SELECT (SELECT key FROM resume_key) AS key,
    (SELECT position FROM follower WHERE name = 'sequencer') AS position, pg_is_in_recovery() AS in_recovery";

const NO_COPY: &str = "it is no copy of the database of store.url";
const PROMOTED: &str =
    "it was promoted and no longer follows the database of store.url; let store.read_url lead to a standby";
const AHEAD: &str = "it has events that the database of store.url does not have; make it anew from that database";
const STILL: &str = "it has taken over no event for 30 seconds although there are newer ones; check its replication";

/// The state of a server, as it shows in a check.
#[derive(Clone, Debug)]
pub(super) struct ServerState {
    /// The fingerprints of the key for resume tokens.
    pub(super) key: Vec<KeyFingerprint>,
    /// The last position of an event.
    pub(super) position: i64,
    /// Whether it replays the changes of another server, as a streaming standby does. A logical replica does not.
    pub(super) in_recovery: bool,
}

impl ServerState {
    /// Reads the state of a server.
    pub(super) async fn read(pool: &Pool) -> Result<Self, StoreError> {
        let row = pool.query_one_raw(Statement::from_string(DbBackend::Postgres, LOOK)).await?;
        let row = row.ok_or_else(|| StoreError::Refused("the query for its state returned no row".to_owned()))?;
        let position: Option<i64> = row.try_get("", "position")?;
        Ok(Self {
            key: parse_resume_key(row.try_get("", "key")?)?.fingerprints(),
            position: position.unwrap_or_default(),
            in_recovery: row.try_get("", "in_recovery")?,
        })
    }
}

/// The states that the primary and the standby have shown until now.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The last answer of the primary.
    primary: Option<ServerState>,
    /// The position of the standby at the last check.
    position: Option<i64>,
    /// The last moment at which the standby had moved, or had all events; the moment of the first check before that.
    moved_at: Option<Timestamp>,
    /// Whether the standby has moved, or had all events, and has not stood still since.
    follows: bool,
    was_in_recovery: bool,
}

impl Progress {
    /// Returns whether the standby may be read after a check, in which the primary may have given no answer. Returns an error if
    /// the standby may not be read because something is wrong with it.
    ///
    /// The primary and the standby are asked at the same time, so the primary's position may be a little older than the standby's.
    pub(super) fn judge(
        &mut self,
        primary: Option<ServerState>,
        standby: &ServerState,
        now: Timestamp,
    ) -> Result<bool, &'static str> {
        let has_answered = primary.is_some();
        self.primary = primary.or(self.primary.take());
        let Some(primary) = &self.primary else { return Ok(false) };
        if standby.key != primary.key {
            return Err(NO_COPY);
        }
        self.was_in_recovery |= standby.in_recovery;
        let before = self.position.replace(standby.position);
        let has_moved = before.is_some_and(|before| standby.position > before);
        // A commit that waits for other standbys may be seen here before it is seen on the primary, but not for long.
        let is_ahead = has_answered && before.is_some_and(|before| before > primary.position);
        if !is_ahead && (has_moved || standby.position == primary.position) {
            self.moved_at = Some(now);
            self.follows = true;
        }
        let moved_at = *self.moved_at.get_or_insert(now);
        if !has_answered {
            // The primary may be away because the standby takes its place.
            return Ok(self.follows);
        }
        let problem = if self.was_in_recovery && !standby.in_recovery {
            Some(PROMOTED)
        } else if now.since(moved_at) < STILL_LIMIT {
            None
        } else {
            Some(if is_ahead { AHEAD } else { STILL })
        };
        self.follows &= problem.is_none();
        problem.map_or(Ok(self.follows), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::key_ring::KeyRing;

    const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

    fn state(position: i64) -> ServerState {
        ServerState { key: Vec::new(), position, in_recovery: true }
    }

    /// Judges a standby by positions of the primary and of its own, `seconds` after the start.
    fn judge(progress: &mut Progress, primary: Option<i64>, standby: i64, seconds: u64) -> Result<bool, &'static str> {
        let now = START.later(Duration::from_secs(seconds));
        progress.judge(primary.map(state), &state(standby), now)
    }

    #[test]
    fn standby_is_read_while_it_moves_or_has_all_events() {
        let progress = &mut Progress::default();
        assert_eq!(judge(progress, None, 5, 0), Ok(false), "nothing is known of the primary");
        assert_eq!(judge(progress, Some(9), 5, 0), Ok(false), "it may stand still");
        assert_eq!(judge(progress, Some(9), 6, 1), Ok(true), "it moves");
        assert_eq!(judge(progress, Some(20), 6, 30), Ok(true));
        assert_eq!(judge(progress, Some(20), 6, 31), Err(STILL));
        assert_eq!(judge(progress, Some(30), 6, 99), Err(STILL));
        assert_eq!(judge(progress, Some(30), 7, 100), Ok(true), "it moves again");
        assert_eq!(judge(progress, Some(7), 7, 200), Ok(true), "it has all events");
        assert_eq!(judge(progress, Some(8), 7, 229), Ok(true));
        assert_eq!(judge(progress, None, 7, 300), Ok(true), "the primary is away");
        assert_eq!(judge(progress, Some(8), 7, 301), Err(STILL));
        assert_eq!(judge(progress, None, 7, 302), Ok(false), "the primary is away again");
    }

    #[test]
    fn standby_that_never_moved_is_reported_after_the_limit() {
        let progress = &mut Progress::default();
        assert_eq!(judge(progress, Some(9), 5, 0), Ok(false));
        assert_eq!(judge(progress, Some(9), 5, 29), Ok(false));
        assert_eq!(judge(progress, Some(9), 5, 30), Err(STILL));
    }

    #[test]
    fn standby_ahead_of_the_primary_is_not_read() {
        let progress = &mut Progress::default();
        assert_eq!(judge(progress, Some(9), 12, 0), Ok(false));
        assert_eq!(judge(progress, Some(12), 12, 1), Ok(true), "the primary had been asked before");
        assert_eq!(judge(progress, Some(12), 15, 2), Ok(true), "it moves");
        assert_eq!(judge(progress, Some(13), 16, 3), Ok(true), "the primary's commit may wait for another standby");
        assert_eq!(judge(progress, Some(14), 17, 31), Ok(true));
        assert_eq!(judge(progress, Some(15), 18, 32), Err(AHEAD));
        assert_eq!(judge(progress, Some(18), 18, 33), Ok(true));
    }

    #[test]
    fn standby_that_was_promoted_is_not_read() {
        let progress = &mut Progress::default();
        let promoted = ServerState { in_recovery: false, ..state(9) };
        assert!(progress.judge(Some(state(9)), &promoted, START).unwrap(), "it may be a logical replica");
        assert!(progress.judge(Some(state(9)), &state(9), START).unwrap());
        assert!(progress.judge(None, &promoted, START).unwrap(), "it may take the place of the primary");
        assert_eq!(progress.judge(Some(state(9)), &promoted, START), Err(PROMOTED));
        assert!(progress.judge(Some(state(9)), &state(9), START).unwrap(), "it is a standby again");
    }

    #[test]
    fn database_with_another_key_is_not_read() {
        let other = KeyRing::parse(&KeyRing::format_key(1, [7; 32])).unwrap().fingerprints();
        let standby = ServerState { key: other, ..state(9) };
        assert_eq!(Progress::default().judge(Some(state(9)), &standby, START), Err(NO_COPY));
    }
}
