//! User invitations, as their own service shows them.

use crate::api::convert::{state, timestamp};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::recipient::Address;
use crate::domain::kind::user::UserDetails;
use crate::domain::value::time::Timestamp;
use crate::pb;

/// Converts a user invitation; `link` is its token and link, empty for callers who may not see them.
pub(in crate::api) fn user_invitation(
    details: &UserDetails,
    invitation: &Invitation,
    now: Timestamp,
    link: (String, String),
) -> pb::UserInvitation {
    let (invitation_token, invitation_uri) = link;
    pb::UserInvitation {
        name: invitation.details.kind().typed_name(invitation.id),
        uid: invitation.id.0.to_string(),
        state: state(invitation.state_at(now)),
        invited_email: only_address(invitation),
        inviter: details.inviter.clone(),
        roles: details.roles.clone(),
        ttl: None,
        expire_time: invitation.facts.expire_at.map(timestamp),
        invitation_token,
        invitation_uri,
        disable_invitation_email: !invitation.mails,
        labels: invitation.labels.clone(),
        creator: invitation.creator.clone(),
        updater: invitation.updater.clone(),
        create_time: Some(timestamp(invitation.created_at)),
        update_time: Some(timestamp(invitation.updated_at)),
        accept_time: invitation.facts.accepted_at.map(timestamp),
        etag: invitation.etag(),
    }
}

/// Converts what the general face has of a user invitation.
pub(in crate::api) fn user_details(invitation: &Invitation) -> pb::UserDetails {
    pb::UserDetails {
        invited_email: only_address(invitation),
        disable_invitation_email: !invitation.mails,
        updater: invitation.updater.clone(),
    }
}

/// Returns the address of an invitation that has one.
pub(crate) fn only_address(invitation: &Invitation) -> String {
    invitation.addresses().next().map(Address::original).unwrap_or_default().to_owned()
}
