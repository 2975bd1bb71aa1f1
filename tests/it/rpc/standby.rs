//! Reads from a standby: which RPCs are asked of it, and what callers see while it lags, falls silent or is away.

mod streaming;

use std::time::Duration;

use bytes::Bytes;
use invitation_service::clock::Clock;
use invitation_service::pb;
use prost::Message as _;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

use crate::contract::raw::Rpc;
use crate::contract::{codes, raw, request};
use crate::support::build::guests::HOST;
use crate::support::build::messages::Expiring as _;
use crate::support::build::{generals, guests, messages};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::service::{Service, configuration};

/// The RPCs that change nothing and yet are never asked of a standby: what a link shows is a decision, and an export has everything
/// that is stored.
const CURRENT: [&str; 2] = ["PreviewInvitation", "ExportRecipient"];

/// The RPCs without a request_id that are no reads of rows: they show none, do something, decide what a write would, or answer with
/// a stream.
const OTHERS: [&str; 8] = [
    "GetCaller",
    "GetQuota",
    "SendVerificationCode",
    "VerifyEmail",
    "VerifyReceipt",
    "TestWebhookEndpoint",
    "CheckAcceptance",
    "WatchEvents",
];

/// Statements that make a copy differ in each table that is shown.
const DIFFERENCES: [&str; 12] = [
    "UPDATE invitation SET max_uses = 77, updated_at = updated_at - 1000000",
    "UPDATE recipient SET display_name = 'of the copy'",
    "UPDATE acceptance SET accepted_at = accepted_at - 1000000",
    "UPDATE event SET occurred_at = occurred_at - 1000000",
    "UPDATE outbox SET created_at = created_at - 1000000",
    "UPDATE webhook_endpoint SET uri = 'https://copy.invalid/'",
    "UPDATE webhook_attempt SET http_status = 503",
    "UPDATE organization_grant SET creator = 'of the copy'",
    "UPDATE api_key SET display_name = 'of the copy'",
    "UPDATE suppression SET creator = 'of the copy'",
    "UPDATE scope_settings SET seats = 77",
    "UPDATE seat SET occupied_at = occupied_at - 1000000",
];

/// Statements after which a copy lacks everything that decides.
const LOSSES: [&str; 3] =
    ["UPDATE invitation SET revoked_at = created_at", "DELETE FROM organization_grant", "DELETE FROM verification"];

