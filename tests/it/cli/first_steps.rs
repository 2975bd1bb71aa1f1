//! The first minutes with the service: no configuration, a line to paste, and clients that have never seen our files.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use invitation_service::pb::health::health_check_response::ServingStatus;
use serde_json::json;
use tokio_stream::StreamExt as _;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::load::COMPANY;
use super::server::Server;
use super::tools;
use crate::support::folder::folder;
use crate::support::pace::paced;

const SOON: Duration = Duration::from_secs(1);

const OUR_SERVICES: [&str; 12] = [
    "ConnectionInvitationService",
    "UserInvitationService",
    "GuestInvitationService",
    "RedemptionService",
    "InvitationService",
    "ScopeService",
    "AccessService",
    "DeliveryService",
    "EventService",
    "WebhookService",
    "PrivacyService",
    "SuppressionService",
];

#[tokio::test(crate = "crate::support::limit")]
async fn empty_folder_is_all_it_needs_to_serve() {
    let folder = folder();
    let started = Instant::now();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let took = started.elapsed();
    server.create().await.one().await.unwrap();
    assert!(folder.path().join("data/invitations.db").exists());
    server.stop().await;
    assert!(took < paced(SOON), "ready only after {took:?}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn line_it_prints_works_as_printed() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let line = server.printed("grpcurl").await;
    let line = line.strip_prefix("Try: ").unwrap();
    assert!(line.contains(&server.address.to_string()), "{line}");
    if tools::grpcurl() {
        let output = tools::shell(line).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("\"invitationUri\": \"http"), "{line}\n{output:?}");
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn generated_client_takes_an_invitation_through_its_life() {
    if !tools::python() {
        return;
    }
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let address = server.address;
    let request = json!({
        "connection_invitation":
            {"company_id": COMPANY, "allowed_emails": ["jane@example.org"], "ttl": "3600s", "max_uses": 1},
        "request_id": "order-1",
    });
    let made = tools::answer(address, "ConnectionInvitationService/CreateConnectionInvitation", request).await;
    let token = made["invitation_token"].as_str().unwrap();
    assert!(made["invitation_uri"].as_str().unwrap().ends_with(token), "{made}");

    let preview = tools::answer(address, "RedemptionService/PreviewInvitation", json!({"token": token})).await;
    assert_eq!(preview["state"], "INVITATION_STATE_ACTIVE", "{preview}");
    assert_eq!(preview["scope"], json!({"type": "company", "id": COMPANY}), "{preview}");

    let accept = |subject: &str, email: &str| {
        let acceptor = json!({"subject": subject, "email": email, "email_verified": true});
        tools::call(address, "RedemptionService/AcceptInvitation", &[], json!({"token": token, "acceptor": acceptor}))
    };
    let eve = accept("eve", "eve@example.org").await.unwrap_err();
    assert_eq!((&eve["code"], &eve["reason"]), (&json!("PERMISSION_DENIED"), &json!("EMAIL_NOT_ALLOWED")), "{eve}");
    let jane = accept("jane", "jane@example.org").await.unwrap().remove(0);
    assert_eq!(jane["invitation"]["state"], "INVITATION_STATE_FULFILLED", "{jane}");

    let request = json!({"parent": made["name"], "order_by": "sequence"});
    let events = tools::answer(address, "EventService/ListEvents", request).await;
    let types: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["invitation.created", "invitation.accepted", "invitation.fulfilled"]);

    let wrong = json!({"connection_invitation": {"company_id": "x", "max_uses": -1}});
    let wrong = tools::call(address, "ConnectionInvitationService/CreateConnectionInvitation", &[], wrong).await;
    let wrong = wrong.unwrap_err();
    assert_eq!((&wrong["code"], &wrong["reason"]), (&json!("INVALID_ARGUMENT"), &json!("INVALID_FIELD")), "{wrong}");
    let fields = wrong["field_violations"].as_array().unwrap().iter();
    let fields: BTreeSet<_> = fields.map(|violation| violation["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["connection_invitation.company_id", "connection_invitation.max_uses"].into());
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn reflection_in_both_versions_knows_every_service() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let v1 = services(&server, "v1").await;
    for name in OUR_SERVICES {
        assert!(v1.contains(&format!("invitation.v1.{name}")), "{v1:?}");
        assert_eq!(server.health(&format!("invitation.v1.{name}")).await, ServingStatus::Serving, "{name}");
    }
    let v1alpha = services(&server, "v1alpha").await;
    assert_eq!(v1alpha, v1);
    if tools::grpcurl() {
        let output = tools::shell(&format!("grpcurl -plaintext {} list", server.address)).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(but_reflection(text.lines().map(str::to_owned)), v1alpha);
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn reflection_goes_on_after_an_unknown_symbol() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let symbol = |name: &str| MessageRequest::FileContainingSymbol(name.to_owned());
    let questions = [
        symbol("invitation.v1.InvitationService"),
        symbol("invitation.v1.Nothing"),
        MessageRequest::FileByFilename("nothing.proto".to_owned()),
        MessageRequest::AllExtensionNumbersOfType("invitation.v1.Invitation".to_owned()),
        symbol("invitation.v1.Invitation"),
    ];
    let questions = questions.map(Some);
    let requests = questions.map(|message_request| ServerReflectionRequest { message_request, ..Default::default() });
    let mut client = ServerReflectionClient::new(server.channel().await);
    let answers = client.server_reflection_info(tokio_stream::iter(requests.clone())).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    let asked: Vec<_> = answers.iter().map(|answer| answer.original_request.clone().unwrap()).collect();
    assert_eq!(asked, requests);
    let told = |answer: ServerReflectionResponse| match answer.message_response.unwrap() {
        MessageResponse::ErrorResponse(error) => error.error_code,
        MessageResponse::FileDescriptorResponse(files) => i32::from(files.file_descriptor_proto.len() != 1),
        MessageResponse::AllExtensionNumbersResponse(_) => 0,
        other => panic!("{other:?}"),
    };
    assert_eq!(answers.into_iter().map(told).collect::<Vec<_>>(), [0, 5, 5, 0, 0]);
    if tools::grpcurl() {
        let describe = |what: &str| format!("grpcurl -plaintext {} describe {what}", server.address);
        let unknown = tools::shell(&describe("invitation.v1.Nothing")).await;
        let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
        assert!(!unknown.status.success() && text.contains("Symbol not found: invitation.v1.Nothing"), "{text}");
        for known in ["invitation.v1.Invitation", "invitation.v1.InvitationState", "grpc.health.v1.Health"] {
            let output = tools::shell(&describe(known)).await;
            assert!(output.status.success(), "{known}: {output:?}");
        }
        let health = format!("grpcurl -plaintext {} grpc.health.v1.Health/List", server.address);
        let output = tools::shell(&health).await;
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let statuses = listed["statuses"].as_object().unwrap();
        assert_eq!(statuses.len(), OUR_SERVICES.len() + 1, "{listed}");
        assert!(statuses.values().all(|answer| answer["status"] == "SERVING"), "{listed}");
    }
    server.stop().await;
}

/// The services that reflection lists. Both versions have the same messages, and one message asked is a stream of one.
async fn services(server: &Server, version: &str) -> BTreeSet<String> {
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { message_request: Some(list), ..Default::default() };
    let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
    let asked = client.server_streaming(tonic::Request::new(request), path.parse().unwrap(), codec).await;
    let answer = asked.unwrap().into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    but_reflection(list.service.into_iter().map(|service| service.name))
}

/// Returns the services beside those of reflection itself.
fn but_reflection(names: impl Iterator<Item = String>) -> BTreeSet<String> {
    names.filter(|name| !name.starts_with("grpc.reflection.")).collect()
}
