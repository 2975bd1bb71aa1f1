//! RecordCreatedConnection: a connection's life goes on after the acceptance.

use invitation_service::pb;
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    acceptance_without_a_connection_gets_exactly_one_later,
    connection_of_another_acceptance_is_refused,
    call_without_effect_leaves_no_trace,
    field_that_is_absent_stays_as_it_was,
);

fn id(number: u32) -> String {
    format!("01920000-0000-7000-8000-00000000000{number}")
}

fn update(name: &str, connection: &str, acceptance: &str) -> pb::RecordCreatedConnectionRequest {
    pb::RecordCreatedConnectionRequest {
        name: name.to_owned(),
        connection_id: connection.to_owned(),
        status: Some("live".to_owned()),
        acceptance: acceptance.to_owned(),
        ..Default::default()
    }
}

async fn accepted(service: &Service, token: &str, subject: &str, connection: Option<String>) -> pb::Acceptance {
    let accept = pb::AcceptInvitationRequest {
        kind_input: connection.and_then(|id| messages::created(&id)),
        ..messages::accept(token, subject)
    };
    service.redemptions().accept_invitation(accept).await.unwrap().into_inner().acceptance.unwrap()
}

async fn acceptance_without_a_connection_gets_exactly_one_later(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let ann = accepted(&service, &made.invitation_token, "ann", None).await;
    assert_eq!(ann.created_connection, None);
    let mut connections = service.connections();
    let added =
        connections.record_created_connection(update(&made.name, &id(1), &ann.name)).await.unwrap().into_inner();
    assert_eq!(added.created_connections.len(), 1);
    assert_eq!(added.created_connections[0].create_time, made.create_time, "when the service learnt of it");
    let again =
        connections.record_created_connection(update(&made.name, &id(1), &ann.name)).await.unwrap().into_inner();
    assert_eq!(again, added);
    let second = connections.record_created_connection(update(&made.name, &id(2), &ann.name)).await;
    refused(second, Code::AlreadyExists, "CREATED_CONNECTION_EXISTS");
    assert_eq!(messages::get(&service, &made.name).await, added);
    service.stop().await;
}

async fn connection_of_another_acceptance_is_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let token = made.invitation_token.as_str();
    accepted(&service, token, "ann", Some(id(1))).await;
    let bob = accepted(&service, token, "bob", None).await;
    let mut connections = service.connections();
    let taken = connections.record_created_connection(update(&made.name, &id(1), &bob.name)).await;
    refused(taken, Code::AlreadyExists, "CREATED_CONNECTION_EXISTS");
    let again = pb::AcceptInvitationRequest { kind_input: messages::created(&id(1)), ..messages::accept(token, "eve") };
    let taken = service.redemptions().accept_invitation(again).await;
    refused(taken, Code::AlreadyExists, "CREATED_CONNECTION_EXISTS");
    assert_eq!(messages::get(&service, &made.name).await.use_count, 2, "what is refused consumes no use");
    let missing = connections.record_created_connection(update(&made.name, &id(9), "")).await;
    refused(missing, Code::NotFound, "CREATED_CONNECTION_NOT_FOUND");
    let nobody = format!("invitations/{}/acceptances/{}", made.uid, id(9));
    let missing = connections.record_created_connection(update(&made.name, &id(2), &nobody)).await;
    refused(missing, Code::NotFound, "ACCEPTANCE_NOT_FOUND");
    let other = messages::create(&service, messages::invitation()).await;
    let elsewhere = connections.record_created_connection(update(&other.name, &id(2), &bob.name)).await;
    assert_eq!(violated(&refused(elsewhere, Code::InvalidArgument, "INVALID_FIELD")), ["acceptance"]);
    // The same id in another invitation is another connection.
    accepted(&service, &other.invitation_token, "eve", Some(id(1))).await;

    let reconnect = pb::CreateReconnectInvitationRequest {
        connection_id: messages::CONNECTION.to_owned(),
        company_id: messages::COMPANY.to_owned(),
        ..Default::default()
    };
    let reconnect = connections.create_reconnect_invitation(reconnect).await.unwrap().into_inner();
    let unfit = connections.record_created_connection(update(&reconnect.name, &id(1), "")).await;
    assert_eq!(violated(&refused(unfit, Code::InvalidArgument, "INVALID_FIELD")), ["name"]);
    service.stop().await;
}

async fn call_without_effect_leaves_no_trace(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    accepted(&service, &made.invitation_token, "ann", Some(id(1))).await;
    let first = service.connections().record_created_connection(update(&made.name, &id(1), "")).await.unwrap();
    let again = service.connections().record_created_connection(update(&made.name, &id(1), "")).await.unwrap();
    assert_eq!(again.into_inner(), first.into_inner());
    let happened = messages::event_types(&service, &made.name).await;
    assert_eq!(happened, ["invitation.created", "invitation.accepted", "invitation.updated"]);
    service.stop().await;
}

async fn field_that_is_absent_stays_as_it_was(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    accepted(&service, &made.invitation_token, "ann", Some(id(1))).await;
    let record = async |name: Option<&str>, status: Option<&str>| {
        let request = pb::RecordCreatedConnectionRequest {
            datasource_name: name.map(str::to_owned),
            status: status.map(str::to_owned),
            ..update(&made.name, &id(1), "")
        };
        let mut read = service.connections().record_created_connection(request).await.unwrap().into_inner();
        let created = read.created_connections.remove(0);
        (created.datasource_name, created.status)
    };
    for (name, status, known) in [
        (Some("meter 7"), None, ("meter 7", "")),
        (None, Some("live"), ("meter 7", "live")),
        (None, None, ("meter 7", "live")),
        (Some(""), None, ("", "live")),
    ] {
        let (name, status) = record(name, status).await;
        assert_eq!((name.as_str(), status.as_str()), known);
    }
    service.stop().await;
}
