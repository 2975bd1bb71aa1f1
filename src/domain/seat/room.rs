//! The room in a scope for the invitations that an undo may open again.

use super::changes::scope_of;
use super::{ScopeSeats, SeatHold};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;

/// The seats of a scope that reserves them, with those that an undo has given back and taken so far. An invitation that was closed
/// opens only if the seats that it promises are still there: others may have reserved them meanwhile.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) struct Room<'a> {
    loaded: &'a Loaded,
    /// The scope; `None` if it has any number of seats, or reserves none.
    scope: Option<&'a ScopeSeats>,
    /// The seats that are taken, less those that are given back.
    net: i64,
}

impl<'a> Room<'a> {
    /// Returns the room once an acceptance has given back the seat that nothing else holds.
    pub(in crate::domain) fn without(loaded: &'a Loaded, about: &Invitation, undone: &Acceptance) -> Self {
        let scope = scope_of(loaded, about).map(|(_, scope)| scope);
        let scope = scope.filter(|scope| scope.reserve_open && scope.seats.is_some());
        let seat = scope.and_then(|scope| loaded.seat(scope.id, &undone.subject));
        let is_freed = seat.is_some_and(|seat| seat.is_held_by(undone.id) && seat.without_holder(undone.id).is_none());
        Self { loaded, scope, net: -i64::from(is_freed) }
    }

    /// Takes the seats that an open invitation promises beyond those that it holds, if they are there.
    pub(in crate::domain) fn reserve(&mut self, opened: &Invitation) -> bool {
        let net = self.with(opened);
        let fits = self.scope.is_none_or(|scope| {
            let taken = scope.occupied + scope.reserved() + net;
            net <= 0 || scope.seats.is_none_or(|seats| taken <= seats)
        });
        if fits {
            self.net = net;
        }
        fits
    }

    /// Takes the same seats whether or not they are there, for an invitation that has stayed open.
    pub(in crate::domain) fn reserve_anyway(&mut self, open: &Invitation) {
        self.net = self.with(open);
    }

    fn with(&self, opened: &Invitation) -> i64 {
        let uses = |hold: Option<SeatHold>| hold.map_or(0, |hold| i64::from(hold.uses));
        let held = uses(self.loaded.hold(opened.id));
        self.net + uses(SeatHold::of(opened, self.loaded.now)) - held
    }
}
