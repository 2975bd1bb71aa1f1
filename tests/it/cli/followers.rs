//! Events of every type, as followers with generated classes get them: ListEvents, GetEvent, WatchEvents, webhooks and NATS.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, Command, SettleDelivery};
use invitation_service::domain::delivery::DeliveryEnd;
use invitation_service::domain::invitation::event::EventType;
use invitation_service::domain::reach::Reach;
use invitation_service::pb;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use super::tools;
use crate::contract::codes;
use crate::rpc::events::list_events::eventful;
use crate::support::build::acceptances;
use crate::support::build::generals::{internal, into_team, subject, with_conflict};
use crate::support::build::{commands, generals, guests, messages};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::nats::Nats;
use crate::support::on_both;
use crate::support::service::{Service, configuration};
use crate::webhook::http_sink::Sink;

on_both!(migrated: every_follower_gets_the_same_events_of_every_type);

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/events.py");
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads the events by all ways with the Python script; returns its answer, or what it says of a difference.
async fn compare(service: &Service, bodies: &Value) -> Result<Value, String> {
    tools::script(SCRIPT, &[&service.address.to_string()], bodies).await
}

/// Causes each type of event that a call causes.
async fn calls(service: &Service) {
    eventful(service).await;
    let made = messages::create(service, messages::invitation_for(&["carl@example.org"])).await;
    codes::prove(service, &made.invitation_token, "carl@example.org").await;
    let expiration = messages::seconds(60).map(pb::connection_invitation::Expiration::Ttl);
    messages::create(service, pb::ConnectionInvitation { expiration, ..messages::invitation() }).await;

    let groups = vec![pb::Scope { r#type: "group".to_owned(), id: "editors".to_owned(), ..Default::default() }];
    let granting = pb::Invitation {
        roles: vec!["admin".to_owned()],
        groups,
        pass_through: "campaign=spring".to_owned(),
        ..into_team(&[internal("ann")])
    };
    let accepted = generals::create(service, granting).await;
    generals::create(service, into_team(&[internal("ann")])).await;
    for mode in [pb::ReleaseMode::Undo, pb::ReleaseMode::End] {
        let made = generals::accept(service, &[&accepted.name], subject("ann")).await.remove(0);
        let Some(pb::accept_invitations_result::Result::Acceptance(made)) = made.result else { panic!("{made:?}") };
        acceptances::release(service, &made.name, mode).await.unwrap();
    }
    let grant_ttl = messages::seconds(3_600);
    let short = generals::create(service, pb::Invitation { grant_ttl, ..into_team(&[internal("eve")]) }).await;
    let made = acceptances::accept(service, &short.invitation_token, "eve", "").await.unwrap();
    let sooner = acceptances::extending(&made.name, messages::at(60));
    service.invitations().update_acceptance(sooner).await.unwrap();
    generals::create(service, into_team(&[internal("bob")])).await;
    let replacing = with_conflict(into_team(&[internal("bob")]), pb::OnConflict::Replace);
    generals::try_create(service, replacing).await.unwrap();
    let (scope, domains) = (Some(messages::scope("team", "blue")), vec!["example.org".to_owned()]);
    let sync = pb::SyncAutojoinRequest { scope, domains, ..Default::default() };
    service.scopes().sync_autojoin(sync).await.unwrap();

    messages::create(service, messages::invitation_for(&["dora@example.org"])).await;
    let erase = pb::EraseRecipientRequest { email: "dora@example.org".to_owned(), ..Default::default() };
    service.privacy().erase_recipient(erase).await.unwrap();
    let guest = guests::create(service, guests::guest("ann@example.org")).await;
    for archived in [true, false] {
        let guest = pb::GuestInvitation { name: guest.name.clone(), archived: Some(archived), ..Default::default() };
        service.guests().update_guest_invitation(guests::update(guest, &["archived"])).await.unwrap();
    }
}

/// Settles two messages as the mail worker does, and returns the invitation that they are about.
async fn settle(database: &TestDatabase) -> String {
    let (store, clock) = commands::store(database).await;
    clock.advance(Duration::from_secs(120));
    let lease = Uuid::from_u128(1);
    let claimed = store.claim_deliveries(lease, Duration::from_secs(60), 8, "").await.unwrap();
    let ends = [DeliveryEnd::Sent, DeliveryEnd::Failed("mailbox full".to_owned())];
    for (claimed, end) in claimed.iter().zip(ends) {
        let settle = SettleDelivery { delivery: claimed.delivery.message.id, lease, end };
        let command = commands::command(Action::SettleDelivery(settle));
        let command =
            Command { reach: Reach::of_account(claimed.account.clone()), actor: "system/mail".to_owned(), ..command };
        store.executor().execute(command, None).await.unwrap();
    }
    // A service can have the file only when this store has let go of it.
    store.close().await;
    format!("invitations/{}", claimed[0].delivery.message.invitation.0)
}

/// Reports about a message as a mail provider does.
async fn report(service: &Service, parent: String) {
    let list = pb::ListDeliveriesRequest { parent, ..Default::default() };
    let delivery = service.deliveries().list_deliveries(list).await.unwrap().into_inner().deliveries.remove(0);
    for reported in [
        pb::DeliveryReport::Delivered,
        pb::DeliveryReport::Opened,
        pb::DeliveryReport::Complained,
        pb::DeliveryReport::Bounced,
    ] {
        let (message_id, report, detail) = (delivery.message_id.clone(), reported.into(), "as told".to_owned());
        let request = pb::ReportDeliveryStatusRequest { message_id, report, detail, ..Default::default() };
        service.deliveries().report_delivery_status(request).await.unwrap();
    }
    // The complaint has suppressed the address.
    let again = messages::creation(messages::invitation_for(&[&delivery.address]));
    let again = pb::CreateConnectionInvitationRequest { send_email: Some(true), ..again };
    service.connections().create_connection_invitation(again).await.unwrap();
}

/// Waits until every event has been posted, one of each type at least, and returns the bodies.
pub(super) async fn posted(service: &Service, sink: &Sink, wanted: &BTreeSet<&str>) -> Vec<String> {
    let raw = service.connect().await;
    let count = || Statement::from_string(raw.get_database_backend(), "SELECT count(*) FROM event");
    let type_of = |body: &String| serde_json::from_str::<Value>(body).unwrap()["type"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    loop {
        let bodies: Vec<String> = sink.received().into_iter().map(|received| received.body).collect();
        let events: i64 = raw.query_one_raw(count()).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        let types: BTreeSet<String> = bodies.iter().map(type_of).collect();
        let missing: Vec<_> = wanted.iter().filter(|name| !types.contains(**name)).collect();
        if bodies.len() as i64 == events && missing.is_empty() {
            return bodies;
        }
        assert!(begun.elapsed() < PATIENCE, "{} of {events} events are posted, none of {missing:?}", bodies.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts a service in which every type of event has happened, and that posts them to endpoints. Returns it with their secrets.
pub(super) async fn with_every_type(
    database: &TestDatabase,
    more: &[(&'static str, &str)],
    endpoints: &[(&Sink, pb::EventFormat)],
) -> (Service, Vec<String>) {
    let networks = ("INVITATION__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8");
    let often = ("INVITATION__EVENTS__EXPIRY_INTERVAL", "100ms");
    let service = Service::start_with(configuration(database, &[networks, often]), Clock::manual(NEW_YEAR)).await;
    let mut secrets = Vec::new();
    for (sink, format) in endpoints {
        let webhook_endpoint = Some(pb::WebhookEndpoint {
            uri: sink.uri(),
            event_types: ["invitation.*", "acceptance.*", "delivery.*", "autojoin.*", "suppression.*"]
                .map(str::to_owned)
                .to_vec(),
            event_format: (*format).into(),
            ..Default::default()
        });
        let endpoint = pb::CreateWebhookEndpointRequest { webhook_endpoint, ..Default::default() };
        secrets.push(service.webhooks().create_webhook_endpoint(endpoint).await.unwrap().into_inner().secret);
    }
    calls(&service).await;
    service.stop().await;
    let mailed = settle(database).await;

    let mut settings = vec![networks, often, ("INVITATION__WEBHOOKS__ENABLED", "true")];
    settings.extend_from_slice(more);
    let clock = Clock::manual(NEW_YEAR);
    clock.advance(Duration::from_secs(121));
    let service = Service::start_with(configuration(database, &settings), clock).await;
    report(&service, mailed).await;
    (service, secrets)
}

async fn every_follower_gets_the_same_events_of_every_type(database: TestDatabase) {
    let Some(nats) = tools::python().then(Nats::started).flatten() else { return };
    let (sink, url) = (Sink::start([]).await, nats.url());
    let more = [("INVITATION__EVENTS__NATS_URL", url.as_str()), ("INVITATION__EVENTS__NATS_BEGIN", "first")];
    let (service, _) = with_every_type(&database, &more, &[(&sink, pb::EventFormat::Unspecified)]).await;

    let wanted: BTreeSet<&str> = EventType::ALL.into_iter().map(EventType::name).collect();
    let webhook = posted(&service, &sink, &wanted).await;
    let mut bodies = json!({"webhook": webhook, "nats": crate::nats::bodies(&nats, webhook.len()).await});
    let told = compare(&service, &bodies).await.unwrap();
    assert_eq!(told["types"], json!(wanted));
    let accepted = &told["accepted"];
    assert_eq!(accepted["accepted"]["roles"], json!(["admin"]), "{accepted}");
    assert_eq!(accepted["accepted"]["groups"], json!([{"type": "group", "id": "editors"}]));
    assert_eq!((&accepted["scope"]["type"], &accepted["accepted"]["subject"]), (&json!("team"), &json!("ann")));
    for received in sink.received() {
        let body: Value = serde_json::from_str(&received.body).unwrap();
        assert_eq!(body["uid"], received.header("webhook-id"));
        assert!(!received.body.contains('@') && !received.body.contains("inv_"), "{}", received.body);
    }

    // A body that is not the message is noticed.
    let first = webhook.iter().find(|body| body.contains("\"sequence\":\"1\"")).unwrap();
    for (text, planted, noticed) in [
        ("{", "{\"data\":{},", "no field named \"data\""),
        ("\"sequence\":\"1\"", "\"sequence\":1", "not in the JSON mapping"),
        ("\"sequence\":\"1\"", "\"sequence\":\"2\"", "differ"),
    ] {
        bodies["webhook"] = json!([first.replacen(text, planted, 1)]);
        let told = compare(&service, &bodies).await.unwrap_err();
        assert!(told.contains(noticed), "{told}");
    }
    service.stop().await;
}
