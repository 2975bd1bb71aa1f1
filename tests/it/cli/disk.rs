//! A disk that refuses writes for a moment, on SQLite.
//!
//! `RLIMIT_FSIZE` of the running process makes every write beyond it fail with an I/O error
//! (<https://man7.org/linux/man-pages/man2/getrlimit.2.html>); without the limit there is room again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use invitation_service::pb;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use invitation_service::pb::redemption_service_client::RedemptionServiceClient;
use invitation_service::pb::webhook_service_client::WebhookServiceClient;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::load::COMPANY;
use super::server::{PATIENCE, Server};
use crate::harness::service::KEYS;

/// How many rounds of trouble there are, unless the variable DISK_ROUNDS asks for more.
const ROUNDS: u64 = 40;
/// After how many rounds the process is killed and started again.
const KILL_EVERY: u64 = 10;
/// How many callers are at work beside each other.
const CALLERS: usize = 4;

/// What callers were told.
#[derive(Default)]
struct Book {
    created: BTreeSet<String>,
    coded: BTreeSet<String>,
    accepted: BTreeSet<String>,
    /// The last acknowledged address of each caller's webhook endpoint, by its name.
    endpoints: BTreeMap<String, String>,
    acknowledged: usize,
    refused: usize,
}

impl Book {
    /// Notes an answer; returns it if the call was acknowledged.
    fn note<T>(&mut self, answer: Result<tonic::Response<T>, Status>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.acknowledged += 1;
                Some(answer.into_inner())
            }
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                self.refused += 1;
                None
            }
        }
    }

    fn add(&mut self, other: Self) {
        let Self { created, coded, accepted, endpoints, acknowledged, refused } = other;
        self.created.extend(created);
        self.coded.extend(coded);
        self.accepted.extend(accepted);
        self.endpoints.extend(endpoints);
        self.acknowledged += acknowledged;
        self.refused += refused;
    }
}

/// One caller, its connection and its webhook endpoint.
struct Caller {
    channel: Channel,
    link: String,
    endpoint: String,
    number: usize,
}

impl Caller {
    /// Writes until told to stop: one of every kind of write that a caller can cause, again and again.
    async fn work(self, mut stop: watch::Receiver<bool>, round: u64) -> Book {
        let mut book = Book::default();
        for step in 0.. {
            if *stop.borrow_and_update() {
                break;
            }
            self.write(&format!("r{round}c{}s{step}", self.number), &mut book).await;
        }
        book
    }

    async fn write(&self, label: &str, book: &mut Book) {
        let mut redemptions = RedemptionServiceClient::new(self.channel.clone());
        let acceptor = pb::Acceptor { subject: label.to_owned(), ..Default::default() };
        let accept =
            pb::AcceptInvitationRequest { token: self.link.clone(), acceptor: Some(acceptor), ..Default::default() };
        if book.note(redemptions.accept_invitation(accept).await).is_some() {
            book.accepted.insert(label.to_owned());
        }
        let uri = format!("https://example.org/{label}");
        let endpoint = pb::WebhookEndpoint { name: self.endpoint.clone(), uri: uri.clone(), ..Default::default() };
        let mask = prost_types::FieldMask { paths: vec!["uri".to_owned()] };
        let update = pb::UpdateWebhookEndpointRequest {
            webhook_endpoint: Some(endpoint),
            update_mask: Some(mask),
            ..Default::default()
        };
        let mut webhooks = WebhookServiceClient::new(self.channel.clone());
        if book.note(webhooks.update_webhook_endpoint(update).await).is_some() {
            book.endpoints.insert(self.endpoint.clone(), uri);
        }
        let mut connections = ConnectionInvitationServiceClient::new(self.channel.clone());
        let Some(made) = book.note(connections.create_connection_invitation(create(label)).await) else { return };
        book.created.insert(label.to_owned());
        let get = pb::GetConnectionInvitationRequest { name: made.name };
        if let Err(status) = connections.get_connection_invitation(get).await {
            assert_eq!(status.code(), Code::Unavailable, "{label} was acknowledged: {status}");
        }
        let (token, email) = (made.invitation_token, address(label));
        let code = redemptions.send_verification_code(pb::SendVerificationCodeRequest { token, email }).await;
        if book.note(code).is_some() {
            book.coded.insert(label.to_owned());
        }
    }
}

