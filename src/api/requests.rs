//! The table of requests: for each message that may be tried again, that names what it changes, or that asks for a page, the method
//! it is for and what makes it so. A message that is used in one of these ways and has no row here does not compile.

use prost::Message;

use super::page::Paged;
use super::resource_name::{InvitationName, parse_name};
use super::violations::Violations;
use crate::domain::value::text;
use crate::pb;

/// A request that may be tried again. It is the same as another if its body is, without the request_id and, since one invitation may
/// go by several tokens, without the token. Its id is remembered within the organizations that decide beside it.
pub(crate) trait Retryable: Message + Clone {
    /// The method it is for.
    const METHOD: &'static str;

    /// Whether the organizations in the call's metadata decide beside it.
    const BETWEEN_ORGANIZATIONS: bool;

    /// Returns its request_id; empty for none.
    fn request_id(&self) -> &str;

    /// Empties what does not count.
    fn strip(&mut self);

    /// Returns the bytes that must be the same in a retry. Maps are sorted, so equal messages have equal bytes.
    fn body(&self) -> Vec<u8> {
        let mut body = self.clone();
        body.strip();
        body.encode_to_vec()
    }
}

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

macro_rules! requests {
    ($($message:ident: $method:literal $([$($property:tt)+])+;)+) => {$(
        $(requests!(@$message $method $($property)+);)+
    )+};
    (@$message:ident $method:literal retryable) => { requests!(@$message $method retryable false,); };
    (@$message:ident $method:literal retryable(between organizations)) => {
        requests!(@$message $method retryable true,);
    };
    (@$message:ident $method:literal retryable(without $secret:ident)) => {
        requests!(@$message $method retryable false, $secret);
    };
    (@$message:ident $method:literal retryable $between:literal, $($secret:ident)?) => {
        impl Retryable for pb::$message {
            const METHOD: &'static str = $method;
            const BETWEEN_ORGANIZATIONS: bool = $between;

            fn request_id(&self) -> &str {
                &self.request_id
            }

            fn strip(&mut self) {
                self.request_id.clear();
                $(self.$secret.clear();)?
            }
        }
    };
    (@$message:ident $method:literal named) => {
        impl Named for pb::$message {
            fn name(&self) -> &str {
                &self.name
            }

            fn etag(&self) -> &str {
                &self.etag
            }
        }
    };
    (@$message:ident $method:literal paged) => {
        impl Paged for pb::$message {
            const METHOD: &'static str = $method;

            fn query(&self) -> Vec<u8> {
                let mut query = self.clone();
                query.page_size = 0;
                query.page_token.clear();
                query.encode_to_vec()
            }

            fn fields(&self) -> (i32, &str, &str) {
                (self.page_size, &self.order_by, &self.page_token)
            }
        }
    };
}

requests! {
    CreateConnectionInvitationRequest: "CreateConnectionInvitation" [retryable];
    CreateReconnectInvitationRequest: "CreateReconnectInvitation" [retryable];
    RevokeConnectionInvitationRequest: "RevokeConnectionInvitation" [retryable] [named];
    ResendConnectionInvitationRequest: "ResendConnectionInvitation" [retryable] [named];
    UpdateCreatedConnectionRequest: "UpdateCreatedConnection" [retryable] [named];
    AcceptInvitationRequest: "AcceptInvitation" [retryable(without token)];
    DeclineInvitationRequest: "DeclineInvitation" [retryable(without token)];
    CreateUserInvitationRequest: "CreateUserInvitation" [retryable];
    DeleteUserInvitationRequest: "DeleteUserInvitation" [retryable] [named];
    ResendUserInvitationRequest: "ResendUserInvitation" [retryable] [named];
    CreateInvitationRequest: "CreateInvitation" [retryable];
    BatchCreateInvitationsRequest: "BatchCreateInvitations" [retryable];
    AcceptInvitationsRequest: "AcceptInvitations" [retryable];
    InvitationServiceDeclineInvitationRequest: "InvitationService.DeclineInvitation" [retryable] [named];
    RevokeInvitationRequest: "RevokeInvitation" [retryable] [named];
    RevokeScopeInvitationsRequest: "RevokeScopeInvitations" [retryable];
    ResendInvitationRequest: "ResendInvitation" [retryable] [named];
    SyncInternalInvitationRequest: "SyncInternalInvitation" [retryable];
    SyncAutojoinRequest: "SyncAutojoin" [retryable];
    CreateWebhookEndpointRequest: "CreateWebhookEndpoint" [retryable];
    UpdateWebhookEndpointRequest: "UpdateWebhookEndpoint" [retryable];
    DeleteWebhookEndpointRequest: "DeleteWebhookEndpoint" [retryable];
    RotateWebhookSecretRequest: "RotateWebhookSecret" [retryable];
    RedeliverEventsRequest: "RedeliverEvents" [retryable];
    CreateGuestInvitationRequest: "CreateGuestInvitation" [retryable(between organizations)];
    UpdateGuestInvitationRequest: "UpdateGuestInvitation" [retryable(between organizations)];
    ResendGuestInvitationRequest: "ResendGuestInvitation" [retryable(between organizations)] [named];
    RevokeGuestInvitationRequest: "RevokeGuestInvitation" [retryable(between organizations)] [named];
    AcceptGuestInvitationRequest: "AcceptGuestInvitation" [retryable(between organizations)] [named];
    ListConnectionInvitationsRequest: "ListConnectionInvitations" [paged];
    ListInvitationsRequest: "ListInvitations" [paged];
    ListEventsRequest: "ListEvents" [paged];
    ListUserInvitationsRequest: "ListUserInvitations" [paged];
    ListAcceptancesRequest: "ListAcceptances" [paged];
    ListOpenInvitationsRequest: "ListOpenInvitations" [paged];
    ListOrganizationConnectionsRequest: "ListOrganizationConnections" [paged];
    ListDeliveriesRequest: "ListDeliveries" [paged];
    ListWebhookEndpointsRequest: "ListWebhookEndpoints" [paged];
    ListWebhookAttemptsRequest: "ListWebhookAttempts" [paged];
}

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
