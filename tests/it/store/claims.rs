//! A claim looks at what is due and free, however much in front of it is neither.

use std::time::Duration;

use invitation_service::store::Store;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::read::build::literal;
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(migrated: busy_endpoints_in_front_keep_no_other_waiting);

/// Writes a message to endpoint `number` of an account past the service.
fn message(database: &TestDatabase, account: &str, number: u128, is_sent: bool) -> String {
    let id = |id| literal(database, id);
    let random = || id(Uuid::from_bytes(invitation_service::entropy::Entropy::system().bytes()));
    let now = NEW_YEAR.micros();
    let (due, lease) = if is_sent { (now + 30_000_000, random()) } else { (now, "NULL".to_owned()) };
    format!(
        "('{account}', {}, {}, {}, 1, {now}, 'queued', {due}, {lease}, 1)",
        random(),
        id(Uuid::from_u128(number)),
        random()
    )
}

async fn claim(store: &Store) -> Vec<Uuid> {
    let (lease, lasts) = (Uuid::from_u128(9), Duration::from_secs(45));
    let claimed = store.claim_webhook_messages(lease, lasts, 10, &(String::new(), Uuid::nil())).await.unwrap();
    claimed.into_iter().map(|claimed| claimed.endpoint).collect()
}

async fn busy_endpoints_in_front_keep_no_other_waiting(database: TestDatabase) {
    let (store, _) = store(&database).await;
    // To each of 1,100 endpoints four messages are being posted, and one waits.
    let busy = (1..=1_100).flat_map(|number| [true, true, true, true, false].map(|is_sent| ("aaa", number, is_sent)));
    let rows: Vec<String> = busy
        .chain([("zzz", 5_000, false)])
        .map(|(account, number, is_sent)| message(&database, account, number, is_sent))
        .collect();
    let connection = database.connect().await;
    for rows in rows.chunks(500) {
        let sql = format!(
            "INSERT INTO webhook_message (account_id, id, endpoint_id, invitation_id, sequence, occurred_at, state, due_at,
                lease, attempts) VALUES {}",
            rows.join(", ")
        );
        connection.execute_unprepared(&sql).await.unwrap();
    }
    assert_eq!(claim(&store).await, [Uuid::from_u128(5_000)]);
    assert!(claim(&store).await.is_empty());
}
