//! The rows that a group locks before it is decided once more, after others were faster twice, or that one locks which waits beside its
//! lane.

use std::collections::BTreeSet;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use crate::store::executor::submission::Submission;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index};

/// Locks the invitations of a group, in the order of their ids, and then every seat of the subjects that its commands name, so that no
/// other transaction changes them after the load. A command that names an acceptance learns its subject from the load, so the seat is
/// guarded by its version alone.
pub(super) async fn lock<C: ConnectionTrait>(db: &C, group: &[Submission]) -> Result<(), StoreError> {
    let commands = || group.iter().flat_map(|submission| &submission.commands);
    let keys = commands().filter_map(|command| Some((command.account().as_str(), command.invitation()?.0)));
    let keys: BTreeSet<(&str, Uuid)> = keys.collect();
    let columns = Columns::list([("account_id", Text), ("id", UuidType)]);
    let sql = format!(
        "SELECT 1 FROM {} JOIN invitation i ON i.account_id = k.account_id AND i.id = k.id ORDER BY i.id FOR NO KEY UPDATE OF i",
        columns.keys_of(DbBackend::Postgres, 1, "k")
    );
    let rows = keys.into_iter().map(|(account, id)| [Value::from(account), id.into()]);
    let values = RowsParam::new(columns, rows).params(DbBackend::Postgres);
    db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    let people = commands().filter_map(|command| Some((command.account().as_str(), command.read_set().subject?.0)));
    let people: BTreeSet<(&str, String)> = people.collect();
    if people.is_empty() {
        return Ok(());
    }
    let columns = Columns::list([("account_id", Text), ("subject", Text)]);
    let sql = format!(
        "SELECT 1 FROM {} JOIN seat t ON {} AND t.subject = k.subject ORDER BY t.scope_uid, t.subject FOR NO KEY UPDATE OF t",
        columns.keys_of(DbBackend::Postgres, 1, "k"),
        by_index(DbBackend::Postgres, "subject", "t", "k.account_id")
    );
    let rows = people.into_iter().map(|(account, subject)| [Value::from(account), subject.into()]);
    let values = RowsParam::new(columns, rows).params(DbBackend::Postgres);
    db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    Ok(())
}
