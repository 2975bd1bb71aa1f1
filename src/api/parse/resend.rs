//! The requests that send an invitation again, which every service has.

use super::expiration::Expires;
use super::violations::Violations;
use crate::api::requests::Named;
use crate::domain::command::{Action, ResendInvitation};
use crate::domain::kind::{Kind, Lifetime};
use crate::pb;

/// A request to send an invitation again.
pub(in crate::api) trait Resend: Named + Expires {
    /// Returns whether a new link replaces all earlier ones, and whether mail is sent if the caller decides that.
    fn flags(&self) -> (bool, Option<bool>);

    /// Parses the request to a service for one kind, or for any.
    fn to_resend(&self, violations: &mut Violations, service: Option<Kind>) -> Option<Action> {
        // The decision knows the kind of an invitation that is named by its general name.
        let lifetime = service.map_or(&Lifetime::UNLIMITED, Kind::lifetime);
        let expiry = self.expiry(violations, lifetime);
        let (rotate, send_email) = self.flags();
        let target = self.target(service, violations)?;
        Some(Action::Resend(ResendInvitation { target, rotate, expiry, send_email }))
    }
}

macro_rules! resend {
    ($($message:ident)+) => {$(
        impl Resend for pb::$message {
            fn flags(&self) -> (bool, Option<bool>) {
                (self.rotate_token, self.send_email)
            }
        }
    )+};
}

resend! { ResendConnectionInvitationRequest ResendUserInvitationRequest ResendGuestInvitationRequest ResendInvitationRequest }
