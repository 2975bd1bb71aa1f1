//! Statements that were planned on new tables read as little when the tables have grown, for a role that owns nothing.

mod account;
mod api_keys;
mod organizations;
mod seats;
mod suppressions;

use std::time::Duration;

use invitation_service::background::expiry::ExpiryWalk;
use invitation_service::background::sequencer::Sequencer;
use invitation_service::clock::Clock;
use invitation_service::domain::command::{
    Access, Action, Command, CreateInvitation, ExpireInvitation, OnConflict, SettleDelivery,
};
use invitation_service::domain::delivery::{DeliveryEnd, DeliveryState};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::invitation::acceptance::Subject;
use invitation_service::domain::invitation::event::{EventFilter, EventType};
use invitation_service::domain::reach::Reach;
use invitation_service::domain::secret::verification::FreeTries;
use invitation_service::domain::value::id::{AcceptanceId, IdSeed, InvitationId};
use invitation_service::domain::value::text::AccountId;
use invitation_service::entropy::Entropy;
use invitation_service::store::{
    AcceptanceFilter, AcceptanceQuery, Attempt, AttemptOutcome, AttemptQuery, BatchMode, CodeTry, DeliveryQuery,
    EndpointQuery, PruneTurn, RecipientQuery, RedeliveryQuery, Store, Tried, WantedEvents, WebhookAttemptResult,
    WriteOnce,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, IsolationLevel, TransactionTrait};
use uuid::Uuid;

use super::plans_make::{GROW, endpoint, new_verification};
use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::explain::Executions;

/// The number of rows the tables grow by.
const ROWS: u64 = 30_000;

/// The most rows that may come out of one node of a plan, and the most pages that a statement may look at, for the few rows that
/// each step is about. Reading a table or an index of all rows takes more.
const MOST_ROWS: u64 = 500;
const MOST_PAGES: u64 = 600;

/// Steps that look at some hundred endpoints, each of them in several places.
const PLACES: [&str; 2] = ["claim webhook messages", "prune"];

const LEASE: Duration = Duration::from_secs(45);

/// A store whose plans are watched, and the name of the round.
struct Desk {
    store: Store,
    admin: DatabaseConnection,
    clock: Clock,
    round: &'static str,
    watched: Option<Executions>,
    late: Vec<String>,
}

impl Desk {
    /// Looks at what a step has had carried out.
    async fn check(&mut self, step: &str) {
        let Some(watched) = &mut self.watched else { return };
        // The plan of a connection's last statement is logged when the next one begins.
        self.store.last_position().await.unwrap();
        for execution in watched.take() {
            let places = if PLACES.contains(&step) { 20 } else { 1 };
            if execution.rows > places * MOST_ROWS || execution.pages > places * MOST_PAGES {
                self.late.push(format!(
                    "{step}: {} rows, {} pages\n{}\n{}",
                    execution.rows, execution.pages, execution.sql, execution.plan
                ));
            }
        }
    }

    async fn run(&self, action: Action) {
        self.store.executor().execute(command(action), None).await.unwrap();
    }

