//! request_id: the same request twice has one effect.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::build::messages;
use crate::support::build::messages::Expiring;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    retry_of_any_mutation_returns_the_current_resource,
    fifty_retries_at_once_have_one_effect,
    restart_forgets_no_request,
    another_body_is_refused_whatever_differs,
    failed_request_is_not_remembered,
    accept_is_replayed_after_a_rotation_and_an_end,
    one_id_serves_each_method_and_each_account,
);

fn creation(request_id: &str) -> pb::CreateConnectionInvitationRequest {
    pb::CreateConnectionInvitationRequest {
        request_id: request_id.to_owned(),
        ..messages::creation(messages::invitation())
    }
}

fn acceptance(token: &str, subject: &str, request_id: &str) -> pb::AcceptInvitationRequest {
    pb::AcceptInvitationRequest { request_id: request_id.to_owned(), ..messages::accept(token, subject) }
}

async fn count(service: &Service) -> usize {
    let request = pb::ListConnectionInvitationsRequest { page_size: 1_000, ..Default::default() };
    let listed = service.connections().list_connection_invitations(request).await.unwrap().into_inner();
    listed.connection_invitations.len()
}

async fn retry_of_any_mutation_returns_the_current_resource(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut connections = service.connections();
    let id = || "retried".to_owned();
    let made = connections.create_connection_invitation(creation("retried")).await.unwrap().into_inner();
    let name = || made.name.clone();

    let reconnect = pb::CreateReconnectInvitationRequest {
        connection_id: messages::CONNECTION.to_owned(),
        company_id: messages::COMPANY.to_owned(),
        request_id: id(),
        ..Default::default()
    };
    let first = connections.create_reconnect_invitation(reconnect.clone()).await.unwrap().into_inner();
    assert_eq!(connections.create_reconnect_invitation(reconnect).await.unwrap().into_inner(), first);
    assert_eq!(count(&service).await, 2);

    let accept = pb::AcceptInvitationRequest {
        kind_input: messages::created(messages::CONNECTION),
        ..acceptance(&made.invitation_token, "ann", "retried")
    };
    let first = service.redemptions().accept_invitation(accept.clone()).await.unwrap().into_inner();
    let again = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
    assert!(!again.already_accepted, "as it was at first");
    assert_eq!(again, first);

    let update = pb::RecordCreatedConnectionRequest {
        name: name(),
        connection_id: messages::CONNECTION.to_owned(),
        status: Some("live".to_owned()),
        request_id: id(),
        ..Default::default()
    };
    let first = connections.record_created_connection(update.clone()).await.unwrap().into_inner();
    assert_eq!(connections.record_created_connection(update).await.unwrap().into_inner(), first);

    let etag = first.etag;
    let resend = pb::ResendConnectionInvitationRequest {
        name: name(),
        rotate_token: true,
        etag,
        request_id: id(),
        ..Default::default()
    };
    let first = connections.resend_connection_invitation(resend.clone()).await.unwrap().into_inner();
    let again = connections.resend_connection_invitation(resend).await.unwrap().into_inner();
    assert_eq!(again, first, "rotated once, though the etag of the request is stale now");

    let revoke = pb::RevokeConnectionInvitationRequest { name: name(), request_id: id(), ..Default::default() };
    let first = connections.revoke_connection_invitation(revoke.clone()).await.unwrap().into_inner();
    assert_eq!(connections.revoke_connection_invitation(revoke).await.unwrap().into_inner(), first);

    let create = connections.create_connection_invitation(creation("retried")).await.unwrap().into_inner();
    assert_eq!(create.create_outcome(), pb::CreateOutcome::Created);
    let create = create.read();
    assert_eq!(create, messages::get(&service, &made.name).await, "as it now is: revoked");
    assert_eq!(create.state(), pb::InvitationState::Revoked);

    let other = messages::create(&service, messages::once_for("ann@example.org")).await;
    let decline = pb::DeclineInvitationRequest { request_id: id(), ..messages::decline(&other.invitation_token) };
    let first = service.redemptions().decline_invitation(decline.clone()).await.unwrap().into_inner();
    assert_eq!(service.redemptions().decline_invitation(decline).await.unwrap().into_inner(), first);

    let happened = messages::event_types(&service, &made.name).await;
    assert_eq!(
        happened,
        ["created", "accepted", "updated", "resent", "revoked"].map(|name| format!("invitation.{name}"))
    );
    assert_eq!(messages::event_types(&service, &other.name).await, ["invitation.created", "invitation.declined"]);
    assert!(messages::events(&service, &made.name).await.iter().all(|event| event.request_id == "retried"));
    service.stop().await;
}

