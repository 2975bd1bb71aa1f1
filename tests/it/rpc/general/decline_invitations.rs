//! DeclineInvitations: by name, each for itself, for one target or for the only one.

use invitation_service::pb;
use invitation_service::pb::event::Payload;
use invitation_service::pb::{DeclineInvitationsRequest as Request, InvitationState, TargetType};
use tonic::Code;

use crate::support::build::generals::{email, internal, into_team};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    only_recipient_of_any_kind_declines_without_being_named,
    each_of_several_declines_by_name_and_the_last_ends_it,
    nobody_unknown_declines,
    invitation_that_ended_or_is_for_many_cannot_be_declined,
    each_name_is_answered_for_itself_and_a_retry_alike,
);

async fn decline(
    service: &Service,
    name: &str,
    target: Option<pb::Target>,
) -> Result<pb::Invitation, Box<pb::BatchError>> {
    generals::decline(service, &[name], target).await.remove(0)
}

/// Asserts that one was not declined, and why.
fn not_declined(result: Result<pb::Invitation, Box<pb::BatchError>>, code: Code, reason: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.code, error.reason.as_str()), (code.into(), reason));
}

async fn only_recipient_of_any_kind_declines_without_being_named(database: TestDatabase) {
    let service = Service::start(&database).await;
    let ann = "ann@example.org";
    let passing = pb::Invitation { pass_through: "mine".to_owned(), ..into_team(&[internal("ann")]) };
    for name in [
        messages::create(&service, messages::once_for(ann)).await.name,
        users::create(&service, users::user(ann)).await.name,
        guests::create(&service, guests::guest(ann)).await.name,
        generals::create(&service, passing).await.name,
        generals::create(&service, into_team(&[])).await.name,
    ] {
        let declined = decline(&service, &name, None).await.unwrap();
        assert_eq!((declined.state(), declined.deactivated), (InvitationState::Declined, true));
        assert!(declined.decline_time.is_some());
        assert_eq!(declined, messages::get_general(&service, &name).await);
        let last = messages::events(&service, &name).await.pop().unwrap();
        assert_eq!(last.r#type, "invitation.declined");
        assert_eq!(last.pass_through, declined.pass_through);
        let Some(Payload::Declined(payload)) = last.payload else { panic!("{last:?}") };
        assert_eq!(payload.reason, "busy");
        assert_eq!(decline(&service, &name, None).await.unwrap(), declined, "again is OK and changes nothing");
    }
    service.stop().await;
}

async fn each_of_several_declines_by_name_and_the_last_ends_it(database: TestDatabase) {
    let service = Service::start(&database).await;
    let phone = messages::target(TargetType::Phone, "+4930123456");
    let targets = [email("Ann@Example.org"), internal("ann"), phone.clone()];
    let made = generals::create(&service, into_team(&targets)).await;
    let nobody = decline(&service, &made.name, None).await;
    not_declined(nobody, Code::FailedPrecondition, "RECIPIENT_UNKNOWN");
    let first = decline(&service, &made.name, Some(email(" ann@EXAMPLE.org"))).await.unwrap();
    assert_eq!(first.state(), InvitationState::Active);
    assert_eq!(decline(&service, &made.name, Some(email("ann@example.org"))).await.unwrap(), first, "again");
    let out = generals::accept(&service, &[&made.name], generals::verified("x", "ann@example.org")).await;
    assert_eq!(generals::refusal(&out[0]), "INVITATION_DECLINED");
    decline(&service, &made.name, Some(phone)).await.unwrap();
    let last = decline(&service, &made.name, Some(internal("ann"))).await.unwrap();
    assert_eq!(last.state(), InvitationState::Declined);
    assert_eq!(generals::happened(&service, &made.name).await, ["created", "declined", "declined", "declined"]);
    service.stop().await;
}

async fn nobody_unknown_declines(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, into_team(&[email("ann@example.org")])).await;
    for other in [email("bob@example.org"), internal("ann@example.org"), messages::target(TargetType::Share, "x")] {
        let other = decline(&service, &made.name, Some(other)).await;
        not_declined(other, Code::FailedPrecondition, "RECIPIENT_UNKNOWN");
    }
    let bad = Request {
        names: vec!["x".to_owned(), made.name.clone(), made.name.clone()],
        target: Some(messages::target_ref(email("x"))),
        reason: "x".repeat(301),
        request_id: "\u{e4}".to_owned(),
        ..Default::default()
    };
    let status = refused(service.invitations().decline_invitations(bad).await, Code::InvalidArgument, "INVALID_FIELD");
    let mut fields = violated(&status);
    fields.sort();
    assert_eq!(fields, ["reason", "request_id", "target.value"], "names have results of their own");
    let many = vec![made.name.clone(); 101];
    for names in [Vec::new(), many] {
        let status = service.invitations().decline_invitations(Request { names, ..Default::default() }).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["names"]);
    }
    let missing = decline(&service, &format!("invitations/{}", messages::COMPANY), None).await;
    not_declined(missing, Code::NotFound, "INVITATION_NOT_FOUND");
    let mistyped = decline(&service, &made.name.replace("invitations", "userInvitations"), None).await;
    not_declined(mistyped, Code::NotFound, "INVITATION_NOT_FOUND");
    assert_eq!(messages::get_general(&service, &made.name).await, made);
    service.stop().await;
}

