//! Reads that may lag: they are asked of a standby while it answers, and of the primary otherwise.
//!
//! A caller says of each such read that it may lag. Every other read, and whatever decides or writes, is asked of the primary:
//! only a method of [`Reads`] can be asked of the standby.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::events::resume::resume_key;
use super::read::points::Points;
use super::sql::database::Database;
use super::sql::error::StoreError;
use super::{Reads, Store, within};
use crate::telemetry::log_limiter::LogLimiter;

/// The longest a standby may take to answer a check. An interval and this limit together are shorter than the usual time limit
/// of a read, so that a read that waits for a silent standby has time left for the primary.
const CHECK_LIMIT: Duration = Duration::from_millis(500);

/// A standby of the database. Clones share its state.
#[derive(Clone, Debug)]
pub(super) struct Standby {
    reads: Reads,
    /// Whether reads are asked of it: not before it has shown that it is a copy of the database.
    is_asked: watch::Sender<bool>,
    warnings: Arc<Mutex<LogLimiter>>,
}

impl Standby {
    /// Returns the standby of a database, if there is one.
    pub(super) fn of(database: &Database) -> Option<Self> {
        let database = database.of_standby()?;
        let points = Points::new(&database);
        let is_asked = watch::Sender::new(false);
        Some(Self { reads: Reads { database, points }, is_asked, warnings: Arc::default() })
    }

    /// Asks the standby; `None` if the primary has to be asked instead.
    async fn read<'r, T, R: Future<Output = Result<T, StoreError>>>(
        &'r self,
        read: impl Fn(&'r Reads) -> R,
    ) -> Option<Result<T, StoreError>> {
        let mut is_asked = self.is_asked.subscribe();
        if !*is_asked.borrow_and_update() {
            return None;
        }
        let result = tokio::select! {
            biased;
            result = read(&self.reads) => result,
            // A check has found out meanwhile that the standby does not answer.
            _ = is_asked.wait_for(|is_asked| !is_asked) => return None,
        };
        match result {
            // Such an account has its share of the standby, and gets none of the primary on top.
            Ok(_) | Err(StoreError::Busy) => Some(result),
            // The next check decides whether the standby is asked again. It may be well, and only this statement was cancelled,
            // because it was in the way of what the primary did, or needs a schema that has not come yet.
            Err(error) => {
                self.warn(&error);
                None
            }
        }
    }

    /// Notes the result of a check.
    fn note(&self, result: Result<(), &StoreError>) {
        let was_asked = self.is_asked.send_replace(result.is_ok());
        match result {
            Ok(()) if !was_asked => tracing::info!("the standby answers: lists and gets are read from it"),
            Ok(()) => {}
            Err(error) => self.warn(error),
        }
    }

    fn warn(&self, error: &StoreError) {
        if self.warnings.lock().unwrap_or_else(PoisonError::into_inner).is_due() {
            tracing::warn!(%error, "the standby of store.read_url cannot be read: lists and gets are read from the primary");
        }
    }
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
        let lagging = match &self.standby {
            Some(standby) => standby.read(&read).await,
            None => None,
        };
        match lagging {
            Some(Ok(found)) if !is_found(&found) => read(&self.reads).await,
            Some(result) => result,
            None => read(&self.reads).await,
        }
    }

    /// Returns whether the database has a standby.
    pub(crate) fn has_standby(&self) -> bool {
        self.standby.is_some()
    }

    /// Checks whether the standby answers and is a copy of the database. Returns whether reads are asked of it from now on.
    pub async fn check_standby(&self) -> Result<bool, StoreError> {
        let Some(standby) = &self.standby else { return Ok(false) };
        let own = within(CHECK_LIMIT, self.resume_key()).await?.fingerprints();
        let check = async {
            // The key is another one in each database that was not copied.
            let copied = resume_key(&standby.reads.database.upkeep).await?.fingerprints();
            let other = || StoreError::Refused("it is no copy of the database of store.url".to_owned());
            if copied == own { Ok(()) } else { Err(other()) }
        };
        let result = within(CHECK_LIMIT, check).await;
        standby.note(result.as_ref().copied());
        Ok(result.is_ok())
    }
}
