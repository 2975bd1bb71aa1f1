//! CreateConnectionInvitation and CreateReconnectInvitation with what real callers send.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{ConnectionPurpose, InvitationState, InvitationStatus};
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::messages::Expiring;
use crate::support::build::{guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    reconnect_link_serves_at_most_two_people_for_61_seconds,
    full_prefill_comes_back_as_it_was_sent,
    link_without_limits_never_expires_and_never_runs_out,
    mailed_recipients_count_once_per_mailbox,
    company_of_a_known_connection_need_not_be_named,
    bound_key_does_not_learn_which_connections_are_known,
);

async fn reconnect_link_serves_at_most_two_people_for_61_seconds(database: TestDatabase) {
    let service = Service::start(&database).await;
    let request = pb::CreateReconnectInvitationRequest {
        connection_id: messages::CONNECTION.to_owned(),
        company_id: messages::COMPANY.to_owned(),
        allowed_emails: vec!["Jane.Doe+utility@Example.ORG".to_owned()],
        expiration: messages::seconds(61).map(pb::create_reconnect_invitation_request::Expiration::Ttl),
        max_uses: Some(2),
        labels: [("team".to_owned(), "north".to_owned())].into(),
        ..Default::default()
    };
    let made = service.connections().create_reconnect_invitation(request).await.unwrap().into_inner().read();
    assert_eq!(made.purpose(), ConnectionPurpose::EditConnection);
    assert_eq!((made.connection_id.as_str(), made.company_id.as_str()), (messages::CONNECTION, messages::COMPANY));
    assert_eq!(made.name, format!("connectionInvitations/{}", made.uid));
    assert_eq!(made.uid.as_bytes()[14], b'7', "a UUID of version 7");
    assert_eq!((made.state(), made.max_uses, made.use_count), (InvitationState::Active, Some(2), 0));
    assert_eq!(made.allowed_emails, ["Jane.Doe+utility@Example.ORG"], "as it was given");
    assert_eq!(made.expire_time().unwrap().seconds - made.create_time.unwrap().seconds, 61);
    assert_eq!((&made.prefill, made.revoke_time), (&None, None));
    assert_eq!(made.invitation_uri, format!("http://localhost:8080/connect/{}", made.invitation_token));
    assert_eq!(messages::get(&service, &made.name).await, made);

    let mut redemptions = service.redemptions();
    let token = made.invitation_token.as_str();
    let preview = pb::PreviewInvitationRequest { token: token.to_owned() };
    let shown = redemptions.preview_invitation(preview).await.unwrap().into_inner();
    assert!(shown.email_required);
    assert_eq!(shown.masked_emails, ["J***@Example.ORG"]);
    assert_eq!((shown.remaining_uses, shown.connection_id.as_str()), (Some(2), messages::CONNECTION));

    let email = "jane.doe+utility@example.org";
    let with_connection = pb::AcceptInvitationRequest {
        kind_input: messages::created(messages::CONNECTION),
        ..messages::accept_as(token, "jane", email, true)
    };
    let repaired = redemptions.accept_invitation(with_connection).await;
    refused(repaired, Code::InvalidArgument, "INVALID_FIELD");
    redemptions.accept_invitation(messages::accept_as(token, "jane", email, true)).await.unwrap();
    service.clock.advance(Duration::from_micros(60_999_999));
    let second = redemptions.accept_invitation(messages::accept_as(token, "jane's other login", email, true)).await;
    let invitation = second.unwrap().into_inner().invitation.unwrap();
    assert_eq!((invitation.state(), invitation.use_count), (InvitationState::Fulfilled, 2));
    let third = redemptions.accept_invitation(messages::accept_as(token, "eve", email, true)).await;
    refused(third, Code::FailedPrecondition, "INVITATION_FULFILLED");
    service.clock.advance(Duration::from_micros(1));
    let read = messages::get_general(&service, &made.name).await;
    assert_eq!((read.state(), read.expired), (InvitationState::Fulfilled, true), "used up goes before expired");
    service.stop().await;
}

