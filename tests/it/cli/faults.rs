//! Databases that fail for moments while callers write, and a process that is killed in between: whatever was acknowledged is
//! kept, and a retry under its request_id does nothing twice.
//!
//! On SQLite the disk refuses writes: `RLIMIT_FSIZE` of the running process makes every write beyond it fail with an I/O error
//! (<https://man7.org/linux/man-pages/man2/getrlimit.2.html>); without the limit there is room again. On PostgreSQL the server
//! ends the connections of the service again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use invitation_service::pb;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use invitation_service::pb::redemption_service_client::RedemptionServiceClient;
use invitation_service::pb::webhook_service_client::WebhookServiceClient;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::load::COMPANY;
use super::server::{PATIENCE, Server};
use crate::contract::codes;
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::on_both;
use crate::support::service::KEYS;

/// The number of rounds of trouble there are, unless the variable FAULT_ROUNDS asks for more.
const ROUNDS: u64 = 40;
/// After how many rounds the process is killed and started again.
const KILL_EVERY: u64 = 10;
/// The number of callers that write beside each other; one more writes when the test says so.
const CALLERS: usize = 4;

/// The answers that callers got.
#[derive(Default)]
struct Book {
    created: BTreeSet<String>,
    coded: BTreeSet<String>,
    accepted: BTreeSet<String>,
    /// Creates that were refused, to be tried again.
    refused_creates: BTreeSet<String>,
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
        let Self { created, coded, accepted, refused_creates, endpoints, acknowledged, refused } = other;
        self.created.extend(created);
        self.coded.extend(coded);
        self.accepted.extend(accepted);
        self.refused_creates.extend(refused_creates);
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
    /// The caller of a number, with a connection of its own.
    async fn of(server: &Server, link: &str, endpoints: &[String], number: usize) -> Self {
        let (link, endpoint) = (link.to_owned(), endpoints[number].clone());
        Self { channel: server.channel().await, link, endpoint, number }
    }

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
        let Some(made) = book.note(connections.create_connection_invitation(create(label)).await) else {
            book.refused_creates.insert(label.to_owned());
            return;
        };
        book.created.insert(label.to_owned());
        let get = pb::GetConnectionInvitationRequest { name: made.name };
        if let Err(status) = connections.get_connection_invitation(get).await {
            assert_eq!(status.code(), Code::Unavailable, "{label} was acknowledged: {status}");
        }
        let ask = codes::asking(&made.invitation_token, &address(label));
        let code = redemptions.send_verification_code(ask).await;
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
        send_email: Some(true),
        ..Default::default()
    }
}

/// The faults that a database is given.
struct Trouble {
    seed: u64,
    /// A connection to PostgreSQL past the service; `None` on SQLite.
    postgres: Option<DatabaseConnection>,
}

impl Trouble {
    async fn of(database: &TestDatabase) -> Self {
        let seed = std::env::var("FAULT_SEED").map_or(1, |seed| seed.parse().unwrap());
        let is_file = database.url().starts_with("sqlite");
        Self { seed, postgres: if is_file { None } else { Some(database.connect().await) } }
    }

    /// Returns whether what is refused leaves no trace. On PostgreSQL an answer may be lost whose commit is not.
    fn is_exact(&self) -> bool {
        self.postgres.is_none()
    }

    fn number(&mut self) -> u64 {
        // Knuth's generator (TAOCP 3.3.4) repeats a run from its seed.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 33
    }

    /// Makes one round of trouble, in which a caller writes once at least where nothing fits.
    async fn strike(&mut self, server: &Server, caller: &Caller, round: u64) -> Book {
        let mut book = Book::default();
        let (number, lasts) = (self.number(), Duration::from_millis(self.number() % 150));
        let Some(postgres) = &self.postgres else {
            // Nothing fits, or some writes of a commit do.
            let is_full = number.is_multiple_of(2);
            server.limit_files(Some(if is_full { 1 } else { number % 3_000_000 })).await;
            tokio::time::sleep(lasts).await;
            if is_full {
                caller.write(&format!("r{round}full"), &mut book).await;
            }
            server.limit_files(None).await;
            return book;
        };
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let until = Instant::now() + lasts;
        while Instant::now() < until {
            postgres.execute_unprepared(end).await.unwrap();
            tokio::time::sleep(Duration::from_millis(number % 20)).await;
        }
        book
    }
}

on_both!(migrated: acknowledged_writes_outlive_faults_and_kills);

async fn acknowledged_writes_outlive_faults_and_kills(database: TestDatabase) {
    let folder = folder();
    let environment = [
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__STORE__MAX_CONNECTIONS", "8"),
        ("INVITATION__STORE__MIGRATE_ON_START", "true"),
    ];
    let rounds = std::env::var("FAULT_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut trouble = Trouble::of(&database).await;
    let mut server = Server::ready_for_faults(folder.path(), &environment).await;
    let (link, endpoints) = prepare(&server).await;
    let mut book = Book::default();
    for round in 1..=rounds {
        let (stop, stopped) = watch::channel(false);
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            callers.spawn(Caller::of(&server, &link, &endpoints, number).await.work(stopped.clone(), round));
        }
        book.add(trouble.strike(&server, &Caller::of(&server, &link, &endpoints, CALLERS).await, round).await);
        stop.send_replace(true);
        for done in callers.join_all().await {
            book.add(done);
        }
        if round % KILL_EVERY == 0 {
            server.kill().await;
            server = Server::ready_for_faults(folder.path(), &environment).await;
        }
        if round % 10 == 0 {
            check(&server, &book, trouble.is_exact()).await;
        }
        // The first write behind the trouble is served, and kept. A pooled connection may not have learned of its end yet.
        let label = format!("r{round}last");
        Caller::of(&server, &link, &endpoints, CALLERS).await.write(&label, &mut book).await;
        let served = book.created.contains(&label) || !trouble.is_exact();
        assert!(served, "round {round} leaves trouble behind:\n{}", server.log());
    }
    assert!(book.refused > 0, "there was no trouble");
    retry(&server, &mut book).await;
    settle(&database, &book, trouble.is_exact()).await;
    check(&server, &book, trouble.is_exact()).await;
    println!("{} acknowledged, {} refused, 0 missing, 0 doubled", book.acknowledged, book.refused);
    server.stop().await;
}

