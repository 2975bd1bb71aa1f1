//! Reads that may lag: they are asked of a standby while it answers and follows the primary, and of the primary otherwise.
//!
//! A caller says of each such read that it may lag. Every other read, and whatever decides or writes, is asked of the primary:
//! only a method of [`Reads`] can be asked of the standby.

mod progress;

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::sql::database::Database;
use super::sql::error::StoreError;
use super::{Reads, Store, within};
use crate::telemetry::log_limiter::LogLimiter;
use progress::{Progress, ServerState};

/// The longest a standby may take to answer a check. An interval and this limit together are shorter than the usual time limit
/// of a read, so that a read that waits for a silent standby has time left for the primary.
const CHECK_LIMIT: Duration = Duration::from_millis(500);
/// The longest a check waits for the primary. It is longer, because a statement that is given up costs a connection, which a busy
/// primary should not have to replace four times a second.
const PRIMARY_LIMIT: Duration = Duration::from_secs(2);

/// A standby of the database. Clones share its state.
#[derive(Clone, Debug)]
pub(super) struct Standby {
    reads: Reads,
    /// The longest a read may wait for the standby, so that it has time left for the primary.
    limit: Duration,
    /// Whether reads are asked of the standby.
    in_use: watch::Sender<bool>,
    progress: Arc<Mutex<Progress>>,
    warnings: Arc<Mutex<LogLimiter>>,
}

impl Standby {
    /// Returns the standby of a database, if there is one. It is not used before a check.
    pub(super) fn of(database: &Database) -> Option<Self> {
        let (database, limit) = database.of_standby()?;
        Some(Self {
            reads: Reads::of(database),
            limit,
            in_use: watch::Sender::new(false),
            progress: Arc::default(),
            warnings: Arc::default(),
        })
    }

    /// Returns whether reads are asked of the standby.
    pub(super) fn is_in_use(&self) -> bool {
        *self.in_use.borrow()
    }

    /// Asks the standby; `None` if the primary has to be asked instead.
    async fn read<'r, T, R: Future<Output = Result<T, StoreError>>>(
        &'r self,
        read: impl Fn(&'r Reads) -> R,
    ) -> Option<Result<T, StoreError>> {
        let mut in_use = self.in_use.subscribe();
        if !*in_use.borrow_and_update() {
            return None;
        }
        let result = tokio::select! {
            biased;
            result = within(self.limit, read(&self.reads)) => result,
            // A check has found out meanwhile that the standby does not answer.
            _ = in_use.wait_for(|in_use| !in_use) => return None,
        };
        match result {
            // Such an account has its share of the standby, and gets none of the primary on top.
            Ok(_) | Err(StoreError::Busy) => Some(result),
            // The next check decides whether the standby stays in use. It may be well, and only this statement was too slow, or was
            // cancelled because it was in the way of what the primary did, or needs a schema that has not come yet.
            Err(error) => {
                self.warn(&error);
                None
            }
        }
    }

    /// Asks the standby for its state. A standby that does not answer is in use no more, whatever the primary answers.
    async fn state(&self) -> Result<ServerState, StoreError> {
        let state = within(CHECK_LIMIT, ServerState::read(&self.reads.database.upkeep)).await;
        if let Err(error) = &state {
            self.in_use.send_replace(false);
            self.warn(error);
        }
        state
    }

    /// Puts the standby to use, or out of use, after it has answered a check.
    fn note(&self, primary: Option<ServerState>, standby: &ServerState) -> bool {
        let verdict = locked(&self.progress).judge(primary, standby, self.reads.database.clock.now());
        let in_use = verdict.as_ref().is_ok_and(|may_be_read| *may_be_read);
        let was_in_use = self.in_use.send_replace(in_use);
        if in_use && !was_in_use {
            log_event!(info, STANDBY_USED, "the standby answers: lists and gets are read from it");
            if !standby.in_recovery {
                log_event!(
                    warn,
                    STANDBY_NOT_STREAMING,
                    "store.read_url leads to no streaming standby: a copy that others write to goes unnoticed"
                );
            }
        }
        // The address may lead to another server by now, such as one that has taken the place of this one.
        if verdict.is_err_and(|error| self.warn(&error)) {
            self.reads.database.replace_connections();
        }
        in_use
    }

    /// Logs why the standby was not read, unless a warning was logged a moment ago. Returns whether it was logged.
    fn warn(&self, error: &dyn Display) -> bool {
        let is_due = locked(&self.warnings).is_due();
        if is_due {
            log_event!(warn, STANDBY_UNUSED, %error, "the standby of store.read_url cannot be read: lists and gets are read from the primary");
        }
        is_due
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Runs a read that may lag.
    pub async fn read_lagging<'r, T, R: Future<Output = Result<T, StoreError>>>(
        &'r self,
        read: impl Fn(&'r Reads) -> R,
    ) -> Result<T, StoreError> {
        self.find_lagging(|_| true, read).await
    }

    /// Runs a read that may lag behind changes, but not behind the creation of what it looks for: whatever the standby does not
    /// have yet is asked of the primary.
    pub async fn find_lagging<'r, T, R: Future<Output = Result<T, StoreError>>>(
        &'r self,
        is_found: impl Fn(&T) -> bool,
        read: impl Fn(&'r Reads) -> R,
    ) -> Result<T, StoreError> {
        let Some(standby) = &self.standby else { return read(&self.primary).await };
        match Box::pin(standby.read(&read)).await {
            Some(Ok(found)) if is_found(&found) => Ok(found),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Box::pin(read(&self.primary)).await,
        }
    }

    /// Returns whether the database has a standby.
    pub(crate) fn has_standby(&self) -> bool {
        self.standby.is_some()
    }

    /// Checks whether the standby answers, is a copy of the database and follows it. Returns whether it is in use from now on.
    pub async fn check_standby(&self) -> bool {
        let Some(standby) = &self.standby else { return false };
        let primary = within(PRIMARY_LIMIT, ServerState::read(&self.database.upkeep));
        let (primary, state) = tokio::join!(primary, standby.state());
        state.is_ok_and(|state| standby.note(primary.ok(), &state))
    }
}
