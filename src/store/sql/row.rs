//! Rows to domain and back. Every value is parsed again on its way in; an error names table, column and row.

mod acceptance;
mod delivery;
mod event;
mod invitation;
mod request;

pub(in crate::store) use acceptance::acceptance_row;
pub(in crate::store) use delivery::{delivery_from, outbox_row};
pub(in crate::store) use event::event_row;
pub(in crate::store) use invitation::{
    InvitationRows, domain_row, group_rows, invitation_row, label_rows, recipient_row, slot_from, slot_row,
};
pub(in crate::store) use request::{request_from, request_row};

use super::error::StoreError;
use crate::domain::invitation::Invitation;
use crate::domain::value::time::Timestamp;

/// Returns an error that names where in the database something is wrong.
fn corrupt<'a>(table: &'static str, row: &'a impl ToString) -> impl Fn(&'static str, &'static str) -> StoreError + 'a {
    move |column, problem| StoreError::Corrupt { table, column, row: row.to_string(), problem }
}

fn at(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

/// What may be missing is never empty: an empty text travels to PostgreSQL as a missing one.
fn unless_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn account(invitation: &Invitation) -> String {
    invitation.account.as_str().to_owned()
}
