//! Guest invitations, as their own service shows them.

use uuid::Uuid;

use crate::api::convert::acceptance::standing;
use crate::api::convert::shared::shown;
use crate::api::convert::{only_address, timestamp};
use crate::api::resource::{Identity, KindFields, Resource};
use crate::domain::invitation::Invitation;
use crate::domain::kind::guest::GuestDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::time::Timestamp;
use crate::pb;

impl Resource for pb::GuestInvitation {
    const KIND: Option<Kind> = Some(Kind::Guest);

    fn of(invitation: &Invitation, now: Timestamp, identity: Identity) -> Option<Self> {
        let Details::Guest(details) = &invitation.details else { return None };
        let own = guest_details(details, invitation);
        let acceptance = standing(invitation, now, &identity);
        Some(shown! {
            GuestInvitation, expiring in guest_invitation, of invitation at now with identity;
            name: identity.typed_name,
            host_organization_id: own.host_organization_id,
            email: own.email,
            status: own.status,
            guest_organization_id: own.guest_organization_id,
            acceptance: acceptance,
            expired: invitation.facts.expired_at(now),
            archived: Some(invitation.archived_at.is_some()),
            first_sent_time: own.first_sent_time,
            last_sent_time: own.last_sent_time,
            parent_organization_id: own.parent_organization_id,
            parent_organization_name: own.parent_organization_name,
            scope_display_name: details.shared.scope_display_name.clone().unwrap_or_default(),
        })
    }
}

fn guest_details(details: &GuestDetails, invitation: &Invitation) -> pb::GuestDetails {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let status = match details.accepted {
        None => pb::GuestInvitationStatus::Sent,
        Some(accepted) if accepted.by_system => pb::GuestInvitationStatus::AcceptedBySystem,
        Some(_) => pb::GuestInvitationStatus::AcceptedByGuest,
    };
    pb::GuestDetails {
        host_organization_id: details.host_organization_id.to_string(),
        email: only_address(invitation),
        status: status.into(),
        first_sent_time: invitation.first_sent_at.map(timestamp),
        last_sent_time: invitation.last_sent_at.map(timestamp),
        guest_organization_id: text(details.accepted.and_then(|accepted| accepted.guest_organization_id)),
        parent_organization_id: text(details.parent_organization_id),
        parent_organization_name: details.parent_organization_name.clone().unwrap_or_default(),
    }
}

impl KindFields for GuestDetails {
    fn add_to_invitation(&self, invitation: &Invitation, message: &mut pb::Invitation) {
        message.details = Some(pb::invitation::Details::GuestDetails(guest_details(self, invitation)));
    }

    fn add_to_preview(&self, preview: &mut pb::InvitationPreview) {
        preview.parent_organization_name = self.parent_organization_name.clone().unwrap_or_default();
    }
}
