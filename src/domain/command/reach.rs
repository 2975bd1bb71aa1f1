//! The invitations that a command may be about, as far as organizations go.

use super::{Access, Action, Command, Target};
use crate::domain::invitation::Invitation;

impl Command {
    /// Returns whether the organizations that the caller may act for let the command be about an invitation. A replay is held
    /// to it as well, so that it shows no more than a first call would.
    pub fn reaches(&self, invitation: &Invitation) -> bool {
        let hosts = |target: &Target| invitation.details.is_hosted_by(target.hosts.as_deref());
        let access = |access: &Access| match access {
            Access::Link(_) => true,
            Access::Name(target) => hosts(target),
        };
        match &self.action {
            Action::Create(create) => create.details.host() == invitation.details.host(),
            Action::Accept(accept) => access(&accept.access),
            Action::Decline(decline) => access(&decline.access),
            Action::Revoke(revoke) => hosts(&revoke.target),
            Action::Resend(resend) => hosts(&resend.target),
            Action::UpdateCreatedConnection(update) => hosts(&update.target),
            Action::UpdateGuest(update) => hosts(&update.target),
            Action::Delete(delete) => hosts(&delete.target),
            Action::RecordEngagement(_)
            | Action::VerifyEmail(_)
            | Action::SyncAutojoin(_)
            | Action::SettleDelivery(_)
            | Action::ReportDelivery(_)
            | Action::Expire(_) => true,
        }
    }
}
