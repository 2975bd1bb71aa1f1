//! Finding out whether a save took effect whose answer was lost with its connection.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use crate::domain::group::Save;
use crate::domain::invitation::event::EventType;
use crate::domain::value::id::InvitationId;
use crate::store::sql::Pool;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index};

/// Returns which invitations have the events of a save: what happens to one invitation is saved as a whole, and a command
/// names its events the same however often it is decided.
///
/// `db` has to be a connection that saved nothing: on SQLite the one that did may see what is not committed.
/// None means not yet: the server may still be at it. That it cannot take effect a second time is the business of the
/// unique index over the ids of events. That something expired may have been told by another process under the same id, so
/// it proves nothing, and is simply decided again.
pub(in crate::store) async fn saved(db: &Pool, save: &Save) -> Result<BTreeSet<InvitationId>, StoreError> {
    let own = save.events.iter().filter(|event| event.event_type != EventType::Expired);
    let one_each: BTreeMap<InvitationId, [Value; 2]> =
        own.map(|event| (event.invitation, [event.account.as_str().into(), event.id.into()])).collect();
    let backend = db.get_database_backend();
    let columns = Columns::list([("account_id", Text), ("id", UuidType)]);
    let sql = format!(
        "SELECT e.invitation_id FROM {} JOIN event e ON {} AND e.id = r.id",
        columns.keys_of(backend, 1, "r"),
        by_index(backend, "id", "e", "r.account_id"),
    );
    let values = RowsParam::new(columns, one_each.into_values()).params(backend);
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let ids = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0).map(InvitationId));
    Ok(ids.collect::<Result<_, _>>()?)
}