/// Tries again what was refused, under the request_id it had; a pooled connection that the server ended costs one more try.
async fn retry(server: &Server, book: &mut Book) {
    let mut connections = ConnectionInvitationServiceClient::new(server.channel().await);
    for label in std::mem::take(&mut book.refused_creates) {
        let mut tries = 0;
        while book.note(connections.create_connection_invitation(create(&label)).await).is_none() {
            tries += 1;
            assert!(tries < 20, "{label} stays refused:\n{}", server.log());
        }
        book.created.insert(label);
    }
}

/// Makes a link that anybody may accept, and an endpoint for each caller.
async fn prepare(server: &Server) -> (String, Vec<String>) {
    let mut connections = ConnectionInvitationServiceClient::new(server.channel().await);
    let mut webhooks = WebhookServiceClient::new(server.channel().await);
    let anybody = pb::ConnectionInvitation { company_id: COMPANY.to_owned(), ..Default::default() };
    let request = pb::CreateConnectionInvitationRequest { connection_invitation: Some(anybody), ..Default::default() };
    let link = connections.create_connection_invitation(request).await.unwrap().into_inner().invitation_token;
    let mut endpoints = Vec::new();
    for number in 0..=CALLERS {
        let endpoint = pb::WebhookEndpoint { uri: format!("https://example.org/{number}"), ..Default::default() };
        let request = pb::CreateWebhookEndpointRequest { webhook_endpoint: Some(endpoint), ..Default::default() };
        endpoints.push(webhooks.create_webhook_endpoint(request).await.unwrap().into_inner().name);
    }
    (link, endpoints)
}

/// Compares what callers were told with what callers can read.
async fn check(server: &Server, book: &Book, is_exact: bool) {
    let channel = server.channel().await;
    let mut created = BTreeSet::new();
    let mut connections = ConnectionInvitationServiceClient::new(channel.clone());
    let mut page_token = String::new();
    loop {
        let request = pb::ListConnectionInvitationsRequest {
            company_id: COMPANY.to_owned(),
            page_size: 100,
            page_token,
            ..Default::default()
        };
        let page = connections.list_connection_invitations(request).await.unwrap().into_inner();
        let addresses =
            page.connection_invitations.into_iter().filter_map(|found| found.allowed_emails.first().cloned());
        for address in addresses {
            assert!(created.insert(address.trim_end_matches("@example.org").to_owned()), "{address} is there twice");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if !is_exact {
        created.retain(|label| !book.refused_creates.contains(label));
    }
    same("created", &book.created, &created);
    let mut webhooks = WebhookServiceClient::new(channel);
    for (name, uri) in book.endpoints.iter().filter(|_| is_exact) {
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
async fn settle(database: &TestDatabase, book: &Book, is_exact: bool) {
    let rows = database.connect().await;
    let number = async |sql: &str| number(&rows, sql).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let unnumbered = number("SELECT count(*) FROM event WHERE position IS NULL").await;
        // A message that a killed process was sending waits for the end of its lease.
        let unsent = number("SELECT count(*) FROM outbox WHERE state NOT IN ('sent', 'sending')").await;
        if unnumbered + unsent == 0 {
            break;
        }
        assert!(Instant::now() < until, "{unnumbered} events, {unsent} mails left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // One statement each, since mails that are being sent end meanwhile.
    let numbered =
        "SELECT count(position) - count(DISTINCT position) + abs(count(position) - max(position)) FROM event";
    assert_eq!(number(numbered).await, 0, "positions have no gap, and none occurs twice");
    let untold = "SELECT (SELECT count(*) FROM outbox WHERE state = 'sent')
        - (SELECT count(*) FROM event WHERE event_type = 'delivery.sent')";
    assert_eq!(number(untold).await, 0, "each mail that was sent has one event");
    let mut accepted = texts(&rows, "SELECT subject FROM acceptance").await;
    let uses = number("SELECT CAST(sum(use_count) AS bigint) FROM invitation").await;
    assert_eq!(uses, i64::try_from(accepted.len()).unwrap(), "uses are counted once");
    let codes = number("SELECT count(*) FROM verification").await - i64::try_from(book.coded.len()).unwrap();
    assert!(codes == 0 || codes > 0 && !is_exact, "{codes} codes too many");
    if !is_exact {
        accepted.retain(|subject| book.accepted.contains(subject));
    }
    same("accepted", &book.accepted, &accepted);
    rows.close().await.unwrap();
}

async fn number(rows: &DatabaseConnection, sql: &str) -> i64 {
    let row = rows.query_one_raw(Statement::from_string(rows.get_database_backend(), sql)).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn texts(rows: &DatabaseConnection, sql: &str) -> BTreeSet<String> {
    let rows = rows.query_all_raw(Statement::from_string(rows.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}
