//! The table of requests: for each request message its RPC, the permission that the RPC needs, if any, the organizations that
//! are checked beside it, and whether the message writes, names an invitation or asks for a page. A message that is
//! used in one of these ways and has no row here does not compile.

use std::collections::BTreeSet;

use prost::Message;

use super::execute::organization_access::OrganizationAccess;
use super::parse::violations::Violations;
use super::resource::InvitationName;
use crate::auth::permission::{Permission, Required};
use crate::domain::command::Target;
use crate::domain::kind::Kind;
use crate::domain::reach::person::Relation;
use crate::domain::value::text;
use crate::pb;

/// The request of an RPC.
pub(crate) trait Rpc: Message + Clone {
    /// The service and the method, as `Service/Method`.
    const METHOD: &'static str;
    /// The credential that a caller needs.
    const REQUIRED: Required;
    /// The organizations whose invitations the call may be about.
    const ACCESS: OrganizationAccess;

    /// Returns the idempotency key; empty if the caller sent none, or the message has none.
    fn request_id(&self) -> &str;

    /// Returns the organization that asks and the one it asks for; empty if the caller sent none, or the message has none.
    fn organizations(&self) -> [&str; 2];
}

/// A request that changes something. It is the same as another if its body is, without the request_id, without validate_only and,
/// since one invitation may go by several tokens, without the token.
pub(crate) trait Write: Rpc {
    /// Returns whether the call decides only, and changes nothing.
    fn validate_only(&self) -> bool;

    /// Empties the fields that may differ in a retry.
    fn strip(&mut self);

    /// Returns the bytes that must be the same in a retry. Maps are sorted, so equal messages have equal bytes.
    fn body(&self) -> Vec<u8> {
        let mut body = self.clone();
        body.strip();
        body.encode_to_vec()
    }
}

/// A request that names an invitation.
pub(crate) trait Named: Rpc {
    /// Returns the name, and the field it is in.
    fn name(&self) -> (&str, &'static str);

    /// Returns the etag, and the field it is in; empty if the caller sent none, or the message has none.
    fn etag(&self) -> (&str, &'static str);

    /// Parses the name and the etag. The etag is compared with the present one later.
    fn target(&self, service: Option<Kind>, violations: &mut Violations) -> Option<Target> {
        let ((etag, etag_field), (name, name_field)) = (self.etag(), self.name());
        let etag = violations.optional(etag_field, etag, text::opaque_id);
        let name = InvitationName::required(violations, name_field, name, service)?;
        Some(Target { etag, ..name.target(service, violations)? })
    }
}

/// A request for a page of a list.
pub(crate) trait Paged: Rpc {
    /// Returns the bytes that must be the same on every page.
    fn query(&self) -> Vec<u8>;

    /// Returns the fields `page_size`, `order_by` and `page_token`.
    fn fields(&self) -> (i32, &str, &str);
}

/// Returns the credential that an RPC requires, by its path; `None` for a path that is no RPC of this service.
pub fn required_by(path: &str) -> Option<Required> {
    RPCS.iter().find(|(known, _)| *known == path).map(|(_, required)| *required)
}

/// Returns the paths of all RPCs of this service.
pub fn paths() -> Vec<&'static str> {
    RPCS.iter().map(|(path, _)| *path).collect()
}

/// The room for an answer of many: a page of a mebibyte, and what it is made of. An account composes four of them at once.
const MANY_BYTES: usize = 4 * 1024 * 1024;

/// Returns the number of bytes that the answer of an RPC may need room for, by its path: 0 unless it shows many things.
pub fn answer_size(path: &str) -> usize {
    let method = path.rsplit('/').next().unwrap_or_default();
    let shows_many = ["List", "Batch", "Export"].iter().any(|verb| method.starts_with(verb));
    if shows_many { MANY_BYTES } else { 0 }
}

/// Returns the names of the services.
pub fn services() -> BTreeSet<&'static str> {
    RPCS.iter().filter_map(|(path, _)| path[1..].split_once('/')).map(|(service, _)| service).collect()
}

