//! The binary behind a pooler that gives a connection to another client after each transaction.

use invitation_service::pb::health::health_check_response::ServingStatus;

use super::server::{BY_NAME, Server, printed, run};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::postgres;
use crate::support::service::KEYS;

#[tokio::test(crate = "crate::support::limit")]
async fn pooler_is_named_without_its_setting_and_works_with_it() {
    let (Some(cluster), Some(database)) = (postgres::cluster(), TestDatabase::postgres().await) else { return };
    let (folder, Some(url)) = (folder(), cluster.through_pooler(database.direct())) else { return };
    let without = [
        ("INVITATION__STORE__URL", url.as_str()),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__STORE__POOLER", "none"),
    ];
    let server = Server::start(folder.path(), &[], &without).await;
    let line = server.logged("store.pooler").await;
    assert!(line.contains("unsupported startup parameter") && line.contains("transaction"), "{line}");
    assert_eq!(server.health(BY_NAME).await, ServingStatus::NotServing);
    server.kill().await;

    let with = [without[0], without[1], ("INVITATION__STORE__POOLER", "transaction")];
    for _ in 0..2 {
        printed(&run(folder.path(), &["migrate"], &with).await);
    }
    // Two replicas share the few connections of the pooler.
    let one = Server::ready(folder.path(), &[], &with).await;
    let two = Server::ready(folder.path(), &[], &with).await;
    let made = one.create().await.with_request_id("once").await.unwrap();
    assert_eq!(two.create().await.with_request_id("once").await.unwrap().name, made.name);
    for server in [one, two] {
        assert!(!server.log().contains("\"WARN\""), "{}", server.log());
        server.stop().await;
    }
}
