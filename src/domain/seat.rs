//! Seats: how many people a scope has room for, over all replicas.
//!
//! A seat belongs to a person in a scope, however many invitations brought the person there. The idea is that of a quota: a save adds to
//! the counts of the scope, and fails if there is no room for that by then. So replicas that accept into one scope do not wait for each
//! other's decisions, and together seat no more than there is room for.
//!
//! A scope that reserves seats for its open invitations holds as many for each as it has uses left, until its expiry. No later than
//! [`HOLD_GRACE`] after it the hold lapses by itself, whether or not anything has noticed.

mod changes;
mod room;
#[cfg(test)]
mod tests;

use std::time::Duration;

use uuid::Uuid;

use super::invitation::Invitation;
use super::invitation::refusal::{Refusal, ScopeFull};
use super::invitation::state::State;
use super::kind::Scope;
use super::value::etag;
use super::value::etag::StaleEtag;
use super::value::id::{AcceptanceId, InvitationId};
use super::value::text::AccountId;
use super::value::time::Timestamp;
pub(super) use changes::charge;
pub use changes::{Charge, HoldChange, SavedHold, SeatChange, SeatChanges, SeatSave, Unseated};
pub(super) use room::Room;

/// The time for which a hold counts after its expiry: longer than a save may take (`store.timeout`), so that no save which was decided
/// before the expiry changes a hold that others no longer count.
pub const HOLD_GRACE: Duration = Duration::from_secs(70);

/// The most acceptances that one seat is held by; of more, the newest hold it.
const MAX_HOLDERS: usize = 100;

/// The name of a scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeKey {
    /// The account.
    pub account: AccountId,
    /// The type of the scope.
    pub scope_type: String,
    /// The scope's id.
    pub scope_id: String,
}

impl ScopeKey {
    /// Returns the key of a scope, whose display name does not matter.
    pub fn new(account: &AccountId, scope: &Scope) -> Self {
        Self { account: account.clone(), scope_type: scope.scope_type.clone(), scope_id: scope.id.clone() }
    }
}

/// The settings of a scope and its counts as they were loaded, with what the group has added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeSeats {
    /// The id of the settings.
    pub id: Uuid,
    /// The number of seats; `None` for any number.
    pub seats: Option<i64>,
    /// Whether open invitations reserve the seats that they promise.
    pub reserve_open: bool,
    /// The number of people who have a seat.
    pub occupied: i64,
    /// The seats that open invitations hold, with those of holds whose time is over.
    pub held: i64,
    /// The part of `held` whose time is over.
    pub lapsed: i64,
    /// The number of changes of the settings; a save has a conflict if it is another one.
    pub revision: i64,
}

impl ScopeSeats {
    /// Returns the seats that open invitations hold.
    pub fn reserved(&self) -> i64 {
        (self.held - self.lapsed).max(0)
    }

    /// Returns the seats that are neither occupied nor reserved; `None` if there is any number.
    pub fn available(&self) -> Option<i64> {
        self.seats.map(|seats| (seats - self.occupied - self.reserved()).max(0))
    }

    /// Returns the number of people and reservations that there are no seats for, since the number of seats was lowered or an open
    /// invitation got a use back.
    pub fn over_by(&self) -> i64 {
        self.seats.map_or(0, |seats| (self.occupied + self.reserved() - seats).max(0))
    }

    /// Returns whether somebody without a seat could not accept an invitation.
    pub fn is_full_for(&self, invitation: &Invitation, now: Timestamp) -> bool {
        let Some(seats) = self.seats else { return false };
        let holds = self.reserve_open && SeatHold::of(invitation, now).is_some();
        self.occupied >= seats || (!holds && self.available() == Some(0))
    }

    /// Returns whether somebody has set them: before that they only begin to be counted.
    pub fn is_set(&self) -> bool {
        self.revision > 0
    }

    /// Returns whether all people and reservations have a seat.
    pub fn fits(&self) -> bool {
        self.over_by() == 0
    }

    /// Returns the etag of the settings, which the counts do not change.
    pub fn etag(&self) -> String {
        etag::of(self.id, self.revision)
    }

    /// Checks the etag, if the caller sent one.
    pub fn check_etag(&self, etag: Option<&str>) -> Result<(), StaleEtag> {
        etag::check(etag, self.id, self.revision)
    }

    /// Returns the refusal of what there is no room for; `None` if there is.
    fn refusal(&self, key: &ScopeKey, charge: &Charge) -> Option<Refusal> {
        let seats = self.seats?;
        let needs = charge.occupied + charge.held;
        let no_room = needs > 0 && self.occupied + self.reserved() + needs > seats;
        let no_seat = charge.occupied > 0 && self.occupied + charge.occupied > seats;
        (no_room || no_seat).then(|| self.full(key))
    }

    /// Returns the refusal that says how many seats there are.
    pub fn full(&self, key: &ScopeKey) -> Refusal {
        Refusal::ScopeFull(Box::new(ScopeFull {
            scope_type: key.scope_type.clone(),
            scope_id: key.scope_id.clone(),
            seats: self.seats.unwrap_or_default(),
            available: self.available().unwrap_or_default(),
        }))
    }
}

/// An acceptance that holds a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatHolder {
    /// The invitation.
    pub invitation: InvitationId,
    /// The acceptance of it.
    pub acceptance: AcceptanceId,
}

/// The seat of a person in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its id, by which lists are in the order in which seats were occupied.
    pub id: Uuid,
    /// The acceptances that it is held by, the oldest first.
    pub holders: Vec<SeatHolder>,
    /// Whether the caller has recorded it by itself.
    pub by_caller: bool,
    /// The moment from which it is occupied.
    pub occupied_at: Timestamp,
    /// The number of its changes; checked by a save.
    pub version: i64,
}

impl Seat {
    fn is_held_by(&self, acceptance: AcceptanceId) -> bool {
        self.holders.iter().any(|holder| holder.acceptance == acceptance)
    }

    fn with_holder(&self, holder: SeatHolder) -> Self {
        let mut holders = self.holders.clone();
        holders.push(holder);
        let surplus = holders.len().saturating_sub(MAX_HOLDERS);
        Self { holders: holders.split_off(surplus), ..self.clone() }
    }

    /// Returns the seat without a holder; `None` if nothing else holds it.
    fn without_holder(&self, holder: AcceptanceId) -> Option<Self> {
        let mut seat = self.clone();
        seat.holders.retain(|other| other.acceptance != holder);
        Some(seat).filter(|seat| seat.by_caller || !seat.holders.is_empty())
    }
}

/// The seats that an open invitation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatHold {
    /// The uses that it has left.
    pub uses: u32,
    /// Its expiry.
    pub open_until: Timestamp,
}

impl SeatHold {
    /// Returns what an invitation holds at a moment: nothing if it can be used any number of times, since it promises no number.
    pub fn of(invitation: &Invitation, now: Timestamp) -> Option<Self> {
        let uses = invitation.facts.remaining_uses().filter(|uses| *uses > 0)?;
        let open_until = invitation.facts.expire_at.unwrap_or(Timestamp::from_micros(i64::MAX));
        (invitation.state_at(now) == State::Active).then_some(Self { uses, open_until })
    }
}