macro_rules! requests {
    ($($service:ident {
        $($method:ident($message:ident) $required:tt, $access:ident $([$($property:tt)+])*;)+
    })+) => {
        /// Every RPC of this service by its path, with the credential it requires.
        pub const RPCS: &[(&str, Required)] = &[$($((
            concat!("/invitation.v1.", stringify!($service), "/", stringify!($method)),
            requests!(@required $required),
        ),)+)+];

        $($(
            impl Rpc for pb::$message {
                const METHOD: &'static str = concat!(stringify!($service), "/", stringify!($method));
                const REQUIRED: Required = requests!(@required $required);
                const ACCESS: OrganizationAccess = OrganizationAccess::$access;

                fn request_id(&self) -> &str {
                    requests!(@request_id self $([$($property)+])*)
                }

                fn organizations(&self) -> [&str; 2] {
                    requests!(@organizations self $access)
                }
            }
            $(requests!(@$message $($property)+);)*
        )+)+
    };
    (@organizations $self:ident Request) => { [&$self.requester_organization_id, &$self.target_organization_id] };
    (@organizations $self:ident $access:ident) => { ["", ""] };
    (@required AnyCredential) => { Required::AnyCredential };
    (@required $permission:ident) => { Required::Permission(Permission::$permission) };
    // A person may call too, about the invitations that stand in this relation to them.
    (@required ($permission:ident or self as $relation:ident)) => {
        Required::PermissionOrSelf(Permission::$permission, Relation::$relation)
    };
    (@request_id $self:ident [write] $($rest:tt)*) => { &$self.request_id };
    (@request_id $self:ident [write(without $field:ident)] $($rest:tt)*) => { &$self.request_id };
    (@request_id $self:ident $($rest:tt)*) => { "" };
    (@$message:ident write) => { requests!(@$message strips request_id); };
    (@$message:ident write(without token)) => { requests!(@$message strips request_id, token); };
    // The organizations may come by metadata in one try and by field in another, and are compared beside the body.
    (@$message:ident write(without organizations)) => {
        requests!(@$message strips request_id, requester_organization_id, target_organization_id);
    };
    (@$message:ident strips $($field:ident),+) => {
        impl Write for pb::$message {
            fn validate_only(&self) -> bool {
                self.validate_only
            }

            fn strip(&mut self) {
                self.validate_only = false;
                $(self.$field.clear();)+
            }
        }
    };
    (@$message:ident named) => {
        impl Named for pb::$message {
            fn name(&self) -> (&str, &'static str) {
                (&self.name, "name")
            }

            fn etag(&self) -> (&str, &'static str) {
                (&self.etag, "etag")
            }
        }
    };
    (@$message:ident named(without etag)) => {
        impl Named for pb::$message {
            fn name(&self) -> (&str, &'static str) {
                (&self.name, "name")
            }

            fn etag(&self) -> (&str, &'static str) {
                ("", "etag")
            }
        }
    };
    (@$message:ident named(by $inner:ident)) => {
        impl Named for pb::$message {
            fn name(&self) -> (&str, &'static str) {
                let inner = self.$inner.as_ref().map(|inner| inner.name.as_str());
                (inner.unwrap_or_default(), concat!(stringify!($inner), ".name"))
            }

            // Both may be sent; `parse::update` refuses two that differ.
            fn etag(&self) -> (&str, &'static str) {
                let inner = self.$inner.as_ref().map(|inner| inner.etag.as_str()).filter(|_| self.etag.is_empty());
                inner.map_or((&self.etag, "etag"), |inner| (inner, concat!(stringify!($inner), ".etag")))
            }
        }
    };
    // Rows may also be skipped, by a number that may differ from page to page (AIP-158).
    (@$message:ident paged(and skips)) => { requests!(@$message pages skip); };
    (@$message:ident paged) => { requests!(@$message pages); };
    (@$message:ident pages $($skip:ident)?) => {
        impl Paged for pb::$message {
            fn query(&self) -> Vec<u8> {
                let mut query = self.clone();
                query.page_size = 0;
                query.page_token.clear();
                $(query.$skip = 0;)?
                query.encode_to_vec()
            }

            fn fields(&self) -> (i32, &str, &str) {
                (self.page_size, &self.order_by, &self.page_token)
            }
        }
    };
}