async fn fifty_retries_at_once_have_one_effect(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let mut connections = service.connections();
        calls.spawn(
            async move { connections.create_connection_invitation(creation("burst")).await.unwrap().into_inner() },
        );
    }
    let made = calls.join_all().await;
    assert!(made.iter().all(|one| *one == made[0]), "all have the same answer");
    assert_eq!(count(&service).await, 1);
    assert_eq!(messages::event_types(&service, &made[0].name).await, ["invitation.created"]);

    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let (mut redemptions, token) = (service.redemptions(), made[0].invitation_token.clone());
        calls.spawn(async move {
            redemptions.accept_invitation(acceptance(&token, "ann", "burst")).await.unwrap().into_inner()
        });
    }
    let accepted = calls.join_all().await;
    assert!(accepted.iter().all(|one| one.acceptance == accepted[0].acceptance && !one.already_accepted));
    assert_eq!(messages::get(&service, &made[0].name).await.use_count, 1);
    service.stop().await;
}

async fn restart_forgets_no_request(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = service.connections().create_connection_invitation(creation("kept")).await.unwrap().into_inner();
    let accept = acceptance(&made.invitation_token, "ann", "kept");
    let accepted = service.redemptions().accept_invitation(accept.clone()).await.unwrap().into_inner();
    service.stop().await;

    // A day later less a second.
    let service = Service::start(&database).await;
    service.clock.advance(Duration::from_secs(24 * 3_600 - 1));
    let again = service.connections().create_connection_invitation(creation("kept")).await.unwrap().into_inner();
    assert_eq!((&again.name, again.use_count), (&made.name, 1));
    assert_eq!(service.redemptions().accept_invitation(accept).await.unwrap().into_inner(), accepted);
    assert_eq!(count(&service).await, 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn replicas_share_what_they_remember() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let one = Service::start_with(configuration(&database, &[]), clock.clone()).await;
    let two = Service::start_with(configuration(&database, &[]), clock).await;
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let mut connections = if number % 2 == 0 { one.connections() } else { two.connections() };
        calls.spawn(
            async move { connections.create_connection_invitation(creation("shared")).await.unwrap().into_inner() },
        );
    }
    let made = calls.join_all().await;
    assert!(made.iter().all(|other| *other == made[0]), "all have the same answer");
    assert_eq!(count(&two).await, 1);
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let mut redemptions = if number % 2 == 0 { one.redemptions() } else { two.redemptions() };
        let token = made[0].invitation_token.clone();
        calls.spawn(async move {
            redemptions.accept_invitation(acceptance(&token, "ann", "shared")).await.unwrap().into_inner()
        });
    }
    let accepted = calls.join_all().await;
    assert!(accepted.iter().all(|other| other.acceptance == accepted[0].acceptance && !other.already_accepted));
    assert_eq!(messages::event_types(&one, &made[0].name).await, ["invitation.created", "invitation.accepted"]);
    one.stop().await;
    two.stop().await;
}

