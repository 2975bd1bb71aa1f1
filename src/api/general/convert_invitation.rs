//! The general message of an invitation of any kind.

use super::convert::target;
use crate::api::convert::acceptance::acceptances as acceptances_from;
use crate::api::convert::shared::{scope, shown};
use crate::api::convert::{count, kind};
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
    let (facts, details) = (&invitation.facts, &invitation.details);
    let acceptances = acceptances_from(acceptances, now, &identity);
    let mut message = shown! {
        Invitation, expiring in invitation, of invitation at now with identity;
        name: identity.name,
        max_uses: facts.max_uses.map(count),
        use_count: count(facts.use_count),
        kind: kind(details.kind()),
        typed_name: identity.typed_name,
        account: invitation.account.as_str().to_owned(),
        status: status(invitation).into(),
        invitation_type: invitation_type(invitation).into(),
        targets: invitation.present_recipients().map(target).collect(),
        recipient_count: count(invitation.present_recipients().count() + invitation.further_recipients),
        scope: details.scope(&invitation.account).as_ref().map(scope),
        groups: details.groups().iter().map(scope).collect(),
        roles: details.roles().to_vec(),
        acceptances,
        delivery_channels: invitation.mails.then_some(pb::DeliveryChannel::Email.into()).into_iter().collect(),
        delivery_count: count(invitation.deliveries),
        view_count: count(invitation.engagement.views),
        click_count: count(invitation.engagement.clicks),
        unfurl_count: count(invitation.engagement.unfurls),
        expired: facts.expired_at(now),
        deactivated: facts.revoked_at.is_some() || facts.declined_at.is_some() || facts.emptied_at.is_some(),
        archived: Some(invitation.archived_at.is_some()),
        source: SOURCE.to_owned(),
        ; ..pb::Invitation::default()
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
            Some(DeliveryState::Suppressed) => pb::InvitationStatus::Suppressed,
            Some(DeliveryState::Cancelled) | None => pb::InvitationStatus::Shared,
        }
    }
}
