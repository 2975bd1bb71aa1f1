//! CheckAcceptance: all that keeps a person from accepting, at once.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::check_acceptance_request::{Access, KindInput};
use tonic::{Code, Status};

use crate::rpc::redemption::keys;
use crate::support::build::acceptances::{accept, release};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    all_blockers_are_named_at_once_with_their_remedies,
    person_without_blockers_can_accept,
    subject_who_has_accepted_has_one_blocker_at_most,
    full_scope_is_a_blocker_beside_others,
    check_is_for_whoever_reads_the_invitation,
    malformed_check_is_refused_field_by_field,
);

const JANE: &str = "jane@example.org";

fn checking(access: Access, acceptor: pb::Acceptor) -> pb::CheckAcceptanceRequest {
    pb::CheckAcceptanceRequest { access: Some(access), acceptor: Some(acceptor), ..Default::default() }
}

async fn check(service: &Service, request: pb::CheckAcceptanceRequest) -> Result<pb::CheckAcceptanceResponse, Status> {
    service.invitations().check_acceptance(request).await.map(tonic::Response::into_inner)
}

fn reasons(checked: &pb::CheckAcceptanceResponse) -> Vec<&str> {
    checked.blockers.iter().map(|blocker| blocker.reason.as_str()).collect()
}

async fn all_blockers_are_named_at_once_with_their_remedies(database: TestDatabase) {
    let service = Service::start(&database).await;
    let expiration = messages::seconds(60).map(pb::connection_invitation::Expiration::Ttl);
    let made = pb::ConnectionInvitation { expiration, ..messages::once_for(JANE) };
    let made = messages::create(&service, made).await;
    service.clock.advance(Duration::from_secs(60));
    let eve = generals::verified("eve", "eve@example.com");
    for access in [Access::Token(made.invitation_token.clone()), Access::Name(made.name.clone())] {
        let request = pb::CheckAcceptanceRequest {
            kind_input: Some(KindInput::GuestOrganizationId(guests::GUEST.to_owned())),
            ..checking(access, eve.clone())
        };
        let checked = check(&service, request).await.unwrap();
        assert_eq!(reasons(&checked), ["INVITATION_EXPIRED", "EMAIL_NOT_ALLOWED", "INVALID_FIELD"]);
        assert!(!checked.acceptable && !checked.already_accepted);
        let [expired, email, field] = checked.blockers.as_slice() else { panic!("{checked:?}") };
        assert_eq!(expired.message, "the invitation has expired");
        assert_eq!(expired.remedy, "resend it with a new expiry to renew it");
        assert!(email.remedy.contains("mailed link"), "{email:?}");
        assert!(field.message.contains("guest_organization_id must not be set: this is not"), "{field:?}");
        assert_eq!(field.remedy, "correct the field, or leave it out");
    }
    let mut unproven = generals::verified("u-1", JANE);
    unproven.email_verified = false;
    let named = checking(Access::Name(made.name.clone()), unproven.clone());
    assert_eq!(reasons(&check(&service, named).await.unwrap()), ["INVITATION_EXPIRED", "EMAIL_NOT_VERIFIED"]);
    // The mailed link proves the address.
    let mailed = checking(Access::Token(messages::mailed_token(&made.uid, 1)), unproven);
    assert_eq!(reasons(&check(&service, mailed).await.unwrap()), ["INVITATION_EXPIRED"]);
    service.stop().await;
}

async fn person_without_blockers_can_accept(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = users::create(&service, users::user(JANE)).await;
    let before = messages::get_general(&service, &made.name).await;
    let jane = generals::verified("u-1", JANE);
    let checked = check(&service, checking(Access::Name(made.name.clone()), jane)).await.unwrap();
    let wanted = pb::CheckAcceptanceResponse { acceptable: true, ..Default::default() };
    assert_eq!(checked, wanted);
    assert_eq!(messages::get_general(&service, &made.name).await, before, "nothing is changed");
    accept(&service, &made.invitation_token, "u-1", JANE).await.unwrap();
    service.stop().await;
}

async fn subject_who_has_accepted_has_one_blocker_at_most(database: TestDatabase) {
    let service = Service::start(&database).await;
    let grant_ttl = messages::seconds(3_600);
    let made = users::create(&service, pb::UserInvitation { grant_ttl, ..users::user(JANE) }).await;
    let accepted = accept(&service, &made.invitation_token, "u-1", JANE).await.unwrap();
    let jane = || checking(Access::Name(made.name.clone()), generals::verified("u-1", JANE));
    let checked = check(&service, jane()).await.unwrap();
    assert!(checked.acceptable && checked.already_accepted && checked.blockers.is_empty());
    let other = checking(Access::Name(made.name.clone()), generals::verified("u-2", JANE));
    assert_eq!(reasons(&check(&service, other).await.unwrap()), ["INVITATION_FULFILLED"]);
    service.clock.advance(Duration::from_secs(3_600));
    assert_eq!(reasons(&check(&service, jane()).await.unwrap()), ["GRANT_EXPIRED"]);
    release(&service, &accepted.name, pb::ReleaseMode::End).await.unwrap();
    assert_eq!(reasons(&check(&service, jane()).await.unwrap()), ["ACCEPTANCE_ENDED"]);
    service.stop().await;
}

