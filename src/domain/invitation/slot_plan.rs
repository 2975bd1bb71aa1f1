//! Takes the slots of an invitation that is created, renewed or unarchived.

use std::sync::Arc;

use super::Invitation;
use super::refusal::Refusal;
use super::slot::{Slot, SlotKey};
use crate::domain::group::loaded::Loaded;
use crate::domain::value::id::InvitationId;

/// The result of taking the slots of an invitation.
pub(in crate::domain) struct SlotPlan {
    /// The slots with their new holder.
    pub(in crate::domain) slots: Vec<(SlotKey, Slot)>,
    /// Other invitations that are ACTIVE and hold one of them.
    pub(in crate::domain) rivals: Vec<InvitationId>,
    /// An invitation that holds one of them and cannot be read: it may be ACTIVE.
    unreadable: Option<InvitationId>,
}

impl SlotPlan {
    /// Plans to take the slots of an invitation.
    pub(in crate::domain) fn of(loaded: &Loaded, invitation: &Invitation) -> Self {
        let mut claim = Self { slots: Vec::new(), rivals: Vec::new(), unreadable: None };
        for key in invitation.slots() {
            let held = loaded.slot(&invitation.account, &key);
            let holder = held.filter(|slot| slot.invitation != invitation.id).map(|slot| slot.invitation);
            claim.unreadable = claim.unreadable.or(holder.filter(|holder| loaded.is_unreadable(*holder)));
            let holder = holder.and_then(|holder| loaded.invitation(&invitation.account, holder).ok());
            // An update of the holder may have given the slot up.
            let holds = |holder: &&Arc<Invitation>| holder.holds_slots_at(loaded.now) && holder.slots().contains(&key);
            if let Some(rival) = holder.filter(holds)
                && !claim.rivals.contains(&rival.id)
            {
                claim.rivals.push(rival.id);
            }
            // The holder takes its slot again as well, so that a takeover at the same moment is noticed.
            let version = held.map_or_else(|| Slot::first_version(loaded.now), |slot| slot.version + 1);
            claim.slots.push((key, Slot { invitation: invitation.id, version }));
        }
        claim
    }

    /// Returns the slots, or refuses if another invitation holds one.
    pub(in crate::domain) fn unrivalled(self, invitation: &Invitation) -> Result<Vec<(SlotKey, Slot)>, Refusal> {
        let claim = self.readable(invitation)?;
        match claim.rivals.first() {
            Some(rival) => Err(Refusal::InvitationExists(*rival, invitation.details.kind())),
            None => Ok(claim.slots),
        }
    }

    /// Refuses if the holder of a slot cannot be read, and so can be neither compared nor revoked.
    pub(in crate::domain) fn readable(self, invitation: &Invitation) -> Result<Self, Refusal> {
        match self.unreadable {
            Some(holder) => Err(Refusal::InvitationExists(holder, invitation.details.kind())),
            None => Ok(self),
        }
    }
}