async fn company_of_a_known_connection_need_not_be_named(database: TestDatabase) {
    let service = Service::start(&database).await;
    let request = |connection: &str, company: &str| pb::CreateReconnectInvitationRequest {
        connection_id: connection.to_owned(),
        company_id: company.to_owned(),
        ..Default::default()
    };
    let create = async |request| service.connections().create_reconnect_invitation(request).await;
    let unknown = create(request(messages::CONNECTION, "")).await;
    assert_eq!(violated(&refused(unknown, Code::InvalidArgument, "INVALID_FIELD")), ["company_id"]);
    create(request(messages::CONNECTION, messages::COMPANY)).await.unwrap();
    let again = create(request(messages::CONNECTION, "")).await.unwrap().into_inner();
    assert_eq!(again.company_id, messages::COMPANY, "an invitation to repair it knows it");

    let made = messages::create(&service, messages::invitation()).await;
    let id = "01920000-0000-7000-8000-00000000c0c7".to_owned();
    let accept = pb::AcceptInvitationRequest {
        kind_input: messages::created(&id),
        ..messages::accept(&made.invitation_token, "jane")
    };
    service.redemptions().accept_invitation(accept).await.unwrap();
    let created = create(request(&id, "")).await.unwrap().into_inner();
    assert_eq!(created.company_id, messages::COMPANY, "the acceptor who created it is known");
    service.stop().await;
}

