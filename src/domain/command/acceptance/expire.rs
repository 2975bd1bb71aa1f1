//! Records that the time is over for which an acceptance counts, once for each moment. The etags stay the same.

use uuid::Uuid;

use super::{AcceptanceTarget, affected, event, show};
use crate::domain::command::{Command, CommandRules, ReadSet};
use crate::domain::decide::{AcceptanceChange, Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, AcceptanceState};
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::id::{AcceptanceId, IdSeed, InvitationId};
use crate::domain::value::time::Timestamp;

/// Records that an acceptance counts no longer, if its time is over and no event has recorded it.
#[derive(Clone, Copy, Debug)]
pub struct ExpireGrant {
    /// The invitation.
    pub invitation: InvitationId,
    /// The acceptance.
    pub id: AcceptanceId,
}

impl CommandRules for ExpireGrant {
    fn read_set(&self) -> ReadSet {
        ReadSet { acceptance: Some(self.id), ..ReadSet::of(self.invitation) }
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        5
    }

    fn may_move_seats(&self) -> bool {
        true
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let target = AcceptanceTarget { invitation: self.invitation, id: self.id, etag: None };
        let (invitation, acceptance) = target.find(loaded, command)?;
        let expired = acceptance.state_at(loaded.now) == AcceptanceState::Expired;
        let untold = acceptance.grant_expire_at.filter(|at| expired && acceptance.grant_told_at != Some(*at));
        let affected = affected(acceptance);
        let Some(expire_at) = untold else { return Ok(Decided { changes: Changes::default(), affected }) };
        let told = Acceptance { grant_told_at: Some(expire_at), ..acceptance.clone() };
        let mut invitation = Invitation::clone(invitation);
        show(&mut invitation, &told);
        let mut maker = Maker::new(loaded, command);
        let mut event = event(&mut maker, EventType::AcceptanceExpired, (&invitation, &told), None);
        event.id = event_id(told.id, expire_at);
        let changes = Changes {
            invitations: vec![Change::Update { invitation, unexpired: false }],
            acceptance: Some(AcceptanceChange::Stop(told)),
            events: vec![event],
            ..Changes::default()
        };
        Ok(Decided { changes, affected })
    }
}

/// The revisions stay, so the id of the event keeps two processes from recording the same expiry: it is derived from that alone.
fn event_id(acceptance: AcceptanceId, expire_at: Timestamp) -> Uuid {
    // The moment in the id is in milliseconds.
    let micros = u32::try_from(expire_at.micros().rem_euclid(1_000)).unwrap_or_default();
    IdSeed::new(expire_at, *acceptance.0.as_bytes()).nth(micros)
}
