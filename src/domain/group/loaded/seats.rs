//! The seats in the snapshot: of the scopes that count any.

use std::collections::HashMap;

use uuid::Uuid;

use super::Loaded;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::seat::{Charge, ScopeKey, ScopeSeats, Seat, SeatHold};
use crate::domain::value::id::InvitationId;

/// The scopes that count their seats, and what is known of them.
#[derive(Clone, Debug, Default)]
pub(super) struct LoadedSeats {
    scopes: HashMap<ScopeKey, ScopeSeats>,
    seats: HashMap<(Uuid, Subject), Seat>,
    holds: HashMap<InvitationId, SeatHold>,
}

impl LoadedSeats {
    /// Adds the rows of a later load, except those that are known already.
    pub(super) fn add(&mut self, more: Self) {
        for (key, scope) in more.scopes {
            self.scopes.entry(key).or_insert(scope);
        }
        for (key, seat) in more.seats {
            self.seats.entry(key).or_insert(seat);
        }
        for (id, hold) in more.holds {
            self.holds.entry(id).or_insert(hold);
        }
    }
}

impl Loaded {
    /// Adds or replaces a scope that counts its seats.
    pub fn put_scope(&mut self, key: ScopeKey, scope: ScopeSeats) {
        self.seats.scopes.insert(key, scope);
    }

    /// Returns whether any scope counts its seats.
    pub(in crate::domain) fn has_scopes(&self) -> bool {
        !self.seats.scopes.is_empty()
    }

    /// Returns a scope, if it counts its seats.
    pub fn scope(&self, key: &ScopeKey) -> Option<&ScopeSeats> {
        self.seats.scopes.get(key)
    }

    /// Adds to the counts of a scope.
    pub(in crate::domain) fn add_to_scope(&mut self, key: &ScopeKey, charge: &Charge) {
        if let Some(scope) = self.seats.scopes.get_mut(key) {
            scope.occupied += charge.occupied;
            scope.held += charge.held;
        }
    }

    /// Sets the seat of a person in a scope.
    pub fn set_seat(&mut self, scope: Uuid, subject: Subject, seat: Option<Seat>) {
        match seat {
            Some(seat) => drop(self.seats.seats.insert((scope, subject), seat)),
            None => drop(self.seats.seats.remove(&(scope, subject))),
        }
    }

    /// Returns the seat of a person in a scope.
    pub fn seat(&self, scope: Uuid, subject: &Subject) -> Option<&Seat> {
        self.seats.seats.get(&(scope, subject.clone()))
    }

    /// Sets the seats that an invitation holds.
    pub fn set_hold(&mut self, invitation: InvitationId, hold: Option<SeatHold>) {
        match hold {
            Some(hold) => drop(self.seats.holds.insert(invitation, hold)),
            None => drop(self.seats.holds.remove(&invitation)),
        }
    }

    /// Returns the seats that an invitation holds.
    pub fn hold(&self, invitation: InvitationId) -> Option<SeatHold> {
        self.seats.holds.get(&invitation).copied()
    }
}