/// Makes one of everything, and returns it with a copy of the database on which statements were run.
async fn copied(database: &TestDatabase, changes: &[&str]) -> (request::Known, TestDatabase) {
    let service = Service::start(database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    // Events that get their positions later would be ones that the copy lacks.
    let rows = database.connect().await;
    while count_unnumbered(&rows).await > 0 {
        pause().await;
    }
    rows.close().await.unwrap();
    service.stop().await;
    let copy = database.copy().await.unwrap();
    let rows = copy.connect().await;
    for sql in changes {
        rows.execute_unprepared(sql).await.unwrap();
    }
    rows.close().await.unwrap();
    (known, copy)
}

async fn count_unnumbered(rows: &DatabaseConnection) -> i64 {
    let sql = "SELECT count(*) FROM event WHERE position IS NULL";
    let row = rows.query_one_raw(Statement::from_string(rows.get_database_backend(), sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

/// Starts a service that reads from a standby, and waits until it does: until an invitation looks as it does there.
async fn start(database: &TestDatabase, standby: &TestDatabase, known: &request::Known) -> Service {
    let more = [("INVITATION__STORE__READ_URL", standby.url())];
    let service = Service::start_with(configuration(database, &more), Clock::manual(NEW_YEAR)).await;
    let current = Service::start(database).await;
    let name = known.general.clone();
    let shown = messages::get_general(&current, &name).await;
    current.stop().await;
    while messages::get_general(&service, &name).await == shown {
        pause().await;
    }
    service
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Returns the answer without what is another one each time.
fn comparable(rpc: &Rpc, answer: Bytes) -> Vec<u8> {
    match rpc.path.rsplit('/').next() {
        Some("GetEvent") => {
            pb::Event { resume_token: String::new(), ..pb::Event::decode(answer).unwrap() }.encode_to_vec()
        }
        Some("ListEvents") => {
            let mut listed = pb::ListEventsResponse::decode(answer).unwrap();
            listed.events.iter_mut().for_each(|event| event.resume_token.clear());
            listed.encode_to_vec()
        }
        _ => answer.to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn every_list_and_get_is_asked_of_the_standby() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let (known, copy) = copied(&database, &DIFFERENCES).await;
    let service = start(&database, &copy, &known).await;
    let (primary, standby) = (Service::start(&database).await, Service::start(&copy).await);
    let is_named = |rpc: &Rpc, names: &[&str]| names.iter().any(|name| rpc.path.ends_with(&format!("/{name}")));
    let is_write = |rpc: &Rpc| raw::inputs(rpc).iter().any(|input| input.path == "request_id");
    let reads = raw::rpcs().iter().filter(|rpc| !is_write(rpc) && !is_named(rpc, &OTHERS));
    let mut lagging = 0;
    for rpc in reads {
        let message = request::valid(&rpc.path, &known).1;
        let answer = async |service| comparable(rpc, request::call(service, rpc, message.clone()).await.unwrap());
        let [current, copied] = [answer(&primary).await, answer(&standby).await];
        assert_ne!(current, copied, "the copy differs in what {} shows", rpc.path);
        let is_current = is_named(rpc, &CURRENT);
        assert_eq!(answer(&service).await, if is_current { current } else { copied }, "{}", rpc.path);
        lagging += usize::from(!is_current);
    }
    assert_eq!(lagging, 32, "the RPCs that are asked of the standby");
    for service in [service, primary, standby] {
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn decisions_and_their_answers_come_from_the_primary() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let (known, copy) = copied(&database, &LOSSES).await;
    let service = start(&database, &copy, &known).await;
    let accepted = service.redemptions().accept_invitation(messages::accept(&known.token, "bob")).await.unwrap();
    let invitation = accepted.into_inner().invitation.unwrap();
    assert_eq!(invitation.state(), pb::InvitationState::Active, "the answer shows what was written");
    assert_eq!(
        messages::get(&service, &format!("connectionInvitations/{}", known.id)).await.state(),
        pb::InvitationState::Revoked,
        "a Get lags"
    );
    let verify = codes::trying(&known.user_token(), &known.email("user"), &known.code);
    service.redemptions().verify_email(verify).await.unwrap();
    let list = pb::ListGuestInvitationsRequest::default();
    let guests = service.guests().list_guest_invitations(guests::between(&known.id, HOST, list)).await.unwrap();
    assert_eq!(guests.into_inner().guest_invitations.len(), 1, "the grant of the primary lets the call through");
    let filter = pb::InvitationFilter { kinds: vec![pb::InvitationKind::General.into()], ..Default::default() };
    let revoke = pb::RevokeInvitationsRequest { filter: Some(filter), ..Default::default() };
    let revoked = service.invitations().revoke_invitations(revoke).await.unwrap().into_inner();
    assert!(revoked.revoked_count > 0, "what is open on the primary is revoked");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn gets_find_what_the_standby_does_not_have_yet() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let (known, copy) = copied(&database, &DIFFERENCES).await;
    let service = start(&database, &copy, &known).await;
    let made = generals::create(&service, generals::into_team(&[generals::internal("new")])).await.read();
    let name = made.name.clone();
    assert_eq!(messages::get_general(&service, &name).await, made);
    let batch = pb::BatchGetInvitationsRequest { names: vec![known.general.clone(), name.clone()] };
    let found = service.invitations().batch_get_invitations(batch).await.unwrap().into_inner().invitations;
    assert_eq!(found[1], made);
    let recipient = pb::GetRecipientRequest { name: format!("{name}/recipients/1") };
    service.invitations().get_recipient(recipient).await.unwrap();
    assert_eq!(messages::event_types(&service, &name).await, ["invitation.created"]);
    let event = pb::GetEventRequest { name: format!("{name}/events/1") };
    service.events().get_event(event).await.unwrap();
    let list = pb::ListInvitationsRequest::default();
    let listed = service.invitations().list_invitations(list).await.unwrap().into_inner().invitations;
    assert!(!listed.is_empty() && listed.iter().all(|listed| listed.name != name), "lists lag");
    service.stop().await;
}
