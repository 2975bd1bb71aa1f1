//! Tests of the guards that notice a change between two statements of one decision. On SQLite no other process can
//! write between them, so these tests do it on the connections of the store.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement, Value};
use tempfile::TempDir;
use uuid::Uuid;

use super::load::{load, load_texts};
use super::save::save;
use super::save_sql::SaveSql;
use crate::clock::Clock;
use crate::domain::command::{Action, Command, CreateInvitation, OnConflict, ResendInvitation, SettleDelivery, Target};
use crate::domain::decide::Context;
use crate::domain::delivery::DeliveryEnd;
use crate::domain::delivery::notice::Notices;
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::Group;
use crate::domain::invitation::Invitation;
use crate::domain::kind::general::{CallerData, GeneralDetails, RecipientMatch, Usage};
use crate::domain::kind::shared::SharedDetails;
use crate::domain::kind::{Details, Scope};
use crate::domain::quota::Quotas;
use crate::domain::reach::Reach;
use crate::domain::value::email::Email;
use crate::domain::value::grantable_roles::GrantableRoles;
use crate::domain::value::id::IdSeed;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::error::StoreError;
use crate::store::{Database, ExecutorOptions, Store};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const CONTEXT: Context =
    Context { signing_key: 1, reminders: Schedules::NONE, notices: Notices::NONE, quotas: Quotas::NONE };
const ANN: &str = "ann@example.org";

/// Runs a statement of its own, once, before the second query.
struct Meddler<'a, C> {
    inner: &'a C,
    asked: Mutex<u32>,
    statement: &'a str,
}

#[async_trait::async_trait]
impl<C: ConnectionTrait + Sync> ConnectionTrait for Meddler<'_, C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let asked = {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            *asked
        };
        if asked == 2 {
            self.inner.execute_unprepared(self.statement).await?;
        }
        self.inner.query_all_raw(statement).await
    }
}

async fn open(folder: &TempDir) -> (Database, Store) {
    let path = folder.path().join("invitations.db");
    let clock = Clock::manual(NOW);
    let database = Database::sqlite(&path, 2, Duration::from_secs(10), clock).await.unwrap();
    database.maintenance().migrate().await.unwrap();
    let (timeout, context) = (Duration::from_secs(10), CONTEXT);
    let options = ExecutorOptions { lanes: 1, queue: 10, timeout, context, decide: Group::run };
    let store = Store::start(database.clone(), &options);
    (database, store)
}

fn command(action: Action) -> Command {
    let account = AccountId::parse("acme").unwrap();
    Command {
        reach: Reach::of_account(account),
        actor: "tester".to_owned(),
        grantable_roles: GrantableRoles::default(),
        request: None,
        seed: IdSeed::new(NOW, [7; 16]),
        action,
    }
}

/// Returns an action that invites Ann into a scope, with a message.
fn create(on_conflict: OnConflict) -> Action {
    let details = GeneralDetails {
        usage: Usage::SingleUse,
        scope: Some(Scope::new("team", "t1")),
        explicit_scope: true,
        groups: Vec::new(),
        roles: Vec::new(),
        exclusive: true,
        recipient_match: RecipientMatch::Exact,
        domains: Vec::new(),
        caller_data: CallerData::default(),
        shared: SharedDetails::default(),
    };
    Action::Create(Box::new(CreateInvitation {
        details: Details::General(Box::new(details)),
        max_uses: Some(1),
        expiry: None,
        recipients: vec![Email::parse(ANN).unwrap().into()],
        mails: true,
        labels: BTreeMap::new(),
        on_conflict,
    }))
}

/// Returns a renewal, which looks for the holders of its slots once the invitation is known.
fn renew(invitation: &Invitation) -> Action {
    let target = Target { id: invitation.id, kind: None, hides_deleted: false, etag: None };
    let (rotate, expiry, send_email, recipients) = (false, None, Some(false), Vec::new());
    Action::Resend(ResendInvitation { target, rotate, expiry, send_email, recipients })
}