    fn seed(&self) -> IdSeed {
        IdSeed::new(self.clock.now(), Entropy::system().bytes())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn statements_planned_on_new_tables_look_up_only_their_rows() {
    let Some(owner) = TestDatabase::postgres().await else { return };
    let database = owner.without_statistics().await;
    let clock = Clock::manual(NEW_YEAR);
    let store = Store::start(database.open_with(&clock, 1).await, &options(Group::run));
    let admin = owner.connect().await;
    let mut desk = Desk { store, admin, clock, round: "first", watched: None, late: Vec::new() };
    everything(&mut desk).await;
    desk.round = "second";
    everything(&mut desk).await;
    let grow = GROW.replace("ROWS", &ROWS.to_string()).replace("NEW_YEAR", &desk.clock.now().micros().to_string());
    desk.admin.execute_unprepared(&grow).await.unwrap();
    (desk.round, desk.watched) = ("grown", Some(Executions::of(&database)));
    everything(&mut desk).await;
    held_snapshot(&mut desk, &owner).await;
    assert!(desk.late.is_empty(), "{}", desk.late.join("\n"));
}

async fn everything(desk: &mut Desk) {
    let made = create_and_change(desk).await;
    taking_slots(desk).await;
    reads(desk, made).await;
    following(desk).await;
    account::lists(desk).await;
    webhooks(desk).await;
    mail(desk).await;
    verifications(desk).await;
    second_attempts(desk).await;
    organizations::look_ups(desk).await;
    suppressions::look_ups(desk).await;
    seats::steps(desk).await;
    // A statement that numbers events looks at as many pages as they have: not all of a round are left to one.
    desk.store.sequence().await.unwrap();
    desk.check("sequence").await;
    api_keys::steps(desk).await;
    pruning(desk).await;
}

async fn create_and_change(desk: &mut Desk) -> InvitationId {
    let request = desk.round;
    let labels = [("a".to_owned(), "b".to_owned())].into();
    let made = CreateInvitation { recipients: emails(3), mails: true, labels, ..link() };
    let made =
        desk.store.executor().execute(retryable("Create", request, 1, create(made)), None).await.unwrap().invitation;
    desk.check("create").await;
    let mut first = accept_by(&made, acceptor("ann"));
    first.access = Access::Link(made.claims(1));
    let accept = retryable("Accept", request, 1, Action::Accept(Box::new(first)));
    desk.store.executor().execute(accept, None).await.unwrap();
    desk.check("accept").await;
    for action in [resend(&made, false, None), record(&made, EngagementType::View), decline(&made, 2), revoke(&made)] {
        desk.run(action).await;
        desk.check("change").await;
    }
    made.id
}

/// The commands that look for others: the holders of slots, other invitations of the same person, an auto-join.
async fn taking_slots(desk: &mut Desk) {
    let address = format!("{}@example.org", desk.round);
    for on_conflict in [OnConflict::Allow, OnConflict::ReturnExisting, OnConflict::Replace] {
        let general =
            general(team("red"), on_conflict, &[crate::support::build::kinds::mail(&address), internal(&address)]);
        created(&desk.store, general).await;
        desk.check("create general").await;
    }
    // An address that has had many invitations, none of which is open.
    let general = general(team("red"), OnConflict::Reject, &[internal("ended")]);
    let last = created(&desk.store, general).await;
    desk.check("create general for an address with a past").await;
    desk.run(revoke(&last)).await;
    let open = created(
        &desk.store,
        crate::support::build::kinds::general(
            team("red"),
            OnConflict::Allow,
            &[crate::support::build::kinds::mail(&address)],
        ),
    )
    .await;
    for action in [
        create(user(&address)),
        resend(&open, false, Some(seconds(600))),
        accept_as(&open, &address, &address),
        sync("red", &[&format!("{}.org", desk.round), "b.org"]),
    ] {
        desk.run(action).await;
        desk.check("take slots").await;
    }
}

async fn reads(desk: &mut Desk, id: InvitationId) {
    let reads = desk.store.primary().clone();
    read(&desk.store, id).await;
    events(&desk.store, id).await;
    desk.check("get").await;
    let deliveries = DeliveryQuery { ascending: true, ..DeliveryQuery::of(id, 10) };
    reads.list_deliveries(&reach(), &deliveries).await.unwrap().unwrap();
    desk.check("list deliveries").await;
    let one = DeliveryQuery { id: Some(COMPANY), states: vec![DeliveryState::Failed], ..deliveries };
    reads.list_deliveries(&reach(), &DeliveryQuery { recipient: Some(1), ..one }).await.unwrap().unwrap();
    desk.check("get delivery").await;
    let several = (0..100).map(|n| InvitationId(Uuid::from_u128(n))).chain([id]).collect();
    assert_eq!(reads.get_invitations(&reach(), &several).await.unwrap().unwrap().len(), 1);
    desk.check("get invitations").await;
    assert!(reads.get_acceptance(&reach(), id, AcceptanceId(COMPANY)).await.unwrap().is_none());
    desk.check("get acceptance").await;
    let acceptances = AcceptanceQuery::of(id, 10);
    reads.list_acceptances(&reach(), &acceptances).await.unwrap().unwrap();
    desk.check("list acceptances").await;
    let filter = AcceptanceFilter { subject: Some(Subject("dan".to_owned())), ..AcceptanceFilter::default() };
    reads.list_acceptances(&reach(), &AcceptanceQuery { filter, ..acceptances }).await.unwrap().unwrap();
    desk.check("list acceptances of a subject").await;
    assert_eq!(reads.list_recipients(&reach(), &RecipientQuery::of(id, 10)).await.unwrap().unwrap().len(), 3);
    desk.check("list recipients").await;
    let one = RecipientQuery { ordinal: Some(1), ..RecipientQuery::of(id, 1) };
    assert_eq!(reads.list_recipients(&reach(), &one).await.unwrap().unwrap().len(), 1);
    desk.check("get recipient").await;
    assert!(reads.get_invitation(&reach(), InvitationId(COMPANY), true).await.unwrap().is_none());
    reads.find_autojoin(&reach(), &team("red").unwrap()).await.unwrap().unwrap();
    desk.check("find autojoin").await;
}

async fn following(desk: &mut Desk) {
    let store = desk.store.clone();
    created(&store, CreateInvitation { expiry: after(60), ..link() }).await;
    let before = store.last_position().await.unwrap();
    desk.clock.advance(Duration::from_secs(61));
    desk.check("create").await;
    assert!(store.sequence().await.unwrap().is_some_and(|numbered| numbered >= 2));
    desk.check("sequence").await;
    assert!(!store.all_events_behind(before, 256).await.unwrap().events.is_empty());
    desk.check("tail").await;
    assert!(!store.events_behind(&reach(), &EventFilter::default(), before, 256).await.unwrap().events.is_empty());
    let quiet = AccountId::parse("quiet").unwrap();
    let rare = EventFilter { types: vec![EventType::Unfurled.into()], ..EventFilter::default() };
    assert!(store.events_behind(&reach(), &rare, before, 256).await.unwrap().events.is_empty());
    let nothing =
        store.events_behind(&Reach::of_account(quiet.clone()), &EventFilter::default(), 0, 256).await.unwrap();
    assert!(nothing.events.is_empty());
    desk.check("events of an account").await;
    let told = ExpiryWalk::new(store.clone(), Uuid::from_u128(1)).record_expiries().await.unwrap();
    assert!(told.is_some_and(|told| told >= 1), "{told:?}");
    desk.check("expiry").await;
}

async fn webhooks(desk: &mut Desk) {
    let store = desk.store.clone();
    let endpoint = endpoint(&desk.seed(), desk.clock.now());
    store.create_webhook_endpoint(&account(), &endpoint, &WriteOnce::default()).await.unwrap().unwrap();
    let id = endpoint.id;
    desk.check("create endpoint").await;
    created(&store, link()).await;
    store.sequence().await.unwrap();
    desk.check("sequence").await;
    while store.dispatch_webhooks(&desk.seed()).await.unwrap() {}
    desk.check("dispatch").await;
    let lease = Uuid::from_bytes(Entropy::system().bytes());
    let mut behind = (String::new(), Uuid::nil());
    let claimed = loop {
        let claim = store.claim_webhook_messages(lease, LEASE, 10, &behind).await.unwrap();
        desk.check("claim webhook messages").await;
        match claim.iter().find(|claimed| claimed.endpoint == id) {
            Some(claimed) => break claimed.clone(),
            None => behind = claim.last().map_or(behind, |last| (last.account.as_str().to_owned(), last.endpoint)),
        }
    };
    store.webhook_contents(std::slice::from_ref(&claimed)).await.unwrap();
    desk.check("webhook contents").await;
    let attempt = Attempt {
        id: desk.seed().nth(1),
        webhook_id: desk.seed().nth(2),
        http_status: Some(200),
        error: None,
        duration: Duration::from_millis(1),
    };
    let settled = WebhookAttemptResult {
        message: claimed,
        outcome: AttemptOutcome::Arrived,
        at: desk.clock.now(),
        attempt: Some(attempt),
    };
    store.settle_webhook_messages(&[settled]).await.unwrap();
    desk.check("settle webhook messages").await;
    let attempts = AttemptQuery { ascending: true, ..AttemptQuery::of(id, 10) };
    assert_eq!(store.primary().list_webhook_attempts(&account(), &attempts).await.unwrap().unwrap().len(), 1);
    desk.check("list attempts").await;
    let wanted =
        WantedEvents { start: NEW_YEAR, end: desk.clock.now(), types: Vec::new(), invitations: Vec::new(), most: 10 };
    store
        .redeliver_webhook_events(&account(), id, &WriteOnce::default(), &wanted, &desk.seed(), |_| Ok(()))
        .await
        .unwrap()
        .unwrap_err();
    desk.check("redeliver").await;
    let page = EndpointQuery { limit: 10, ..EndpointQuery::default() };
    store.primary().list_webhook_endpoints(&account(), &page).await.unwrap();
    store.delete_webhook_endpoint(&account(), id, &WriteOnce::default(), |_| Ok(())).await.unwrap().unwrap();
    desk.check("delete endpoint").await;
}

async fn mail(desk: &mut Desk) {
    let store = desk.store.clone();
    let made =
        created(&store, CreateInvitation { expiry: after(86_400), ..user(&format!("{}@b.org", desk.round)) }).await;
    store.plan_deliveries().await.unwrap();
    desk.check("plan deliveries").await;
    let lease = Uuid::from_bytes(Entropy::system().bytes());
    let claimed = store.claim_deliveries(lease, LEASE, 100, "").await.unwrap();
    desk.check("claim deliveries").await;
    let own = claimed.iter().find(|claimed| claimed.delivery.message.invitation == made.id).unwrap();
    store.topicality(own).await.unwrap().unwrap();
    desk.check("topicality").await;
    store.release_delivery(own, Duration::ZERO, true, "late").await.unwrap();
    let claimed = store.claim_deliveries(lease, LEASE, 100, "").await.unwrap();
    let own = claimed.iter().find(|claimed| claimed.delivery.message.invitation == made.id).unwrap();
    let end = DeliveryEnd::Failed("gone".to_owned());
    desk.run(Action::SettleDelivery(SettleDelivery { delivery: own.delivery.message.id, lease, end })).await;
    desk.check("settle delivery").await;
    let replay = RedeliveryQuery { invitation: Some(made.id), ..RedeliveryQuery::default() };
    assert_eq!(store.redeliver_deliveries(&reach(), &replay, &WriteOnce::default()).await.unwrap(), Some(1));
    store.redeliver_deliveries(&reach(), &RedeliveryQuery::default(), &WriteOnce::default()).await.unwrap();
    desk.check("replay deliveries").await;
    let again = store.claim_deliveries(lease, LEASE, 100, "").await.unwrap();
    assert!(store.cancel_delivery(&again[0], "no reason").await.unwrap());
    desk.check("cancel delivery").await;
}

async fn verifications(desk: &mut Desk) {
    let store = desk.store.clone();
    let made = created(&store, link()).await;
    let new = new_verification(&made, &desk.seed(), desk.clock.now());
    store.request_verification(&made, &new).await.unwrap().unwrap();
    desk.check("request verification").await;
    let keys = [new.address_key.clone()];
    let kept = store.find_codes(&account(), made.id, &keys).await.unwrap();
    assert!(store.find_verification(&account(), made.id, new.verification.id).await.unwrap().is_some());
    let (account, free) = (account(), FreeTries { client: 1, invitation: 1 });
    for (code, is_right) in [(None, false), (kept.first(), true)] {
        let tried = CodeTry { account: &account, invitation: made.id, client_key: "client", code, is_right, free };
        assert_eq!(store.try_code(&tried).await.unwrap() == Tried::Right, is_right);
    }
    desk.check("verification").await;
}

/// A command that can never be saved, since what it tells is told, among others that can.
async fn second_attempts(desk: &mut Desk) {
    let store = desk.store.clone();
    let made = created(&store, CreateInvitation { expiry: after(60), ..link() }).await;
    desk.clock.advance(Duration::from_secs(61));
    let expire = |id| command(Action::Expire(ExpireInvitation { id }));
    store.executor().execute(expire(made.id), None).await.unwrap();
    let forget = format!("UPDATE invitation SET expiry_told_at = NULL WHERE id = '{}'", made.id.0);
    desk.admin.execute_unprepared(&forget).await.unwrap();
    let mut commands = vec![expire(made.id)];
    for number in 0..100 {
        let account = AccountId::parse(&format!("account-{number}")).unwrap();
        commands.push(Command { reach: Reach::of_account(account), ..expire(InvitationId(Uuid::from_u128(number))) });
    }
    let results = store.executor().execute_all(commands, BatchMode::Independent, None).await.unwrap();
    assert!(results.iter().all(Result::is_err));
    desk.check("second attempts").await;
}

async fn pruning(desk: &mut Desk) {
    let maintenance = desk.store.maintenance();
    maintenance.prune_requests().await.unwrap();
    maintenance.prune_verifications().await.unwrap();
    maintenance.prune_webhooks().await.unwrap();
    // Of the rows by which the tables have grown, some thousand events are old, and what has one of the lowest ids.
    let (day, since) = (Duration::from_secs(86_400), desk.clock.now().micros() - NEW_YEAR.micros());
    let age = Duration::from_micros(since.unsigned_abs() + 900_000_000 - 1_500);
    for publishes in [false, true] {
        maintenance.prune_events(age, publishes, &mut PruneTurn::lasting(Duration::from_secs(60))).await.unwrap();
    }
    maintenance.prune_deliveries(day, &mut PruneTurn::lasting(Duration::from_secs(60))).await.unwrap();
    maintenance.prune_ended_invitations(day, &mut PruneTurn::lasting(Duration::from_secs(60))).await.unwrap();
    desk.check("prune").await;
}

/// Thousands of events that were numbered while a snapshot was held, as by a dump: their entries stay in the index.
async fn held_snapshot(desk: &mut Desk, owner: &TestDatabase) {
    desk.store.sequence().await.unwrap();
    let dump = owner.connect().await;
    let held = dump.begin_with_config(Some(IsolationLevel::RepeatableRead), None).await.unwrap();
    held.execute_unprepared("SELECT count(*) FROM event").await.unwrap();
    let arrive = format!(
        "INSERT INTO event (account_id, invitation_id, sequence, id, kind, event_type, occurred_at, actor, data)
        SELECT 'acme', gen_random_uuid(), 1, gen_random_uuid(), 'connection', 'invitation.created', {} + n, 'x', '{{}}'
        FROM generate_series(1, 10000) n",
        desk.clock.now().micros()
    );
    desk.admin.execute_unprepared(&arrive).await.unwrap();
    let mut sequencer = Sequencer::new(desk.store.clone());
    assert_eq!(sequencer.sequence().await.unwrap(), Some(10_000));
    desk.store.last_position().await.unwrap();
    desk.watched.as_mut().unwrap().take();
    // A look at everything, which may fall into a round, walks over them; the others do not.
    let mut pages = Vec::new();
    for _ in 0..3 {
        desk.clock.advance(Duration::from_secs(61));
        created(&desk.store, link()).await;
        assert_eq!(sequencer.sequence().await.unwrap(), Some(1));
        desk.store.last_position().await.unwrap();
        let executions = desk.watched.as_mut().unwrap().take();
        pages.push(executions.iter().map(|execution| execution.pages).max().unwrap());
    }
    assert!(pages.iter().any(|pages| *pages < 100), "{pages:?}");
    held.rollback().await.unwrap();
}
