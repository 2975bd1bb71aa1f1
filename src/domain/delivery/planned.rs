//! Messages that are planned for a moment: reminders, and notices to inviters.
//!
//! The id of such a message is made of what it is, so planning it again adds nothing: a retry, another process and the next
//! acceptance of the same hour all name the row that is there. Whether the message is needed, and what it says, is found out when
//! it is sent ([`super::Delivery::needless`]), so nothing has to be deleted or counted before.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{NewDelivery, Purpose};
use crate::domain::value::id::{IdSeed, InvitationId};
use crate::domain::value::time::Timestamp;

/// A planned message of any invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedMessage {
    /// The purpose.
    pub purpose: Purpose,
    /// The recipient's ordinal; 0 for the inviter.
    pub recipient: u16,
    /// The moment at which it is sent.
    pub due_at: Timestamp,
    /// The moment that it names.
    pub moment: Option<Timestamp>,
}

impl PlannedMessage {
    /// Returns the message of an invitation, as it is planned at a moment.
    pub fn of(self, invitation: InvitationId, now: Timestamp) -> NewDelivery {
        let Self { purpose, recipient, due_at, moment } = self;
        let (id, address, about, created_at) = (self.id(invitation), None, None, now);
        NewDelivery { id, invitation, purpose, recipient, address, about, moment, created_at, due_at }
    }

    fn id(&self, invitation: InvitationId) -> Uuid {
        let hash = Sha256::new()
            .chain_update(invitation.0.as_bytes())
            .chain_update(self.purpose.code().as_bytes())
            .chain_update(self.recipient.to_be_bytes())
            .chain_update(self.due_at.micros().to_be_bytes())
            .chain_update(self.moment.map_or(0, Timestamp::micros).to_be_bytes())
            .finalize();
        let mut seed = [0; 16];
        seed.copy_from_slice(&hash[..16]);
        IdSeed::new(self.due_at, seed).nth(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::minutes;

    #[test]
    fn only_the_same_message_of_the_same_invitation_has_the_same_id() {
        let id = |message: PlannedMessage, invitation| message.id(InvitationId(Uuid::from_u128(invitation)));
        let (due_at, moment) = (minutes(5), Some(minutes(9)));
        let planned = PlannedMessage { purpose: Purpose::Reminder, recipient: 1, due_at, moment };
        let ids = [
            id(planned, 1),
            id(planned, 2),
            id(PlannedMessage { recipient: 2, ..planned }, 1),
            id(PlannedMessage { due_at: minutes(6), ..planned }, 1),
            id(PlannedMessage { moment: Some(minutes(10)), ..planned }, 1),
            id(PlannedMessage { moment: None, ..planned }, 1),
            id(PlannedMessage { purpose: Purpose::ExpiryNotice, ..planned }, 1),
        ];
        assert_eq!(ids[0], id(planned, 1));
        assert!(ids.iter().enumerate().all(|(index, id)| !ids[..index].contains(id)), "{ids:?}");
        let message = planned.of(InvitationId(Uuid::from_u128(1)), minutes(0));
        assert_eq!((message.id, message.created_at, message.due_at), (ids[0], minutes(0), due_at));
    }
}