async fn invitation_that_ended_or_is_for_many_cannot_be_declined(database: TestDatabase) {
    let service = Service::start(&database).await;
    let multi_use = pb::InvitationType::MultiUse.into();
    let many = pb::Invitation { invitation_type: multi_use, ..into_team(&[email("ann@example.org")]) };
    let many = generals::create(&service, many).await.name;
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "red")),
        domains: vec!["example.org".to_owned()],
        ..Default::default()
    };
    let autojoin = service.scopes().sync_autojoin(sync).await.unwrap().into_inner().invitation.unwrap().name;
    for name in [&many, &autojoin] {
        for target in [None, Some(email("ann@example.org"))] {
            not_declined(decline(&service, name, target).await, Code::FailedPrecondition, "NOT_DECLINABLE");
        }
    }
    let revoked = generals::create(&service, into_team(&[])).await.name;
    generals::revoke(&service, &revoked).await;
    not_declined(decline(&service, &revoked, None).await, Code::FailedPrecondition, "INVITATION_REVOKED");
    let used = generals::create(&service, into_team(&[])).await.name;
    generals::accept(&service, &[&used], generals::subject("ann")).await;
    not_declined(decline(&service, &used, None).await, Code::FailedPrecondition, "INVITATION_FULFILLED");
    service.stop().await;
}

async fn each_name_is_answered_for_itself_and_a_retry_alike(database: TestDatabase) {
    let service = Service::start(&database).await;
    let [ann, bob] = ["ann@x.org", "bob@x.org"].map(email);
    let both = generals::create(&service, into_team(&[ann.clone(), bob.clone()])).await.name;
    let other = generals::create(&service, into_team(&[bob])).await.name;
    let only = users::create(&service, users::user("ann@x.org")).await.name;
    let request = Request {
        names: vec![both.clone(), "x".to_owned(), other.clone(), only.clone(), both.clone()],
        target: Some(messages::target_ref(ann)),
        request_id: "r".to_owned(),
        ..Default::default()
    };
    let mut client = service.invitations();
    let dry = Request { validate_only: true, ..request.clone() };
    let dry = client.decline_invitations(dry).await.unwrap().into_inner();
    assert_eq!(messages::get_general(&service, &only).await.state(), InvitationState::Active, "a dry run");
    let first = client.decline_invitations(request.clone()).await.unwrap().into_inner();
    let reason = |result: &pb::DeclineInvitationsResult| match result.result.as_ref().unwrap() {
        pb::decline_invitations_result::Result::Invitation(_) => String::new(),
        pb::decline_invitations_result::Result::Error(error) => error.reason.clone(),
    };
    for answer in [&dry, &first] {
        let answered: Vec<_> = answer.results.iter().map(|result| (result.name.clone(), reason(result))).collect();
        let (bad, x) = ("INVALID_FIELD", "x".to_owned());
        let wanted = [(&both, ""), (&x, bad), (&other, "RECIPIENT_UNKNOWN"), (&only, ""), (&both, bad)];
        assert_eq!(answered, wanted.map(|(name, reason)| (name.clone(), reason.to_owned())));
    }
    assert_eq!(client.decline_invitations(request.clone()).await.unwrap().into_inner(), first);
    let changed = Request { reason: "other".to_owned(), ..request };
    refused(client.decline_invitations(changed).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    assert_eq!(messages::get_general(&service, &only).await.state(), InvitationState::Declined);
    assert_eq!(messages::get_general(&service, &both).await.state(), InvitationState::Active, "Bob's part is open");
    assert_eq!(generals::happened(&service, &both).await, ["created", "declined"]);
    service.stop().await;
}
