//! RevokeInvitation and RevokeScopeInvitations: ends one, or all that let people into a scope, whatever their kinds.

use std::collections::BTreeMap;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{InvitationState, RevokeScopeInvitationsRequest as Request};
use tonic::Code;

use crate::support::build::generals::{email, internal, into, into_team};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    invitation_of_any_kind_is_revoked_by_either_name,
    active_and_expired_invitations_of_a_scope_are_revoked,
    more_than_a_chunk_is_revoked_with_the_same_count_on_retry,
    each_kinds_own_scope_can_be_emptied,
);

fn request(r#type: &str, id: &str) -> Request {
    Request { scope: Some(messages::scope(r#type, id)), ..Default::default() }
}

async fn revoke_all(service: &Service, request: Request) -> i32 {
    service.invitations().revoke_scope_invitations(request).await.unwrap().into_inner().revoked_count
}

async fn invitation_of_any_kind_is_revoked_by_either_name(database: TestDatabase) {
    let service = Service::start(&database).await;
    for round in 0..2 {
        let ann = format!("ann-{round}@example.org");
        for name in [
            messages::create(&service, messages::invitation_for(&[&ann])).await.name,
            users::create(&service, users::user(&ann)).await.name,
            guests::create(&service, guests::guest(&ann)).await.name,
            generals::create(&service, into_team(&[email(&ann)])).await.name,
        ] {
            let uid = name.split('/').next_back().unwrap();
            let used = if round == 0 { name.clone() } else { format!("invitations/{uid}") };
            let revoked = generals::revoke(&service, &used).await;
            assert_eq!((revoked.state(), revoked.deactivated), (InvitationState::Revoked, true));
            assert_eq!(revoked.typed_name, name);
            assert_eq!(generals::revoke(&service, &used).await, revoked, "again changes nothing");
            assert_eq!(generals::happened(&service, &name).await, ["created", "revoked"]);
            let stale = pb::RevokeInvitationRequest { name: used, etag: "\"x\"".to_owned(), ..Default::default() };
            refused(service.invitations().revoke_invitation(stale).await, Code::Aborted, "ETAG_MISMATCH");
        }
    }
    service.stop().await;
}

async fn active_and_expired_invitations_of_a_scope_are_revoked(database: TestDatabase) {
    let service = Service::start(&database).await;
    let group = |id: &str| pb::Scope { r#type: "team".to_owned(), id: id.to_owned(), display_name: String::new() };
    let grouped = pb::Invitation { groups: vec![group("blue"), group("red")], ..into("green", &[]) };
    let expired =
        pb::Invitation { expiration: messages::seconds(60).map(pb::invitation::Expiration::Ttl), ..into_team(&[]) };
    let many = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..into_team(&[]) };
    let mut wanted = Vec::new();
    for invitation in [into_team(&[internal("ann")]), grouped, expired, many] {
        wanted.push(generals::create(&service, invitation).await.name);
    }
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "red")),
        domains: vec!["example.org".to_owned()],
        ..Default::default()
    };
    wanted.push(service.scopes().sync_autojoin(sync).await.unwrap().into_inner().invitation.unwrap().name);
    let mut kept = Vec::new();
    for invitation in
        [into("blue", &[]), pb::Invitation { scope: Some(messages::scope("site", "red")), ..into_team(&[]) }]
    {
        kept.push(generals::create(&service, invitation).await.name);
    }
    let used = generals::create(&service, into_team(&[])).await.name;
    generals::accept(&service, &[&used], generals::subject("bob")).await;
    kept.push(used);
    let declined = generals::create(&service, into_team(&[])).await.name;
    generals::decline(&service, &[&declined], None).await.remove(0).unwrap();
    kept.push(declined);
    service.clock.advance(Duration::from_secs(60));

    let mut before = BTreeMap::new();
    for name in &kept {
        before.insert(name, messages::get_general(&service, name).await);
    }
    assert_eq!(revoke_all(&service, request("team", "red")).await, 5);
    for name in &wanted {
        assert_eq!(messages::get_general(&service, name).await.state(), InvitationState::Revoked);
        assert_eq!(generals::happened(&service, name).await.pop().unwrap(), "revoked");
    }
    for (name, before) in before {
        assert_eq!(messages::get_general(&service, name).await, before);
    }
    assert_eq!(revoke_all(&service, request("team", "red")).await, 0, "nothing is left");
    let status = service.invitations().revoke_scope_invitations(Request::default()).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["scope.type", "scope.id"]);
    service.stop().await;
}

async fn more_than_a_chunk_is_revoked_with_the_same_count_on_retry(database: TestDatabase) {
    let service = Service::start(&database).await;
    for _ in 0..5 {
        let requests = vec![messages::general(into_team(&[])); 450];
        let batch = pb::BatchCreateInvitationsRequest { requests, ..Default::default() };
        service.invitations().batch_create_invitations(batch).await.unwrap();
    }
    let first = generals::create(&service, into_team(&[])).await;
    generals::revoke(&service, &first.name).await;
    let sent = Request { request_id: "r".to_owned(), ..request("team", "red") };
    assert_eq!(revoke_all(&service, sent.clone()).await, 2_250);
    assert_eq!(revoke_all(&service, sent.clone()).await, 2_250, "what the lost answer said");
    assert_eq!(revoke_all(&service, request("team", "red")).await, 0);
    let other = Request { request_id: "other".to_owned(), ..request("team", "red") };
    assert_eq!(revoke_all(&service, other).await, 0);
    let shown =
        Request { scope: Some(pb::Scope { display_name: "x".to_owned(), ..messages::scope("team", "red") }), ..sent };
    let reused = service.invitations().revoke_scope_invitations(shown).await;
    refused(reused, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    service.stop().await;
}

async fn each_kinds_own_scope_can_be_emptied(database: TestDatabase) {
    let service = Service::start(&database).await;
    let connection = messages::create(&service, messages::invitation()).await.name;
    let guest = guests::create(&service, guests::guest("ann@example.org")).await.name;
    for (r#type, id, name) in [("company", messages::COMPANY, connection), ("organization", guests::HOST, guest)] {
        let scope = messages::get_general(&service, &name).await.scope.unwrap();
        assert_eq!((scope.r#type.as_str(), scope.id.as_str()), (r#type, id));
        assert_eq!(revoke_all(&service, request(r#type, id)).await, 1);
        assert_eq!(messages::get_general(&service, &name).await.state(), InvitationState::Revoked);
    }
    service.stop().await;
}
