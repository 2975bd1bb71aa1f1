//! The scopes that count their seats in the load, and the seats of people. The settings of an invitation's scope come with the invitation:
//! where there are none, the look for them in the index is all that it costs.

use std::collections::BTreeSet;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{DbBackend, Value};

use crate::domain::command::{Command, ReadSet};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::seat::{HOLD_GRACE, ScopeKey};
use crate::domain::value::id::InvitationId;
use crate::store::sql::entity::{scope_settings, seat_hold};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::{InvitationRows, ScopeRows};
use crate::store::sql::rows_param::{Columns, RowsParam, by_index, json_object};

pub(super) fn scope_key_columns() -> Columns {
    Columns::list([("account_id", Text), ("scope_type", Text), ("scope_id", Text)])
}

pub(super) fn seat_key_columns() -> Columns {
    Columns::list([("account_id", Text), ("scope_uid", UuidType), ("subject", Text)])
}

/// Returns scopes as rows.
pub(in crate::store) fn scope_rows<'a>(keys: impl Iterator<Item = &'a ScopeKey>) -> RowsParam {
    let row = |key: &ScopeKey| -> [Value; 3] {
        [key.account.as_str().into(), key.scope_type.as_str().into(), key.scope_id.as_str().into()]
    };
    RowsParam::new(scope_key_columns(), keys.map(row))
}

pub(super) fn scope_keys(read_set: &[(&Command, ReadSet)]) -> RowsParam {
    let keys = read_set
        .iter()
        .flat_map(|(command, read_set)| read_set.scopes.iter().map(|scope| ScopeKey::new(command.account(), scope)));
    scope_rows(keys.collect::<BTreeSet<_>>().iter())
}

pub(super) fn seat_keys(read_set: &[(&Command, ReadSet)]) -> RowsParam {
    let keys = read_set.iter().flat_map(|(command, read_set)| {
        let account = command.account().as_str();
        read_set.seats.iter().map(move |(scope, subject)| (account, *scope, subject.0.as_str()))
    });
    let row = |(account, scope, subject): (&str, _, &str)| -> [Value; 3] {
        [account.into(), Value::from(scope), subject.into()]
    };
    RowsParam::new(seat_key_columns(), keys.collect::<BTreeSet<_>>().into_iter().map(row))
}

/// Returns an expression for the settings `s` of a scope with its counts, as JSON. Holds whose time is over are summed up here, so that
/// nothing has to notice the moment at which an invitation expires. `invitation` is the one whose own hold is read as well.
pub(super) fn scope_body(backend: DbBackend, now: &str, invitation: Option<&str>) -> String {
    let grace = HOLD_GRACE.as_micros();
    let lapsed = format!(
        "s.lapsed + CASE WHEN s.reserve_open THEN coalesce((SELECT sum(h.uses) FROM seat_hold h
            WHERE {} AND h.scope_uid = s.id AND h.open_until <= {now} - {grace}), 0) ELSE 0 END",
        by_index(backend, "end", "h", "s.account_id")
    );
    let hold = invitation.map_or_else(
        || "NULL".to_owned(),
        |invitation| {
            format!(
                "(SELECT {} FROM seat_hold h WHERE h.account_id = {invitation}.account_id
                    AND h.invitation_id = {invitation}.id AND h.open_until > {now} - {grace}
                ORDER BY h.open_until DESC LIMIT 1)",
                Columns::of::<seat_hold::Entity>().json_of(backend, "h")
            )
        },
    );
    let settings = Columns::of::<scope_settings::Entity>().json_of(backend, "s");
    json_object(backend, &[("settings", settings), ("lapsed", lapsed), ("hold", hold)])
}

/// Returns an expression for the settings of the scope of invitation `i`; NULL if there are none, as for most.
pub(in crate::store) fn scope_of_invitation(backend: DbBackend, now: &str) -> String {
    format!(
        "(SELECT {} FROM scope_settings s WHERE {})",
        scope_body(backend, now, Some("i")),
        is_scope_of(backend, "i")
    )
}

/// Returns the condition under which settings `s` are those of the scope of a row.
pub(in crate::store) fn is_scope_of(backend: DbBackend, row: &str) -> String {
    let own = by_index(backend, "scope", "s", &format!("{row}.account_id"));
    format!("{own} AND s.scope_type = {row}.scope_type AND s.scope_id = {row}.scope_id")
}

/// Returns an invitation, and the settings of its scope if there are any.
pub(super) fn with_scope(mut rows: InvitationRows) -> Result<(Invitation, Option<ScopeRows>), StoreError> {
    let scope = rows.scope.take();
    Ok((rows.try_into()?, scope))
}

/// Adds the settings of a scope, and what the invitation holds that they were read with.
pub(in crate::store) fn put_scope(
    loaded: &mut Loaded,
    rows: ScopeRows,
    invitation: Option<InvitationId>,
) -> Result<(), StoreError> {
    let (key, scope, hold) = rows.parse()?;
    loaded.put_scope(key, scope);
    if let Some(invitation) = invitation {
        loaded.set_hold(invitation, hold);
    }
    Ok(())
}
