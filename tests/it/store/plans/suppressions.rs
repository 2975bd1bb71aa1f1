//! The look-ups of suppressed addresses.

use invitation_service::store::SuppressionQuery;
use uuid::Uuid;

use super::Desk;
use crate::support::build::commands::account;

pub(super) async fn look_ups(desk: &mut Desk) {
    let (reads, id) = (desk.store.primary(), Uuid::from_u128(7));
    let keys = ["ann@example.org".to_owned(), "erased 1 00".to_owned()];
    assert!(!desk.store.is_suppressed(&account(), &keys).await.unwrap());
    assert!(reads.find_suppression(&account(), &keys).await.unwrap().is_none());
    assert!(reads.get_suppression(&account(), id).await.unwrap().is_none());
    reads.list_suppressions(&account(), &SuppressionQuery { limit: 10, ..Default::default() }).await.unwrap();
    let query = SuppressionQuery { limit: 10, ascending: true, ..Default::default() };
    reads.list_suppressions(&account(), &query).await.unwrap();
    desk.store.erase_suppression(&account(), (&keys[0], desk.clock.now()), &keys[1]).await.unwrap();
    desk.check("suppressions").await;
}
