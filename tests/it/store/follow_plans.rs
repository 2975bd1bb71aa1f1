//! Those who follow events read what is new, however much there is that is not, also by plans made when there was little.

use std::time::Duration;

use invitation_service::domain::command::CreateInvitation;
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::text::AccountId;
use invitation_service::store::Store;
use invitation_service::store::expiry::ExpiryWalk;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

use super::make::*;
use crate::harness::database::TestDatabase;

const ROWS: i64 = 20_000;

/// Twenty thousand old events of this account, as many of another one that are newer, and as many invitations of which it is
/// told that they have expired, or that have long to go. Nobody gathers statistics.
const GROW: &str = "
    INSERT INTO event SELECT account_id, gen_random_uuid(), 1, gen_random_uuid(), kind, event_type, 1, 'x', NULL, '{}', 1000 + n
        FROM (SELECT * FROM event LIMIT 1) e, generate_series(1, 20000) n;
    INSERT INTO event SELECT 'other', gen_random_uuid(), 1, gen_random_uuid(), kind, event_type, 1, 'x', NULL, '{}', 30000 + n
        FROM (SELECT * FROM event LIMIT 1) e, generate_series(1, 20000) n;
    INSERT INTO invitation SELECT account_id, gen_random_uuid(), kind, scope_type, scope_id, resource_id, creator, max_uses,
        use_count, CASE n % 2 WHEN 0 THEN 1000 + n ELSE 4000000000000000 + n END, accepted_at, declined_at, revoked_at, revision, generation, key_id, mails, details, created_at,
        updated_at, NULL, NULL, NULL, NULL, NULL, NULL, updater, NULL, NULL, '', 1000 + n FROM (SELECT * FROM invitation LIMIT 1) i, generate_series(1, 20000) n;
    UPDATE follower SET position = 60000 WHERE name = 'sequencer'";

#[tokio::test(crate = "crate::harness::limit")]
async fn what_follows_reads_only_what_is_new() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, clock) = store(&database).await;
    let admin = database.connect().await;
    for round in ["small", "grown"] {
        for _ in 0..10 {
            clock.advance(Duration::from_secs(60));
            once(&store).await;
        }
        if round == "small" {
            admin.execute_unprepared(GROW).await.unwrap();
            admin.execute_unprepared("SELECT pg_stat_reset()").await.unwrap();
        }
    }
    store.close().await;
    let rows = |sql: &'static str| admin.query_all_raw(Statement::from_string(DbBackend::Postgres, sql));
    let connected = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'invitation-service'";
    while rows(connected).await.unwrap()[0].try_get_by_index::<i64>(0).unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    // What an index is walked over counts as well as what is read from the table by it.
    let sql = "SELECT (seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint, relname::text FROM pg_stat_user_tables
        UNION ALL SELECT idx_tup_read, indexrelname::text FROM pg_stat_user_indexes";
    let tables = rows(sql).await.unwrap();
    assert!(!tables.is_empty());
    for table in tables {
        let (read, name) = (table.try_get_by_index::<i64>(0).unwrap(), table.try_get_by_index::<String>(1).unwrap());
        assert!(read < ROWS / 2, "{read} rows of {name} were read for 10 rounds");
    }
}

/// One round of everybody, with something new for each.
async fn once(store: &Store) {
    let made = created(store, CreateInvitation { expiry: after(60), ..link() }).await;
    store.execute(command(record(&made, EngagementType::View)), None).await.unwrap();
    let before = store.last_position().await.unwrap();
    assert!(store.sequence().await.unwrap().is_some_and(|numbered| numbered >= 2));
    assert!(store.all_events_behind(before, 256).await.unwrap().events.len() >= 2);
    assert!(store.events_behind(&account(), before, 256).await.unwrap().events.len() >= 2);
    let other = AccountId::parse("quiet").unwrap();
    assert!(store.events_behind(&other, 0, 256).await.unwrap().events.is_empty());
    ExpiryWalk::new(store.clone(), Uuid::from_u128(1)).tell_expired().await.unwrap().unwrap();
}
