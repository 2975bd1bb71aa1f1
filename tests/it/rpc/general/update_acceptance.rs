//! Acceptances that count for a time, and UpdateAcceptance, which gives them more of it.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::AcceptanceState as State;
use tonic::Code;

use crate::support::build::acceptances::{accept, extending, get, list, release};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    grant_of_every_kind_begins_with_the_accept,
    expired_grant_is_refused_until_it_is_extended,
    update_of_an_acceptance_follows_its_mask_and_etag,
    update_of_an_ended_acceptance_is_refused,
    grant_ttl_can_be_changed_for_later_accepts,
);

const JANE: &str = "jane@example.org";
const HOUR: i64 = 3_600;

async fn update(service: &Service, request: pb::UpdateAcceptanceRequest) -> Result<pb::Acceptance, tonic::Status> {
    service.invitations().update_acceptance(request).await.map(tonic::Response::into_inner)
}

async fn grant_of_every_kind_begins_with_the_accept(database: TestDatabase) {
    let service = Service::start(&database).await;
    let grant_ttl = messages::seconds(HOUR);
    let connection = pb::ConnectionInvitation { grant_ttl, ..messages::invitation_for(&[JANE]) };
    let connection = messages::create(&service, connection).await;
    let user = users::create(&service, pb::UserInvitation { grant_ttl, ..users::user(JANE) }).await;
    let guest = guests::create(&service, pb::GuestInvitation { grant_ttl, ..guests::guest(JANE) }).await;
    let general = pb::Invitation { grant_ttl, ..generals::into_team(&[generals::email(JANE)]) };
    let general = generals::create(&service, general).await;
    let shown = [connection.grant_ttl, user.grant_ttl, guest.grant_ttl, general.grant_ttl];
    assert_eq!(shown, [grant_ttl; 4]);
    service.clock.advance(Duration::from_secs(60));
    for token in [connection.invitation_token, user.invitation_token, guest.invitation_token, general.invitation_token]
    {
        let accepted = accept(&service, &token, "u-1", JANE).await.unwrap();
        assert_eq!(accepted.grant_expire_time, messages::at(60 + HOUR));
    }
    let events = messages::events(&service, &user.name).await;
    let Some(pb::event::Payload::Accepted(told)) = &events[1].payload else { panic!("{events:?}") };
    assert_eq!(told.grant_expire_time, messages::at(60 + HOUR));

    for (seconds, rule) in [(59, "at least 60 seconds"), (315_576_001, "at most 10 years"), (-1, "positive")] {
        let wrong = pb::UserInvitation { grant_ttl: messages::seconds(seconds), ..users::user("eve@example.org") };
        let status = refused(users::try_create(&service, wrong).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["user_invitation.grant_ttl"]);
        assert!(status.message().contains(rule), "{status:?}");
    }
    service.stop().await;
}

async fn expired_grant_is_refused_until_it_is_extended(database: TestDatabase) {
    let service = Service::start(&database).await;
    let many = pb::Invitation {
        grant_ttl: messages::seconds(HOUR),
        max_uses: Some(5),
        invitation_type: pb::InvitationType::MultiUse.into(),
        ..generals::into_team(&[])
    };
    let made = generals::create(&service, many).await;
    let accept_once = pb::AcceptInvitationRequest {
        request_id: "join".to_owned(),
        ..messages::accept(&made.invitation_token, "u-1")
    };
    let first = service.redemptions().accept_invitation(accept_once.clone()).await.unwrap().into_inner();
    let name = first.acceptance.unwrap().name;
    let states = async |wanted: State| {
        for state in [State::Active, State::Expired] {
            assert_eq!(list(&service, &made.name, "u-1", &[state]).await.len(), usize::from(state == wanted));
        }
        assert_eq!(get(&service, &name).await.state(), wanted);
        assert_eq!(messages::get_general(&service, &made.name).await.acceptances[0].state(), wanted);
    };
    service.clock.advance(Duration::from_secs(3_599));
    states(State::Active).await;
    service.clock.advance(Duration::from_secs(1));
    states(State::Expired).await;
    refused(accept(&service, &made.invitation_token, "u-1", "").await, Code::FailedPrecondition, "GRANT_EXPIRED");
    let replay = service.redemptions().accept_invitation(accept_once.clone()).await;
    refused(replay, Code::FailedPrecondition, "GRANT_EXPIRED");

    let later = messages::at(3 * HOUR);
    let extended = update(&service, extending(&name, later)).await.unwrap();
    assert_eq!((extended.state(), extended.grant_expire_time), (State::Active, later));
    states(State::Active).await;
    let again = service.redemptions().accept_invitation(accept_once).await.unwrap().into_inner();
    assert_eq!(again.acceptance.unwrap().name, name);
    let types = messages::event_types(&service, &made.name).await;
    assert!(types.contains(&"acceptance.updated".to_owned()), "{types:?}");
    service.stop().await;
}

