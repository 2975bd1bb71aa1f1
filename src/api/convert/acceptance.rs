//! Acceptances.

use super::timestamp;
use crate::api::connection::prefill::created_connection_from;
use crate::api::resource::{Identity, acceptance_name};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, AcceptanceState, AcceptedBy};
use crate::domain::value::time::Timestamp;
use crate::pb;

/// Converts the acceptances that are shown with an invitation. Those that do not exist yet have no name.
pub(in crate::api) fn acceptances(
    acceptances: &[Acceptance],
    now: Timestamp,
    identity: &Identity,
) -> Vec<pb::Acceptance> {
    let shown = |found: &Acceptance| {
        let shown = acceptance(found, now);
        if identity.hidden_acceptance == Some(found.id) {
            pb::Acceptance { name: String::new(), ..shown }
        } else {
            shown
        }
    };
    acceptances.iter().map(shown).collect()
}

/// Returns the acceptance that the resource of a kind with one shows: an undone one is none.
pub(in crate::api) fn standing(found: &Invitation, now: Timestamp, identity: &Identity) -> Option<pb::Acceptance> {
    let standing = found.acceptances.iter().find(|acceptance| !acceptance.is_undone());
    acceptances(standing.map(std::slice::from_ref).unwrap_or_default(), now, identity).pop()
}

/// Converts an acceptance, as a resource of its own.
pub(in crate::api) fn with_etag(found: &Acceptance, now: Timestamp) -> pb::Acceptance {
    pb::Acceptance { etag: found.etag(), ..acceptance(found, now) }
}

/// Converts an acceptance.
pub(in crate::api) fn acceptance(acceptance: &Acceptance, now: Timestamp) -> pb::Acceptance {
    let email = acceptance.email.as_ref().map(|email| email.original().to_owned());
    pb::Acceptance {
        name: acceptance_name(acceptance.invitation, acceptance.id),
        subject: acceptance.subject.0.clone(),
        email: email.unwrap_or_default(),
        phone: acceptance.phone.clone().unwrap_or_default(),
        display_name: acceptance.display_name.clone().unwrap_or_default(),
        existing_user: acceptance.existing_user,
        accept_time: Some(timestamp(acceptance.accepted_at)),
        created_connection: acceptance.created_connection.as_ref().map(created_connection_from),
        accepted_by: match acceptance.accepted_by {
            AcceptedBy::User => pb::AcceptedBy::User,
            AcceptedBy::Guest => pb::AcceptedBy::Guest,
            AcceptedBy::System => pb::AcceptedBy::System,
        }
        .into(),
        roles: acceptance.roles.clone(),
        guest_organization_id: acceptance.guest_organization_id.map(|id| id.to_string()).unwrap_or_default(),
        state: match acceptance.state_at(now) {
            AcceptanceState::Active => pb::AcceptanceState::Active,
            AcceptanceState::Expired => pb::AcceptanceState::Expired,
            AcceptanceState::Released => pb::AcceptanceState::Released,
            AcceptanceState::Ended => pb::AcceptanceState::Ended,
        }
        .into(),
        release_time: acceptance.release.map(|release| timestamp(release.at)),
        grant_expire_time: acceptance.grant_expire_at.map(timestamp),
        // An accept is not made slower by an etag that few need.
        etag: String::new(),
    }
}
