//! The one table from errors to the statuses that clients see. Every status has an ErrorInfo (AIP-193).

mod acceptance;
mod access;
mod json;
mod limit;
mod resource;
mod size;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::violation::Violation;
use crate::auth::permission::Permission;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::Kind;
use crate::domain::value::rule::FieldRule;
use crate::domain::value::time::Timestamp;
use crate::pb::ErrorReason;
use crate::store::{BatchError, ExecuteError};
pub(crate) use access::{
    api_key_revoked, no_organization_of_person, not_authenticated, not_oneself, organization_access_denied,
    organizations_access_denied, permission_denied, permission_not_given, receipt_expired, receipt_invalid,
    role_not_grantable, unauthenticated,
};
pub(crate) use json::{invalid_json_value, malformed, too_many_values};
pub(crate) use limit::{expected_count_exceeded, quota_exceeded, rate_limited, too_many_api_keys};
use limit::{quota_used_up, scope_full};
use resource::{about, about_unnamed, wrong_kind};
pub(crate) use resource::{
    address_not_suppressed, api_key_exists, api_key_not_found, event_not_found, named_delivery_not_found,
    organization_grant_exists, organization_grant_not_found, recipient_not_found, suppression_exists,
    suppression_not_found, webhook_attempt_not_found, webhook_endpoint_not_found,
};
pub(crate) use size::{answer_too_large, bounded, message_too_large, metadata_too_large};

const DOMAIN: &str = "invitation-service";

/// The time that a client is asked to wait before it retries an UNAVAILABLE call.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Returns the code of a reason, which its comment in the proto file and the hundreds of its number repeat.
const fn code(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::InvalidField
        | ErrorReason::MalformedMessage
        | ErrorReason::UnknownField
        | ErrorReason::DomainNotAllowed
        | ErrorReason::RedirectNotAllowed => Code::InvalidArgument,
        ErrorReason::InvitationNotFound
        | ErrorReason::AcceptanceNotFound
        | ErrorReason::CreatedConnectionNotFound
        | ErrorReason::DeliveryNotFound
        | ErrorReason::OrganizationGrantNotFound
        | ErrorReason::RecipientNotFound
        | ErrorReason::WebhookAttemptNotFound
        | ErrorReason::WebhookEndpointNotFound
        | ErrorReason::ApiKeyNotFound
        | ErrorReason::EventNotFound
        | ErrorReason::SuppressionNotFound => Code::NotFound,
        ErrorReason::InvitationExists
        | ErrorReason::CreatedConnectionExists
        | ErrorReason::ApiKeyExists
        | ErrorReason::OrganizationGrantExists
        | ErrorReason::SuppressionExists => Code::AlreadyExists,
        ErrorReason::InvitationExpired
        | ErrorReason::InvitationRevoked
        | ErrorReason::InvitationDeclined
        | ErrorReason::InvitationFulfilled
        | ErrorReason::NotDeclinable
        | ErrorReason::RecipientUnknown
        | ErrorReason::RecipientAnswered
        | ErrorReason::RequestIdReused
        | ErrorReason::WebhookEndpointDisabled
        | ErrorReason::ApiKeyRevoked
        | ErrorReason::WrongKind
        | ErrorReason::MaxUsesBelowUseCount
        | ErrorReason::ScopeFull
        | ErrorReason::AcceptanceReleased
        | ErrorReason::AcceptanceEnded
        | ErrorReason::GrantExpired
        | ErrorReason::ExpectedCountExceeded => Code::FailedPrecondition,
        ErrorReason::Unauthenticated => Code::Unauthenticated,
        ErrorReason::PermissionDenied
        | ErrorReason::OrganizationAccessDenied
        | ErrorReason::RoleNotGrantable
        | ErrorReason::EmailNotAllowed
        | ErrorReason::EmailNotVerified
        | ErrorReason::EmailProofUsed
        | ErrorReason::VerificationCodeInvalid
        | ErrorReason::ReceiptInvalid
        | ErrorReason::ReceiptExpired => Code::PermissionDenied,
        ErrorReason::QuotaExceeded | ErrorReason::RateLimited | ErrorReason::MessageTooLarge => Code::ResourceExhausted,
        ErrorReason::EtagMismatch | ErrorReason::Conflict => Code::Aborted,
        ErrorReason::ResumeTokenExpired => Code::OutOfRange,
        ErrorReason::Unavailable => Code::Unavailable,
        ErrorReason::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorReason::Cancelled => Code::Cancelled,
        ErrorReason::Unimplemented => Code::Unimplemented,
        // The service has no status without a reason; if it had, that would be its own defect.
        ErrorReason::Internal | ErrorReason::Unspecified => Code::Internal,
    }
}

