//! Rows to domain and back. Every value is parsed again on its way in; an error names table, column and row.

mod acceptance;
mod delivery;
mod event;
mod invitation;
mod request;
mod seat;
mod suppression;

pub(in crate::store) use acceptance::acceptance_row;
pub(in crate::store) use delivery::{cancelled_outbox_row, delivery_from, outbox_row, suppressed_outbox_row};
pub(in crate::store) use event::event_row;
pub(in crate::store) use invitation::{
    InvitationRows, domain_row, group_rows, invitation_row, label_rows, recipient_from, recipient_row, slot_from,
    slot_row,
};
pub(in crate::store) use request::{request_from, request_row};
pub(in crate::store) use seat::{ScopeRows, seat_from, seat_row};
pub(in crate::store) use suppression::{account_of_row, suppression_event_row, suppression_row};

use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult as _, QueryResult, QueryTrait as _, Select};
use uuid::Uuid;

use super::error::StoreError;
use crate::domain::invitation::Invitation;
use crate::domain::value::time::Timestamp;

/// Returns an error that names the table, the row and the column.
fn corrupt<'a>(table: &'static str, row: &'a impl ToString) -> impl Fn(&'static str, &'static str) -> StoreError + 'a {
    move |column, problem| StoreError::Corrupt { table, column, row: row.to_string(), problem }
}

fn at(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

/// Leaves an empty text out: proto3 cannot tell one from a missing text either, so only one of them is stored.
fn unless_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn account(invitation: &Invitation) -> String {
    invitation.account.as_str().to_owned()
}

/// Reads a row that has all columns of a table. A row that cannot be read is an error of its own, and not of its
/// statement.
pub(in crate::store) fn row_from<E: EntityTrait + Default>(row: &QueryResult) -> Result<E::Model, StoreError> {
    E::Model::from_query_result(row, "").map_err(|_| StoreError::Corrupt {
        table: E::default().table_name(),
        column: "*",
        row: row.try_get::<Uuid>("", "id").map_or_else(|_| "?".to_owned(), |id| id.to_string()),
        problem: "is not a row of this table",
    })
}

/// Reads rows of a table that has an `id`, each with its id.
pub(in crate::store) async fn rows_with_id<E: EntityTrait + Default>(
    db: &impl ConnectionTrait,
    select: Select<E>,
) -> Result<Vec<(Uuid, Result<E::Model, StoreError>)>, StoreError> {
    let rows = db.query_all(select.as_query()).await?;
    rows.iter().map(|row| Ok((row.try_get("", "id")?, row_from::<E>(row)))).collect()
}
