//! The one table from errors to the statuses that clients see. Every status has an ErrorInfo (AIP-193).

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use uuid::Uuid;

use crate::auth::permission::Permission;
use crate::domain::invitation::refusal::Refusal;
use crate::pb::ErrorReason;
use crate::store::{BatchError, ExecuteError};

const DOMAIN: &str = "invitation-service";

/// The time that a client is asked to wait before it retries an UNAVAILABLE call.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Creates a status with its reason and its details.
fn status<const N: usize>(code: Code, reason: ErrorReason, message: &str, metadata: [(&str, String); N]) -> Status {
    Status::with_error_details(code, message, details(reason, metadata))
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
                status(Code::NotFound, Reason::InvitationNotFound, "there is no such invitation", [])
            }
            Refusal::AcceptanceNotFound(id) => {
                let metadata = [("acceptance", id.0.to_string())];
                status(Code::NotFound, Reason::AcceptanceNotFound, "the invitation has no such acceptance", metadata)
            }
            Refusal::CreatedConnectionNotFound(id) => {
                let message = "the invitation has no such created connection";
                let metadata = [("created_connection", id.to_string())];
                status(Code::NotFound, Reason::CreatedConnectionNotFound, message, metadata)
            }
            Refusal::CreatedConnectionExists(id) => {
                let message = "the invitation has this created connection already, or the acceptance has another";
                let metadata = [("created_connection", id.to_string())];
                status(Code::AlreadyExists, Reason::CreatedConnectionExists, message, metadata)
            }
            Refusal::InvitationExists(id, kind) => invitation_exists(&kind.typed_name(id)),
            Refusal::NotDeclinable => {
                let message = "the invitation is meant for many, so nobody can decline it for all";
                status(Code::FailedPrecondition, Reason::NotDeclinable, message, [])
            }
            Refusal::InvitationExpired => {
                status(Code::FailedPrecondition, Reason::InvitationExpired, "the invitation has expired", [])
            }
            Refusal::InvitationRevoked => {
                status(Code::FailedPrecondition, Reason::InvitationRevoked, "the invitation has been revoked", [])
            }
            Refusal::InvitationDeclined => {
                status(Code::FailedPrecondition, Reason::InvitationDeclined, "the invitation has been declined", [])
            }
            Refusal::InvitationFulfilled => {
                status(Code::FailedPrecondition, Reason::InvitationFulfilled, "the invitation has been used up", [])
            }
            Refusal::RecipientUnknown => {
                let message = "it is unknown which of the recipients declines: use a mailed link, or InvitationService with a target";
                status(Code::FailedPrecondition, Reason::RecipientUnknown, message, [])
            }
            Refusal::RequestIdReused => {
                let message = "the request_id has been used for another request";
                status(Code::FailedPrecondition, Reason::RequestIdReused, message, [])
            }
            Refusal::EtagMismatch => {
                status(Code::Aborted, Reason::EtagMismatch, "the invitation has changed since this etag was read", [])
            }
            Refusal::EmailNotAllowed => {
                let message = "the acceptor's e-mail address is none of those invited";
                status(Code::PermissionDenied, Reason::EmailNotAllowed, message, [])
            }
            Refusal::EmailNotVerified => {
                let message = "nothing proves that the e-mail address is the acceptor's";
                status(Code::PermissionDenied, Reason::EmailNotVerified, message, [])
            }
            Refusal::RotationsUsedUp => quota_exceeded("rotations", "the link cannot be rotated any more"),
            Refusal::DeliveryNotFound => {
                status(Code::NotFound, Reason::DeliveryNotFound, "there is no such delivery", [])
            }
            Refusal::LeaseLost => {
                let message = "another process has taken the message over";
                status(Code::Aborted, Reason::Conflict, message, [])
            }
            Refusal::InvalidField { field, description } => {
                invalid_fields(vec![FieldViolation::new(field, description)])
            }
        }
    }
}

