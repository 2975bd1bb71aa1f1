//! RevokeInvitation and RevokeInvitations: ends one, or all that a filter finds, whatever their kinds.

use std::collections::BTreeMap;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{InvitationState, RevokeInvitationsRequest as Request};
use tonic::Code;
use tonic_types::StatusExt;

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
    filter_finds_the_same_for_list_and_revoke,
    nothing_is_revoked_if_more_match_than_expected,
    filter_must_have_a_field_and_states_that_end,
);

fn request(r#type: &str, id: &str) -> Request {
    Request { filter: generals::in_scope(r#type, id), ..Default::default() }
}

async fn revoke_all(service: &Service, request: Request) -> i32 {
    let mut revoked = 0;
    // A slow machine may need several calls; with a request_id each answers the sum.
    loop {
        let answer = service.invitations().revoke_invitations(request.clone()).await.unwrap().into_inner();
        revoked = if request.request_id.is_empty() { revoked + answer.revoked_count } else { answer.revoked_count };
        if !answer.more {
            return revoked;
        }
    }
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
    let status = service.invitations().revoke_invitations(Request::default()).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["filter"]);
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
    let shown = Request { expected_count: Some(2_250), ..sent };
    let reused = service.invitations().revoke_invitations(shown).await;
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

async fn filter_finds_the_same_for_list_and_revoke(database: TestDatabase) {
    let service = Service::start(&database).await;
    let labels: BTreeMap<_, _> = [("campaign".to_owned(), "spring".to_owned())].into();
    for _ in 0..25 {
        let labelled = pb::Invitation { labels: labels.clone(), ..into_team(&[]) };
        generals::create(&service, labelled).await;
        service.clock.advance(Duration::from_secs(1));
        generals::create(&service, into_team(&[])).await;
    }
    let user = pb::UserInvitation { labels: labels.clone(), ..users::user("ann@example.org") };
    users::create(&service, user).await;
    let filter = Some(pb::InvitationFilter { labels, ..Default::default() });
    let list = pb::ListInvitationsRequest { filter: filter.clone(), ..Default::default() };
    let listed = service.invitations().list_invitations(list).await.unwrap().into_inner().invitations;
    let newest: Vec<_> = listed.iter().take(20).map(|read| read.name.clone()).collect();
    for (request_id, validate_only) in [("", true), ("", false), ("r", true), ("r", false), ("r", true), ("r", false)] {
        let request =
            Request { filter: filter.clone(), request_id: request_id.to_owned(), validate_only, ..Default::default() };
        let answer = service.invitations().revoke_invitations(request).await.unwrap().into_inner();
        assert!(!answer.more);
        if request_id.is_empty() || validate_only && answer.revoked_count > 0 {
            assert_eq!(answer.revoked_count, 26);
            assert_eq!(answer.sample_names, newest);
        } else {
            assert_eq!((answer.revoked_count, answer.sample_names), (0, vec![]), "{request_id}");
        }
    }
    assert_eq!(generals::all(&service).await.iter().filter(|read| read.state() == InvitationState::Active).count(), 25);
    service.stop().await;
}

async fn nothing_is_revoked_if_more_match_than_expected(database: TestDatabase) {
    let service = Service::start(&database).await;
    for _ in 0..3 {
        generals::create(&service, into_team(&[])).await;
    }
    let sent = |request_id: &str, expected: i32| Request {
        expected_count: Some(expected),
        request_id: request_id.to_owned(),
        ..request("team", "red")
    };
    for (request_id, validate_only) in [("", true), ("", false), ("r", true), ("r", false)] {
        // A refusal is not remembered, so another body may follow with the same request_id.
        for expected in [0, 2] {
            let request = Request { validate_only, ..sent(request_id, expected) };
            let exceeded = service.invitations().revoke_invitations(request).await;
            let status = refused(exceeded, Code::FailedPrecondition, "EXPECTED_COUNT_EXCEEDED");
            let metadata = status.get_details_error_info().unwrap().metadata;
            assert_eq!(metadata["expected_count"], expected.to_string());
            assert_eq!(metadata["matching_count"], (expected + 1).to_string());
        }
    }
    assert_eq!(revoke_all(&service, Request { validate_only: true, ..sent("r", 3) }).await, 3);
    for _ in 0..2 {
        assert_eq!(revoke_all(&service, sent("r", 3)).await, 3);
        generals::create(&service, into_team(&[])).await;
    }
    assert_eq!(revoke_all(&service, sent("", 9)).await, 2, "fewer are no reason to refuse");
    service.stop().await;
}

async fn filter_must_have_a_field_and_states_that_end(database: TestDatabase) {
    let service = Service::start(&database).await;
    let states = |states: &[InvitationState]| pb::InvitationFilter {
        states: states.iter().map(|state| (*state).into()).collect(),
        ..Default::default()
    };
    use InvitationState::{Active, Declined, Expired, Fulfilled, Revoked};
    let span = |span: pb::TimeRange| pb::InvitationFilter { create_time: Some(span), ..Default::default() };
    for (filter, fields) in [
        (pb::InvitationFilter::default(), vec!["filter"]),
        (states(&[Active, Revoked]), vec!["filter.states[1]"]),
        (states(&[Declined, Expired, Fulfilled]), vec!["filter.states[0]", "filter.states[2]"]),
        (span(pb::TimeRange::default()), vec!["filter.create_time"]),
        (
            pb::InvitationFilter { scope: Some(pb::ScopeRef::default()), ..Default::default() },
            vec!["filter.scope.type", "filter.scope.id"],
        ),
    ] {
        let request = Request { filter: Some(filter), ..Default::default() };
        let status = service.invitations().revoke_invitations(request).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), fields);
    }
    let negative = Request { expected_count: Some(-1), ..request("team", "red") };
    let status = service.invitations().revoke_invitations(negative).await;
    assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["expected_count"]);

    let expiration = messages::seconds(60).map(pb::invitation::Expiration::Ttl);
    let expired = generals::create(&service, pb::Invitation { expiration, ..into_team(&[]) }).await;
    let kept = generals::create(&service, into_team(&[])).await;
    service.clock.advance(Duration::from_secs(60));
    let only = Request { filter: Some(states(&[Expired])), ..Default::default() };
    assert_eq!(revoke_all(&service, only).await, 1);
    assert_eq!(messages::get_general(&service, &expired.name).await.state(), Revoked);
    assert_eq!(messages::get_general(&service, &kept.name).await.state(), Active);
    let all = pb::InvitationFilter { states: vec![Active.into()], ..Default::default() };
    assert_eq!(revoke_all(&service, Request { filter: Some(all), ..Default::default() }).await, 1);
    service.stop().await;
}
