//! Takes an acceptance back, as if it had never been made, or ends it for good.
//!
//! To undo one never fails: it is what a caller does whose own part of an acceptance has failed. Where another invitation has taken
//! the place meanwhile, or the seat in a scope that reserves them, an invitation for one use stays closed. One for several opens
//! without the seat: nobody can create a second link like the one that people have in their hands.

use super::{AcceptanceTarget, affected, event, show};
use crate::domain::command::{Command, CommandRules, ReadSet};
use crate::domain::decide::{AcceptanceChange, Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::erasure::is_for_nobody;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, Release, ReleaseMode};
use crate::domain::invitation::event::payload::ReopenedPayload;
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::{Slot, SlotKey};
use crate::domain::invitation::slot_plan::SlotPlan;
use crate::domain::invitation::state::State;
use crate::domain::seat::Room;
use crate::domain::value::id::InvitationId;
use crate::domain::value::scrubbed::scrubbed;
use crate::domain::value::time::Timestamp;

/// Releases an acceptance.
#[derive(Clone, Debug)]
pub struct ReleaseAcceptance {
    /// The acceptance.
    pub target: AcceptanceTarget,
    /// Whether it is undone, or ended for good.
    pub mode: ReleaseMode,
    /// The reason.
    pub reason: Option<String>,
}

impl CommandRules for ReleaseAcceptance {
    fn read_set(&self) -> ReadSet {
        self.target.read_set()
    }

    fn second_read_set(&self, invitation: &Invitation, _now: Timestamp) -> ReadSet {
        match self.mode {
            ReleaseMode::Undo => ReadSet::of_slots(invitation),
            ReleaseMode::End => ReadSet::default(),
        }
    }

    fn to_reopen(&self, loaded: &Loaded) -> Vec<InvitationId> {
        let acceptance = loaded.acceptance(self.target.invitation, self.target.id);
        let is_undone = self.mode == ReleaseMode::Undo;
        acceptance.filter(|_| is_undone).map_or_else(Vec::new, |acceptance| acceptance.closed.clone())
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        // The invitations that it opens again are not known before the load; this is enough for most.
        10
    }

    fn may_move_seats(&self) -> bool {
        true
    }

    fn may_open(&self) -> bool {
        self.mode == ReleaseMode::Undo
    }

    fn never_fails(&self) -> bool {
        self.mode == ReleaseMode::Undo
    }

    fn not_found(&self) -> Refusal {
        self.target.not_found()
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let (before, acceptance) = self.target.find(loaded, command)?;
        let affected = affected(acceptance);
        match (self.mode, acceptance.release.map(|release| release.mode)) {
            (_, None) => {}
            // Whoever was ended is not let in again by a call that comes late.
            (ReleaseMode::Undo, Some(_)) | (ReleaseMode::End, Some(ReleaseMode::End)) => {
                return Ok(Decided { changes: Changes::default(), affected });
            }
            (ReleaseMode::End, Some(ReleaseMode::Undo)) => return Err(Refusal::AcceptanceReleased),
        }
        let mut maker = Maker::new(loaded, command);
        let mut invitation = maker.touched(before);
        let release = Release { mode: self.mode, at: loaded.now };
        let released = acceptance.changed(|acceptance| acceptance.release = Some(release));
        let mut room = Room::without(loaded, before, acceptance);
        let mut slots = match self.mode {
            ReleaseMode::Undo => {
                give_back_use(&mut invitation, &released, &loaded.acceptances_of(before));
                open_again(loaded, &mut room, before, &mut invitation)
            }
            ReleaseMode::End => Vec::new(),
        };
        show(&mut invitation, &released);
        let event_type = match self.mode {
            ReleaseMode::Undo => EventType::AcceptanceReleased,
            ReleaseMode::End => EventType::AcceptanceEnded,
        };
        let reason = self.reason.as_deref().map(scrubbed);
        let mut events = vec![event(&mut maker, event_type, (&invitation, &released), reason)];
        let mut invitations = vec![Change::Update { invitation, unexpired: false }];
        for (opened, taken) in self.opened_elsewhere(&maker, room, acceptance) {
            let payload = ReopenedPayload { invitation: before.id, acceptance: acceptance.id };
            events.push(maker.event(&opened, EventType::Reopened, Payload::Reopened(payload)));
            invitations.push(Change::Update { invitation: opened, unexpired: false });
            slots.extend(taken);
        }
        let acceptance = Some(AcceptanceChange::Stop(released));
        Ok(Decided { changes: Changes { invitations, acceptance, events, slots, ..Changes::default() }, affected })
    }
}

