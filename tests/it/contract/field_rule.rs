//! Each rule of a field reaches the client as the `reason` of its violation, in a status and in the error of a batch's entry.

use std::collections::{BTreeMap, BTreeSet};

use invitation_service::pb;
use tonic::Code;
use tonic_types::StatusExt;

use super::{raw, request};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::service::Service;

/// A request that breaks most rules, and the rule that each field breaks.
fn wrong() -> (pb::CreateInvitationRequest, BTreeMap<&'static str, &'static str>) {
    let request = pb::CreateInvitationRequest {
        on_conflict: 99,
        send_email: Some(true),
        ..messages::general(pb::Invitation {
            invitation_type: pb::InvitationType::Autojoin.into(),
            targets: vec![messages::target(pb::TargetType::Email, "")],
            roles: vec![String::new(), "a".repeat(201)],
            groups: vec![pb::Scope::default(); 51],
            inviter: Some(pb::Inviter { email: "nobody".to_owned(), ..Default::default() }),
            max_uses: Some(0),
            ..Default::default()
        })
    };
    let broken = [
        ("invitation.targets[0].value", "REQUIRED"),
        ("invitation.roles[0]", "TOO_SHORT"),
        ("invitation.roles[1]", "TOO_LONG"),
        ("invitation.groups", "TOO_MANY"),
        ("invitation.max_uses", "OUT_OF_RANGE"),
        ("invitation.inviter.email", "INVALID_FORMAT"),
        ("on_conflict", "UNKNOWN_VALUE"),
        ("invitation.invitation_type", "NOT_ALLOWED"),
        ("send_email", "CONFLICTS"),
    ];
    (request, broken.into())
}

#[tokio::test(crate = "crate::support::limit")]
async fn each_rule_is_the_reason_of_a_violation_on_the_wire() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let (request, broken) = wrong();
    let status = service.invitations().create_invitation(request.clone()).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    let told: BTreeMap<&str, &str> =
        violations.iter().map(|violation| (violation.field.as_str(), violation.reason.as_str())).collect();
    assert_eq!(told, broken);

    let company = pb::ConnectionInvitation { company_id: "42".to_owned(), ..Default::default() };
    let status = service.connections().create_connection_invitation(messages::creation(company)).await;
    assert_eq!(first(status), ("connection_invitation.company_id".to_owned(), "NOT_A_UUID".to_owned()));
    let twice = pb::AcceptInvitationsRequest {
        entries: generals::entries(&vec![format!("invitations/{}", messages::COMPANY); 2]),
        acceptor: Some(pb::Acceptor { subject: "ann".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let results = service.invitations().accept_invitations(twice).await.unwrap().into_inner().results;
    assert_eq!(generals::entry_error(&results[1]), "name DUPLICATE");
    let scope = Some(messages::scope("team", "red"));
    let public = pb::SyncAutojoinRequest { scope, domains: vec!["gmail.com".to_owned()], ..Default::default() };
    let status = service.scopes().sync_autojoin(public).await;
    let status = refused(status, Code::InvalidArgument, "DOMAIN_NOT_ALLOWED");
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].reason, "DOMAIN_NOT_ALLOWED");
    let elsewhere = pb::Invitation { redirect_uri: "https://evil.example".to_owned(), ..generals::into_team(&[]) };
    let status = service.invitations().create_invitation(messages::general(elsewhere)).await;
    let status = refused(status, Code::InvalidArgument, "REDIRECT_NOT_ALLOWED");
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].reason, "REDIRECT_NOT_ALLOWED");
    let other = ["NOT_A_UUID", "DUPLICATE", "DOMAIN_NOT_ALLOWED", "REDIRECT_NOT_ALLOWED"];
    let every: BTreeSet<&str> = broken.values().copied().chain(other).collect();
    assert_eq!(every, documented().iter().map(String::as_str).collect());

    let batch = pb::BatchCreateInvitationsRequest { requests: vec![request], ..Default::default() };
    let mut results = service.invitations().batch_create_invitations(batch).await.unwrap().into_inner().results;
    let Some(pb::batch_create_invitations_result::Result::Error(error)) = results.remove(0).result else { panic!() };
    let told: BTreeMap<&str, &str> =
        error.field_violations.iter().map(|broken| (broken.field.as_str(), broken.reason.as_str())).collect();
    assert_eq!(told, broken);
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn violation_of_a_name_shows_a_name_of_its_own_service() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    for (rpc, collection) in [
        ("ConnectionInvitationService/RevokeConnectionInvitation", "connectionInvitations"),
        ("UserInvitationService/ResendUserInvitation", "userInvitations"),
        ("GuestInvitationService/RevokeGuestInvitation", "guestInvitations"),
        ("InvitationService/RevokeInvitation", "invitations"),
        ("InvitationService/ListAcceptances", "invitations"),
    ] {
        let rpc = raw::rpcs().iter().find(|known| known.path.ends_with(&format!(".{rpc}"))).unwrap();
        let name = raw::inputs(rpc).into_iter().find(|input| input.path == "name" || input.path == "parent").unwrap();
        let message = [request::valid(&rpc.path, &known).1, name.text("nobody")].concat();
        let status = refused(request::call(&service, rpc, message).await, Code::InvalidArgument, "INVALID_FIELD");
        let wanted = format!("must be the name of an invitation, such as {collection}/{{uuid}}");
        assert_eq!(status.message(), format!("{} {wanted}", name.path), "{}", rpc.path);
    }
    service.stop().await;
}

/// The first violation of a refused request.
fn first<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> (String, String) {
    let details = refused(answer, Code::InvalidArgument, "INVALID_FIELD").get_error_details();
    let violation = &details.bad_request().unwrap().field_violations[0];
    (violation.field.clone(), violation.reason.clone())
}

/// The rules of the proto file, without their prefix.
fn documented() -> BTreeSet<String> {
    let file = raw::files().iter().find(|file| file.name().ends_with("error_reason.proto")).unwrap();
    let rules = file.enum_type.iter().find(|known| known.name() == "FieldRule").unwrap();
    let rule =
        |value: &prost_types::EnumValueDescriptorProto| value.name().strip_prefix("FIELD_RULE_").unwrap().to_owned();
    rules.value.iter().filter(|value| value.number() > 0).map(rule).collect()
}