/// ALREADY_EXISTS with the name of the invitation that exists.
fn invitation_exists(name: &str) -> Status {
    let message = "there is an ACTIVE invitation like this already";
    already_exists(ErrorReason::InvitationExists, message, "invitation", "invitation.v1/Invitation", name)
}

/// ALREADY_EXISTS with the name of the grant that exists.
pub(crate) fn organization_grant_exists(name: &str) -> Status {
    let message = "there is a grant between these organizations already; update its permissions";
    let (key, resource_type) = ("organization_grant", "invitation.v1/OrganizationGrant");
    already_exists(ErrorReason::OrganizationGrantExists, message, key, resource_type, name)
}

/// NOT_FOUND, the same for missing and foreign grants.
pub(crate) fn organization_grant_not_found() -> Status {
    let message = "there is no such organization grant";
    status(Code::NotFound, ErrorReason::OrganizationGrantNotFound, message, [])
}

/// ABORTED for a grant with another etag.
pub(crate) fn organization_grant_changed() -> Status {
    let message = "the organization grant has changed since this etag was read";
    status(Code::Aborted, ErrorReason::EtagMismatch, message, [])
}

/// FAILED_PRECONDITION for a request_id that another request has had.
pub(crate) fn request_id_reused() -> Status {
    Refusal::RequestIdReused.into()
}

/// NOT_FOUND, the same for missing and foreign endpoints.
pub(crate) fn webhook_endpoint_not_found() -> Status {
    status(Code::NotFound, ErrorReason::WebhookEndpointNotFound, "there is no such webhook endpoint", [])
}

/// NOT_FOUND, the same for missing and foreign attempts.
pub(crate) fn webhook_attempt_not_found() -> Status {
    let message = "there is no such attempt at a webhook endpoint";
    status(Code::NotFound, ErrorReason::WebhookAttemptNotFound, message, [])
}

/// FAILED_PRECONDITION for a call that needs an enabled endpoint.
pub(crate) fn webhook_endpoint_disabled() -> Status {
    let message = "the webhook endpoint is disabled; enable it first";
    status(Code::FailedPrecondition, ErrorReason::WebhookEndpointDisabled, message, [])
}

/// ABORTED for an endpoint with another etag.
pub(crate) fn webhook_endpoint_changed() -> Status {
    let message = "the webhook endpoint has changed since this etag was read";
    status(Code::Aborted, ErrorReason::EtagMismatch, message, [])
}

/// RESOURCE_EXHAUSTED for a limit on the number of rows.
pub(crate) fn quota_exceeded(limit: &str, message: &str) -> Status {
    let mut details = details(ErrorReason::QuotaExceeded, [("limit", limit.to_owned())]);
    details.add_quota_failure_violation(limit, message);
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

fn already_exists(reason: ErrorReason, message: &str, key: &str, resource_type: &str, name: &str) -> Status {
    let mut details = details(reason, [(key, name.to_owned())]);
    details.set_resource_info(resource_type, name, "", message);
    Status::with_error_details(Code::AlreadyExists, message, details)
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
                let message = "others kept changing the invitation; try again";
                status(Code::Aborted, ErrorReason::Conflict, message, [])
            }
            ExecuteError::DeadlineExceeded => deadline_exceeded(),
            ExecuteError::Internal(error_id) => internal(error_id),
        }
    }
}

/// INVALID_ARGUMENT: the request has a field, at a path, that this server does not know.
pub(crate) fn unknown_field(path: &str) -> Status {
    let message = format!("this server does not know the field {path}: leave the field out, or call a newer server");
    status(Code::InvalidArgument, ErrorReason::UnknownField, &message, [("field", path.to_owned())])
}

/// INVALID_ARGUMENT with every violation there is.
pub(crate) fn invalid_fields(violations: Vec<FieldViolation>) -> Status {
    // Logs and clients that show no details show the message: it has the first rule in full.
    let first = violations.first().map(|first| format!("{} {}", first.field, first.description)).unwrap_or_default();
    let message = match violations.len() {
        0 | 1 => first,
        more => format!("{first} (and {} more)", more - 1),
    };
    let mut details = details(ErrorReason::InvalidField, []);
    details.set_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, message, details)
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
    status(Code::NotFound, ErrorReason::InvitationNotFound, "there is no such invitation", metadata)
}

