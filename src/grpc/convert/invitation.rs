//! The general face of an invitation of any kind.

use super::acceptance::acceptance;
use super::connection_invitation::connection_details;
use super::{count, kind, state, timestamp};
use crate::domain::acceptance::Acceptance;
use crate::domain::details::Details;
use crate::domain::invitation::Invitation;
use crate::domain::time::Timestamp;
use crate::grpc::name::{invitation_name, typed_name};
use crate::pb;

/// The one door there is.
const SOURCE: &str = "api";

/// Converts an invitation; `link` is its token and link, empty for callers who may not see them.
pub(in crate::grpc) fn invitation(
    invitation: &Invitation,
    acceptances: &[Acceptance],
    now: Timestamp,
    link: (String, String),
) -> pb::Invitation {
    let (invitation_token, invitation_uri) = link;
    let facts = &invitation.facts;
    let scope = invitation.details.scope();
    let details = match &invitation.details {
        Details::Connection(_) => pb::invitation::Details::ConnectionDetails(connection_details(invitation)),
    };
    pb::Invitation {
        name: invitation_name(invitation.id),
        uid: invitation.id.0.to_string(),
        kind: kind(invitation.details.kind()),
        typed_name: typed_name(invitation.details.kind(), invitation.id),
        account: invitation.account.as_str().to_owned(),
        state: state(invitation.state_at(now)),
        status: status(invitation).into(),
        invitation_type: invitation_type(invitation).into(),
        targets: targets(invitation),
        scope: Some(pb::Scope { r#type: scope.scope_type, id: scope.id }),
        delivery_types: invitation.mails.then_some(pb::DeliveryType::Email.into()).into_iter().collect(),
        delivery_count: count(invitation.deliveries),
        views: invitation.engagement.views,
        click_throughs: invitation.engagement.clicks,
        unfurls: invitation.engagement.unfurls,
        acceptances: acceptances.iter().map(acceptance).collect(),
        expired: facts.expired_at(now),
        deactivated: facts.revoked_at.is_some() || facts.declined_at.is_some(),
        source: SOURCE.to_owned(),
        labels: invitation.labels.clone(),
        creator: invitation.creator.clone(),
        accept_time: facts.accepted_at.map(timestamp),
        revoke_time: facts.revoked_at.map(timestamp),
        decline_time: facts.declined_at.map(timestamp),
        details: Some(details),
        max_uses: facts.max_uses.map(count),
        use_count: count(facts.use_count),
        expire_time: facts.expire_at.map(timestamp),
        invitation_token,
        invitation_uri,
        create_time: Some(timestamp(invitation.created_at)),
        update_time: Some(timestamp(invitation.updated_at)),
        etag: invitation.etag(),
    }
}

fn invitation_type(invitation: &Invitation) -> pb::InvitationType {
    match invitation.facts.max_uses {
        Some(1) => pb::InvitationType::SingleUse,
        Some(_) | None => pb::InvitationType::MultiUse,
    }
}

/// How far it has come; the first that holds.
fn status(invitation: &Invitation) -> pb::InvitationStatus {
    if invitation.facts.max_uses == Some(1) && invitation.facts.use_count == 1 {
        pb::InvitationStatus::Accepted
    } else if invitation.engagement.unfurls > 0 {
        pb::InvitationStatus::Unfurled
    } else if invitation.deliveries > 0 {
        pb::InvitationStatus::Queued
    } else {
        pb::InvitationStatus::Shared
    }
}

fn targets(invitation: &Invitation) -> Vec<pb::Target> {
    let target = |value: &str| pb::Target { r#type: pb::TargetType::Email.into(), value: value.to_owned() };
    invitation.recipients.iter().map(|recipient| target(recipient.email.original())).collect()
}
