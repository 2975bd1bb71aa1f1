//! Connection invitations, as their own service shows them.

use super::prefill;
use crate::api::convert::{count, state, timestamp};
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
        let Identity { typed_name, uid, etag, invitation_token, invitation_uri, .. } = identity;
        let created = invitation.acceptances.iter().filter_map(|acceptance| acceptance.created_connection.as_ref());
        let facts = &invitation.facts;
        Some(Self {
            name: typed_name,
            uid,
            purpose: purpose.into(),
            state: state(invitation.state_at(now)),
            invitation_token,
            invitation_uri,
            company_id: details.company_id.to_string(),
            connection_id,
            allowed_emails: allowed_emails(invitation),
            expiration: facts.expire_at.map(timestamp).map(pb::connection_invitation::Expiration::ExpireTime),
            max_uses: facts.max_uses.map(count),
            use_count: count(facts.use_count),
            prefill: prefill::prefill_of(details),
            created_connections: created.map(prefill::created_connection_from).collect(),
            labels: invitation.labels.clone(),
            creator: invitation.creator.clone(),
            create_time: Some(timestamp(invitation.created_at)),
            update_time: Some(timestamp(invitation.updated_at)),
            revoke_time: facts.revoked_at.map(timestamp),
            etag,
        })
    }
}

impl KindFields for ConnectionDetails {
    fn add_to_invitation(&self, invitation: &Invitation, message: &mut pb::Invitation) {
        let (purpose, connection_id) = prefill::purpose(self);
        message.details = Some(pb::invitation::Details::ConnectionDetails(pb::ConnectionDetails {
            purpose: purpose.into(),
            company_id: self.company_id.to_string(),
            connection_id,
            allowed_emails: allowed_emails(invitation),
            prefill: prefill::prefill_of(self),
        }));
    }

    fn add_to_preview(&self, preview: &mut pb::InvitationPreview) {
        preview.host = Some(pb::invitation_preview::Host::CompanyId(self.company_id.to_string()));
        preview.connection_id = prefill::purpose(self).1;
        preview.prefill = prefill::prefill_of(self);
    }
}

fn allowed_emails(invitation: &Invitation) -> Vec<String> {
    invitation.addresses().map(|address| address.original().to_owned()).collect()
}
