//! SyncInternalInvitation: what a person did in the caller's own system.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{
    InternalInvitationAction as Action, InvitationState, SyncInternalInvitationRequest as Request,
};
use tonic::{Code, Status};

use crate::support::build::generals::{email, internal, into, into_team};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    accepted_or_declined_invitation_is_updated_and_named,
    sync_finds_only_active_ones_of_inviter_person_and_widget,
    retry_names_the_same_and_another_body_is_refused,
    call_that_changes_nothing_leaves_its_request_id_free,
    one_of_several_targets_declines_for_themselves_only,
    all_that_is_wrong_is_told_at_once,
);

fn request(action: Action) -> Request {
    Request {
        inviter_user_id: "boss".to_owned(),
        target_value: "ann".to_owned(),
        action: action.into(),
        ..Default::default()
    }
}

async fn try_sync(service: &Service, request: Request) -> Result<BTreeSet<String>, Status> {
    let answer = service.invitations().sync_internal_invitation(request).await?.into_inner();
    assert_eq!(usize::try_from(answer.processed_count).unwrap(), answer.names.len());
    Ok(answer.names.into_iter().collect())
}

/// An invitation by the boss.
fn by_boss(team: &str, targets: &[pb::Target]) -> pb::Invitation {
    let inviter = Some(pb::Inviter { user_id: "boss".to_owned(), ..Default::default() });
    pb::Invitation { inviter, pass_through: "mine".to_owned(), ..into(team, targets) }
}