async fn update_of_an_acceptance_follows_its_mask_and_etag(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = users::create(&service, users::user(JANE)).await;
    let accepted = accept(&service, &made.invitation_token, "u-1", JANE).await.unwrap();
    let before = get(&service, &accepted.name).await;
    let soon = pb::Acceptance { grant_expire_time: messages::at(HOUR), ..before.clone() };
    let request = |acceptance: &pb::Acceptance| pb::UpdateAcceptanceRequest {
        acceptance: Some(acceptance.clone()),
        ..Default::default()
    };
    let dry = pb::UpdateAcceptanceRequest { validate_only: true, ..request(&soon) };
    let dry = update(&service, dry).await.unwrap();
    assert_eq!((dry.grant_expire_time, dry.etag.as_str()), (messages::at(HOUR), ""));
    assert_eq!(get(&service, &accepted.name).await, before);
    let after = update(&service, request(&soon)).await.unwrap();
    assert_eq!(after, pb::Acceptance { etag: after.etag.clone(), ..soon.clone() });
    assert_ne!(after.etag, before.etag);
    refused(update(&service, request(&soon)).await, Code::Aborted, "ETAG_MISMATCH");
    // Without a mask, what is not set stays.
    let nothing = pb::Acceptance { grant_expire_time: None, ..after.clone() };
    assert_eq!(update(&service, request(&nothing)).await.unwrap(), after);
    let whole = prost_types::FieldMask { paths: vec!["*".to_owned()] };
    let whole = pb::UpdateAcceptanceRequest { update_mask: Some(whole), ..request(&nothing) };
    assert_eq!(update(&service, whole).await.unwrap().grant_expire_time, None, "for ever");

    let mask = prost_types::FieldMask { paths: vec!["roles".to_owned()] };
    let wrong = pb::Acceptance { name: "x".to_owned(), etag: "e".repeat(201), ..Default::default() };
    let wrong = pb::UpdateAcceptanceRequest { update_mask: Some(mask), ..request(&wrong) };
    let status = refused(update(&service, wrong).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["acceptance.name", "acceptance.etag", "update_mask.paths[0]"]);
    for seconds in [-1, 0, 316_000_000] {
        let status = update(&service, extending(&accepted.name, messages::at(seconds))).await;
        let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["acceptance.grant_expire_time"]);
    }
    service.stop().await;
}

async fn update_of_an_ended_acceptance_is_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    for (subject, mode, wanted) in
        [("ann", pb::ReleaseMode::Undo, "ACCEPTANCE_RELEASED"), ("bob", pb::ReleaseMode::End, "ACCEPTANCE_ENDED")]
    {
        let accepted = accept(&service, &made.invitation_token, subject, "").await.unwrap();
        release(&service, &accepted.name, mode).await.unwrap();
        let late = update(&service, extending(&accepted.name, messages::at(HOUR))).await;
        refused(late, Code::FailedPrecondition, wanted);
    }
    let missing = format!("{}/acceptances/{}", made.name.replace("connectionI", "i"), messages::COMPANY);
    refused(update(&service, extending(&missing, None)).await, Code::NotFound, "ACCEPTANCE_NOT_FOUND");
    service.stop().await;
}

async fn grant_ttl_can_be_changed_for_later_accepts(database: TestDatabase) {
    let service = Service::start(&database).await;
    let many = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..generals::into_team(&[]) };
    let made = generals::create(&service, many).await;
    let first = accept(&service, &made.invitation_token, "u-1", "").await.unwrap();
    let invitation = pb::Invitation { name: made.name.clone(), grant_ttl: messages::seconds(60), ..Default::default() };
    let request = pb::UpdateInvitationRequest { invitation: Some(invitation), ..Default::default() };
    let updated = service.invitations().update_invitation(request).await.unwrap().into_inner();
    assert_eq!(updated.grant_ttl, messages::seconds(60));
    assert_eq!(get(&service, &first.name).await.grant_expire_time, None, "an acceptance keeps what it was given");
    let second = accept(&service, &made.invitation_token, "u-2", "").await.unwrap();
    assert_eq!(second.grant_expire_time, messages::at(60));
    let events = messages::events(&service, &made.name).await;
    let told = events.iter().find_map(|event| match &event.payload {
        Some(pb::event::Payload::Updated(told)) => Some(told.changes[0].clone()),
        _ => None,
    });
    let told = told.unwrap();
    assert_eq!((told.field.as_str(), told.old_value), ("grant_ttl", None));
    assert_eq!(told.new_value.unwrap().kind, Some(prost_types::value::Kind::StringValue("60s".to_owned())));
    service.stop().await;
}
