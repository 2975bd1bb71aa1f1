//! Acceptances.

use super::prefill::created_connection;
use super::timestamp;
use crate::domain::acceptance::Acceptance;
use crate::grpc::name::acceptance_name;
use crate::pb;

/// Converts an acceptance.
pub(in crate::grpc) fn acceptance(acceptance: &Acceptance) -> pb::Acceptance {
    let email = acceptance.email.as_ref().map(|email| email.original().to_owned());
    pb::Acceptance {
        name: acceptance_name(acceptance.invitation, acceptance.id),
        subject: acceptance.subject.0.clone(),
        email: email.unwrap_or_default(),
        phone: acceptance.phone.clone().unwrap_or_default(),
        display_name: acceptance.display_name.clone().unwrap_or_default(),
        existing_user: acceptance.existing_user,
        accept_time: Some(timestamp(acceptance.accepted_at)),
        created_connection: acceptance.created_connection.as_ref().map(created_connection),
        accepted_by: pb::AcceptedBy::User.into(),
        status: pb::AcceptanceStatus::Accepted.into(),
    }
}
