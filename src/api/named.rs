//! Requests that change one existing invitation: they all have a name, an etag and a request_id.

use super::request_id::Retryable;
use super::resource_name::{InvitationName, parse_name};
use super::violations::Violations;
use crate::domain::value::text;
use crate::pb;

/// A request that names the invitation it changes.
pub(crate) trait Named: Retryable {
    /// Returns the name.
    fn name(&self) -> &str;

    /// Returns the etag; empty for none.
    fn etag(&self) -> &str;

    /// Parses the name, and checks the etag and the request_id. Whether the etag is the present one is decided later.
    fn parse_name(&self, violations: &mut Violations) -> Option<InvitationName> {
        violations.optional("request_id", self.request_id(), text::request_id);
        violations.optional("etag", self.etag(), text::opaque_id);
        parse_name(violations, self.name())
    }
}

macro_rules! named {
    ($($message:ident),+ $(,)?) => {$(
        impl Named for pb::$message {
            fn name(&self) -> &str {
                &self.name
            }

            fn etag(&self) -> &str {
                &self.etag
            }
        }
    )+};
}

named!(
    RevokeConnectionInvitationRequest,
    ResendConnectionInvitationRequest,
    UpdateCreatedConnectionRequest,
    DeleteUserInvitationRequest,
    ResendUserInvitationRequest,
    ResendGuestInvitationRequest,
    RevokeGuestInvitationRequest,
    AcceptGuestInvitationRequest,
    InvitationServiceDeclineInvitationRequest,
    RevokeInvitationRequest,
    ResendInvitationRequest,
);

/// The invitation in the request is the name and the etag.
impl Named for pb::UpdateGuestInvitationRequest {
    fn name(&self) -> &str {
        self.guest_invitation.as_ref().map(|invitation| invitation.name.as_str()).unwrap_or_default()
    }

    fn etag(&self) -> &str {
        self.guest_invitation.as_ref().map(|invitation| invitation.etag.as_str()).unwrap_or_default()
    }

    fn parse_name(&self, violations: &mut Violations) -> Option<InvitationName> {
        violations.optional("request_id", self.request_id(), text::request_id);
        violations.optional("guest_invitation.etag", self.etag(), text::opaque_id);
        violations.required("guest_invitation.name", self.name(), InvitationName::parse)
    }
}
