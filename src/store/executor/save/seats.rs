//! The rows of seats in a save.

use sea_orm::Value;
use uuid::Uuid;

use crate::domain::group::Save;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::seat::{Charge, SavedHold, SeatChange};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::entity::{seat, seat_hold};
use crate::store::sql::row::seat_row;

/// Returns the rows of seats that are new, or that change.
pub(super) fn seat_rows(save: &Save, are_known: bool) -> impl Iterator<Item = seat::Model> {
    let changed = save.seats.seats.iter().filter(move |(_, change)| change.before.is_some() == are_known);
    changed.filter_map(|((account, _, _), change)| seat_row(account, change))
}

pub(super) fn unseat_row(
    ((account, scope, subject), change): (&(AccountId, Uuid, Subject), &SeatChange),
) -> Option<[Value; 5]> {
    let before = change.before.as_ref().filter(|_| change.after.is_none())?;
    let (account, subject) = (account.as_str().into(), subject.0.as_str().into());
    Some([account, (*scope).into(), subject, before.id.into(), before.version.into()])
}

pub(super) fn seat_hold_row(
    ((account, invitation, until), hold): (&(AccountId, InvitationId, Timestamp), &SavedHold),
) -> Option<seat_hold::Model> {
    Some(seat_hold::Model {
        account_id: account.as_str().to_owned(),
        invitation_id: invitation.0,
        open_until: until.micros(),
        scope_uid: hold.scope,
        uses: i32::try_from(hold.uses?).unwrap_or(i32::MAX),
    })
}

pub(super) fn freed_hold_row(
    ((account, invitation, until), hold): (&(AccountId, InvitationId, Timestamp), &SavedHold),
) -> Option<[Value; 3]> {
    let is_freed = hold.was_held && hold.uses.is_none();
    is_freed.then(|| [account.as_str().into(), invitation.0.into(), until.micros().into()])
}

pub(super) fn scope_row(((account, scope), charge): (&(AccountId, Uuid), &Charge)) -> [Value; 7] {
    let Charge { revision, occupied, held, most_occupied, most, .. } = *charge;
    let counts = [occupied, held, most_occupied, most].map(Value::from);
    let [occupied, held, most_occupied, most] = counts;
    [account.as_str().into(), (*scope).into(), revision.into(), occupied, held, most_occupied, most]
}
