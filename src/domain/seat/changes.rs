//! The changes of seats by a command and by a group: who takes a seat, who gives one back, and what open invitations hold.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{ScopeKey, ScopeSeats, Seat, SeatHold, SeatHolder};
use crate::domain::command::Command;
use crate::domain::decide::{AcceptanceChange, Change, Changes};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, Subject};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The number of a new seat's id among those of its command: no other part of a command has it.
const SEAT_ID: u32 = u32::MAX - 1;

/// A subject who gives a seat back, since an acceptance of the invitation that the command is about has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseated {
    /// The subject.
    pub subject: Subject,
    /// The acceptance that no longer holds the seat, which stays if anything else holds it; `None` takes the seat away whatever holds it.
    pub holder: Option<AcceptanceId>,
}

impl Unseated {
    fn by(stopped: &Acceptance) -> Self {
        Self { subject: stopped.subject.clone(), holder: Some(stopped.id) }
    }
}

/// A change of a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatChange {
    /// The scope's settings.
    pub scope: Uuid,
    /// The person.
    pub subject: Subject,
    /// The seat as it was.
    pub before: Option<Seat>,
    /// The seat as it is afterwards; `None` if it is free.
    pub after: Option<Seat>,
}

/// A change of what an invitation holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldChange {
    /// The invitation.
    pub invitation: InvitationId,
    /// The scope's settings.
    pub scope: Uuid,
    /// The hold as it was.
    pub before: Option<SeatHold>,
    /// The hold as it is afterwards.
    pub after: Option<SeatHold>,
}

/// An addition to the counts of a scope, with the conditions under which it may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The scope's settings.
    pub scope: Uuid,
    /// The revision of the settings that the decision depends on.
    pub revision: i64,
    /// The people who take a seat, less those who give one back.
    pub occupied: i64,
    /// The seats that are held from now on, less those that no longer are.
    pub held: i64,
    /// The most people who may have a seat after the save.
    pub most_occupied: i64,
    /// The most that `occupied` and `held` may be together after the save.
    pub most: i64,
}

impl Charge {
    fn of(seats: &ScopeSeats) -> Self {
        let (scope, revision) = (seats.id, seats.revision);
        Self { scope, revision, occupied: 0, held: 0, most_occupied: i64::MAX, most: i64::MAX }
    }
}

/// The changes of seats by a command.
#[derive(Clone, Debug, Default)]
pub struct SeatChanges {
    /// Seats that are taken, held by another acceptance, or given back.
    pub seats: Vec<SeatChange>,
    /// Holds that are taken, changed or given back.
    pub holds: Vec<HoldChange>,
    /// The counts.
    pub charges: BTreeMap<ScopeKey, Charge>,
}

/// The changes of seats by a group.
#[derive(Clone, Debug, Default)]
pub struct SeatSave {
    /// The seats as they are afterwards, with what was loaded.
    pub seats: BTreeMap<(AccountId, Uuid, Subject), SeatChange>,
    /// The holds, by invitation and expiry.
    pub holds: BTreeMap<(AccountId, InvitationId, Timestamp), SavedHold>,
    /// The counts, in the order in which they are locked.
    pub charges: BTreeMap<(AccountId, Uuid), Charge>,
}

/// A hold as it is after a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedHold {
    /// The scope's settings.
    pub scope: Uuid,
    /// Whether there was one before the group.
    pub was_held: bool,
    /// The number of uses; `None` if the invitation no longer holds any.
    pub uses: Option<u32>,
}

impl SeatSave {
    /// Returns whether no seat changes.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.holds.is_empty() && self.charges.is_empty()
    }

    /// Adds the changes of one more command.
    pub(in crate::domain) fn take_in(&mut self, account: &AccountId, loaded: &mut Loaded, changes: SeatChanges) {
        for change in changes.seats {
            loaded.set_seat(change.scope, change.subject.clone(), change.after.clone());
            let key = (account.clone(), change.scope, change.subject.clone());
            let after = change.after.clone();
            self.seats.entry(key).or_insert(change).after = after;
        }
        for HoldChange { invitation, scope, before, after } in changes.holds {
            loaded.set_hold(invitation, after);
            let mut set = |hold: SeatHold, was_held, uses| {
                let key = (account.clone(), invitation, hold.open_until);
                self.holds.entry(key).or_insert(SavedHold { scope, was_held, uses }).uses = uses;
            };
            before.into_iter().for_each(|hold| set(hold, true, None));
            after.into_iter().for_each(|hold| set(hold, false, Some(hold.uses)));
        }
        for (key, charge) in changes.charges {
            loaded.add_to_scope(&key, &charge);
            let none = Charge { occupied: 0, held: 0, ..charge.clone() };
            let known = self.charges.entry((account.clone(), charge.scope)).or_insert(none);
            known.occupied += charge.occupied;
            known.held += charge.held;
            known.most_occupied = known.most_occupied.min(charge.most_occupied);
            known.most = known.most.min(charge.most);
        }
    }
}

