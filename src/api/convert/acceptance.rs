//! Acceptances.

use super::timestamp;
use crate::api::connection::prefill::created_connection_from;
use crate::api::resource::{Identity, acceptance_name};
use crate::domain::invitation::acceptance::{Acceptance, AcceptedBy};
use crate::pb;

/// Converts the acceptances that are shown with an invitation. Those that do not exist yet have no name.
pub(in crate::api) fn acceptances(acceptances: &[Acceptance], identity: &Identity) -> Vec<pb::Acceptance> {
    let shown = |found: &Acceptance| {
        let shown = acceptance(found);
        if identity.hidden_acceptance == Some(found.id) {
            pb::Acceptance { name: String::new(), ..shown }
        } else {
            shown
        }
    };
    acceptances.iter().map(shown).collect()
}

/// Converts an acceptance.
pub(in crate::api) fn acceptance(acceptance: &Acceptance) -> pb::Acceptance {
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
        state: pb::AcceptanceState::Active.into(),
    }
}
