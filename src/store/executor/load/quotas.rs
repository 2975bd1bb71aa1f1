//! The counts of quotas in the load. A count that has no row yet is returned as well.

use std::collections::BTreeSet;

use sea_orm::sea_query::ColumnType::{Integer, Text};
use sea_orm::{DbBackend, Value};
use serde::Deserialize;

use super::text;
use crate::domain::command::{Command, ReadSet};
use crate::domain::quota::{OPEN_KEY, QuotaCount, QuotaKey};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index, json_object};

/// The account of the counts of all accounts; no account has an empty name.
pub(in crate::store) const ALL_ACCOUNTS: &str = "";

/// Returns the account of a count in its row.
pub(in crate::store) fn account_of(key: &QuotaKey) -> &str {
    key.account.as_ref().map_or(ALL_ACCOUNTS, AccountId::as_str)
}

pub(super) fn quota_key_columns() -> Columns {
    Columns::list([("account_id", Text), ("key", Text), ("holds", Integer)])
}

pub(in crate::store) fn quota_keys<'a>(keys: impl Iterator<Item = &'a QuotaKey>) -> RowsParam {
    let keys: BTreeSet<_> = keys.collect();
    let row = |key: &QuotaKey| -> [Value; 3] {
        [account_of(key).into(), key.key.as_str().into(), i32::from(key.key == OPEN_KEY).into()]
    };
    RowsParam::new(quota_key_columns(), keys.into_iter().map(row))
}

pub(super) fn keys_in(read_set: &[(&Command, ReadSet)]) -> RowsParam {
    quota_keys(read_set.iter().flat_map(|(_, read_set)| &read_set.quotas))
}

/// Returns an expression for the count of key `k`, whose row is `q`, as JSON. Holds whose time is over are summed up here, so
/// that nothing has to notice the moment at which an invitation expires.
pub(super) fn quota_body(backend: DbBackend, now: &str) -> String {
    let quote = if backend == DbBackend::Postgres { "to_json" } else { "json_quote" };
    let ended = format!(
        "CASE WHEN k.holds = 1 THEN coalesce((SELECT sum(h.invitees) FROM quota_hold h
            WHERE {} AND h.open_until <= {now}), 0) ELSE 0 END",
        by_index(backend, "end", "h", "k.account_id")
    );
    let pairs = [
        ("account_id", format!("{quote}(k.account_id)")),
        ("key", format!("{quote}(k.key)")),
        ("period_start", "coalesce(q.period_start, 0)".to_owned()),
        ("used", "coalesce(q.used, 0)".to_owned()),
        ("lapsed", format!("coalesce(q.lapsed, 0) + {ended}")),
    ];
    text(backend, &json_object(backend, &pairs))
}

/// A count as it was read.
#[derive(Deserialize)]
pub(in crate::store) struct QuotaRow {
    account_id: String,
    key: String,
    period_start: i64,
    used: i64,
    lapsed: i64,
}

impl QuotaRow {
    /// Returns the count and its key.
    pub(in crate::store) fn parse(self) -> Result<(QuotaKey, QuotaCount), StoreError> {
        let Self { account_id, key, period_start, used, lapsed } = self;
        let account = Some(account_id).filter(|account| account != ALL_ACCOUNTS);
        let account = account.map(|account| AccountId::parse(&account)).transpose();
        let account = account.map_err(|_| StoreError::Corrupt {
            table: "quota",
            column: "account_id",
            row: "?".to_owned(),
            problem: "is not an account",
        })?;
        let count = QuotaCount { period: Timestamp::from_micros(period_start), used, lapsed };
        Ok((QuotaKey { account, key }, count))
    }
}
