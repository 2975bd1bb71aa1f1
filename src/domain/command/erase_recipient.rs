//! Erases the data of a person from one invitation.

use super::{Command, CommandRules, ReadSet};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::erasure::{Erased, erase};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::payload::{RecipientErasedPayload, RevokedPayload};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::seat::Unseated;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::{AcceptanceId, InvitationId};

/// Erases the data of a person from one invitation.
#[derive(Clone, Debug)]
pub struct EraseRecipient {
    /// The invitation.
    pub invitation: InvitationId,
    /// An acceptance of the person, which may not be among the newest.
    pub acceptance: Option<AcceptanceId>,
    /// The address that the person is known by.
    pub email: GivenEmail,
}

impl CommandRules for EraseRecipient {
    fn read_set(&self) -> ReadSet {
        // The newest acceptances are read as well: one of them may have been made since the person was looked for.
        ReadSet { newest_acceptances: true, acceptance: self.acceptance, ..ReadSet::of(self.invitation) }
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        // The events and messages are not known before the load; this is enough for most.
        20
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let before = loaded.invitation(command.account(), self.invitation)?;
        if !command.reaches(before) {
            return Err(Refusal::InvitationNotFound);
        }
        let known = loaded.acceptances_of(before);
        let Some(erased) = erase(before, &known, &self.email, loaded.now) else {
            return Ok(Decided::unchanged(before.id));
        };
        let Erased { mut invitation, is_revoked, erasure } = erased;
        let mut maker = Maker::new(loaded, command);
        invitation.touch(&command.actor, loaded.now);
        let revoked = is_revoked
            .then(|| maker.event(&invitation, EventType::Revoked, Payload::Revoked(RevokedPayload::default())));
        let payload = RecipientErasedPayload {
            recipients: erasure.rows.recipients.iter().copied().collect(),
            acceptances: erasure.rows.acceptances.iter().copied().collect(),
        };
        let told = maker.event(&invitation, EventType::RecipientErased, Payload::RecipientErased(payload));
        let is_theirs = |known: &&Acceptance| erasure.rows.acceptances.contains(&known.id);
        // Nothing may go on to name the person, whatever else holds the seat.
        let unseated = |known: &Acceptance| Unseated { subject: known.subject.clone(), holder: None };
        let unseated = known.iter().filter(is_theirs).map(unseated).collect();
        let id = invitation.id;
        Ok(Decided::changed(
            id,
            Changes {
                invitations: vec![Change::Update { invitation, unexpired: false }],
                events: revoked.into_iter().chain([told]).collect(),
                erasure: Some(erasure),
                unseated,
                ..Changes::default()
            },
        ))
    }

    fn may_move_seats(&self) -> bool {
        true
    }
}
