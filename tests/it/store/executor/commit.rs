//! A save whose outcome is unknown, because the connection broke, takes effect exactly once and is answered so.

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Access, Action, Command, CreateInvitation};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::{EngagementType, Invitation};
use invitation_service::store::InvitationQuery;
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::proxy::{Cut, Proxy};

/// The name of an actor whose save is cut. A load does not contain it.
const MARKER: &str = "the-actor-whose-save-is-cut";

fn marked(command: Command) -> Command {
    Command { actor: MARKER.to_owned(), ..command }
}

fn mailed() -> CreateInvitation {
    CreateInvitation { recipients: emails(2), mails: true, ..link() }
}

#[tokio::test(crate = "crate::support::limit")]
async fn new_invitation_is_made_once_when_the_connection_breaks() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    drop(database.open(&clock).await);
    let (proxy, store) = Proxy::store(&database, &clock).await;
    let mut wanted = 0;
    for cut in [Cut::Before, Cut::After] {
        for once in [command(create(mailed())), retryable("Create", &format!("{cut:?}"), 1, create(mailed()))] {
            let sprung = proxy.cut(cut, MARKER);
            let made = store.executor().execute(marked(once.clone()), None).await.unwrap().invitation;
            sprung.await.unwrap();
            assert_eq!(read(&store, made.id).await, *made, "{cut:?}");
            assert_eq!(story(&store, made.id).await, ["created"]);
            wanted += 1;
            if once.request.is_some() {
                assert_eq!(store.executor().execute(marked(once), None).await.unwrap().invitation.id, made.id);
            }
            let all = InvitationQuery { limit: 100, ..InvitationQuery::default() };
            assert_eq!(store.primary().list_invitations(&reach(), &all).await.unwrap().len(), wanted);
        }
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn every_change_happens_once_when_the_connection_breaks() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    drop(database.open(&clock).await);
    let (proxy, store) = Proxy::store(&database, &clock).await;
    for cut in [Cut::Before, Cut::After] {
        let made = created(&store, mailed()).await;
        let bound = |made: &Invitation| {
            let mut accept = accept_by(made, acceptor("ann"));
            accept.access = Access::Link(made.claims(1));
            Action::Accept(Box::new(accept))
        };
        for action in [
            record(&made, EngagementType::View),
            bound(&made),
            resend(&made, false, None),
            decline(&made, 2),
            revoke(&made),
        ] {
            let sprung = proxy.cut(cut, MARKER);
            let executed = store.executor().execute(marked(command(action)), None).await.unwrap();
            sprung.await.unwrap();
            assert!(!executed.already_accepted, "{cut:?}");
        }
        let story = story(&store, made.id).await;
        assert_eq!(story, ["created", "viewed", "accepted", "resent", "declined", "revoked"], "{cut:?}");
        let found = read(&store, made.id).await;
        assert_eq!((found.engagement.views, found.facts.use_count, found.deliveries, found.revision), (1, 1, 3, 5));
    }
}

/// The connection breaks while the server waits for a lock, so that the save lands after the executor has looked for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn save_that_lands_late_happens_once() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let direct = store_with(&database, &clock, &options(Group::run)).await;
    let (proxy, store) = Proxy::store(&database, &clock).await;
    let admin = database.connect().await;
    for action in [|made: &Invitation| resend(made, true, None), |made: &Invitation| record(made, EngagementType::View)]
    {
        let made = created(&direct, mailed()).await;
        direct.executor().execute(command(record(&made, EngagementType::Click)), None).await.unwrap();
        let blocker = admin.begin().await.unwrap();
        for table in ["invitation WHERE id", "engagement WHERE invitation_id"] {
            blocker.execute_unprepared(&format!("SELECT 1 FROM {table} = '{}' FOR UPDATE", made.id.0)).await.unwrap();
        }
        let sprung = proxy.cut(Cut::During, MARKER);
        let call = tokio::spawn({
            let (store, command) = (store.clone(), marked(command(action(&made))));
            async move { store.executor().execute(command, None).await }
        });
        sprung.await.unwrap();
        // Both the save that nobody listens to and the one that was sent after it.
        until_waiting(&admin, 2).await;
        blocker.rollback().await.unwrap();
        let executed = call.await.unwrap().unwrap();
        let events = events(&direct, made.id).await;
        assert_eq!(events.len(), 3, "{:?}", story(&direct, made.id).await);
        let found = read(&direct, made.id).await;
        assert_eq!((executed.invitation.revision, executed.invitation.generation), (found.revision, found.generation));
        assert!(found.revision <= 2 && found.engagement.views <= 1 && found.deliveries <= 4);
    }
}

/// Waits until so many statements of others wait for a lock.
async fn until_waiting(admin: &sea_orm::DatabaseConnection, count: i64) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        let row = admin.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
        if row.try_get_by_index::<i64>(0).unwrap() >= count {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The marker is the subject, which a load has. Nothing is saved yet, so another connection does as well.
#[tokio::test(crate = "crate::support::limit")]
async fn command_whose_load_loses_its_connection_is_answered() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    drop(database.open(&clock).await);
    let (proxy, store) = Proxy::store(&database, &clock).await;
    let made = created(&store, link()).await;
    for cut in [Cut::Before, Cut::After] {
        let sprung = proxy.cut(cut, MARKER);
        store.executor().execute(command(accept(&made, MARKER)), None).await.unwrap();
        sprung.await.unwrap();
    }
    assert_eq!(story(&store, made.id).await, ["created", "accepted"]);
}

/// A server that answers before a commit is on disk loses with its machine what callers were told is done.
#[tokio::test(crate = "crate::support::limit")]
async fn commits_wait_for_the_disk_whatever_the_server_defaults_to() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let raw = database.connect().await;
    for sql in [
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$",
        "CREATE FUNCTION note_setting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF current_setting('synchronous_commit') <> 'on' THEN RAISE 'not on disk'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER note_setting BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION note_setting()",
    ] {
        raw.execute_unprepared(sql).await.unwrap();
    }
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    store.executor().execute(command(accept(&made, "ann")), None).await.unwrap();
}