/// The message of INVITATION_EXISTS. In a dry run, the other one may be that of another entry, which has no name.
const EXISTS: &str = "there is an ACTIVE invitation like this already, or another entry of the batch makes one: use it, \
                      revoke it, leave one of the two out, or create with another on_conflict";

/// Creates a status with its reason and its details.
fn status<const N: usize>(reason: ErrorReason, message: &str, metadata: [(&str, String); N]) -> Status {
    Status::with_error_details(code(reason), message, details(reason, metadata))
}

fn details<const N: usize>(reason: ErrorReason, metadata: [(&str, String); N]) -> ErrorDetails {
    let reason = reason.as_str_name().trim_start_matches("ERROR_REASON_");
    let metadata: HashMap<String, String> = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        use ErrorReason as Reason;
        match refusal {
            Refusal::InvitationNotFound => {
                let message = "there is no such invitation: check its name or its token (not the whole link), and the account of the credential";
                about_unnamed(Reason::InvitationNotFound, message, "Invitation")
            }
            Refusal::AcceptanceNotFound(invitation, id) => acceptance::not_found(invitation, id),
            Refusal::CreatedConnectionNotFound(id) => {
                let message = "the invitation has no such created connection: send an acceptance to add it to";
                status(Reason::CreatedConnectionNotFound, message, [("created_connection", id.to_string())])
            }
            Refusal::CreatedConnectionExists(id) => {
                let message = "another acceptance has this created connection, or the acceptance has another one: \
                               send the id of the one that it has";
                status(Reason::CreatedConnectionExists, message, [("created_connection", id.to_string())])
            }
            Refusal::InvitationExists(id, kind) => {
                let name = kind.typed_name(id);
                about(Reason::InvitationExists, EXISTS, &name, [("invitation", name.clone())])
            }
            Refusal::InvitationExistsInBatch => {
                status(Reason::InvitationExists, EXISTS, [("invitation", String::new())])
            }
            Refusal::NotDeclinable => {
                let message = "the invitation is meant for many, so nobody can decline it for all: revoke it instead";
                status(Reason::NotDeclinable, message, [])
            }
            Refusal::InvitationExpired => {
                let message = "the invitation has expired: resend it with a new expiry to renew it";
                status(Reason::InvitationExpired, message, [])
            }
            Refusal::InvitationRevoked => {
                let message = "the invitation has been revoked: create another one";
                status(Reason::InvitationRevoked, message, [])
            }
            Refusal::InvitationDeclined => {
                let message = "the invitation has been declined: create another one if the person asks for it";
                status(Reason::InvitationDeclined, message, [])
            }
            Refusal::InvitationFulfilled => {
                let message = "the invitation has been used up: create another one";
                status(Reason::InvitationFulfilled, message, [])
            }
            Refusal::AcceptanceReleased => acceptance::released(),
            Refusal::AcceptanceEnded => acceptance::ended(),
            Refusal::GrantExpired => acceptance::grant_expired(),
            Refusal::Blocked(blockers) => blockers.into_iter().next().map_or_else(unavailable, Self::from),
            Refusal::RoleNotGrantable(role) => role_not_grantable(&role),
            Refusal::LinkRequired => {
                let permission = Permission::InvitationsAccept.name();
                let message = format!(
                    "the invitation is open to whoever has its link, and its name is no proof of that: accept with the \
                     token, decline with a target, or have the permission {permission} added"
                );
                status(Reason::PermissionDenied, &message, [("permission", permission.to_owned())])
            }
            Refusal::RecipientUnknown => {
                let message = "it is unknown which of the recipients declines: use a mailed link, or InvitationService with a target";
                status(Reason::RecipientUnknown, message, [])
            }
            Refusal::RequestIdReused => {
                let message = "the request_id has been used for another request: send each request with its own id";
                status(Reason::RequestIdReused, message, [])
            }
            Refusal::EtagMismatch => etag_mismatch("invitation"),
            Refusal::AcceptanceEtagMismatch => etag_mismatch("acceptance"),
            Refusal::EmailNotAllowed => access::email_not_allowed(),
            Refusal::EmailNotVerified => access::email_not_verified(),
            Refusal::EmailProofUsed => access::email_proof_used(),
            Refusal::RotationsUsedUp => quota_exceeded(
                "rotations",
                "the link has been rotated as often as it can be: create another invitation",
            ),
            Refusal::RecipientsUsedUp => quota_exceeded(
                "recipients",
                "the invitation has had as many recipients as it can have, removed ones included: create another invitation",
            ),
            Refusal::WrongKind(kind) => wrong_kind(kind),
            Refusal::MaxUsesBelowUseCount(use_count) => {
                let message = format!(
                    "the invitation has been accepted {use_count} times, more often than the new max_uses: send at least that \
                     number, or revoke the invitation"
                );
                status(Reason::MaxUsesBelowUseCount, &message, [("use_count", use_count.to_string())])
            }
            Refusal::TooManyRivals => quota_exceeded(
                "open_invitations",
                "more than 1,000 invitations into the scope are open for these targets: revoke some with RevokeInvitations, or \
                 send fewer targets and smaller batches",
            ),
            Refusal::QuotaExceeded(exceeded) => quota_used_up(&exceeded),
            Refusal::RateLimited(limited) => rate_limited(limited.limit, limited.retry_after),
            Refusal::ScopeFull(full) => scope_full(*full),
            Refusal::DeliveryNotFound => {
                let message = "there is no such delivery: take the message_id from ListDeliveries";
                // A message_id reads like an e-mail address, so it is not repeated.
                about_unnamed(Reason::DeliveryNotFound, message, "Delivery")
            }
            Refusal::LeaseLost => status(Reason::Conflict, "another process has taken the message over", []),
            Refusal::RecipientAnswered(invitation, ordinal) => {
                let message = "the recipient has answered already: leave them out, or create another invitation";
                let name = format!("{}/recipients/{ordinal}", Kind::General.typed_name(invitation));
                about(Reason::RecipientAnswered, message, &name, [("recipient", name.clone())])
            }
            Refusal::InvalidField { field, invalid } => {
                invalid_fields(vec![Violation::new(field, invalid.rule, invalid.description)])
            }
            Refusal::InvalidFieldOf { kind, field, invalid } => {
                let field = format!("{}.{field}", kind.resource_field());
                invalid_fields(vec![Violation::new(field, invalid.rule, invalid.description)])
            }
            Refusal::InvalidEntry { field, index, invalid } => {
                let field = format!("{field}[{index}]");
                invalid_fields(vec![Violation::new(field, invalid.rule, invalid.description)])
            }
        }
    }
}

