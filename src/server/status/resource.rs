//! The statuses about one resource, which they name: see google.rpc.ResourceInfo.

use tonic::Status;
use tonic_types::StatusExt;

use super::{code, details, status};
use crate::domain::kind::Kind;
use crate::pb::ErrorReason;

/// The service part of the types of resources (AIP-122).
const RESOURCE_PACKAGE: &str = crate::pb::PACKAGE;

/// Creates a status about a resource, whose type follows from its name.
pub(super) fn about<const N: usize>(
    reason: ErrorReason,
    message: &str,
    name: &str,
    metadata: [(&str, String); N],
) -> Status {
    let mut details = details(reason, metadata);
    details.set_resource_info(resource_type(name), name, "", message);
    Status::with_error_details(code(reason), message, details)
}

/// Creates a status about a resource of a type, whose name the caller did not send.
pub(super) fn about_unnamed(reason: ErrorReason, message: &str, resource: &str) -> Status {
    let mut details = details(reason, []);
    details.set_resource_info(format!("{RESOURCE_PACKAGE}/{resource}"), "", "", message);
    Status::with_error_details(code(reason), message, details)
}

/// Returns the type of a resource: the message that its collection is named after, `invitation.v1/GuestInvitation` for
/// `guestInvitations/{uuid}` for example.
pub(super) fn resource_type(name: &str) -> String {
    let collection = match name.rsplit('/').nth(1).unwrap_or(name) {
        // The only collection whose name is shorter than that of its message.
        "attempts" => "webhookAttempts",
        collection => collection,
    };
    let singular = match (collection.strip_suffix("ies"), collection.strip_suffix('s')) {
        (Some(stem), _) => format!("{stem}y"),
        (None, stem) => stem.unwrap_or(collection).to_owned(),
    };
    let (first, rest) = singular.split_at_checked(1).unwrap_or_default();
    format!("{RESOURCE_PACKAGE}/{}{rest}", first.to_uppercase())
}

/// ALREADY_EXISTS with the name of the grant that exists.
pub(crate) fn organization_grant_exists(name: &str) -> Status {
    let message = "there is a grant between these organizations already: update its permissions";
    let metadata = [("organization_grant", name.to_owned())];
    about(ErrorReason::OrganizationGrantExists, message, name, metadata)
}

/// NOT_FOUND, the same for missing and foreign grants.
pub(crate) fn organization_grant_not_found(name: &str) -> Status {
    let message = "there is no such organization grant: take the name from ListOrganizationGrants";
    about(ErrorReason::OrganizationGrantNotFound, message, name, [])
}

/// ALREADY_EXISTS with the name of the key that exists, or existed.
pub(crate) fn api_key_exists(name: &str) -> Status {
    let message = "the account has, or had, an API key with this id: choose another one";
    about(ErrorReason::ApiKeyExists, message, name, [("api_key", name.to_owned())])
}

/// NOT_FOUND, the same for missing and foreign keys.
pub(crate) fn api_key_not_found(name: &str) -> Status {
    let message = "there is no such API key: take the name from ListApiKeys";
    about(ErrorReason::ApiKeyNotFound, message, name, [])
}

/// ALREADY_EXISTS with the name of the suppression that exists.
pub(crate) fn suppression_exists(name: &str) -> Status {
    let message = "the address is suppressed already: delete that suppression first if it is to have another reason";
    about(ErrorReason::SuppressionExists, message, name, [("suppression", name.to_owned())])
}

/// NOT_FOUND, the same for missing and foreign suppressions.
pub(crate) fn suppression_not_found(name: &str) -> Status {
    let message = "there is no such suppression: take the name from ListSuppressions";
    about(ErrorReason::SuppressionNotFound, message, name, [])
}

/// NOT_FOUND for an address that is not suppressed, which is not repeated.
pub(crate) fn address_not_suppressed() -> Status {
    about_unnamed(ErrorReason::SuppressionNotFound, "the address is not suppressed: check its spelling", "Suppression")
}

/// NOT_FOUND, the same for missing and foreign endpoints.
pub(crate) fn webhook_endpoint_not_found(name: &str) -> Status {
    let message = "there is no such webhook endpoint: take the name from ListWebhookEndpoints";
    about(ErrorReason::WebhookEndpointNotFound, message, name, [])
}

/// NOT_FOUND, the same for missing and foreign recipients.
pub(crate) fn recipient_not_found(name: &str) -> Status {
    let message = "there is no such recipient: take the name from ListRecipients";
    about(ErrorReason::RecipientNotFound, message, name, [("recipient", name.to_owned())])
}

/// NOT_FOUND, the same for missing and foreign attempts.
pub(crate) fn webhook_attempt_not_found(name: &str) -> Status {
    let message = "there is no such attempt at a webhook endpoint: take the name from ListWebhookAttempts";
    about(ErrorReason::WebhookAttemptNotFound, message, name, [])
}

/// NOT_FOUND, the same for every delivery that the caller cannot see by its name.
pub(crate) fn named_delivery_not_found(name: &str) -> Status {
    about(ErrorReason::DeliveryNotFound, "there is no such delivery: take the name from ListDeliveries", name, [])
}

/// NOT_FOUND for an event that an invitation does not have.
pub(crate) fn event_not_found(name: &str) -> Status {
    about(ErrorReason::EventNotFound, "the invitation has no such event: take the name from ListEvents", name, [])
}

/// FAILED_PRECONDITION for an update of an invitation of a kind by the service of another one.
pub(super) fn wrong_kind(kind: Kind) -> Status {
    let rpc = match kind {
        Kind::Connection => "ConnectionInvitationService/UpdateConnectionInvitation",
        Kind::User => "UserInvitationService/UpdateUserInvitation",
        Kind::Guest => "GuestInvitationService/UpdateGuestInvitation",
        Kind::General => "InvitationService/UpdateInvitation",
    };
    let rpc = format!("{}.{rpc}", crate::pb::PACKAGE);
    let message = format!("the invitation is of another kind: update it with {rpc}");
    status(ErrorReason::WrongKind, &message, [("rpc", rpc.clone())])
}
