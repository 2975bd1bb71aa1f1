//! The general message of an invitation of any kind.

use super::convert::{scope, target};
use crate::api::convert::acceptance::acceptance;
use crate::api::convert::{count, kind, state, timestamp};
use crate::api::kind_fields;
use crate::api::resource::Identity;
use crate::domain::delivery::DeliveryState;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::value::time::Timestamp;
use crate::pb;

/// The only channel.
const SOURCE: &str = "api";

/// Converts an invitation.
pub(in crate::api) fn invitation(
    invitation: &Invitation,
    acceptances: &[Acceptance],
    now: Timestamp,
    identity: Identity,
) -> pb::Invitation {
    let Identity { name, typed_name, uid, etag, invitation_token, invitation_uri } = identity;
    let facts = &invitation.facts;
    let mut message = pb::Invitation {
        name,
        uid,
        kind: kind(invitation.details.kind()),
        typed_name,
        account: invitation.account.as_str().to_owned(),
        state: state(invitation.state_at(now)),
        status: status(invitation).into(),
        invitation_type: invitation_type(invitation).into(),
        targets: invitation.recipients.iter().map(target).collect(),
        scope: invitation.details.scope().map(scope),
        roles: invitation.details.roles().to_vec(),
        delivery_channels: invitation.mails.then_some(pb::DeliveryChannel::Email.into()).into_iter().collect(),
        delivery_count: count(invitation.deliveries),
        view_count: count(invitation.engagement.views),
        click_count: count(invitation.engagement.clicks),
        unfurl_count: count(invitation.engagement.unfurls),
        acceptances: acceptances.iter().map(acceptance).collect(),
        expired: facts.expired_at(now),
        deactivated: facts.revoked_at.is_some() || facts.declined_at.is_some() || facts.emptied_at.is_some(),
        archived: invitation.archived_at.is_some(),
        archive_time: invitation.archived_at.map(timestamp),
        source: SOURCE.to_owned(),
        labels: invitation.labels.clone(),
        creator: invitation.creator.clone(),
        accept_time: facts.accepted_at.map(timestamp),
        revoke_time: facts.revoked_at.map(timestamp),
        decline_time: facts.declined_at.map(timestamp),
        max_uses: facts.max_uses.map(count),
        use_count: count(facts.use_count),
        expiration: facts.expire_at.map(timestamp).map(pb::invitation::Expiration::ExpireTime),
        invitation_token,
        invitation_uri,
        create_time: Some(timestamp(invitation.created_at)),
        update_time: Some(timestamp(invitation.updated_at)),
        etag,
        ..pb::Invitation::default()
    };
    kind_fields(&invitation.details).add_to_invitation(invitation, &mut message);
    message
}

fn invitation_type(invitation: &Invitation) -> pb::InvitationType {
    match invitation.facts.max_uses {
        Some(1) => pb::InvitationType::SingleUse,
        Some(_) | None => pb::InvitationType::MultiUse,
    }
}

/// Returns the furthest step of the invitation, checked in the order that the enum documents.
fn status(invitation: &Invitation) -> pb::InvitationStatus {
    if invitation.facts.accepted_elsewhere_at.is_some() {
        pb::InvitationStatus::AcceptedElsewhere
    } else if invitation.facts.max_uses == Some(1) && invitation.facts.use_count == 1 {
        pb::InvitationStatus::Accepted
    } else if invitation.engagement.unfurls > 0 {
        pb::InvitationStatus::Unfurled
    } else {
        match invitation.latest_delivery {
            Some(DeliveryState::Queued) => pb::InvitationStatus::Queued,
            Some(DeliveryState::Sending) => pb::InvitationStatus::Sending,
            Some(DeliveryState::Sent) => pb::InvitationStatus::Sent,
            Some(DeliveryState::Delivered) => pb::InvitationStatus::Delivered,
            Some(DeliveryState::Bounced) => pb::InvitationStatus::Bounced,
            Some(DeliveryState::Failed) => pb::InvitationStatus::Failed,
            Some(DeliveryState::Cancelled) | None => pb::InvitationStatus::Shared,
        }
    }
}
