//! The service deletes rows that are older than the ages that are set, and no others.

mod deliveries;
mod events;
mod invitations;
mod races;

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{PruneTurn, Pruned, Retention, Store};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(migrated: nothing_that_users_see_is_deleted_by_default, table_that_cannot_be_pruned_holds_up_no_other, count_that_cannot_be_pruned_holds_up_no_other, replicas_delete_in_turn_what_has_grown_too_old);

const DAY: Duration = Duration::from_secs(86_400);
/// More time than any deletion here takes.
const MINUTE: Duration = Duration::from_secs(60);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
const ALL: Retention = Retention {
    events: Some(DAY),
    deliveries: Some(Duration::from_secs(7 * 86_400)),
    ended_invitations: Some(Duration::from_secs(30 * 86_400)),
    counts_open: false,
    publishes: false,
};

/// The tables with rows of invitations.
const TABLES: [&str; 9] = [
    "invitation",
    "recipient",
    "label",
    "invitation_group",
    "acceptance",
    "slot",
    "autojoin_domain",
    "engagement",
    "outbox",
];

fn other() -> AccountId {
    AccountId::parse("bert").unwrap()
}

/// The number of rows of a table.
async fn count(database: &TestDatabase, table: &str) -> i64 {
    let connection = database.connect().await;
    let sql = format!("SELECT count(*) FROM {table}");
    let row = connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

async fn run(database: &TestDatabase, sql: &str) -> u64 {
    database.connect().await.execute_unprepared(sql).await.unwrap().rows_affected()
}

fn all(rows: u64) -> Pruned {
    Pruned { rows, is_done: true }
}

/// An invitation that was revoked at once, with an event and a message that was cancelled or sent.
async fn revoked(store: &Store, database: &TestDatabase, address: &str) -> InvitationId {
    let made = created(store, user(address)).await;
    store.executor().execute(command(revoke(&made)), None).await.unwrap();
    run(database, "UPDATE outbox SET state = 'cancelled', due_at = NULL").await;
    made.id
}

async fn nothing_that_users_see_is_deleted_by_default(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = revoked(&store, &database, "ann@example.org").await;
    store.sequence().await.unwrap();
    clock.advance(5_000 * DAY);
    let pruned = store.prune_in_turn(Uuid::from_u128(1), &Retention::default()).await.unwrap();
    assert_eq!(pruned, Some(all(0)));
    assert_eq!(story(&store, made).await, ["created", "revoked"]);
    assert_eq!((count(&database, "outbox").await, count(&database, "recipient").await), (1, 1));
}

async fn replicas_delete_in_turn_what_has_grown_too_old(database: TestDatabase) {
    let clock = Clock::manual(crate::support::database::NEW_YEAR);
    let one = store_with(&database, &clock, &options(invitation_service::domain::group::Group::run)).await;
    let mut stores = vec![one];
    if database.url().starts_with("postgres") {
        stores.push(store_with(&database, &clock, &options(invitation_service::domain::group::Group::run)).await);
    }
    for number in 0..60 {
        revoked(&stores[0], &database, &format!("ann{number}@example.org")).await;
    }
    stores[0].sequence().await.unwrap();
    clock.advance(31 * DAY);
    // Without the lease, as by a replica that was frozen while its lease ended.
    let deleting = stores.iter().cycle().take(2).map(|store| async {
        let (maintenance, mut turn) = (store.maintenance(), PruneTurn::lasting(MINUTE));
        maintenance.prune_ended_invitations(30 * DAY, &mut turn).await.unwrap().rows
    });
    let rows = futures_util::future::join_all(deleting).await;
    assert_eq!((rows.iter().sum::<u64>(), count(&database, "invitation").await), (60, 0), "{rows:?}");
    let pruned = stores[0].prune_in_turn(Uuid::from_u128(1), &ALL).await.unwrap();
    assert_eq!(pruned, Some(all(120)), "the events");
    let last = stores.last().unwrap();
    assert_eq!(last.prune_in_turn(Uuid::from_u128(2), &ALL).await.unwrap(), None, "it has just been done");
    for table in TABLES {
        assert_eq!(count(&database, table).await, 0, "{table}");
    }
    assert_eq!(count(&database, "event").await, 0);
}

async fn table_that_cannot_be_pruned_holds_up_no_other(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    revoked(&store, &database, "ann@example.org").await;
    store.sequence().await.unwrap();
    fail_on(&database, "event").await;
    clock.advance(31 * DAY);
    for _ in 0..2 {
        // It is tried again at the next look, and the trouble is told each time.
        store.prune_in_turn(Uuid::from_u128(1), &ALL).await.unwrap_err();
        assert_eq!((count(&database, "event").await, count(&database, "invitation").await), (2, 0));
    }
}

async fn count_that_cannot_be_pruned_holds_up_no_other(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    revoked(&store, &database, "ann@example.org").await;
    store.sequence().await.unwrap();
    let old = "INSERT INTO quota (account_id, key, period_start, used, lapsed) VALUES ('acme', 'inviter x', 86400000000, 1, 0)";
    assert_eq!(run(&database, old).await, 1);
    fail_on(&database, "quota").await;
    clock.advance(31 * DAY);
    store.prune_in_turn(Uuid::from_u128(1), &ALL).await.unwrap_err();
    assert_eq!((count(&database, "quota").await, count(&database, "invitation").await), (1, 0));
}

/// Lets no row of a table be deleted.
async fn fail_on(database: &TestDatabase, table: &str) {
    let fail = if database.url().starts_with("sqlite") {
        format!("CREATE TRIGGER fail BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'injected'); END")
    } else {
        format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'injected'; END $$;
            CREATE TRIGGER fail BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION fail()"
        )
    };
    run(database, &fail).await;
}

/// Everything of one account.
fn reach_of(account: &AccountId) -> Reach {
    Reach::of_account(account.clone())
}