/// FAILED_PRECONDITION for a request_id that another request has had.
pub(crate) fn request_id_reused() -> Status {
    Refusal::RequestIdReused.into()
}

/// OUT_OF_RANGE for a resume token behind which events have been deleted.
pub(crate) fn resume_token_expired(oldest: Timestamp) -> Status {
    let message = "events behind this resume_token have been deleted: begin again with start_time";
    status(ErrorReason::ResumeTokenExpired, message, [("oldest_time", oldest.to_string())])
}

/// FAILED_PRECONDITION for a call that needs an enabled endpoint.
pub(crate) fn webhook_endpoint_disabled() -> Status {
    let message = "the webhook endpoint is disabled: update it with `disabled` false first";
    status(ErrorReason::WebhookEndpointDisabled, message, [])
}

/// ABORTED for a resource with another etag.
pub(crate) fn etag_mismatch(resource: &str) -> Status {
    let message = format!("the {resource} has changed, or is another one, since this etag was read: read it again");
    status(ErrorReason::EtagMismatch, &message, [])
}

impl From<BatchError> for Status {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Failed(error) => error.into(),
            BatchError::Refused(errors) => errors.into_iter().flatten().next().map_or_else(unavailable, Self::from),
        }
    }
}

impl From<ExecuteError> for Status {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Refused(refusal) => refusal.into(),
            ExecuteError::Unavailable => unavailable(),
            ExecuteError::Conflict => {
                let message = "others kept changing the invitation: try again with the same request_id";
                status(ErrorReason::Conflict, message, [])
            }
            ExecuteError::DeadlineExceeded => deadline_exceeded(),
            ExecuteError::Internal(error_id) => internal(error_id),
        }
    }
}

