//! Finding out whether a save took effect whose answer was lost with its connection.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde::Serialize;
use uuid::Uuid;

use super::error::StoreError;
use super::load::json_param;
use super::set::Columns;
use crate::domain::group::Save;
use crate::domain::id::InvitationId;

/// One event of an invitation, as a row.
#[derive(Serialize)]
struct EventKey<'a> {
    account_id: &'a str,
    id: Uuid,
}

/// Returns which invitations have the events of a save: what happens to one invitation is saved as a whole, and a command
/// names its events the same however often it is decided.
///
/// None means not yet: the server may still be at it. That it cannot take effect a second time is the business of the
/// unique index over the ids of events.
pub(super) async fn saved(db: &DatabaseConnection, save: &Save) -> Result<BTreeSet<InvitationId>, StoreError> {
    let one_each: BTreeMap<InvitationId, EventKey<'_>> = save
        .events
        .iter()
        .map(|event| (event.invitation, EventKey { account_id: event.account.as_str(), id: event.id }))
        .collect();
    let keys: Vec<&EventKey<'_>> = one_each.values().collect();
    let backend = db.get_database_backend();
    let sql = format!(
        "SELECT e.invitation_id FROM {} JOIN event e ON e.account_id = r.account_id AND e.id = r.id",
        Columns::list([("account_id", Text), ("id", UuidType)]).keys_of(backend, 1, "r")
    );
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, [json_param(&keys)?])).await?;
    let ids = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0).map(InvitationId));
    Ok(ids.collect::<Result<_, _>>()?)
}
