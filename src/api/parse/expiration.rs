//! The expiry in a request: a moment, a time to live, or never.

use super::violations::Violations;
use super::{moment, ttl};
use crate::domain::command::{Expiry, ExpiryTime};
use crate::domain::kind::Lifetime;
use crate::pb;

/// The oneof `expiration` of any message that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    ExpireTime(prost_types::Timestamp),
    Ttl(prost_types::Duration),
    Never(()),
}

/// A message with the oneof `expiration`. Each has a Rust type of its own for the oneof.
pub(crate) trait Expires {
    /// The paths of `expire_time`, `ttl` and `never` in the request.
    const PATHS: [&'static str; 3];

    /// Returns the field that is set.
    fn given(&self) -> Option<Given>;

    /// Parses the expiry; `None` if no field is set. Whether a moment lies in the future is left to the decision.
    fn expiry(&self, violations: &mut Violations, lifetime: &Lifetime) -> Option<Expiry> {
        let [expire_time, ttl_field, never] = Self::PATHS;
        let (time, field) = match self.given()? {
            Given::ExpireTime(at) => (ExpiryTime::At(moment(violations, expire_time, Some(at))?), expire_time),
            Given::Ttl(span) => (ExpiryTime::After(ttl(violations, ttl_field, Some(span))?), ttl_field),
            Given::Never(()) => (ExpiryTime::Never, never),
        };
        let expiry = Expiry { time, field };
        violations.take(field, lifetime.check(time))?;
        Some(expiry)
    }
}

macro_rules! expires {
    ($($message:ident in $module:ident $path:literal;)+) => {$(
        impl Expires for pb::$message {
            const PATHS: [&'static str; 3] =
                [concat!($path, "expire_time"), concat!($path, "ttl"), concat!($path, "never")];

            fn given(&self) -> Option<Given> {
                use pb::$module::Expiration;
                self.expiration.map(|given| match given {
                    Expiration::ExpireTime(at) => Given::ExpireTime(at),
                    Expiration::Ttl(span) => Given::Ttl(span),
                    Expiration::Never(never) => Given::Never(never),
                })
            }
        }
    )+};
}

expires! {
    ConnectionInvitation in connection_invitation "connection_invitation.";
    CreateReconnectInvitationRequest in create_reconnect_invitation_request "";
    ResendConnectionInvitationRequest in resend_connection_invitation_request "";
    UserInvitation in user_invitation "user_invitation.";
    ResendUserInvitationRequest in resend_user_invitation_request "";
    GuestInvitation in guest_invitation "guest_invitation.";
    ResendGuestInvitationRequest in resend_guest_invitation_request "";
    Invitation in invitation "invitation.";
    ResendInvitationRequest in resend_invitation_request "";
}