/// UNAUTHENTICATED.
pub(crate) fn unauthenticated() -> Status {
    let message = "send one valid API key as `x-api-key` or as `authorization: Bearer`";
    status(Code::Unauthenticated, ErrorReason::Unauthenticated, message, [])
}

/// PERMISSION_DENIED.
pub(crate) fn permission_denied(caller: &str, permission: Permission) -> Status {
    let permission = permission.name();
    let message = format!("{caller} lacks the permission {permission}");
    let metadata = [("permission", permission.to_owned())];
    status(Code::PermissionDenied, ErrorReason::PermissionDenied, &message, metadata)
}

/// PERMISSION_DENIED for acting for a whole account, or for no organization, with a credential that is bound to one.
pub(crate) fn organization_access_denied() -> Status {
    let message = "the credential is bound to an organization";
    status(Code::PermissionDenied, ErrorReason::OrganizationAccessDenied, message, [])
}

/// PERMISSION_DENIED for acting between organizations; it does not reveal what exists.
pub(crate) fn organizations_access_denied(requester: Uuid, target: Uuid) -> Status {
    let message = "the credential may not act for these organizations";
    let metadata =
        [("requester_organization_id", requester.to_string()), ("target_organization_id", target.to_string())];
    status(Code::PermissionDenied, ErrorReason::OrganizationAccessDenied, message, metadata)
}

/// PERMISSION_DENIED for a verification code, the same whatever is wrong with it.
pub(crate) fn verification_code_invalid() -> Status {
    let message = "the code is wrong, used, tried too often or too old; request another one";
    status(Code::PermissionDenied, ErrorReason::VerificationCodeInvalid, message, [])
}

/// RESOURCE_EXHAUSTED, to be retried after a while.
pub(crate) fn rate_limited(limit: &str, retry_after: Duration) -> Status {
    let mut details = details(ErrorReason::RateLimited, [("limit", limit.to_owned())]);
    details.set_retry_info(Some(retry_after));
    let message = "there were too many requests; try again later";
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// UNAVAILABLE, to be retried shortly.
pub(crate) fn unavailable() -> Status {
    let mut details = details(ErrorReason::Unavailable, []);
    details.set_retry_info(Some(RETRY_DELAY));
    let message = "the service cannot answer now; a retry with the same request_id is safe";
    Status::with_error_details(Code::Unavailable, message, details)
}

/// DEADLINE_EXCEEDED.
pub(crate) fn deadline_exceeded() -> Status {
    status(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, "the deadline passed before there was an answer", [])
}

/// INTERNAL with the id under which the error is logged.
pub(crate) fn internal(error_id: String) -> Status {
    status(Code::Internal, ErrorReason::Internal, "internal error", [("error_id", error_id)])
}

/// Replaces the code and the reason of a status that tonic created with those of the contract. The service's own
/// statuses have details and stay.
pub(crate) fn of_tonic(raw: &Status, max_bytes: usize) -> Option<Status> {
    if !raw.details().is_empty() {
        return None;
    }
    Some(match raw.code() {
        // The text is tonic's for a message beyond the limit.
        Code::OutOfRange | Code::ResourceExhausted => {
            let metadata = [("max_bytes", max_bytes.to_string())];
            status(Code::ResourceExhausted, ErrorReason::MessageTooLarge, "the request message is too large", metadata)
        }
        Code::Unimplemented => {
            status(Code::Unimplemented, ErrorReason::Unimplemented, "there is no such method or encoding", [])
        }
        Code::Cancelled => status(Code::Cancelled, ErrorReason::Cancelled, "the caller went away", []),
        // A status without details that reaches this arm is always for a request that tonic could not parse.
        _ => status(
            Code::InvalidArgument,
            ErrorReason::MalformedMessage,
            "the request is not a message of this method",
            [],
        ),
    })
}
