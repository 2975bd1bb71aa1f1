//! Messages to people go by their age once they are no longer to be sent.

use std::time::Duration;

use invitation_service::domain::delivery::DeliveryState;
use invitation_service::store::{DeliveryQuery, PruneTurn, Store};

use super::{DAY, MINUTE, all, count, run};
use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    only_old_messages_that_are_settled_are_deleted,
    deleted_message_counts_no_more_for_its_invitation,
    backlog_of_messages_is_deleted_in_chunks,
);

const WEEK: Duration = Duration::from_secs(7 * 86_400);

async fn prune(store: &Store) -> u64 {
    let pruned = store.maintenance().prune_deliveries(WEEK, &mut PruneTurn::lasting(MINUTE)).await.unwrap();
    assert_eq!(pruned, all(pruned.rows));
    pruned.rows
}

async fn only_old_messages_that_are_settled_are_deleted(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    // Ids have milliseconds.
    clock.advance(WEEK + Duration::from_millis(1));
    let (now, before) = (clock.now().micros(), clock.now().earlier(WEEK).micros());
    for (what, set, is_deleted) in [
        ("a sent one", format!("state = 'sent', due_at = NULL, sent_at = {before} - 1"), true),
        ("one that was sent a week ago", format!("state = 'sent', due_at = NULL, sent_at = {before}"), false),
        ("one that was sent late", format!("state = 'sent', due_at = NULL, sent_at = {now}"), false),
        ("a delivered one", format!("state = 'delivered', due_at = NULL, sent_at = {before} - 1"), true),
        ("a bounced one", format!("state = 'bounced', due_at = NULL, sent_at = {before} - 1"), true),
        ("a failed one", "state = 'failed', due_at = NULL".to_owned(), true),
        ("a cancelled one", "state = 'cancelled', due_at = NULL".to_owned(), true),
        ("a young one", format!("state = 'cancelled', due_at = NULL, created_at = {before}"), false),
        ("a pending one", "due_at = 1".to_owned(), false),
        ("a leased one", format!("state = 'sending', due_at = {now} + 1, lease = id"), false),
        ("a planned one", format!("due_at = NULL, planned_at = {now} + 1"), false),
    ] {
        created(&store, user("ann@example.org")).await;
        run(&database, &format!("UPDATE outbox SET created_at = {before} - 1")).await;
        assert_eq!(run(&database, &format!("UPDATE outbox SET {set}")).await, 1);
        assert_eq!(prune(&store).await, u64::from(is_deleted), "{what}");
        assert_eq!(count(&database, "outbox").await, i64::from(!is_deleted), "{what}");
        run(&database, "DELETE FROM outbox").await;
        run(&database, "UPDATE invitation SET revoked_at = 1").await;
    }
}

async fn deleted_message_counts_no_more_for_its_invitation(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, user("ann@example.org")).await;
    run(&database, "UPDATE outbox SET state = 'sent', due_at = NULL, sent_at = created_at").await;
    clock.advance(WEEK + DAY);
    store.executor().execute(command(resend(&made, false, Some(seconds(600)))), None).await.unwrap();
    let before = read(&store, made.id).await;
    assert_eq!((before.deliveries, before.latest_delivery), (2, Some(DeliveryState::Queued)));
    assert_eq!(prune(&store).await, 1);
    let after = read(&store, made.id).await;
    assert_eq!((after.deliveries, after.latest_delivery), (1, Some(DeliveryState::Queued)));
    assert_eq!(after.first_sent_at, Some(NEW_YEAR), "the invitation tells when its link was sent first");
    let (_, listed) =
        store.primary().list_deliveries(&reach(), &DeliveryQuery::of(made.id, 10)).await.unwrap().unwrap();
    assert_eq!(listed.len(), 1);
    run(&database, "UPDATE outbox SET state = 'sent', due_at = NULL, sent_at = created_at").await;
    clock.advance(WEEK + DAY);
    assert_eq!(prune(&store).await, 1);
    let after = read(&store, made.id).await;
    assert_eq!((after.deliveries, after.latest_delivery), (0, None));
    store
        .executor()
        .execute(command(resend(&made, false, Some(seconds(600)))), None)
        .await
        .expect("limits rest on the invitation");
}

async fn backlog_of_messages_is_deleted_in_chunks(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    clock.advance(2 * WEEK);
    let id = if database.url().starts_with("sqlite") {
        "unhex(printf('%032x', n))"
    } else {
        "lpad(to_hex(n), 32, '0')::uuid"
    };
    // More accounts than a look steps over, some of which have nothing that is old, and one with most rows.
    let insert = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
        INSERT INTO outbox (account_id, id, invitation_id, recipient, created_at, purpose, state, due_at)
        SELECT CASE WHEN n <= 2500 THEN 'acme' ELSE 'account ' || (n % 1250) END, {id}, {id}, 1,
            CASE WHEN n > 2500 AND n % 1250 < 50 THEN {young} ELSE 1 END, 'invitation',
            CASE n % 5 WHEN 0 THEN 'queued' ELSE 'sent' END, CASE n % 5 WHEN 0 THEN 1 END FROM numbers",
        young = clock.now().micros(),
    );
    assert_eq!(run(&database, &insert).await, 5_000);
    assert_eq!(prune(&store).await, 3_920);
    assert_eq!(count(&database, "outbox").await, 1_080);
    assert_eq!(count(&database, "outbox WHERE state = 'queued'").await, 1_000);
    assert_eq!(prune(&store).await, 0);
}