async fn bound_key_does_not_learn_which_connections_are_known(database: TestDatabase) {
    let (service, key) = keys::start_bound(&database, &[("ours", "*", None), ("ours", "*", Some(guests::HOST))]).await;
    let create = async |key: &str, connection: &str, company: &str| {
        let request = pb::CreateReconnectInvitationRequest {
            connection_id: connection.to_owned(),
            company_id: company.to_owned(),
            ..Default::default()
        };
        service.connections().create_reconnect_invitation(keys::with(key, request)).await
    };
    create(&key[0], messages::CONNECTION, messages::COMPANY).await.unwrap();
    create(&key[0], messages::CONNECTION, "").await.unwrap();
    for connection in [messages::CONNECTION, "01920000-0000-7000-8000-00000000c0c8"] {
        let unnamed = create(&key[1], connection, "").await;
        assert_eq!(violated(&refused(unnamed, Code::InvalidArgument, "INVALID_FIELD")), ["company_id"], "{connection}");
        let named = create(&key[1], connection, messages::COMPANY).await;
        refused(named, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    }
    service.stop().await;
}

fn prefill() -> pb::Prefill {
    use pb::UtilityType::{Cooling, Electricity, Heating, NaturalGas, Other, Solar, Steam, Waste, Water};
    let utilities = [Electricity, NaturalGas, Water, Heating, Cooling, Steam, Waste, Solar, Other];
    pb::Prefill {
        datasource: Some(pb::prefill::Datasource::DatasourceUri(
            "https://utility.example/login?lang=de#start".to_owned(),
        )),
        initial_site_ids: vec![messages::COMPANY.to_owned(), messages::CONNECTION.to_owned()],
        utility_types: utilities.into_iter().map(Into::into).collect(),
        country: "DE".to_owned(),
        connection_owner_email: "Owner@Ex\u{e4}mple.org".to_owned(),
        data_collection_start_date: "2024-02-29".to_owned(),
    }
}

async fn full_prefill_comes_back_as_it_was_sent(database: TestDatabase) {
    let service = Service::start(&database).await;
    let wanted = pb::ConnectionInvitation {
        prefill: Some(prefill()),
        labels: [("stage".to_owned(), String::new()), ("\u{1f512}".to_owned(), "%_'\"\\".to_owned())].into(),
        ..messages::invitation()
    };
    let made = messages::create(&service, wanted.clone()).await;
    assert_eq!((&made.prefill, &made.labels), (&wanted.prefill, &wanted.labels));
    assert_eq!(made.purpose(), ConnectionPurpose::CreateConnection);
    let preview = pb::PreviewInvitationRequest { token: made.invitation_token.clone() };
    let shown = service.redemptions().preview_invitation(preview).await.unwrap().into_inner();
    assert_eq!((shown.prefill, shown.email_required), (wanted.prefill, false));

    let id = |n: u32| format!("01920000-0000-7000-8000-00000000000{n}");
    for (n, subject) in [(1, "ann"), (2, "bob")] {
        service.clock.advance(Duration::from_secs(1));
        let created = pb::CreatedConnection {
            id: id(n),
            datasource_name: format!("{subject}'s meter"),
            status: "pending".to_owned(),
            ..Default::default()
        };
        let accept = pb::AcceptInvitationRequest {
            kind_input: messages::made_connection(created),
            ..messages::accept(&made.invitation_token, subject)
        };
        service.redemptions().accept_invitation(accept).await.unwrap();
    }
    let update = pb::RecordCreatedConnectionRequest {
        name: made.name.clone(),
        connection_id: id(1),
        datasource_name: Some("meter 7".to_owned()),
        status: Some("live".to_owned()),
        ..Default::default()
    };
    let updated = service.connections().record_created_connection(update).await.unwrap().into_inner();
    let seen: Vec<_> = updated
        .created_connections
        .iter()
        .map(|created| (created.id.clone(), created.datasource_name.as_str(), created.status.as_str()))
        .collect();
    assert_eq!(seen, [(id(2), "bob's meter", "pending"), (id(1), "meter 7", "live")], "the newest first");
    assert_eq!(messages::get(&service, &made.name).await, updated);
    assert_eq!((updated.use_count, updated.state()), (2, InvitationState::Active));
    let general = messages::get_general(&service, &made.name).await;
    let subjects: Vec<_> = general.acceptances.iter().map(|acceptance| acceptance.subject.as_str()).collect();
    assert_eq!(subjects, ["bob", "ann"]);
    assert_eq!(general.acceptances[1].created_connection, Some(updated.created_connections[1].clone()));
    service.stop().await;
}

async fn link_without_limits_never_expires_and_never_runs_out(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    assert_eq!((made.expire_time(), made.max_uses), (None, None));
    service.clock.advance(Duration::from_secs(200 * 31_557_600));
    for number in 0..25 {
        let accept = messages::accept(&made.invitation_token, &format!("person {number}"));
        service.redemptions().accept_invitation(accept).await.unwrap();
    }
    let read = messages::get_general(&service, &made.name).await;
    assert_eq!((read.state(), read.use_count, read.expired), (InvitationState::Active, 25, false));
    assert_eq!(read.status(), InvitationStatus::Shared);
    assert_eq!(read.invitation_type(), pb::InvitationType::MultiUse);
    let preview = pb::PreviewInvitationRequest { token: made.invitation_token };
    let shown = service.redemptions().preview_invitation(preview).await.unwrap().into_inner();
    assert_eq!((shown.remaining_uses, shown.expire_time), (None, None));
    service.stop().await;
}

async fn mailed_recipients_count_once_per_mailbox(database: TestDatabase) {
    let service = Service::start(&database).await;
    let emails =
        ["a@ex\u{e4}mple.org", "A@XN--EXMPLE-CUA.ORG", "  a@exa\u{308}mple.org ", "b@example.org", "B@EXAMPLE.org"];
    let invitation = messages::invitation_for(&emails);
    let request = pb::CreateConnectionInvitationRequest { send_email: Some(true), ..messages::creation(invitation) };
    let made = service.connections().create_connection_invitation(request).await.unwrap().into_inner();
    assert_eq!(made.allowed_emails, ["a@ex\u{e4}mple.org", "b@example.org"]);
    let general = messages::get_general(&service, &made.name).await;
    assert_eq!((general.delivery_count, general.status()), (2, InvitationStatus::Queued));
    assert_eq!(general.delivery_channels, [i32::from(pb::DeliveryChannel::Email)]);
    // Whoever has accepted is not mailed again.
    let accept = messages::accept(&messages::mailed_token(&made.uid, 2), "bob");
    service.redemptions().accept_invitation(accept).await.unwrap();
    let resend = pb::ResendConnectionInvitationRequest { name: made.name.clone(), ..Default::default() };
    service.connections().resend_connection_invitation(resend).await.unwrap();
    assert_eq!(messages::get_general(&service, &made.name).await.delivery_count, 3);
    service.stop().await;
}