async fn full_scope_is_a_blocker_beside_others(database: TestDatabase) {
    let service = Service::start(&database).await;
    let scope = Some(pb::ScopeRef { r#type: "team".to_owned(), id: "red".to_owned() });
    let set = pb::ScopeSettings { scope, seats: Some(1), reserve_open: Some(true), ..Default::default() };
    let set = pb::UpdateScopeSettingsRequest { scope_settings: Some(set), ..Default::default() };
    service.scopes().update_scope_settings(set).await.unwrap();
    let to_jane = || generals::into("red", &[generals::email(JANE)]);
    let made = generals::create(&service, to_jane()).await;
    let many = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..generals::into("red", &[]) };
    let many = generals::create(&service, many).await;
    let ask = async |made: &pb::Invitation, subject: &str, email: &str| {
        let access = Access::Token(made.invitation_token.clone());
        check(&service, checking(access, generals::verified(subject, email))).await.unwrap()
    };
    // The seat is reserved for Jane's own invitation.
    assert!(ask(&made, "u-1", JANE).await.acceptable);
    let full = ask(&many, "u-1", JANE).await;
    assert_eq!(reasons(&full), ["SCOPE_FULL"]);
    assert_eq!(full.blockers[0].message, "0 of the 1 seats of the scope are left");
    assert!(full.blockers[0].remedy.starts_with("raise the number with UpdateScopeSettings"), "{full:?}");
    assert_eq!(reasons(&ask(&made, "u-2", "eve@example.org").await), ["EMAIL_NOT_ALLOWED"]);
    let accepted = accept(&service, &made.invitation_token, "u-1", JANE).await.unwrap();
    assert_eq!(
        reasons(&ask(&made, "u-2", "eve@example.org").await),
        ["INVITATION_FULFILLED", "EMAIL_NOT_ALLOWED", "SCOPE_FULL"]
    );
    assert!(ask(&made, "u-1", JANE).await.already_accepted);
    assert!(ask(&many, "u-1", JANE).await.acceptable, "she has a seat");
    release(&service, &accepted.name, pb::ReleaseMode::Undo).await.unwrap();
    assert!(ask(&made, "u-1", JANE).await.acceptable);
    service.stop().await;
}

async fn check_is_for_whoever_reads_the_invitation(database: TestDatabase) {
    let keys = [
        ("ours", "*", None),
        ("ours", "invitations.read", None),
        ("ours", "invitations.redeem", None),
        ("ours", "*", Some(guests::OTHER_HOST)),
        ("theirs", "*", None),
    ];
    let (service, key) = keys::start_bound(&database, &keys).await;
    let mut create = keys::with(&key[0], guests::creation(guests::guest(JANE)));
    guests::add(&mut create, guests::HOST, guests::HOST);
    let made = service.guests().create_guest_invitation(create).await.unwrap().into_inner();
    let call = async |at: usize, access: Access| {
        let request = keys::with(&key[at], checking(access, generals::verified("u-1", JANE)));
        service.invitations().check_acceptance(request).await.map(tonic::Response::into_inner)
    };
    let name = || Access::Name(made.name.clone());
    // It is no matter of the credential that asks whether the person could accept by the name.
    assert!(call(1, name()).await.unwrap().acceptable);
    assert!(call(1, Access::Token(made.invitation_token.clone())).await.unwrap().acceptable);
    refused(call(2, name()).await, Code::PermissionDenied, "PERMISSION_DENIED");
    refused(call(3, name()).await, Code::NotFound, "INVITATION_NOT_FOUND");
    refused(call(4, name()).await, Code::NotFound, "INVITATION_NOT_FOUND");
    refused(call(4, Access::Token(made.invitation_token.clone())).await, Code::NotFound, "INVITATION_NOT_FOUND");
    service.stop().await;
}

async fn malformed_check_is_refused_field_by_field(database: TestDatabase) {
    let service = Service::start(&database).await;
    let status = check(&service, pb::CheckAcceptanceRequest::default()).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["acceptor.subject", "token"]);
    let request = pb::CheckAcceptanceRequest {
        kind_input: Some(KindInput::GuestOrganizationId("x".to_owned())),
        ..checking(Access::Name("x".to_owned()), generals::subject("system:x"))
    };
    let status = refused(check(&service, request).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["acceptor.subject", "guest_organization_id", "name"]);
    let forged = checking(Access::Token("inv_x".to_owned()), generals::subject("u-1"));
    refused(check(&service, forged).await, Code::NotFound, "INVITATION_NOT_FOUND");
    service.stop().await;
}