#[tokio::test(crate = "crate::limit")]
async fn load_is_a_conflict_when_its_second_look_differs() {
    let folder = TempDir::new().unwrap();
    let (database, store) = open(&folder).await;
    let create = command(create(OnConflict::Allow));
    let created = store.executor().execute(create, None).await.unwrap().invitation;
    let renew = command(renew(&created));
    let texts = load_texts(DbBackend::Sqlite);
    for (statement, agrees) in [
        ("UPDATE invitation SET updater = 'nobody'", true),
        ("UPDATE invitation SET revision = revision + 1, updater = 'somebody else'", false),
    ] {
        let meddler = Meddler { inner: &database.write, asked: Mutex::new(0), statement };
        let loaded = load(&meddler, &texts, [&renew].into_iter(), true, &Quotas::NONE, Some(NOW)).await;
        assert_eq!(*meddler.asked.lock().unwrap(), 2, "it looks twice");
        match loaded {
            Ok(_) => assert!(agrees, "{statement}"),
            Err(error) => assert!(!agrees && matches!(error, StoreError::Conflict), "{statement}: {error}"),
        }
    }
}

#[tokio::test(crate = "crate::limit")]
async fn save_is_a_conflict_when_a_lease_was_lost() {
    let folder = TempDir::new().unwrap();
    let (database, store) = open(&folder).await;
    store.executor().execute(command(create(OnConflict::Allow)), None).await.unwrap();
    let (lease, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let claimed = store.claim_deliveries(lease, Duration::from_secs(45), 1, "").await.unwrap().remove(0);
    let delivery = claimed.delivery.message.id;
    let settle = command(Action::SettleDelivery(SettleDelivery { delivery, lease, end: DeliveryEnd::Sent }));
    let texts = load_texts(DbBackend::Sqlite);
    let loaded = load(&database.write, &texts, [&settle].into_iter(), true, &Quotas::NONE, Some(NOW)).await.unwrap();
    let mut group = Group::new(loaded);
    group.run(&settle, &CONTEXT).unwrap();
    let take_over = "UPDATE outbox SET lease = $1";
    let take_over = |lease: Uuid| Statement::from_sql_and_values(DbBackend::Sqlite, take_over, [Value::from(lease)]);
    database.write.execute_raw(take_over(other)).await.unwrap();
    let (decided, sql) = (group.into_save(), SaveSql::new(DbBackend::Sqlite));
    let saved = save(&database.write, &sql, &decided, Some(NOW)).await;
    assert!(matches!(saved, Err(StoreError::Conflict)), "{saved:?}");
    let states = Statement::from_string(DbBackend::Sqlite, "SELECT state FROM outbox");
    let row = database.read.query_one_raw(states).await.unwrap().unwrap();
    assert_eq!(row.try_get::<String>("", "state").unwrap(), "sending");
}

/// Two processes see a slot free at moments that are a microsecond apart, or at the same one.
#[tokio::test(crate = "crate::limit")]
async fn save_is_a_conflict_when_a_free_slot_was_taken() {
    let (texts, sql) = (load_texts(DbBackend::Sqlite), SaveSql::new(DbBackend::Sqlite));
    for micros in [-1, 0, 1, 2] {
        let folder = TempDir::new().unwrap();
        let (database, store) = open(&folder).await;
        let moment = Timestamp::from_micros(NOW.micros() + micros);
        let late = Command { seed: IdSeed::new(NOW, [8; 16]), ..command(create(OnConflict::Reject)) };
        let loaded =
            load(&database.write, &texts, [&late].into_iter(), true, &Quotas::NONE, Some(moment)).await.unwrap();
        let mut group = Group::new(loaded);
        group.run(&late, &CONTEXT).unwrap();
        store.executor().execute(command(create(OnConflict::Reject)), None).await.unwrap();
        let decided = group.into_save();
        assert_eq!(decided.slots.len(), 1);
        let saved = save(&database.write, &sql, &decided, Some(moment)).await;
        assert!(matches!(saved, Err(StoreError::Conflict)), "{micros}: {saved:?}");
    }
}

/// A crash of the process does not show that a commit may be lost with the power, so the settings are read back.
#[tokio::test(crate = "crate::limit")]
async fn sqlite_connections_have_the_settings_that_keep_commits() {
    let folder = TempDir::new().unwrap();
    let (database, _store) = open(&folder).await;
    for (pragma, wanted) in
        [("synchronous", "2"), ("journal_mode", "wal"), ("foreign_keys", "1"), ("busy_timeout", "1000")]
    {
        for (name, connection) in [("write", &database.write), ("read", &database.read)] {
            let statement = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {pragma}"));
            let row = connection.query_one_raw(statement).await.unwrap().unwrap();
            let number = row.try_get_by_index::<i64>(0).map(|number| number.to_string());
            let found = number.or_else(|_| row.try_get_by_index::<String>(0)).unwrap();
            assert_eq!(found, wanted, "{pragma} of the {name} connection");
        }
    }
}
