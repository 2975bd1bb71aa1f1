//! The requests that send an invitation again, which every service has.

use super::expiration::Expires;
use super::violations::Violations;
use crate::api::requests::Named;
use crate::api::resource::parse_recipient;
use crate::domain::command::{Action, ResendInvitation, Target};
use crate::domain::kind::{Kind, Lifetime};
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::pb;

/// The most recipients that a request names.
const MAX_RECIPIENTS: usize = 100;

/// A request to send an invitation again.
pub(in crate::api) trait Resend: Named + Expires {
    /// Returns whether a new link replaces all earlier ones, and whether mail is sent if the caller decides that.
    fn flags(&self) -> (bool, Option<bool>);

    /// Returns the names of the only recipients who are mailed; empty for all who have not answered.
    fn recipients(&self) -> &[String];

    /// Parses the request to a service for one kind, or for any.
    fn to_resend(&self, violations: &mut Violations, service: Option<Kind>) -> Option<Action> {
        // The decision knows the kind of an invitation that is named by its general name.
        let lifetime = service.map_or(&Lifetime::UNLIMITED, Kind::lifetime);
        let expiry = self.expiry(violations, lifetime);
        let (rotate, send_email) = self.flags();
        let target = self.target(service, violations);
        let recipients = ordinals(violations, ("recipients", MAX_RECIPIENTS), self.recipients(), target.as_ref());
        if send_email == Some(false) && !self.recipients().is_empty() {
            violations.add("recipients", FieldRule::Conflicts, "must be empty if `send_email` is false");
        }
        Some(Action::Resend(ResendInvitation { target: target?, rotate, expiry, send_email, recipients }))
    }
}

/// Parses the names of recipients of the target. The decision knows which ordinals there are.
pub(super) fn ordinals(
    violations: &mut Violations,
    (field, most): (&str, usize),
    names: &[String],
    target: Option<&Target>,
) -> Vec<u16> {
    violations.each(field, names, most, |name| match parse_recipient(name)? {
        (invitation, ordinal) if target.is_none_or(|target| target.id == invitation) => Ok(ordinal),
        _ => Err(Invalid::new(FieldRule::Conflicts, "must be a recipient of the invitation")),
    })
}

macro_rules! resend {
    ($($message:ident)+) => {$(
        impl Resend for pb::$message {
            fn flags(&self) -> (bool, Option<bool>) {
                (self.rotate_token, self.send_email)
            }

            fn recipients(&self) -> &[String] {
                &self.recipients
            }
        }
    )+};
}

resend! { ResendConnectionInvitationRequest ResendUserInvitationRequest ResendGuestInvitationRequest ResendInvitationRequest }