async fn accepted_or_declined_invitation_is_updated_and_named(database: TestDatabase) {
    let service = Service::start(&database).await;
    for (action, state, event) in [
        (Action::Accepted, InvitationState::Fulfilled, "accepted"),
        (Action::Declined, InvitationState::Declined, "declined"),
    ] {
        let mut made = BTreeSet::new();
        for team in ["red", "blue"] {
            service.clock.advance(Duration::from_secs(1));
            made.insert(generals::create(&service, by_boss(team, &[internal("ann")])).await.name);
        }
        assert_eq!(try_sync(&service, request(action)).await.unwrap(), made);
        for name in &made {
            assert_eq!(messages::get_general(&service, name).await.state(), state);
            let events = messages::events(&service, name).await;
            assert_eq!(events[1].r#type, format!("invitation.{event}"));
            assert_eq!(events[1].pass_through, "mine");
        }
        let nothing = try_sync(&service, request(action)).await;
        refused(nothing, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    let read = generals::all(&service).await;
    let accepted = messages::get_general(&service, &read[0].name).await.acceptances;
    assert_eq!(accepted.iter().map(|accepted| accepted.subject.as_str()).collect::<Vec<_>>(), ["ann"]);
    service.stop().await;
}

async fn sync_finds_only_active_ones_of_inviter_person_and_widget(database: TestDatabase) {
    let service = Service::start(&database).await;
    let other = pb::Inviter { user_id: "other".to_owned(), ..Default::default() };
    let widget =
        |id: &str, invitation: pb::Invitation| pb::Invitation { widget_configuration_id: id.to_owned(), ..invitation };
    let mut untouched = Vec::new();
    for invitation in [
        by_boss("red", &[internal("bob")]),
        by_boss("red", &[email("ann@example.org")]),
        pb::Invitation { inviter: Some(other), ..into_team(&[internal("ann")]) },
        into_team(&[internal("ann")]),
        widget("other", by_boss("red", &[internal("ann")])),
    ] {
        untouched.push(generals::create(&service, invitation).await);
    }
    let brief = pb::Invitation {
        expiration: messages::seconds(60).map(pb::invitation::Expiration::Ttl),
        ..widget("w", by_boss("red", &[internal("ann")]))
    };
    untouched.push(generals::create(&service, brief).await);
    service.clock.advance(Duration::from_secs(60));
    let revoked = generals::create(&service, widget("w", by_boss("red", &[internal("ann")]))).await;
    untouched.push(generals::revoke(&service, &revoked.name).await);
    let with_widget = || Request { widget_configuration_id: "w".to_owned(), ..request(Action::Declined) };
    refused(try_sync(&service, with_widget()).await, Code::NotFound, "INVITATION_NOT_FOUND");

    let meant = generals::create(&service, widget("w", by_boss("red", &[internal("ann")]))).await.name;
    assert_eq!(try_sync(&service, with_widget()).await.unwrap(), [meant].into());
    for before in untouched {
        let now = messages::get_general(&service, &before.name).await;
        assert_eq!((now.etag, now.use_count), (before.etag, 0));
    }
    let any = try_sync(&service, request(Action::Declined)).await.unwrap();
    assert_eq!(any.len(), 1, "without a widget, that of the other one");
    service.stop().await;
}

async fn retry_names_the_same_and_another_body_is_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    for (action, other) in [(Action::Accepted, Action::Declined), (Action::Declined, Action::Accepted)] {
        for team in ["red", "blue"] {
            generals::create(&service, by_boss(team, &[internal("ann")])).await;
        }
        let sent = Request { request_id: action.as_str_name().to_owned(), ..request(action) };
        let first = try_sync(&service, sent.clone()).await.unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(try_sync(&service, sent.clone()).await.unwrap(), first);
        for name in &first {
            let events = messages::events(&service, name).await;
            assert!(events.iter().skip(1).all(|event| event.request_id == sent.request_id), "the id of the call");
        }
        let other = Request { action: other.into(), ..sent };
        refused(try_sync(&service, other).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    }
    service.stop().await;
}

async fn call_that_changes_nothing_leaves_its_request_id_free(database: TestDatabase) {
    let service = Service::start(&database).await;
    let many = pb::InvitationType::MultiUse.into();
    let open = pb::Invitation { invitation_type: many, ..by_boss("red", &[internal("ann")]) };
    let open = generals::create(&service, open).await.name;
    assert_eq!(try_sync(&service, request(Action::Accepted)).await.unwrap(), [open].into());
    // The invitation is still ACTIVE, and found, but Ann has accepted it already.
    let sent = || Request { request_id: "r1".to_owned(), ..request(Action::Accepted) };
    for _ in 0..2 {
        refused(try_sync(&service, sent()).await, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    let other = Request { widget_configuration_id: "w".to_owned(), ..sent() };
    refused(try_sync(&service, other).await, Code::NotFound, "INVITATION_NOT_FOUND");
    let made = generals::create(&service, by_boss("blue", &[internal("ann")])).await.name;
    for _ in 0..2 {
        assert_eq!(try_sync(&service, sent()).await.unwrap(), [made.clone()].into(), "and a retry names it again");
    }
    service.stop().await;
}

async fn one_of_several_targets_declines_for_themselves_only(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, by_boss("red", &[internal("ann"), internal("bob")])).await.name;
    assert_eq!(try_sync(&service, request(Action::Declined)).await.unwrap(), [made.clone()].into());
    assert_eq!(messages::get_general(&service, &made).await.state(), InvitationState::Active);
    let bob = || Request { target_value: "bob".to_owned(), ..request(Action::Accepted) };
    assert_eq!(try_sync(&service, bob()).await.unwrap(), [made.clone()].into());
    assert_eq!(messages::get_general(&service, &made).await.state(), InvitationState::Fulfilled);
    service.stop().await;
}

async fn all_that_is_wrong_is_told_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bad = Request {
        widget_configuration_id: "x".repeat(201),
        request_id: " ".to_owned(),
        action: 7,
        ..Default::default()
    };
    let status = refused(try_sync(&service, bad).await, Code::InvalidArgument, "INVALID_FIELD");
    let mut fields = violated(&status);
    fields.sort();
    assert_eq!(fields, ["action", "inviter_user_id", "request_id", "target_value", "widget_configuration_id"]);
    service.stop().await;
}