requests! {
    ConnectionInvitationService {
        CreateConnectionInvitation(CreateConnectionInvitationRequest) ConnectionInvitationsWrite, Caller [write];
        CreateReconnectInvitation(CreateReconnectInvitationRequest) ConnectionInvitationsWrite, Caller [write];
        GetConnectionInvitation(GetConnectionInvitationRequest) ConnectionInvitationsRead, Caller [named(without etag)];
        ListConnectionInvitations(ListConnectionInvitationsRequest) ConnectionInvitationsRead, Caller [paged];
        UpdateConnectionInvitation(UpdateConnectionInvitationRequest) ConnectionInvitationsWrite, Caller
            [write] [named(by connection_invitation)];
        RevokeConnectionInvitation(RevokeConnectionInvitationRequest) ConnectionInvitationsWrite, Caller [write] [named];
        ResendConnectionInvitation(ResendConnectionInvitationRequest) ConnectionInvitationsWrite, Caller [write] [named];
        RecordCreatedConnection(RecordCreatedConnectionRequest) ConnectionInvitationsWrite, Caller [write] [named];
    }
    UserInvitationService {
        CreateUserInvitation(CreateUserInvitationRequest) UserInvitationsWrite, Caller [write];
        BatchCreateUserInvitations(BatchCreateUserInvitationsRequest) UserInvitationsWrite, Caller [write];
        GetUserInvitation(GetUserInvitationRequest) UserInvitationsRead, Caller [named(without etag)];
        ListUserInvitations(ListUserInvitationsRequest) UserInvitationsRead, Caller [paged];
        UpdateUserInvitation(UpdateUserInvitationRequest) UserInvitationsWrite, Caller [write] [named(by user_invitation)];
        RevokeUserInvitation(RevokeUserInvitationRequest) UserInvitationsWrite, Caller [write] [named];
        DeleteUserInvitation(DeleteUserInvitationRequest) UserInvitationsWrite, Caller [write] [named];
        ResendUserInvitation(ResendUserInvitationRequest) UserInvitationsWrite, Caller [write] [named];
    }
    GuestInvitationService {
        CreateGuestInvitation(CreateGuestInvitationRequest) GuestInvitationsWrite, Request [write(without organizations)];
        GetGuestInvitation(GetGuestInvitationRequest) GuestInvitationsRead, Request [named(without etag)];
        ListGuestInvitations(ListGuestInvitationsRequest) GuestInvitationsRead, Request [paged(and skips)];
        UpdateGuestInvitation(UpdateGuestInvitationRequest) GuestInvitationsWrite, Request
            [write(without organizations)] [named(by guest_invitation)];
        ResendGuestInvitation(ResendGuestInvitationRequest) GuestInvitationsWrite, Request [write(without organizations)] [named];
        RevokeGuestInvitation(RevokeGuestInvitationRequest) GuestInvitationsWrite, Request [write(without organizations)] [named];
        AcceptGuestInvitation(AcceptGuestInvitationRequest) GuestInvitationsWrite, Request [write(without organizations)] [named];
    }
    InvitationService {
        CreateInvitation(CreateInvitationRequest) InvitationsWrite, Caller [write];
        BatchCreateInvitations(BatchCreateInvitationsRequest) InvitationsWrite, Caller [write];
        GetInvitation(GetInvitationRequest) InvitationsRead, Caller [named(without etag)];
        ListInvitations(ListInvitationsRequest) (InvitationsRead or self as Inviter), Caller [paged];
        BatchGetInvitations(BatchGetInvitationsRequest) InvitationsRead, Caller;
        GetAcceptance(GetAcceptanceRequest) InvitationsRead, Caller;
        ListAcceptances(ListAcceptancesRequest) InvitationsRead, Caller [paged];
        ReleaseAcceptance(ReleaseAcceptanceRequest) AcceptancesWrite, Caller [write];
        UpdateAcceptance(UpdateAcceptanceRequest) AcceptancesWrite, Caller [write];
        CheckAcceptance(CheckAcceptanceRequest) InvitationsRead, LinkOrName;
        GetRecipient(GetRecipientRequest) InvitationsRead, Caller;
        ListRecipients(ListRecipientsRequest) InvitationsRead, Caller [paged];
        ListOpenInvitations(ListOpenInvitationsRequest) (InvitationsRedeem or self as Recipient), Caller [paged];
        AcceptInvitations(AcceptInvitationsRequest) (InvitationsRedeem or self as Recipient), Caller [write];
        DeclineInvitations(DeclineInvitationsRequest) (InvitationsRedeem or self as Recipient), Caller [write];
        SettleInvitations(SettleInvitationsRequest) (InvitationsRedeem or self as Recipient), Caller [write];
        RevokeInvitation(RevokeInvitationRequest) InvitationsWrite, Caller [write] [named];
        RevokeInvitations(RevokeInvitationsRequest) InvitationsWrite, Caller [write];
        ReassignInvitations(ReassignInvitationsRequest) InvitationsWrite, Caller [write];
        UpdateInvitation(UpdateInvitationRequest) InvitationsWrite, Caller [write] [named(by invitation)];
        ResendInvitation(ResendInvitationRequest) InvitationsWrite, Caller [write] [named];
        SyncInternalInvitation(SyncInternalInvitationRequest) InvitationsWrite, Caller [write];
    }
    ScopeService {
        GetAutojoin(GetAutojoinRequest) InvitationsRead, Account;
        SyncAutojoin(SyncAutojoinRequest) InvitationsWrite, Account [write];
        GetScopeSettings(GetScopeSettingsRequest) InvitationsRead, Account;
        UpdateScopeSettings(UpdateScopeSettingsRequest) InvitationsWrite, Account [write];
        OccupySeats(OccupySeatsRequest) InvitationsWrite, Account [write];
        VacateSeats(VacateSeatsRequest) InvitationsWrite, Account [write];
        ListSeats(ListSeatsRequest) InvitationsRead, Account [paged];
    }
    RedemptionService {
        PreviewInvitation(PreviewInvitationRequest) (InvitationsRedeem or self as LinkHolder), Link;
        AcceptInvitation(AcceptInvitationRequest) (InvitationsRedeem or self as LinkHolder), Link [write(without token)];
        DeclineInvitation(DeclineInvitationRequest) (InvitationsRedeem or self as LinkHolder), Link [write(without token)];
        RecordEngagement(RecordEngagementRequest) InvitationsRedeem, Link [write(without token)];
        SendVerificationCode(SendVerificationCodeRequest) InvitationsRedeem, LinkOrName;
        VerifyEmail(VerifyEmailRequest) InvitationsRedeem, LinkOrName;
        VerifyReceipt(VerifyReceiptRequest) InvitationsRedeem, Link;
    }
    AccessService {
        GetCaller(GetCallerRequest) AnyCredential, Caller;
        CreateApiKey(CreateApiKeyRequest) ApiKeysWrite, Caller [write];
        GetApiKey(GetApiKeyRequest) ApiKeysRead, Caller;
        ListApiKeys(ListApiKeysRequest) ApiKeysRead, Caller [paged];
        UpdateApiKey(UpdateApiKeyRequest) ApiKeysWrite, Caller [write];
        RevokeApiKey(RevokeApiKeyRequest) ApiKeysWrite, Caller [write];
        GetQuota(GetQuotaRequest) QuotaRead, Caller;
        CreateOrganizationGrant(CreateOrganizationGrantRequest) OrganizationGrantsWrite, Account [write];
        GetOrganizationGrant(GetOrganizationGrantRequest) OrganizationGrantsRead, Account;
        ListOrganizationGrants(ListOrganizationGrantsRequest) OrganizationGrantsRead, Account [paged];
        UpdateOrganizationGrant(UpdateOrganizationGrantRequest) OrganizationGrantsWrite, Account [write];
        DeleteOrganizationGrant(DeleteOrganizationGrantRequest) OrganizationGrantsWrite, Account [write];
    }
    EventService {
        GetEvent(GetEventRequest) EventsRead, Caller;
        ListEvents(ListEventsRequest) EventsRead, Caller [paged];
        WatchEvents(WatchEventsRequest) EventsRead, Caller;
    }
    DeliveryService {
        GetDelivery(GetDeliveryRequest) DeliveriesRead, Caller;
        ListDeliveries(ListDeliveriesRequest) DeliveriesRead, Caller [paged];
        ReportDeliveryStatus(ReportDeliveryStatusRequest) DeliveriesWrite, Caller [write];
        RedeliverDeliveries(RedeliverDeliveriesRequest) DeliveriesWrite, Caller [write];
    }
    SuppressionService {
        CreateSuppression(CreateSuppressionRequest) SuppressionsWrite, Account [write];
        GetSuppression(GetSuppressionRequest) SuppressionsRead, Account;
        LookupSuppression(LookupSuppressionRequest) SuppressionsRead, Account;
        ListSuppressions(ListSuppressionsRequest) SuppressionsRead, Account [paged];
        DeleteSuppression(DeleteSuppressionRequest) SuppressionsWrite, Account [write];
    }
    PrivacyService {
        EraseRecipient(EraseRecipientRequest) PrivacyWrite, Account [write];
        ExportRecipient(ExportRecipientRequest) PrivacyRead, Account [paged];
    }
    WebhookService {
        CreateWebhookEndpoint(CreateWebhookEndpointRequest) WebhooksWrite, Account [write];
        GetWebhookEndpoint(GetWebhookEndpointRequest) WebhooksRead, Account;
        ListWebhookEndpoints(ListWebhookEndpointsRequest) WebhooksRead, Account [paged];
        UpdateWebhookEndpoint(UpdateWebhookEndpointRequest) WebhooksWrite, Account [write];
        DeleteWebhookEndpoint(DeleteWebhookEndpointRequest) WebhooksWrite, Account [write];
        RotateWebhookSecret(RotateWebhookSecretRequest) WebhooksWrite, Account [write];
        TestWebhookEndpoint(TestWebhookEndpointRequest) WebhooksWrite, Account;
        GetWebhookAttempt(GetWebhookAttemptRequest) WebhooksRead, Account;
        ListWebhookAttempts(ListWebhookAttemptsRequest) WebhooksRead, Account [paged];
        RedeliverWebhookEvents(RedeliverWebhookEventsRequest) WebhooksWrite, Account [write];
    }
}
