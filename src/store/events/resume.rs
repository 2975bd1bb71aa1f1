//! The places at which a watch can begin: the key that hides positions, the end of the deleted events, and the place of a
//! moment.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};

use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::Pool;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::by_index;
use crate::store::{Store, TimeRange};

/// The time by which an event may have a later position than another one that was decided after it: commands wait for their
/// commit at most so long.
const DISORDER: Duration = Duration::from_secs(60);

/// The positions between which all events of an account are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptEvents {
    /// The highest position of the account's deleted events; 0 if none was deleted. Others of before it may be kept too.
    pub pruned_until: i64,
    /// The last position of all accounts.
    pub last: i64,
}

/// A range of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionRange {
    /// The position behind which the range begins; `None` for the first.
    pub after: Option<i64>,
    /// The last position in it; `None` for no end.
    pub until: Option<i64>,
}

/// Reads the key that hides positions in resume tokens.
async fn resume_key(pool: &Pool) -> Result<KeyRing, StoreError> {
    let statement = Statement::from_string(pool.get_database_backend(), "SELECT key FROM resume_key");
    let row = pool.query_one_raw(statement).await?;
    parse_resume_key(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Returns the key that the column `resume_key.key` holds.
pub(in crate::store) fn parse_resume_key(text: Option<String>) -> Result<KeyRing, StoreError> {
    let key = text.and_then(|text| KeyRing::parse(&text).ok());
    key.ok_or_else(|| StoreError::Refused("the table `resume_key` has no key".to_owned()))
}

/// Returns an expression for the highest position of an account's deleted events.
pub(in crate::store) fn pruned_until_sql(account: &str) -> String {
    format!("coalesce((SELECT p.position FROM pruned_events p WHERE p.account_id = {account}), 0)")
}

impl Store {
    /// Returns the key that hides positions in resume tokens. It is made with the schema and never changes.
    pub async fn resume_key(&self) -> Result<KeyRing, StoreError> {
        self.resume_key.get_or_try_init(|| resume_key(&self.database.read)).await.cloned()
    }

    /// Returns the positions between which all events of an account are kept.
    pub async fn kept_events(&self, account: &AccountId) -> Result<KeptEvents, StoreError> {
        let backend = self.database.backend();
        let pruned = pruned_until_sql("$1");
        let sql = format!("SELECT position AS last, {pruned} AS pruned FROM follower WHERE name = 'sequencer'");
        let statement = Statement::from_sql_and_values(backend, sql, [account.as_str().into()]);
        let _turn = self.database.read_turns.short(account).await?;
        let row = self.database.reading_for(account).query_one_raw(statement).await?;
        let Some(row) = row else { return Ok(KeptEvents { pruned_until: 0, last: 0 }) };
        Ok(KeptEvents { pruned_until: row.try_get("", "pruned")?, last: row.try_get("", "last")? })
    }

    /// Returns the time of an account's oldest event that is kept.
    pub async fn oldest_event(&self, account: &AccountId) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.first_behind(account, 0).await?.map(|(_, time)| time))
    }

    /// Returns a position up to `last` behind which are all of an account's events of `time` or later, and few of before.
    pub async fn position_before(&self, account: &AccountId, time: Timestamp, last: i64) -> Result<i64, StoreError> {
        let time = time.earlier(DISORDER);
        let (mut low, mut high) = (0, last);
        // Times grow with positions, but for the disorder, so the place is found by halving.
        while low < high {
            let middle = low + (high - low) / 2;
            match self.first_behind(account, middle).await? {
                Some((position, at)) if at < time => low = position,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// Returns a range of positions that has all of an account's events of a span that have positions by now, and few others.
    pub async fn positions_of(&self, account: &AccountId, span: TimeRange) -> Result<PositionRange, StoreError> {
        if span == TimeRange::default() {
            return Ok(PositionRange::default());
        }
        let last = self.kept_events(account).await?.last;
        let mut positions = PositionRange { after: None, until: Some(last) };
        if let Some(start) = span.start {
            positions.after = Some(self.position_before(account, start, last).await?);
        }
        if let Some(end) = span.end {
            // Behind that place, all events are later than the end by the disorder, or at the end.
            positions.until = Some(self.position_before(account, end.later(2 * DISORDER), last).await?);
        }
        Ok(positions)
    }

    async fn first_behind(&self, account: &AccountId, after: i64) -> Result<Option<(i64, Timestamp)>, StoreError> {
        let backend = self.database.backend();
        let sql = format!(
            "SELECT e.position, e.occurred_at FROM event e WHERE {own} AND e.position > $2 AND e.position IS NOT NULL
            ORDER BY e.position LIMIT 1",
            own = by_index(backend, "position", "e", "$1"),
        );
        let statement = Statement::from_sql_and_values(backend, sql, [account.as_str().into(), after.into()]);
        let _turn = self.database.read_turns.short(account).await?;
        let row = self.database.reading_for(account).query_one_raw(statement).await?;
        row.map(|row| Ok((row.try_get_by_index(0)?, Timestamp::from_micros(row.try_get_by_index(1)?)))).transpose()
    }
}
