//! The check whether a save took effect whose answer was lost with its connection.

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

/// Returns the invitations that have the events of a save: the changes of one invitation are saved as a whole, and a
/// command gives its events the same ids however often it is decided.
///
/// `db` has to be a connection that saved nothing: on SQLite the connection of the save may see rows that are not
/// committed. An empty result means "not yet": the server may still be working on the save. The unique index over the
/// ids of events prevents it from taking effect twice. An EXPIRED event proves nothing, since another process may have
/// recorded it under the same id; such an expiry is decided again.
pub(in crate::store) async fn committed_invitations(
    db: &Pool,
    save: &Save,
) -> Result<BTreeSet<InvitationId>, StoreError> {
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
