//! API keys as credentials, of all accounts: looked up by their hashes, and followed by the positions of their changes.

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QueryResult,
    QuerySelect as _, QueryTrait as _, Statement,
};

use super::{digits, parse_digits};
use crate::domain::api_key::ApiKeyRecord;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::read::unreadable::skip_unreadable;
use crate::store::sql::entity::api_key::{Column, Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::row_from;

/// The numbers of hashes that one statement looks for: few texts, each prepared once.
const SIZES: [usize; 3] = [1, 16, 256];

/// A key as the database has it, with the account it belongs to.
#[derive(Clone, Debug)]
pub struct FollowedKey {
    /// Its hash.
    pub hash: [u8; 32],
    /// The account and the key; `None` if this release cannot read it, so that it cannot be accepted.
    pub key: Option<(AccountId, ApiKeyRecord)>,
}

/// Keys that have changed, in the order of their changes.
#[derive(Clone, Debug)]
pub struct ChangedKeys {
    /// The keys as they are now.
    pub keys: Vec<FollowedKey>,
    /// The position up to which they were read.
    pub position: i64,
    /// Whether there may be more.
    pub more: bool,
}

impl Store {
    /// Returns the position of the last change of a key: one row, whatever the number of keys. Like the changes themselves, it is
    /// read on the connection that no call has to end for, since a revoked key is to be refused under any load.
    pub async fn last_api_key_change(&self) -> Result<i64, StoreError> {
        let database = &self.database;
        let sql = "SELECT position FROM api_key_position WHERE id = 1";
        let row = database.upkeep.query_one_raw(Statement::from_string(database.backend(), sql)).await?;
        let row = row.ok_or_else(|| StoreError::Refused("the row of api_key_position is missing".to_owned()))?;
        Ok(row.try_get("", "position")?)
    }

    /// Reads keys that changed behind a position, up to a number of them.
    pub async fn changed_api_keys(&self, after: i64, limit: u64) -> Result<ChangedKeys, StoreError> {
        let select = Entity::find().filter(Column::Position.gt(after)).order_by_asc(Column::Position).limit(limit);
        let rows = self.database.upkeep.query_all(select.as_query()).await?;
        let position = rows.last().map_or(Ok(after), |row| row.try_get("", "position"))?;
        let keys = rows.iter().map(followed).collect::<Result<Vec<_>, _>>()?;
        Ok(ChangedKeys { more: rows.len() as u64 >= limit, keys, position })
    }

    /// Looks up keys by their hashes. Those that are not found do not exist.
    pub async fn find_api_keys(&self, hashes: &[[u8; 32]]) -> Result<Vec<FollowedKey>, StoreError> {
        let mut found = Vec::new();
        for hashes in hashes.chunks(SIZES[SIZES.len() - 1]) {
            let select = Entity::find().filter(Column::Hash.is_in(padded(hashes)));
            let rows = self.database.read.query_all(select.as_query()).await?;
            for row in &rows {
                found.push(followed(row)?);
            }
        }
        Ok(found)
    }

    /// Notes that keys were used in an hour, unless that or a later one is noted. It counts as no change.
    pub async fn note_api_key_uses(&self, hashes: &[[u8; 32]], hour: Timestamp) -> Result<(), StoreError> {
        for hashes in hashes.chunks(SIZES[SIZES.len() - 1]) {
            let is_older = Column::LastUsedAt.is_null().or(Column::LastUsedAt.lt(hour.micros()));
            let update = Entity::update_many()
                .col_expr(Column::LastUsedAt, Expr::val(hour.micros()))
                .filter(Column::Hash.is_in(padded(hashes)))
                .filter(is_older);
            update.exec(&self.database.write).await?;
        }
        Ok(())
    }
}

/// Returns the hashes as the column has them, the last one repeated up to one of [`SIZES`].
fn padded(hashes: &[[u8; 32]]) -> Vec<String> {
    let mut texts: Vec<String> = hashes.iter().map(digits).collect();
    let size = SIZES.into_iter().find(|size| *size >= texts.len()).unwrap_or(texts.len());
    if let Some(last) = texts.last().cloned() {
        texts.resize(size, last);
    }
    texts
}

fn followed(row: &QueryResult) -> Result<FollowedKey, StoreError> {
    let hash = row.try_get::<String>("", "hash")?;
    let read = |model: Model| {
        let account = AccountId::parse(&model.account_id).map_err(|_| StoreError::Corrupt {
            table: "api_key",
            column: "account_id",
            row: model.id.to_string(),
            problem: "is not an account",
        })?;
        Ok((account, ApiKeyRecord::try_from(model)?))
    };
    let key = skip_unreadable(row_from::<Entity>(row).and_then(read))?;
    // A key whose hash cannot be read can be sent by nobody.
    Ok(FollowedKey { hash: parse_digits(&hash).unwrap_or_default(), key })
}
