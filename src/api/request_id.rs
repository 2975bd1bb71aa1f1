//! What makes a request the same as another: its body without the request_id and, since the same invitation may go by
//! several tokens, without the token. Its id is remembered within the organizations that decide beside it.

use prost::Message;

use crate::pb;

/// A request that may be tried again.
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

macro_rules! retryable {
    (between organizations: $between:literal; $($message:ident: $method:literal $(, $token:ident)?;)+) => {$(
        impl Retryable for pb::$message {
            const METHOD: &'static str = $method;
            const BETWEEN_ORGANIZATIONS: bool = $between;

            fn request_id(&self) -> &str {
                &self.request_id
            }

            fn strip(&mut self) {
                self.request_id.clear();
                $(self.$token.clear();)?
            }
        }
    )+};
}

retryable! {
    between organizations: false;
    CreateConnectionInvitationRequest: "CreateConnectionInvitation";
    CreateReconnectInvitationRequest: "CreateReconnectInvitation";
    RevokeConnectionInvitationRequest: "RevokeConnectionInvitation";
    ResendConnectionInvitationRequest: "ResendConnectionInvitation";
    UpdateCreatedConnectionRequest: "UpdateCreatedConnection";
    AcceptInvitationRequest: "AcceptInvitation", token;
    DeclineInvitationRequest: "DeclineInvitation", token;
    CreateUserInvitationRequest: "CreateUserInvitation";
    DeleteUserInvitationRequest: "DeleteUserInvitation";
    ResendUserInvitationRequest: "ResendUserInvitation";
    CreateInvitationRequest: "CreateInvitation";
    BatchCreateInvitationsRequest: "BatchCreateInvitations";
    AcceptInvitationsRequest: "AcceptInvitations";
    InvitationServiceDeclineInvitationRequest: "InvitationService.DeclineInvitation";
    RevokeInvitationRequest: "RevokeInvitation";
    RevokeScopeInvitationsRequest: "RevokeScopeInvitations";
    ResendInvitationRequest: "ResendInvitation";
    SyncInternalInvitationRequest: "SyncInternalInvitation";
    SyncAutojoinRequest: "SyncAutojoin";
    CreateWebhookEndpointRequest: "CreateWebhookEndpoint";
    UpdateWebhookEndpointRequest: "UpdateWebhookEndpoint";
    DeleteWebhookEndpointRequest: "DeleteWebhookEndpoint";
    RotateWebhookSecretRequest: "RotateWebhookSecret";
    RedeliverEventsRequest: "RedeliverEvents";
}

retryable! {
    between organizations: true;
    CreateGuestInvitationRequest: "CreateGuestInvitation";
    UpdateGuestInvitationRequest: "UpdateGuestInvitation";
    ResendGuestInvitationRequest: "ResendGuestInvitation";
    RevokeGuestInvitationRequest: "RevokeGuestInvitation";
    AcceptGuestInvitationRequest: "AcceptGuestInvitation";
}
