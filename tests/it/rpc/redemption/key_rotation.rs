//! New keys and retired ones, with open invitations.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use invitation_service::clock::Clock;
use invitation_service::pb;
use sea_orm::{ConnectionTrait, Statement};
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::{Service, configuration};
use crate::webhook::http_sink::Sink;

on_both!(
    migrated:
    old_links_work_while_their_key_is_in_the_ring,
    request_id_is_known_after_a_new_key_came_first,
    webhook_is_signed_after_its_sealing_key_has_left,
);

const OLD: &str = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const BOTH: &str = "2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEW: &str = "2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// Gives a key up as `retire-key` does.
async fn retire(database: &TestDatabase, key_id: u8) {
    let opened = database.open_unmigrated(&Clock::manual(NEW_YEAR)).await;
    assert!(opened.maintenance().retire_key(key_id).await.unwrap());
    opened.close().await;
}

async fn start(database: &TestDatabase, keys: &str) -> Service {
    let config = configuration(database, &[("INVITATION__TOKEN__KEYS", keys)]);
    Service::start_with(config, Clock::manual(NEW_YEAR)).await
}

async fn start_posting(database: &TestDatabase, keys: &str) -> Service {
    let more = [
        ("INVITATION__TOKEN__KEYS", keys),
        ("INVITATION__WEBHOOKS__ENABLED", "true"),
        ("INVITATION__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8"),
    ];
    // The published verifier looks at the machine's clock.
    Service::start_with(configuration(database, &more), Clock::manual(Clock::system().now())).await
}

/// The id of the key that signed a token: the byte behind the format.
fn key_of(token: &str) -> u8 {
    BASE64URL_NOPAD.decode(token.strip_prefix("inv_").unwrap().as_bytes()).unwrap()[1]
}

async fn old_links_work_while_their_key_is_in_the_ring(database: TestDatabase) {
    let service = start(&database, OLD).await;
    let old = messages::create(&service, messages::invitation()).await;
    let kept = messages::create(&service, messages::invitation()).await;
    assert_eq!(key_of(&old.invitation_token), 1);
    service.stop().await;

    let service = start(&database, BOTH).await;
    assert_eq!(messages::get(&service, &old.name).await, old, "a read gives the same token as before");
    service.redemptions().accept_invitation(messages::accept(&old.invitation_token, "ann")).await.unwrap();
    let new = messages::create(&service, messages::invitation()).await;
    assert_eq!(key_of(&new.invitation_token), 2);
    let rotated = messages::rotate(&service, &old.name).await;
    assert_eq!(key_of(&rotated.invitation_token), 2, "a rotated link is signed by the first key");
    service.stop().await;

    retire(&database, 1).await;
    let service = start(&database, NEW).await;
    let read = messages::get(&service, &kept.name).await;
    assert_eq!((read.invitation_token.as_str(), read.invitation_uri.as_str()), ("", ""), "its key is retired");
    assert_eq!(read.state(), pb::InvitationState::Active);
    let lost = service.redemptions().accept_invitation(messages::accept(&kept.invitation_token, "ann")).await;
    refused(lost, Code::NotFound, "INVITATION_NOT_FOUND");
    for token in [&rotated.invitation_token, &new.invitation_token] {
        service.redemptions().accept_invitation(messages::accept(token, "bob")).await.unwrap();
    }
    let revived = messages::rotate(&service, &kept.name).await;
    service.redemptions().accept_invitation(messages::accept(&revived.invitation_token, "ann")).await.unwrap();
    service.stop().await;
}

async fn request_id_is_known_after_a_new_key_came_first(database: TestDatabase) {
    let request = pb::CreateConnectionInvitationRequest {
        request_id: "once".to_owned(),
        ..messages::creation(messages::invitation())
    };
    let service = start(&database, OLD).await;
    let first = service.connections().create_connection_invitation(request.clone()).await.unwrap().into_inner();
    service.stop().await;
    let service = start(&database, BOTH).await;
    let again = service.connections().create_connection_invitation(request.clone()).await.unwrap().into_inner();
    assert_eq!(again, first);
    let other = pb::CreateConnectionInvitationRequest {
        send_email: Some(false),
        request_id: "once".to_owned(),
        ..messages::creation(pb::ConnectionInvitation { max_uses: Some(1), ..messages::invitation() })
    };
    let reused = service.connections().create_connection_invitation(other).await;
    refused(reused, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    service.stop().await;
}

async fn webhook_is_signed_after_its_sealing_key_has_left(database: TestDatabase) {
    let sink = Sink::start([]).await;
    let service = start_posting(&database, OLD).await;
    let uri = sink.uri();
    let webhook_endpoint = Some(pb::WebhookEndpoint { uri, ..Default::default() });
    let create = pb::CreateWebhookEndpointRequest { webhook_endpoint, ..Default::default() };
    let made = service.webhooks().create_webhook_endpoint(create).await.unwrap().into_inner();
    let rotate = pb::RotateWebhookSecretRequest { name: made.name.clone(), ..Default::default() };
    let rotated = service.webhooks().rotate_webhook_secret(rotate).await.unwrap().into_inner();
    service.stop().await;

    let raw = database.connect().await;
    let sealed_by = async || {
        let sql = "SELECT secret, previous_secret FROM webhook_endpoint";
        let row = raw.query_one_raw(Statement::from_string(raw.get_database_backend(), sql)).await.unwrap().unwrap();
        ["secret", "previous_secret"].map(|column| {
            let sealed: String = row.try_get("", column).unwrap();
            BASE64URL_NOPAD.decode(sealed.as_bytes()).unwrap()[0]
        })
    };
    assert_eq!(sealed_by().await, [1, 1]);
    let service = start_posting(&database, BOTH).await;
    while sealed_by().await != [2, 2] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    service.stop().await;

    retire(&database, 1).await;
    let service = start_posting(&database, NEW).await;
    messages::create(&service, messages::invitation()).await;
    let posted = sink.wait_for(1).await.remove(0);
    for secret in [&made.secret, &rotated.secret] {
        let verifier = standardwebhooks::Webhook::new(secret).unwrap();
        verifier.verify(posted.body.as_bytes(), &posted.headers).unwrap();
    }
    service.stop().await;
}
