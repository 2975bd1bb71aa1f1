//! etags: one for each version of what callers can change or decide upon.

use invitation_service::pb;
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    stale_etag_is_refused_by_every_rpc_without_a_change,
    etag_changes_with_the_lifecycle_and_not_with_engagement,
);

async fn stale_etag_is_refused_by_every_rpc_without_a_change(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let accept = pb::AcceptInvitationRequest {
        kind_input: messages::created(messages::CONNECTION),
        ..messages::accept(&made.invitation_token, "ann")
    };
    service.redemptions().accept_invitation(accept).await.unwrap();
    let present = messages::get(&service, &made.name).await;
    assert_ne!(present.etag, made.etag);
    let weak = format!("W/{}", present.etag);
    let unquoted = present.etag.trim_matches('"').to_owned();
    let mut connections = service.connections();
    let name = || made.name.clone();
    for etag in [made.etag.clone(), weak, unquoted, "\"999\"".to_owned(), "*".to_owned()] {
        let update = pb::RecordCreatedConnectionRequest {
            name: name(),
            connection_id: messages::CONNECTION.to_owned(),
            status: Some("live".to_owned()),
            etag: etag.clone(),
            ..Default::default()
        };
        refused(connections.record_created_connection(update).await, Code::Aborted, "ETAG_MISMATCH");
        let resend = pb::ResendConnectionInvitationRequest { name: name(), etag: etag.clone(), ..Default::default() };
        refused(connections.resend_connection_invitation(resend).await, Code::Aborted, "ETAG_MISMATCH");
        let revoke = pb::RevokeConnectionInvitationRequest { name: name(), etag, ..Default::default() };
        refused(connections.revoke_connection_invitation(revoke).await, Code::Aborted, "ETAG_MISMATCH");
    }
    assert_eq!(messages::get(&service, &made.name).await, present);
    let revoke = pb::RevokeConnectionInvitationRequest { name: name(), etag: present.etag, ..Default::default() };
    let revoked = connections.revoke_connection_invitation(revoke.clone()).await.unwrap().into_inner();
    assert_eq!(revoked.state(), pb::InvitationState::Revoked);
    // The etag goes before the state, in which a revoke changes nothing.
    refused(connections.revoke_connection_invitation(revoke).await, Code::Aborted, "ETAG_MISMATCH");
    service.stop().await;
}

async fn etag_changes_with_the_lifecycle_and_not_with_engagement(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    assert!(made.etag.len() > 2 && made.etag.starts_with('"') && made.etag.ends_with('"'), "strong and quoted");
    for r#type in [pb::EngagementType::View, pb::EngagementType::Click, pb::EngagementType::Unfurl] {
        let record = pb::RecordEngagementRequest { r#type: r#type.into(), ..messages::view(&made.invitation_token) };
        service.redemptions().record_engagement(record).await.unwrap();
    }
    let general = messages::get_general(&service, &made.name).await;
    assert_eq!((general.view_count, general.click_count, general.unfurl_count), (1, 1, 1));
    assert_eq!(general.status(), pb::InvitationStatus::Unfurled);
    assert_eq!((&general.etag, general.update_time), (&made.etag, made.update_time), "both faces have one etag");
    assert_eq!(messages::get(&service, &made.name).await, made);
    let mut etags = vec![made.etag.clone()];
    service.redemptions().accept_invitation(messages::accept(&made.invitation_token, "ann")).await.unwrap();
    etags.push(messages::get(&service, &made.name).await.etag);
    etags.push(messages::rotate(&service, &made.name).await.etag);
    etags.push(messages::revoke(&service, &made.name).await.unwrap().into_inner().etag);
    let distinct: std::collections::BTreeSet<_> = etags.iter().collect();
    assert_eq!(distinct.len(), etags.len(), "{etags:?}");
    service.stop().await;
}
