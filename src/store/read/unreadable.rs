//! Rows that this release cannot read, since a newer one may have written them: each is skipped alone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Cursor;
use crate::store::sql::error::StoreError;

/// The interval at which a skipped row is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// The least number of rows that are read behind a page with rows that cannot be read.
const MIN_LIMIT: u64 = 100;

/// Returns a row, or `None` for one that cannot be read, which is logged from time to time.
pub(in crate::store) fn skip_unreadable<T>(row: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match row {
        Ok(row) => Ok(Some(row)),
        Err(error @ StoreError::Corrupt { .. }) => {
            log(&error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn log(error: &StoreError) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
        *last = Some(Instant::now());
        log_event!(error, ROW_SKIPPED, %error, "skipping a row that this release cannot read");
    }
}

/// A page that is continued behind rows that cannot be read until it is full, so that its length still shows whether
/// the list continues.
pub(in crate::store) struct FullPage<T> {
    limit: usize,
    rows: Vec<T>,
}

/// The cursor behind which a page is read on, and the number of missing rows.
pub(in crate::store) struct ReadOn {
    pub(in crate::store) after: Cursor,
    pub(in crate::store) limit: u64,
}

impl<T> FullPage<T> {
    pub(in crate::store) fn new(limit: u64) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), rows: Vec::new() }
    }

    /// Adds rows, each with the place behind which the list continues, of which `asked` were requested. Returns the
    /// place to read on if the page is not full and the list has not ended.
    pub(in crate::store) fn add(
        &mut self,
        asked: u64,
        found: Vec<(Cursor, Result<T, StoreError>)>,
    ) -> Result<Option<ReadOn>, StoreError> {
        let has_ended = (found.len() as u64) < asked;
        let mut last = None;
        for (cursor, row) in found {
            self.rows.extend(skip_unreadable(row)?);
            last = Some(cursor);
        }
        let missing = self.limit.saturating_sub(self.rows.len());
        self.rows.truncate(self.limit);
        let read_on = |after| ReadOn { after, limit: MIN_LIMIT.max(missing as u64) };
        Ok(last.filter(|_| missing > 0 && !has_ended).map(read_on))
    }

    pub(in crate::store) fn is_full(&self) -> bool {
        self.rows.len() >= self.limit
    }

    pub(in crate::store) fn into_rows(self) -> Vec<T> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn rows(readable: &[bool]) -> Vec<(Cursor, Result<usize, StoreError>)> {
        let broken = || StoreError::Corrupt { table: "t", column: "c", row: "r".to_owned(), problem: "is broken" };
        let row = |(index, readable): (usize, &bool)| {
            (Cursor::of_id(Uuid::from_u128(index as u128)), if *readable { Ok(index) } else { Err(broken()) })
        };
        readable.iter().enumerate().map(row).collect()
    }

    #[test]
    fn page_is_read_on_until_it_is_full_or_the_list_ends() {
        let mut page = FullPage::new(3);
        let on = page.add(3, rows(&[true, false, false])).unwrap().unwrap();
        assert_eq!((on.after.id, on.limit), (Uuid::from_u128(2), MIN_LIMIT));
        assert!(page.add(4, rows(&[false, true, true, true])).unwrap().is_none());
        assert_eq!(page.into_rows(), [0, 1, 2]);

        let mut page = FullPage::new(3);
        assert!(page.add(3, rows(&[true, false])).unwrap().is_none(), "the list has ended");
        assert_eq!(page.into_rows(), [0]);

        let failed = FullPage::<usize>::new(3).add(3, vec![(Cursor::of_id(Uuid::nil()), Err(StoreError::Conflict))]);
        assert!(failed.is_err(), "only a row that cannot be read is skipped");
    }
}