impl ReleaseAcceptance {
    /// Returns the other invitations that the acceptance has closed, and that are open again without it, with the slots they take.
    fn opened_elsewhere(
        &self,
        maker: &Maker<'_>,
        mut room: Room<'_>,
        acceptance: &Acceptance,
    ) -> Vec<(Invitation, Vec<(SlotKey, Slot)>)> {
        let loaded = maker.loaded;
        let closed = self.to_reopen(loaded).into_iter();
        let closed = closed.filter_map(|id| loaded.invitation(maker.command.account(), id).ok());
        let by_it = closed.filter(|closed| closed.facts.accepted_elsewhere_at == Some(acceptance.accepted_at));
        let opened = by_it.filter_map(|closed| {
            let mut opened = maker.touched(closed);
            opened.facts.accepted_elsewhere_at = None;
            let slots = place_of(loaded, &mut room, &opened)?;
            Some((opened, slots))
        });
        opened.collect()
    }
}

/// Gives back the use that an acceptance has consumed, with what the invitation tells of it. `all` are the acceptances that are
/// known.
fn give_back_use(invitation: &mut Invitation, undone: &Acceptance, all: &[Acceptance]) {
    let stands = |other: &&Acceptance| other.id != undone.id && !other.is_undone();
    invitation.facts.use_count = invitation.facts.use_count.saturating_sub(1);
    if invitation.facts.use_count == 0 {
        invitation.facts.accepted_at = None;
    }
    for recipient in invitation.recipients.iter_mut().filter(|other| Some(other.ordinal) == undone.recipient) {
        let others = all.iter().filter(stands).filter(|other| other.recipient == undone.recipient);
        recipient.accepted_at = others.map(|other| other.accepted_at).min();
    }
    invitation.details.forget_acceptance();
}

/// Opens an invitation again that was used up, and returns the slots that it takes. It stays closed if another one has its place.
fn open_again(
    loaded: &Loaded,
    room: &mut Room<'_>,
    before: &Invitation,
    invitation: &mut Invitation,
) -> Vec<(SlotKey, Slot)> {
    let is_open = |invitation: &Invitation| matches!(invitation.state_at(loaded.now), State::Active | State::Expired);
    if is_open(before) || !is_open(invitation) {
        room.reserve_anyway(invitation);
        return Vec::new();
    }
    let slots = place_of(loaded, room, invitation).or_else(|| {
        let is_for_several = invitation.facts.max_uses != Some(1);
        slots_of(loaded, invitation).filter(|_| is_for_several).inspect(|_| room.reserve_anyway(invitation))
    });
    if slots.is_none() {
        invitation.facts.accepted_elsewhere_at = Some(loaded.now);
    }
    slots.unwrap_or_default()
}

/// Returns the slots that an invitation needs to be open again, and takes the seats that it promises; `None` if another one has them.
fn place_of(loaded: &Loaded, room: &mut Room<'_>, opened: &Invitation) -> Option<Vec<(SlotKey, Slot)>> {
    slots_of(loaded, opened).filter(|_| room.reserve(opened))
}

/// Returns the slots that an invitation needs to be open again; `None` if another one has them, nobody is left whom it is for, or its
/// service has deleted it.
fn slots_of(loaded: &Loaded, opened: &Invitation) -> Option<Vec<(SlotKey, Slot)>> {
    if is_for_nobody(opened) || opened.deleted_at.is_some() {
        return None;
    }
    // One that has expired, or is archived, takes its place when it is renewed.
    if opened.holds_slots_at(loaded.now) {
        SlotPlan::of(loaded, opened).unrivalled(opened).ok()
    } else {
        Some(Vec::new())
    }
}
