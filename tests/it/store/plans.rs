//! Statements whose plans were made on small tables stay quick when the tables have grown.

use invitation_service::domain::command::{Action, CreateInvitation, OnConflict, Way};
use invitation_service::domain::id::InvitationId;
use invitation_service::domain::invitation::EngagementType;
use invitation_service::store::{ReplayQuery, Store};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};

use super::kinds::*;
use super::make::*;
use crate::harness::database::TestDatabase;

const ROWS: i64 = 20_000;

/// Every table gets rows of the same account that nobody asks for, as does the most used link, and nobody gathers statistics.
const GROW: &str = "
    INSERT INTO invitation SELECT account_id, gen_random_uuid(), kind, scope_type, scope_id, resource_id, creator, max_uses,
        use_count, expire_at, accepted_at, declined_at, revoked_at, revision, generation, key_id, mails, details, created_at,
        updated_at, NULL, NULL, NULL, NULL, NULL, NULL, updater, NULL, NULL, '' FROM (SELECT * FROM invitation LIMIT 1) i, generate_series(1, 20000);
    INSERT INTO recipient SELECT account_id, id, 9, 'email', 'a@b.org', 'a@b.org', 1, NULL, NULL, NULL, NULL, 1 FROM invitation
        WHERE id NOT IN (SELECT invitation_id FROM acceptance);
    INSERT INTO acceptance SELECT account_id, id, gen_random_uuid(), 'x', NULL, NULL, 1, '{}' FROM invitation;
    INSERT INTO acceptance SELECT account_id, invitation_id, gen_random_uuid(), 'x' || n, NULL, NULL, 1, '{}' FROM
        (SELECT account_id, invitation_id FROM acceptance GROUP BY 1, 2 ORDER BY count(*) DESC LIMIT 1) hot,
        generate_series(1, 20000) n;
    INSERT INTO event SELECT account_id, id, 100, gen_random_uuid(), 'connection', 'invitation.created', 1, 'x', NULL, '{}'
        FROM invitation;
    INSERT INTO engagement SELECT account_id, id, 0, 0, 0, 1 FROM invitation ON CONFLICT DO NOTHING;
    INSERT INTO outbox SELECT account_id, gen_random_uuid(), id, 1, 1 FROM invitation;
    INSERT INTO label SELECT account_id, id, 'z', 'z' FROM invitation;
    INSERT INTO request SELECT account_id, 'm', id::text, 1, '', id, NULL, 1 FROM invitation;
    INSERT INTO invitation_group SELECT account_id, id, 'team', 'big', created_at FROM invitation;
    INSERT INTO slot SELECT account_id, 'general ' || id, id, 1 FROM invitation;
    INSERT INTO autojoin_domain SELECT account_id, 'a.org', id, 1 FROM invitation;
    UPDATE invitation SET kind = 'general', scope_type = 'team', scope_id = 'red', details = (SELECT details FROM invitation
        WHERE kind = 'general' LIMIT 1) WHERE substr(id::text, 15, 1) = '4'";

#[tokio::test(crate = "crate::harness::limit")]
async fn commands_and_reads_look_up_only_the_rows_they_need() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, _) = store(&database).await;
    let admin = database.connect().await;
    let hot = created(&store, link()).await;
    for round in ["small", "grown"] {
        for n in 0..10 {
            store.execute(command(accept(&hot, &format!("{round} {n}"))), None).await.unwrap();
            everything(&store, &format!("{round} {n}")).await;
        }
        if round == "small" {
            admin.execute_unprepared(GROW).await.unwrap();
            admin.execute_unprepared("SELECT pg_stat_reset()").await.unwrap();
        }
    }
    // Servers of connections report what they have done, at the latest when they end.
    store.close().await;
    let connected = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'invitation-service'";
    while number(&rows(&admin, connected).await[0], 0) > 0 {
        tokio::task::yield_now().await;
    }
    let sql = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0), relname::text FROM pg_stat_user_tables";
    let tables = rows(&admin, sql).await;
    assert!(tables.iter().any(|table| number(table, 0) > 0), "what was read is counted");
    for table in tables {
        let (read, name) = (number(&table, 0), table.try_get_by_index::<String>(1).unwrap());
        assert!(read < ROWS, "{read} rows of {name} were read by 10 commands of each sort");
    }
}

async fn everything(store: &Store, request: &str) {
    let labels = [("a".to_owned(), "b".to_owned())].into();
    let made = CreateInvitation { recipients: emails(3), mails: true, labels, ..link() };
    let made = store.execute(retryable("Create", request, 1, create(made)), None).await.unwrap().invitation;
    let mut first = accept_by(&made, acceptor("ann"));
    first.way = Way::Link(made.claims(1));
    store.execute(retryable("Accept", request, 1, Action::Accept(Box::new(first))), None).await.unwrap();
    for action in [resend(&made, false, None), record(&made, EngagementType::View), decline(&made, 2), revoke(&made)] {
        store.execute(command(action), None).await.unwrap();
    }
    taking_slots(store, request).await;
    read(store, made.id).await;
    events(store, made.id).await;
    store.replay_deliveries(&account(), &ReplayQuery::default()).await.unwrap();
    assert!(store.get_invitation(&account(), InvitationId(COMPANY), true).await.unwrap().is_none());
}

/// What looks for others: the holders of slots, other invitations of the same person, an auto-join.
async fn taking_slots(store: &Store, request: &str) {
    let address = format!("{}@example.org", request.replace(' ', "."));
    for on_conflict in [OnConflict::Allow, OnConflict::ReturnExisting, OnConflict::Replace] {
        created(store, general(team("red"), on_conflict, &[mail(&address), internal(&address)])).await;
    }
    let open = created(store, general(team("red"), OnConflict::Allow, &[mail(&address)])).await;
    for action in [
        create(user(&address)),
        resend(&open, false, Some(seconds(600))),
        accept_as(&open, &address, &address),
        sync("red", &[&format!("{}.org", request.replace(' ', "-")), "b.org"]),
    ] {
        store.execute(command(action), None).await.unwrap();
    }
}

async fn rows(admin: &DatabaseConnection, sql: &str) -> Vec<QueryResult> {
    admin.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap()
}

fn number(row: &QueryResult, column: usize) -> i64 {
    row.try_get_by_index(column).unwrap()
}