/// Adds to the changes of a command the seats that they take, hold and give back, or refuses the command because there is no room. A
/// group that has loaded no scope with settings, as most have, does nothing here.
pub(in crate::domain) fn charge(loaded: &Loaded, command: &Command, changes: &mut Changes) -> Result<(), Refusal> {
    if !loaded.has_scopes() {
        return Ok(());
    }
    let mut seats = SeatChanges::default();
    for change in &changes.invitations {
        charge_hold(loaded, command, change, &mut seats);
    }
    charge_people(loaded, command, changes, &mut seats);
    for (key, charge) in &mut seats.charges {
        let Some(scope) = loaded.scope(key) else { continue };
        match scope.refusal(key, charge) {
            None => {}
            // The use of an invitation that is open comes back, whatever others have reserved meanwhile.
            Some(_) if command.rules().never_fails() => continue,
            Some(refusal) => return Err(refusal),
        }
        let Some(limit) = scope.seats else { continue };
        if charge.occupied > 0 {
            charge.most_occupied = limit;
        }
        // A command that gives back as much as it takes always fits.
        if charge.occupied + charge.held > 0 {
            charge.most = limit + scope.lapsed;
        }
    }
    if !seats.charges.is_empty() || !seats.seats.is_empty() {
        changes.seats = Some(Box::new(seats));
    }
    Ok(())
}

/// Returns the scope of an invitation if it has settings.
pub(super) fn scope_of<'a>(loaded: &'a Loaded, invitation: &Invitation) -> Option<(ScopeKey, &'a ScopeSeats)> {
    let scope = invitation.details.scope(&invitation.account)?;
    let key = ScopeKey::new(&invitation.account, &scope);
    loaded.scope(&key).map(|seats| (key, seats))
}

fn charge_hold(loaded: &Loaded, command: &Command, change: &Change, seats: &mut SeatChanges) {
    let (after, before) = match change {
        Change::Create(invitation) => (invitation, None),
        Change::Update { invitation, .. } => {
            let before = loaded.invitation(command.account(), invitation.id).ok();
            // A change that leaves the revision alone has no guard, and changes no use either.
            if before.is_none_or(|before| before.revision == invitation.revision) {
                return;
            }
            (invitation, loaded.hold(invitation.id))
        }
    };
    let Some((key, scope)) = scope_of(loaded, after) else { return };
    let held = Some(after).filter(|_| scope.reserve_open).and_then(|after| SeatHold::of(after, loaded.now));
    let is_new = matches!(change, Change::Create(_));
    if before == held && !is_new {
        return;
    }
    // Also a new invitation that holds nothing depends on the settings: they may reserve seats for it by now.
    let charge = seats.charges.entry(key).or_insert_with(|| Charge::of(scope));
    let uses = |hold: Option<SeatHold>| hold.map_or(0, |hold| i64::from(hold.uses));
    charge.held += uses(held) - uses(before);
    if before != held {
        seats.holds.push(HoldChange { invitation: after.id, scope: scope.id, before, after: held });
    }
}

/// Seats the subject of an acceptance that counts from now on, and takes the seats of those whose acceptances have ended.
fn charge_people(loaded: &Loaded, command: &Command, changes: &Changes, seats: &mut SeatChanges) {
    let (counting, stopped) = match &changes.acceptance {
        Some(AcceptanceChange::Create(acceptance) | AcceptanceChange::Resume(acceptance)) => (Some(acceptance), None),
        Some(AcceptanceChange::Stop(acceptance)) => (None, Some(Unseated::by(acceptance))),
        Some(AcceptanceChange::Update(_)) | None => (None, None),
    };
    if counting.is_none() && stopped.is_none() && changes.unseated.is_empty() {
        return;
    }
    let Some((key, scope)) = changes.about().and_then(|about| scope_of(loaded, about)) else { return };
    let taken = counting.and_then(|acceptance| seat(loaded, command, scope.id, acceptance));
    let left = changes.unseated.iter().chain(&stopped);
    let given_back = left.filter_map(|unseated| unseat(loaded, scope.id, unseated));
    let charge = seats.charges.entry(key).or_insert_with(|| Charge::of(scope));
    for change in taken.into_iter().chain(given_back) {
        charge.occupied += i64::from(change.after.is_some()) - i64::from(change.before.is_some());
        seats.seats.push(change);
    }
}

/// Returns the change that seats the subject of an acceptance; `None` if it holds the seat already, as one does whose expiry is not told.
fn seat(loaded: &Loaded, command: &Command, scope: Uuid, acceptance: &Acceptance) -> Option<SeatChange> {
    let before = loaded.seat(scope, &acceptance.subject).cloned();
    if before.as_ref().is_some_and(|seat| seat.is_held_by(acceptance.id)) {
        return None;
    }
    let holder = SeatHolder { invitation: acceptance.invitation, acceptance: acceptance.id };
    let new = || Seat {
        id: command.seed.nth(SEAT_ID),
        holders: vec![holder],
        by_caller: false,
        occupied_at: loaded.now,
        version: 1,
    };
    let after = Some(before.as_ref().map_or_else(new, |seat| seat.with_holder(holder)));
    Some(SeatChange { scope, subject: acceptance.subject.clone(), before, after })
}

/// Returns the change by which a subject gives a seat back; `None` if the acceptance does not hold it.
fn unseat(loaded: &Loaded, scope: Uuid, Unseated { subject, holder }: &Unseated) -> Option<SeatChange> {
    let before = loaded.seat(scope, subject)?;
    if holder.is_some_and(|id| !before.is_held_by(id)) {
        return None;
    }
    let after = holder.and_then(|holder| before.without_holder(holder));
    Some(SeatChange { scope, subject: subject.clone(), before: Some(before.clone()), after })
}
