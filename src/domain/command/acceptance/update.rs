//! Changes the moment from which an acceptance counts no longer; one whose time is over counts again.

use super::{AcceptanceTarget, affected, event, show};
use crate::domain::command::{Command, CommandRules, ReadSet};
use crate::domain::decide::{AcceptanceChange, Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::acceptance::{Acceptance, AcceptanceState};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::time::{Timestamp, Ttl};

/// Updates an acceptance.
#[derive(Clone, Debug)]
pub struct UpdateAcceptance {
    /// The acceptance.
    pub target: AcceptanceTarget,
    /// The moment from which it counts no longer; `None` keeps the present one, an inner `None` takes it away.
    pub grant_expire_at: Option<Option<Timestamp>>,
}

impl CommandRules for UpdateAcceptance {
    fn read_set(&self) -> ReadSet {
        self.target.read_set()
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        5
    }

    fn may_move_seats(&self) -> bool {
        true
    }

    fn not_found(&self) -> Refusal {
        self.target.not_found()
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let (before, acceptance) = self.target.find(loaded, command)?;
        let expire_at = self.grant_expire_at.unwrap_or(acceptance.grant_expire_at);
        check(self.grant_expire_at.flatten(), loaded.now)?;
        acceptance.require_standing()?;
        let affected = affected(acceptance);
        if expire_at == acceptance.grant_expire_at {
            return Ok(Decided { changes: Changes::default(), affected });
        }
        check_roles(command, acceptance, expire_at)?;
        let mut maker = Maker::new(loaded, command);
        let mut invitation = maker.touched(before);
        let updated = acceptance.changed(|acceptance| acceptance.grant_expire_at = expire_at);
        show(&mut invitation, &updated);
        let mut event = event(&mut maker, EventType::AcceptanceUpdated, (&invitation, &updated), None);
        if let Payload::Acceptance(told) = &mut event.payload {
            told.old_grant_expire_at = acceptance.grant_expire_at;
        }
        let counted = acceptance.state_at(loaded.now) == AcceptanceState::Active;
        let change = if counted { AcceptanceChange::Update } else { AcceptanceChange::Resume };
        let changes = Changes {
            invitations: vec![Change::Update { invitation, unexpired: false }],
            acceptance: Some(change(updated)),
            events: vec![event],
            ..Changes::default()
        };
        Ok(Decided { changes, affected })
    }
}

fn check(expire_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    let description = match expire_at {
        Some(at) if at <= now => "must be in the future: to end the acceptance now, call ReleaseAcceptance",
        Some(at) if at > now.plus(Ttl::LONGEST_GRANT) => "must be at most 10 years ahead",
        Some(_) | None => return Ok(()),
    };
    let invalid = Invalid::new(FieldRule::OutOfRange, description);
    Err(Refusal::InvalidField { field: "acceptance.grant_expire_time", invalid })
}

/// Refuses to give roles for longer that the caller may not give.
fn check_roles(command: &Command, acceptance: &Acceptance, expire_at: Option<Timestamp>) -> Result<(), Refusal> {
    let is_longer = match (acceptance.grant_expire_at, expire_at) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(before), Some(after)) => after > before,
    };
    let excess = command.grantable_roles.excess(&acceptance.roles).filter(|_| is_longer);
    excess.map_or(Ok(()), |role| Err(Refusal::RoleNotGrantable(role.to_owned())))
}
