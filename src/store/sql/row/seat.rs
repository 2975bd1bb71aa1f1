//! Scopes that count their seats, and their seats.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::corrupt;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::seat::{ScopeKey, ScopeSeats, Seat, SeatChange, SeatHold, SeatHolder};
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::entity::{scope_settings, seat, seat_hold};
use crate::store::sql::error::StoreError;

/// The settings of a scope with what is read beside them, as one JSON document.
#[derive(Deserialize)]
pub(in crate::store) struct ScopeRows {
    settings: scope_settings::Model,
    /// The seats of holds whose time is over.
    lapsed: i64,
    /// The hold of the invitation that the settings are read with.
    hold: Option<seat_hold::Model>,
}

impl ScopeRows {
    /// Returns the scope, and the hold of the invitation that it was read with.
    pub(in crate::store) fn parse(self) -> Result<(ScopeKey, ScopeSeats, Option<SeatHold>), StoreError> {
        let Self { settings, lapsed, hold } = self;
        let corrupt = corrupt("scope_settings", &settings.id);
        let key = ScopeKey {
            account: AccountId::parse(&settings.account_id).map_err(|_| corrupt("account_id", "is not an account"))?,
            scope_type: settings.scope_type,
            scope_id: settings.scope_id,
        };
        let seats = ScopeSeats {
            id: settings.id,
            seats: settings.seats,
            reserve_open: settings.reserve_open,
            occupied: settings.occupied,
            held: settings.held,
            lapsed,
            revision: settings.revision,
        };
        let hold = hold.map(|hold| SeatHold {
            uses: u32::try_from(hold.uses).unwrap_or_default(),
            open_until: Timestamp::from_micros(hold.open_until),
        });
        Ok((key, seats, hold))
    }
}

impl TryFrom<seat::Model> for Seat {
    type Error = StoreError;

    fn try_from(row: seat::Model) -> Result<Self, StoreError> {
        let corrupt = corrupt("seat", &row.id);
        let holders = row.holders.as_array().map(|holders| holders.iter().map(holder).collect::<Option<Vec<_>>>());
        Ok(Self {
            id: row.id,
            holders: holders.flatten().ok_or_else(|| corrupt("holders", "is no list of acceptances"))?,
            by_caller: row.by_caller,
            occupied_at: Timestamp::from_micros(row.occupied_at),
            version: row.version,
        })
    }
}

/// Reads a seat with its place.
pub(in crate::store) fn seat_from(row: seat::Model) -> Result<(Uuid, Subject, Seat), StoreError> {
    Ok((row.scope_uid, Subject(row.subject.clone()), Seat::try_from(row)?))
}

/// Returns the row of a changed seat; `None` if it is free.
pub(in crate::store) fn seat_row(account: &AccountId, change: &SeatChange) -> Option<seat::Model> {
    let SeatChange { scope, subject, before, after } = change;
    let Seat { id, holders, by_caller, occupied_at, version: _ } = after.as_ref()?;
    let holders = holders.iter().map(|holder| format!("{}/{}", holder.invitation.0, holder.acceptance.0));
    Some(seat::Model {
        account_id: account.as_str().to_owned(),
        scope_uid: *scope,
        subject: subject.0.clone(),
        // A seat that a group frees and takes again is the one that was there.
        id: before.as_ref().map_or(*id, |before| before.id),
        holders: holders.map(Value::from).collect(),
        by_caller: *by_caller,
        occupied_at: occupied_at.micros(),
        version: before.as_ref().map_or(1, |before| before.version + 1),
    })
}

/// Reads a holder: the ids of its invitation and of the acceptance.
fn holder(text: &Value) -> Option<SeatHolder> {
    let (invitation, acceptance) = text.as_str()?.split_once('/')?;
    let id = |id| Uuid::parse_str(id).ok();
    Some(SeatHolder { invitation: InvitationId(id(invitation)?), acceptance: AcceptanceId(id(acceptance)?) })
}
