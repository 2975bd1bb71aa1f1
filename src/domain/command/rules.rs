//! The questions that every command answers.

use uuid::Uuid;

use super::{Command, CreateInvitation, CreateOutcome, ReadSet, RequestKey};
use crate::domain::decide::{Context, Decided};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::{Loaded, Rivals};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The rules of one command. A new command has a file of its own, which answers the questions here; the defaults are those of a command that reads and writes
/// its own invitation alone.
pub(in crate::domain) trait CommandRules {
    /// Returns the rows that the decision of the command needs.
    fn read_set(&self) -> ReadSet;
    /// Returns the most rows that the command may write, and the addresses that it searches for.
    fn weight(&self, reminders: &Schedules) -> usize;
    /// Decides the command on the loaded rows.
    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal>;

    /// Returns the further rows that it needs, which depend on the loaded invitation.
    fn second_read_set(&self, _invitation: &Invitation, _now: Timestamp) -> ReadSet {
        ReadSet::default()
    }

    /// Returns the bytes of its lists and of its JSON; its other fields are bounded to some hundred characters each.
    fn bytes(&self) -> usize {
        0
    }

    /// Returns the key under which the use of something that serves once is remembered, if the command brings such a thing.
    fn use_key(&self, _account: &AccountId) -> Option<RequestKey> {
        None
    }

    /// Returns the invitation that it would create, if it invites somebody.
    fn create(&self) -> Option<&CreateInvitation> {
        None
    }

    /// Returns the people whom it invites beside those whom an invitation is for already.
    fn invited(&self) -> &[NewRecipient] {
        &[]
    }

    /// Returns whether those people are mailed their links.
    fn mails_invited(&self) -> bool {
        false
    }

    /// Returns whether an invitation may be open after it that was not before.
    fn may_open(&self) -> bool {
        false
    }

    /// Returns whether it may mail the recipients of the invitation that it is about.
    fn may_mail_again(&self) -> bool {
        false
    }

    /// Returns whether acceptances of the invitation that it is about may give their seats back by it, or need them again.
    fn may_move_seats(&self) -> bool {
        false
    }

    /// Returns the message whose address it may suppress.
    fn may_suppress(&self) -> Option<Uuid> {
        None
    }

    /// Returns those of the invitations found by its search that its decision needs.
    fn found_to_read(&self, _loaded: &Loaded, _rivals: &Rivals) -> Vec<InvitationId> {
        Vec::new()
    }

    /// Returns those invitations beside its own that it may open again, each with the slots that it needs.
    fn to_reopen(&self, _loaded: &Loaded) -> Vec<InvitationId> {
        Vec::new()
    }

    /// Returns whether no limit may keep it from what it opens again.
    fn never_fails(&self) -> bool {
        false
    }

    /// Returns the refusal if its caller does not reach what it is about.
    fn not_found(&self) -> Refusal {
        Refusal::InvitationNotFound
    }

    /// Returns the refusal of a retry whose first call has made an acceptance.
    fn check_replay(&self, _made: &Acceptance, _now: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    /// Returns the outcome, if the command creates an invitation where there is none; the answer was created or not.
    fn create_outcome(&self, _answered: &Invitation, _created: bool) -> Option<CreateOutcome> {
        None
    }

    /// Returns whether the present link of an invitation is one that the command of this actor made.
    fn made_link(&self, _present: &Invitation, _actor: &str) -> bool {
        false
    }
}
