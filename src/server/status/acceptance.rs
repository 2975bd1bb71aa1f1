//! The statuses about acceptances.

use tonic::Status;

use super::{about, status};
use crate::domain::kind::Kind;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::pb::ErrorReason;

/// NOT_FOUND with the name of an acceptance, the same for missing and foreign ones.
pub(super) fn not_found(invitation: InvitationId, id: AcceptanceId) -> Status {
    let message = "the invitation has no such acceptance: take the name from ListAcceptances";
    let name = format!("{}/acceptances/{}", Kind::General.typed_name(invitation), id.0);
    about(ErrorReason::AcceptanceNotFound, message, &name, [("acceptance", name.clone())])
}

/// FAILED_PRECONDITION for an acceptance that was undone.
pub(super) fn released() -> Status {
    let message = "the acceptance was taken back, so it counts no longer: accept anew, with another request_id";
    status(ErrorReason::AcceptanceReleased, message, [])
}

/// FAILED_PRECONDITION for a subject whose acceptance was ended.
pub(super) fn ended() -> Status {
    let message = "the acceptance was ended, so this invitation lets the person in no more: create another one";
    status(ErrorReason::AcceptanceEnded, message, [])
}

/// FAILED_PRECONDITION for a subject whose time is over.
pub(super) fn grant_expired() -> Status {
    let message = "the time for which the acceptance counts is over: extend it with UpdateAcceptance, or create another invitation";
    status(ErrorReason::GrantExpired, message, [])
}
