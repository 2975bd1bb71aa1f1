//! The most API keys of an account that are in force.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use invitation_service::pb;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::stored_keys::{create, creation, make, revoke, start, update};
use crate::rpc::redemption::keys::with;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    account_has_so_many_keys_in_force,
    keys_that_are_created_at_once_share_what_is_left,
    expired_key_comes_back_only_where_there_is_room,
);

const LIMIT: &str = "api_keys_per_account";

/// Starts a service with at most four keys in force, of which there is one.
async fn with_root(database: &TestDatabase) -> (Service, String) {
    let root = make(database, "root", "acme", "*").await;
    (start(database, &[("INVITATION__LIMITS__API_KEYS_PER_ACCOUNT", "4")]).await, root)
}

/// Asserts that the limit refuses a call, and returns what is used.
#[track_caller]
fn limited<T: std::fmt::Debug>(result: Result<T, Status>) -> String {
    let details = refused(result, Code::ResourceExhausted, "QUOTA_EXCEEDED").get_error_details();
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, LIMIT);
    assert!(details.retry_info().is_none(), "time alone makes no room");
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!((metadata["limit"].as_str(), metadata["max"].as_str()), (LIMIT, "4"));
    metadata["used"].clone()
}

async fn left(service: &Service, key: &str) -> (i64, i64) {
    let quota = service.access().get_quota(with(key, pb::GetQuotaRequest::default())).await.unwrap().into_inner();
    let limits: HashMap<_, _> = quota.limits.into_iter().map(|limit| (limit.limit.clone(), limit)).collect();
    let keys = &limits[LIMIT];
    assert!(!keys.per_server && keys.period.is_none() && keys.reset_time.is_none());
    (keys.used.unwrap(), keys.remaining.unwrap())
}

fn read_only(id: &str) -> pb::CreateApiKeyRequest {
    pb::CreateApiKeyRequest { request_id: id.to_owned(), ..creation(id, &["events.read"]) }
}

async fn account_has_so_many_keys_in_force(database: TestDatabase) {
    let other = make(&database, "root", "umbrella", "*").await;
    let (service, root) = with_root(&database).await;
    assert_eq!(left(&service, &root).await, (1, 3));
    for id in ["one", "two", "three"] {
        create(&service, &root, read_only(id)).await.unwrap();
    }
    assert_eq!(left(&service, &root).await, (4, 0));
    assert_eq!(limited(create(&service, &root, read_only("four")).await), "4");
    let dry = pb::CreateApiKeyRequest { validate_only: true, ..creation("four", &["events.read"]) };
    assert_eq!(limited(create(&service, &root, dry).await), "4");
    create(&service, &root, read_only("three")).await.expect("a retry creates nothing");
    create(&service, &other, read_only("four")).await.expect("another account has its own");
    revoke(&service, &root, "apiKeys/two").await.unwrap();
    assert_eq!(left(&service, &root).await, (3, 1));
    create(&service, &root, read_only("four")).await.unwrap();
    limited(create(&service, &root, read_only("five")).await);
    service.stop().await;
}

async fn keys_that_are_created_at_once_share_what_is_left(database: TestDatabase) {
    let (service, root) = with_root(&database).await;
    let ids: Vec<_> = (0..12).map(|number| format!("k{number}")).collect();
    let results = join_all(ids.iter().map(|id| create(&service, &root, read_only(id)))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
    results.into_iter().filter(Result::is_err).for_each(|result| drop(limited(result)));
    service.stop().await;
}

async fn expired_key_comes_back_only_where_there_is_room(database: TestDatabase) {
    let (service, root) = with_root(&database).await;
    let request = read_only("short");
    let api_key = request.api_key.clone().map(|key| pb::ApiKey { expire_time: messages::at(60), ..key });
    create(&service, &root, pb::CreateApiKeyRequest { api_key, ..request }).await.unwrap();
    service.clock.advance(Duration::from_secs(60));
    for id in ["one", "two", "three"] {
        create(&service, &root, read_only(id)).await.unwrap();
    }
    let longer =
        || pb::ApiKey { name: "apiKeys/short".to_owned(), expire_time: messages::at(900), ..Default::default() };
    assert_eq!(limited(update(&service, &root, longer(), &["expire_time"]).await), "4");
    let named = pb::ApiKey { name: "apiKeys/short".to_owned(), display_name: "Old".to_owned(), ..Default::default() };
    update(&service, &root, named, &["display_name"]).await.unwrap();
    revoke(&service, &root, "apiKeys/one").await.unwrap();
    update(&service, &root, longer(), &["expire_time"]).await.unwrap();
    assert_eq!(left(&service, &root).await, (4, 0));
    service.stop().await;
}