fn address(label: &str) -> String {
    format!("{label}@example.org")
}

fn create(label: &str) -> pb::CreateConnectionInvitationRequest {
    let invitation = pb::ConnectionInvitation {
        company_id: COMPANY.to_owned(),
        allowed_emails: vec![address(label)],
        ..Default::default()
    };
    pb::CreateConnectionInvitationRequest {
        connection_invitation: Some(invitation),
        request_id: label.to_owned(),
        send_email: true,
    }
}

/// Returns the limit of the size of files in one round, and how long it holds: nothing fits, or some writes of a commit do.
fn trouble(seed: &mut u64) -> (u64, Duration) {
    // Knuth's generator (TAOCP 3.3.4) repeats a run from its seed.
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let number = *seed >> 33;
    let limit = if number.is_multiple_of(2) { 1 } else { number % 3_000_000 };
    (limit, Duration::from_millis(number % 150))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::harness::limit")]
async fn sqlite_keeps_what_it_acknowledges_through_disk_faults() {
    let folder = TempDir::new().unwrap();
    let environment = [("INVITATION__TOKEN__KEYS", KEYS), ("INVITATION__STORE__MAX_CONNECTIONS", "4")];
    let rounds = std::env::var("DISK_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut seed = std::env::var("DISK_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut server = Server::ready_for_disk_faults(folder.path(), &environment).await;
    let (link, endpoints) = prepare(&server).await;
    let mut book = Book::default();
    for round in 1..=rounds {
        let (stop, stopped) = watch::channel(false);
        let mut callers = JoinSet::new();
        for (number, endpoint) in endpoints.iter().enumerate() {
            let (link, endpoint) = (link.clone(), endpoint.clone());
            let caller = Caller { channel: server.channel().await, link, endpoint, number };
            callers.spawn(caller.work(stopped.clone(), round));
        }
        let (limit, lasts) = trouble(&mut seed);
        server.limit_files(Some(limit)).await;
        tokio::time::sleep(lasts).await;
        server.limit_files(None).await;
        stop.send_replace(true);
        for done in callers.join_all().await {
            book.add(done);
        }
        if round % KILL_EVERY == 0 {
            server.kill().await;
            server = Server::ready_for_disk_faults(folder.path(), &environment).await;
        }
        // The first write behind the trouble is served, and kept.
        let last = Caller {
            channel: server.channel().await,
            link: link.clone(),
            endpoint: endpoints[0].clone(),
            number: CALLERS,
        };
        last.write(&format!("r{round}last"), &mut book).await;
        assert!(
            book.created.contains(&format!("r{round}last")),
            "round {round} leaves trouble behind:\n{}",
            server.log()
        );
        if round % 10 == 0 {
            check(&server, &book, &link).await;
        }
    }
    settle(folder.path(), &book).await;
    check(&server, &book, &link).await;
    println!("{} acknowledged, {} refused, 0 lost, 0 doubled", book.acknowledged, book.refused);
    assert!(book.refused > 0, "there was no trouble");
    server.stop().await;
}

/// Makes a link that anybody may accept, and an endpoint for each caller.
async fn prepare(server: &Server) -> (String, Vec<String>) {
    let mut connections = ConnectionInvitationServiceClient::new(server.channel().await);
    let mut webhooks = WebhookServiceClient::new(server.channel().await);
    let anybody = pb::ConnectionInvitation { company_id: COMPANY.to_owned(), ..Default::default() };
    let request = pb::CreateConnectionInvitationRequest { connection_invitation: Some(anybody), ..Default::default() };
    let link = connections.create_connection_invitation(request).await.unwrap().into_inner().invitation_token;
    let mut endpoints = Vec::new();
    for number in 0..CALLERS {
        let endpoint = pb::WebhookEndpoint { uri: format!("https://example.org/{number}"), ..Default::default() };
        let request = pb::CreateWebhookEndpointRequest { webhook_endpoint: Some(endpoint), ..Default::default() };
        endpoints.push(webhooks.create_webhook_endpoint(request).await.unwrap().into_inner().name);
    }
    (link, endpoints)
}

/// Compares what callers were told with what callers can read.
async fn check(server: &Server, book: &Book, link: &str) {
    let channel = server.channel().await;
    let mut created = BTreeSet::new();
    let mut connections = ConnectionInvitationServiceClient::new(channel.clone());
    let mut page_token = String::new();
    loop {
        let request = pb::ListConnectionInvitationsRequest {
            company_id: COMPANY.to_owned(),
            page_size: 1_000,
            page_token,
            ..Default::default()
        };
        let page = connections.list_connection_invitations(request).await.unwrap().into_inner();
        let addresses =
            page.connection_invitations.into_iter().filter_map(|found| found.allowed_emails.first().cloned());
        created.extend(addresses.map(|address| address.trim_end_matches("@example.org").to_owned()));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    same("created", &book.created, &created);
    let preview = pb::PreviewInvitationRequest { token: link.to_owned() };
    let preview = RedemptionServiceClient::new(channel.clone()).preview_invitation(preview).await.unwrap().into_inner();
    assert_eq!(preview.state(), pb::InvitationState::Active);
    let mut webhooks = WebhookServiceClient::new(channel.clone());
    for (name, uri) in &book.endpoints {
        let found = webhooks.get_webhook_endpoint(pb::GetWebhookEndpointRequest { name: name.clone() }).await.unwrap();
        assert_eq!(&found.into_inner().uri, uri);
    }
}

#[track_caller]
fn same(of: &str, told: &BTreeSet<String>, kept: &BTreeSet<String>) {
    let lost: Vec<_> = told.difference(kept).take(5).collect();
    let traces: Vec<_> = kept.difference(told).take(5).collect();
    assert!(
        lost.is_empty(),
        "{of}: {} of {} acknowledged are lost: {lost:?}",
        told.len() - told.intersection(kept).count(),
        told.len()
    );
    assert!(traces.is_empty(), "{of}: refused, and there all the same: {traces:?}");
}

/// Waits until all that writes beside the calls has caught up, and compares rows with what callers were told.
async fn settle(folder: &std::path::Path, book: &Book) {
    let path = folder.join("data/invitations.db");
    let database = sea_orm::Database::connect(format!("sqlite://{}?mode=ro", path.display())).await.unwrap();
    let until = Instant::now() + PATIENCE;
    let open = "SELECT count(*) FROM event WHERE position IS NULL";
    // A message that a killed process was sending waits for the end of its lease.
    let unsent = "SELECT count(*) FROM outbox WHERE state NOT IN ('sent', 'sending')";
    while number(&database, open).await + number(&database, unsent).await > 0 {
        assert!(
            Instant::now() < until,
            "{} events, {} mails left",
            number(&database, open).await,
            number(&database, unsent).await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let events = number(&database, "SELECT count(*) FROM event").await;
    assert_eq!(number(&database, "SELECT count(DISTINCT position) FROM event").await, events);
    assert_eq!(number(&database, "SELECT max(position) FROM event").await, events, "positions have no gap");
    let sent = "SELECT count(*) FROM event WHERE event_type = 'delivery.sent'";
    assert_eq!(
        number(&database, sent).await,
        number(&database, "SELECT count(*) FROM outbox WHERE state = 'sent'").await
    );
    same("accepted", &book.accepted, &texts(&database, "SELECT subject FROM acceptance").await);
    assert_eq!(
        number(&database, "SELECT use_count FROM invitation ORDER BY use_count DESC LIMIT 1").await,
        i64::try_from(book.accepted.len()).unwrap()
    );
    assert_eq!(number(&database, "SELECT count(*) FROM verification").await, i64::try_from(book.coded.len()).unwrap());
    database.close().await.unwrap();
}

async fn number(database: &DatabaseConnection, sql: &str) -> i64 {
    let row = database.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn texts(database: &DatabaseConnection, sql: &str) -> BTreeSet<String> {
    let rows = database.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}