async fn another_body_is_refused_whatever_differs(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = service.connections().create_connection_invitation(creation("taken")).await.unwrap().into_inner();
    let other = messages::create(&service, messages::invitation()).await;
    let labels = [("a".to_owned(), "b".to_owned())].into();
    for changed in [
        pb::ConnectionInvitation { max_uses: Some(1), ..messages::invitation() },
        pb::ConnectionInvitation {
            expiration: messages::seconds(60).map(pb::connection_invitation::Expiration::Ttl),
            ..messages::invitation()
        },
        pb::ConnectionInvitation { labels, ..messages::invitation() },
        messages::invitation_for(&["ann@example.org"]),
    ] {
        let request =
            pb::CreateConnectionInvitationRequest { request_id: "taken".to_owned(), ..messages::creation(changed) };
        let answer = service.connections().create_connection_invitation(request).await;
        refused(answer, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    }
    let mut redemptions = service.redemptions();
    redemptions.accept_invitation(acceptance(&made.invitation_token, "ann", "taken")).await.unwrap();
    for (token, subject) in [(&made.invitation_token, "bob"), (&other.invitation_token, "ann")] {
        let answer = redemptions.accept_invitation(acceptance(token, subject, "taken")).await;
        refused(answer, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    }
    assert_eq!(messages::get(&service, &other.name).await.use_count, 0);
    assert_eq!(messages::get(&service, &made.name).await.use_count, 1);
    assert_eq!(count(&service).await, 2);
    service.stop().await;
}

async fn failed_request_is_not_remembered(database: TestDatabase) {
    let service = Service::start(&database).await;
    let with_ttl = |seconds| pb::CreateConnectionInvitationRequest {
        request_id: "again".to_owned(),
        ..messages::creation(pb::ConnectionInvitation {
            expiration: messages::seconds(seconds).map(pb::connection_invitation::Expiration::Ttl),
            ..messages::invitation()
        })
    };
    let invalid = service.connections().create_connection_invitation(with_ttl(59)).await;
    refused(invalid, Code::InvalidArgument, "INVALID_FIELD");
    let made = service.connections().create_connection_invitation(with_ttl(60)).await.unwrap().into_inner();

    service.clock.advance(Duration::from_secs(60));
    let accept = acceptance(&made.invitation_token, "ann", "again");
    let expired = service.redemptions().accept_invitation(accept.clone()).await;
    refused(expired, Code::FailedPrecondition, "INVITATION_EXPIRED");
    let resend = |etag: &str| pb::ResendConnectionInvitationRequest {
        name: made.name.clone(),
        expiration: messages::seconds(60).map(pb::resend_connection_invitation_request::Expiration::Ttl),
        etag: etag.to_owned(),
        request_id: "again".to_owned(),
        ..Default::default()
    };
    let stale = service.connections().resend_connection_invitation(resend("\"0\"")).await;
    refused(stale, Code::Aborted, "ETAG_MISMATCH");
    service.connections().resend_connection_invitation(resend(&made.etag)).await.unwrap();
    let accepted = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
    assert!(!accepted.already_accepted);

    // A success that changed nothing is one too: its id is taken.
    let again = service.redemptions().accept_invitation(acceptance(&made.invitation_token, "ann", "taken")).await;
    assert!(again.unwrap().into_inner().already_accepted);
    let other = service.redemptions().accept_invitation(acceptance(&made.invitation_token, "bob", "taken")).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    service.stop().await;
}

async fn accept_is_replayed_after_a_rotation_and_an_end(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let mut redemptions = service.redemptions();
    let accept = acceptance(&made.invitation_token, "ann", "replayed");
    let first = redemptions.accept_invitation(accept.clone()).await.unwrap().into_inner();
    let rotated = messages::rotate(&service, &made.name).await;
    messages::revoke(&service, &made.name).await.unwrap();
    let with_new_link = acceptance(&rotated.invitation_token, "ann", "replayed");
    for request in [accept, with_new_link] {
        let again = redemptions.accept_invitation(request).await.unwrap().into_inner();
        assert_eq!((again.acceptance, again.already_accepted), (first.acceptance.clone(), false));
        assert_eq!(again.invitation.unwrap().state(), pb::InvitationState::Revoked, "as it now is");
    }
    let without_id = redemptions.accept_invitation(messages::accept(&made.invitation_token, "ann")).await;
    refused(without_id, Code::NotFound, "INVITATION_NOT_FOUND");
    service.stop().await;
}

async fn one_id_serves_each_method_and_each_account(database: TestDatabase) {
    use crate::rpc::redemption::keys;
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*"), ("ours", "*")]).await;
    let mut connections = service.connections();
    let mut names = Vec::new();
    for key in &key {
        let made = connections.create_connection_invitation(keys::with(key, creation("common"))).await.unwrap();
        names.push(made.into_inner().name);
    }
    assert_ne!(names[0], names[1], "another account");
    assert_eq!(names[0], names[2], "another key of the same account");
    let name = names[0].clone();
    let revoke = pb::RevokeConnectionInvitationRequest { name, request_id: "common".to_owned(), ..Default::default() };
    let revoked = connections.revoke_connection_invitation(keys::with(&key[0], revoke)).await.unwrap().into_inner();
    assert_eq!(revoked.state(), pb::InvitationState::Revoked, "another method");
    service.stop().await;
}
