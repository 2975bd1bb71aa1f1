//! User invitations, as their own service shows them.

use crate::api::convert::{only_address, state, timestamp};
use crate::api::resource::{Identity, KindFields, Resource};
use crate::domain::invitation::Invitation;
use crate::domain::kind::user::UserDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::time::Timestamp;
use crate::pb;

impl Resource for pb::UserInvitation {
    const KIND: Option<Kind> = Some(Kind::User);

    fn of(invitation: &Invitation, now: Timestamp, identity: Identity) -> Option<Self> {
        let Details::User(details) = &invitation.details else { return None };
        let Identity { typed_name, uid, etag, invitation_token, invitation_uri, .. } = identity;
        Some(Self {
            name: typed_name,
            uid,
            state: state(invitation.state_at(now)),
            invited_email: only_address(invitation),
            inviter: details.inviter.clone(),
            roles: details.roles.clone(),
            expiration: invitation.facts.expire_at.map(timestamp).map(pb::user_invitation::Expiration::ExpireTime),
            invitation_token,
            invitation_uri,
            disable_invitation_email: !invitation.mails,
            labels: invitation.labels.clone(),
            creator: invitation.creator.clone(),
            updater: invitation.updater.clone(),
            create_time: Some(timestamp(invitation.created_at)),
            update_time: Some(timestamp(invitation.updated_at)),
            accept_time: invitation.facts.accepted_at.map(timestamp),
            etag,
        })
    }
}

impl KindFields for UserDetails {
    fn add_to_invitation(&self, invitation: &Invitation, message: &mut pb::Invitation) {
        message.inviter = Some(pb::Inviter { display_name: self.inviter.clone(), ..pb::Inviter::default() });
        message.details = Some(pb::invitation::Details::UserDetails(pb::UserDetails {
            invited_email: only_address(invitation),
            disable_invitation_email: !invitation.mails,
            updater: invitation.updater.clone(),
        }));
    }

    fn add_to_preview(&self, preview: &mut pb::InvitationPreview) {
        preview.inviter_display_name.clone_from(&self.inviter);
    }
}
