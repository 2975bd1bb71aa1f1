//! The statuses about credentials and what they may do.

use tonic::Status;
use uuid::Uuid;

use super::{status, unavailable};
use crate::auth::caller::Caller;
use crate::auth::permission::Permission;
use crate::auth::refused_caller::NoCaller;
use crate::pb::ErrorReason;

/// UNAUTHENTICATED.
pub(crate) fn unauthenticated() -> Status {
    let message = "there is no valid credential: send one API key as `x-api-key`, or one API key or JWT as `authorization: Bearer`";
    status(ErrorReason::Unauthenticated, message, [])
}

/// UNAUTHENTICATED, or UNAVAILABLE if the credential cannot be judged: it may be a good one.
pub(crate) fn not_authenticated(error: NoCaller) -> Status {
    match error {
        NoCaller::Unauthenticated => unauthenticated(),
        NoCaller::Unavailable => unavailable(),
    }
}

/// PERMISSION_DENIED.
pub(crate) fn permission_denied(caller: &Caller, permission: Permission) -> Status {
    let (caller, is_person, permission) = (&caller.name, caller.person().is_some(), permission.name());
    let message = match is_person {
        true => format!("a person may not call this, which needs the permission {permission}: have a service call it"),
        false => format!("{caller} lacks the permission {permission}: have it added, or use another credential"),
    };
    let metadata = [("permission", permission.to_owned())];
    status(ErrorReason::PermissionDenied, &message, metadata)
}

/// PERMISSION_DENIED for a field by which a person would speak for somebody else, or as a service.
pub(crate) fn not_oneself(field: &str) -> Status {
    let message = format!("a person acts as themselves alone: leave {field} out");
    status(ErrorReason::PermissionDenied, &message, [("field", field.to_owned())])
}

/// PERMISSION_DENIED for giving a permission that the caller does not have.
pub(crate) fn permission_not_given(caller: &str, permission: &str) -> Status {
    let message = format!("{caller} lacks the permission {permission}, so it cannot give it to a key: leave it out");
    status(ErrorReason::PermissionDenied, &message, [("permission", permission.to_owned())])
}

/// PERMISSION_DENIED for a role that the credential or its account may not give; empty for any role.
pub(crate) fn role_not_grantable(role: &str) -> Status {
    let message =
        "the credential or the account may not give this role: leave it out, or have it added to their grantable_roles";
    status(ErrorReason::RoleNotGrantable, message, [("role", role.to_owned())])
}

/// PERMISSION_DENIED for a text that is no receipt for the caller's account; it does not reveal whose it is.
pub(crate) fn receipt_invalid() -> Status {
    let message = "this is no receipt for the account of the credential: send the query parameter `receipt` as it came";
    status(ErrorReason::ReceiptInvalid, message, [])
}

/// PERMISSION_DENIED for a receipt that has expired.
pub(crate) fn receipt_expired() -> Status {
    let message = "the receipt has expired: have the person open the link of the invitation again";
    status(ErrorReason::ReceiptExpired, message, [])
}

/// FAILED_PRECONDITION for a key that was revoked.
pub(crate) fn api_key_revoked() -> Status {
    status(ErrorReason::ApiKeyRevoked, "the API key was revoked, which is for ever: create another one", [])
}

/// PERMISSION_DENIED for acting for a whole account, or for no organization, with a credential that is bound to one.
pub(crate) fn organization_access_denied() -> Status {
    let message = "the credential is bound to an organization, and this is for the account: use one that is not bound";
    status(ErrorReason::OrganizationAccessDenied, message, [])
}

/// PERMISSION_DENIED for a person who names organizations in the metadata.
pub(crate) fn no_organization_of_person() -> Status {
    let message = "no organization acts for a person: leave the organizations out of the metadata";
    status(ErrorReason::OrganizationAccessDenied, message, [])
}

/// PERMISSION_DENIED for acting between organizations; it does not reveal what exists.
pub(crate) fn organizations_access_denied(requester: Uuid, target: Uuid) -> Status {
    let message = "the credential may not act for these organizations: grant it with CreateOrganizationGrant";
    let metadata =
        [("requester_organization_id", requester.to_string()), ("target_organization_id", target.to_string())];
    status(ErrorReason::OrganizationAccessDenied, message, metadata)
}

/// PERMISSION_DENIED for an address that is none of those invited.
pub(super) fn email_not_allowed() -> Status {
    let message = "the acceptor's e-mail address is missing or none of those invited: set it to an invited one, or use the mailed link";
    status(ErrorReason::EmailNotAllowed, message, [])
}

/// PERMISSION_DENIED for an address that nothing proves.
pub(super) fn email_not_verified() -> Status {
    let message = "nothing proves that the e-mail address is the acceptor's: set acceptor.email_verified, use the mailed \
                   link, or send email_proof";
    status(ErrorReason::EmailNotVerified, message, [])
}

/// PERMISSION_DENIED for a proof of another subject.
pub(super) fn email_proof_used() -> Status {
    let message = "another subject has accepted with this email_proof, and one serves one subject: have the person prove \
                   the address with a code of their own";
    status(ErrorReason::EmailProofUsed, message, [])
}