/// INVALID_ARGUMENT: the request has a field, at a path, that this server does not know.
pub(crate) fn unknown_field(path: &str) -> Status {
    let message = format!("this server does not know the field {path}: leave the field out, or call a newer server");
    status(ErrorReason::UnknownField, &message, [("field", path.to_owned())])
}

/// INVALID_ARGUMENT with every violation there is. The reason is that of a policy if nothing else is wrong.
pub(crate) fn invalid_fields(violations: Vec<Violation>) -> Status {
    // Logs and clients that show no details show the message: it has the first rule in full.
    let first = violations.first().map(Violation::sentence).unwrap_or_default();
    let message = match violations.len() {
        0 | 1 => first,
        more => format!("{first} (and {} more)", more - 1),
    };
    let all_break = |rule| !violations.is_empty() && violations.iter().all(|violation| violation.breaks(rule));
    let reason = if all_break(FieldRule::DomainNotAllowed) {
        ErrorReason::DomainNotAllowed
    } else if all_break(FieldRule::RedirectNotAllowed) {
        ErrorReason::RedirectNotAllowed
    } else {
        ErrorReason::InvalidField
    };
    let mut details = details(reason, []);
    details.set_bad_request(violations.into_iter().map(Violation::into_detail).collect::<Vec<_>>());
    Status::with_error_details(code(reason), message, details)
}

/// NOT_FOUND, the same for missing and foreign messages.
pub(crate) fn delivery_not_found() -> Status {
    Refusal::DeliveryNotFound.into()
}

/// NOT_FOUND, the same for every invitation that the caller cannot see.
pub(crate) fn not_found() -> Status {
    Refusal::InvitationNotFound.into()
}

/// NOT_FOUND for one of several names, the same for every invitation that the caller cannot see.
pub(crate) fn named_not_found(name: &str) -> Status {
    let metadata = [("name", name.to_owned())];
    about(ErrorReason::InvitationNotFound, "there is no such invitation: check the name", name, metadata)
}

/// PERMISSION_DENIED for a verification code, the same whatever is wrong with it.
pub(crate) fn verification_code_invalid() -> Status {
    let message = "the code is wrong, used, tried too often or too old: request another one";
    status(ErrorReason::VerificationCodeInvalid, message, [])
}

/// UNAVAILABLE, to be retried shortly.
pub(crate) fn unavailable() -> Status {
    let mut details = details(ErrorReason::Unavailable, []);
    details.set_retry_info(Some(RETRY_DELAY));
    let message = "the service cannot answer now: try again with the same request_id";
    Status::with_error_details(code(ErrorReason::Unavailable), message, details)
}

/// DEADLINE_EXCEEDED.
pub(crate) fn deadline_exceeded() -> Status {
    status(
        ErrorReason::DeadlineExceeded,
        "the deadline passed before there was an answer: try again with the same request_id",
        [],
    )
}

/// INTERNAL with the id under which the error is logged.
pub(crate) fn internal(error_id: String) -> Status {
    status(ErrorReason::Internal, &format!("internal error: report error_id {error_id}"), [("error_id", error_id)])
}

/// UNIMPLEMENTED for a path or an encoding.
pub(crate) fn unimplemented() -> Status {
    let message = "there is no such method or encoding: check the path, and the release of the server";
    status(ErrorReason::Unimplemented, message, [])
}

/// Replaces the code and the reason of a status that tonic created with those of the contract. The service's own
/// statuses have details and stay.
pub(crate) fn of_tonic(raw: &Status, max_bytes: usize) -> Option<Status> {
    if !raw.details().is_empty() {
        return None;
    }
    Some(match raw.code() {
        // The text is tonic's for a message beyond the limit.
        Code::OutOfRange | Code::ResourceExhausted => message_too_large(max_bytes),
        Code::Unimplemented => unimplemented(),
        Code::Cancelled => status(ErrorReason::Cancelled, "the caller went away", []),
        // A status without details that reaches this arm is always for a request that tonic could not parse.
        _ => status(
            ErrorReason::MalformedMessage,
            "the request is not a message of this method: use a client made of the proto files",
            [],
        ),
    })
}
