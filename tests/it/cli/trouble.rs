//! Work in the background through trouble of the network and of other replicas: it goes on soon after, and logs little.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use invitation_service::pb;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use invitation_service::pb::event_service_client::EventServiceClient;
use invitation_service::pb::health::health_check_response::ServingStatus;
use invitation_service::pb::webhook_service_client::WebhookServiceClient;
use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::load::{COMPANY, Load};
use super::server::{PATIENCE, Server, printed, run};
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::network::Network;
use crate::support::pace::paced;
use crate::support::service::KEYS;
use crate::webhook::http_sink::Sink;

/// The longest time until everything goes on after trouble has ended.
const RECOVERY: Duration = Duration::from_secs(10);
/// The most log lines about one kind of trouble of one task.
const LOG_INTERVAL: u64 = 10;

/// The state of the network for a while.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Connections are closed; new ones work.
    Cut,
    /// Connections stay open and carry nothing; new ones work.
    SilentConnections,
    /// Nothing is carried at all for some seconds.
    SilentNetwork,
}

/// Waits until every task has done something new: mail is written, and events are in order, posted, and tell of an expiry.
async fn works(server: &Server, database: &TestDatabase, sink: &Sink, mail: &Path) {
    let mut client = ConnectionInvitationServiceClient::new(server.channel().await);
    let invitation = pb::ConnectionInvitation {
        company_id: COMPANY.to_owned(),
        allowed_emails: vec!["jane@example.org".to_owned()],
        ..Default::default()
    };
    let (messages, request) = (
        count(mail),
        pb::CreateConnectionInvitationRequest {
            connection_invitation: Some(invitation),
            send_email: Some(true),
            ..Default::default()
        },
    );
    let made = loop {
        match client.create_connection_invitation(request.clone()).await {
            Ok(made) => break made.into_inner(),
            Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
        }
    };
    // Nothing is mailed about an invitation that has expired.
    while count(mail) == messages {
        sleep(Duration::from_millis(20)).await;
    }
    let admin = database.connect().await;
    let expire = format!(
        "UPDATE invitation SET expire_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE id = '{}'",
        made.uid
    );
    assert_eq!(admin.execute_unprepared(&expire).await.unwrap().rows_affected(), 1);
    let told = |event: &str| {
        let is_told = |body: &str| body.contains(event) && body.contains(&made.uid);
        sink.received().iter().any(|received| is_told(&received.body))
    };
    while !(told("invitation.created") && told("invitation.expired")) {
        sleep(Duration::from_millis(20)).await;
    }
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn background_work_goes_on_after_every_trouble() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = TempDir::new().unwrap();
    let direct = [("INVITATION__STORE__URL", database.url()), ("INVITATION__TOKEN__KEYS", KEYS)];
    printed(&run(folder.path(), &["migrate"], &direct).await);
    let network = Network::to(database.url()).await;
    let environment = [
        ("INVITATION__STORE__URL", network.url()),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__MAIL__URL", "dir:mail"),
        ("INVITATION__EVENTS__EXPIRY_INTERVAL", "200ms"),
        ("INVITATION__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8"),
    ];
    let started = Instant::now();
    let server = Server::ready(folder.path(), &[], &environment).await;
    let sink = Sink::start([]).await;
    let endpoint = pb::WebhookEndpoint { uri: sink.uri(), ..Default::default() };
    let request = pb::CreateWebhookEndpointRequest {
        webhook_endpoint: Some(endpoint),
        request_id: String::new(),
        ..Default::default()
    };
    WebhookServiceClient::new(server.channel().await).create_webhook_endpoint(request).await.unwrap();
    let mail = folder.path().join("mail");
    works(&server, &database, &sink, &mail).await;
    for trouble in [Trouble::Cut, Trouble::SilentConnections, Trouble::SilentNetwork, Trouble::Cut] {
        match trouble {
            Trouble::Cut => network.cut(),
            Trouble::SilentConnections => network.silence_present(),
            Trouble::SilentNetwork => {
                network.silence();
                server.until(ServingStatus::NotServing).await;
                // Long enough that every task has met it.
                sleep(Duration::from_secs(5)).await;
                network.heal();
            }
        }
        let ended = Instant::now();
        let went_on = timeout(PATIENCE, works(&server, &database, &sink, &mail)).await;
        went_on.unwrap_or_else(|_| panic!("after {trouble:?} something does not go on:\n{}", server.log()));
        server.until(ServingStatus::Serving).await;
        assert!(ended.elapsed() < paced(RECOVERY), "after {trouble:?} it took {:?}", ended.elapsed());
    }
    let most = 1 + started.elapsed().as_secs() / LOG_INTERVAL;
    for (task, lines) in log_limiter(&server.log()) {
        assert!(lines <= most, "{task} has logged {lines} lines of trouble:\n{}", server.log());
    }
    server.stop().await;
}

/// The number of warnings in a log, by task.
fn log_limiter(log: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        if let Some(task) = line["task"].as_str() {
            *counts.entry(task.to_owned()).or_default() += 1;
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn events_go_on_while_another_replica_is_frozen() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let folder = TempDir::new().unwrap();
    let environment = [
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__STORE__MIGRATE_ON_START", "true"),
    ];
    let (frozen, other) =
        (Server::ready(folder.path(), &[], &environment).await, Server::ready(folder.path(), &[], &environment).await);
    let mut client = EventServiceClient::new(other.channel().await);
    let mut load = Load::start(&frozen, 16).await;
    for _ in 0..4 {
        load.go_on_for(100).await;
        frozen.signal("STOP").await;
        let stopped = Instant::now();
        let mut events = client.watch_events(pb::WatchEventsRequest::default()).await.unwrap().into_inner();
        let made = other.create().await.one().await.unwrap();
        let told = timeout(RECOVERY, async {
            while !messages::next_event(&mut events).await.unwrap().invitation.ends_with(&made.uid) {}
        });
        told.await.unwrap_or_else(|_| panic!("events stopped with the other replica:\n{}", other.log()));
        assert!(stopped.elapsed() < paced(RECOVERY), "{:?}", stopped.elapsed());
        frozen.signal("CONT").await;
    }
    load.stop().await.only_unavailable();
    frozen.stop().await;
    other.stop().await;
}
