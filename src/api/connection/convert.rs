//! Connection invitations, as their own service shows them.

use super::prefill;
use crate::api::convert::count;
use crate::api::convert::shared::shown;
use crate::api::resource::{Identity, KindFields, Resource};
use crate::domain::invitation::Invitation;
use crate::domain::kind::connection::ConnectionDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::time::Timestamp;
use crate::pb;

impl Resource for pb::ConnectionInvitation {
    const KIND: Option<Kind> = Some(Kind::Connection);

    fn of(invitation: &Invitation, now: Timestamp, identity: Identity) -> Option<Self> {
        let Details::Connection(details) = &invitation.details else { return None };
        let (purpose, connection_id) = prefill::purpose(details);
        let standing = invitation.acceptances.iter().filter(|acceptance| !acceptance.is_undone());
        let created = standing.filter_map(|acceptance| acceptance.created_connection.as_ref());
        Some(shown! {
            ConnectionInvitation, expiring in connection_invitation, of invitation at now with identity;
            name: identity.typed_name,
            max_uses: invitation.facts.max_uses.map(count),
            use_count: count(invitation.facts.use_count),
            purpose: purpose.into(),
            company_id: details.company_id.to_string(),
            connection_id,
            allowed_emails: allowed_emails(invitation),
            prefill: prefill::prefill_of(details),
            archived: Some(invitation.archived_at.is_some()),
            created_connections: created.map(prefill::created_connection_from).collect(),
            scope_display_name: details.shared.scope_display_name.clone().unwrap_or_default(),
        })
    }
}

impl KindFields for ConnectionDetails {
    fn add_to_invitation(&self, _invitation: &Invitation, message: &mut pb::Invitation) {
        let (purpose, connection_id) = prefill::purpose(self);
        message.details = Some(pb::invitation::Details::ConnectionDetails(pb::ConnectionDetails {
            purpose: purpose.into(),
            company_id: self.company_id.to_string(),
            connection_id,
            prefill: prefill::prefill_of(self),
        }));
    }

    fn add_to_preview(&self, preview: &mut pb::InvitationPreview) {
        preview.connection_id = prefill::purpose(self).1;
        preview.prefill = prefill::prefill_of(self);
    }
}

fn allowed_emails(invitation: &Invitation) -> Vec<String> {
    invitation.present_recipients().map(|recipient| recipient.address.original().to_owned()).collect()
}
