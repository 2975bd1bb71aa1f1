//! Changes of keys reach every replica within two seconds, and what is known goes on while the database is away.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use invitation_service::pb;
use sea_orm::ConnectionTrait as _;
use tonic::Code;

use super::stored_keys::{caller, create, creation, make, revoke, start, unknown, update};
use crate::rpc::redemption::keys::with;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{reason, refused};
use crate::support::on_both;
use crate::support::pace::paced;
use crate::support::service::Service;

on_both!(migrated: known_keys_go_on_while_the_database_is_away, flood_of_wrong_keys_leaves_known_ones_alone,);

const LIMIT: Duration = Duration::from_secs(2);

/// Revokes a key on one replica, and returns how long another one takes calls and keeps a stream.
async fn revoke_elsewhere(one: &Service, other: &Service, root: &str, id: &str) -> (Duration, Duration) {
    let made = create(one, root, creation(id, &["events.read"])).await.unwrap();
    let key = made.key_string;
    caller(other, &key).await.expect("another replica asks for a new key at once");
    let watch = pb::WatchEventsRequest::default();
    let mut watch = other.events().watch_events(with(&key, watch)).await.unwrap().into_inner();
    let began = Instant::now();
    revoke(one, root, &made.name).await.unwrap();
    let ended = async {
        let status = messages::next_event(&mut watch).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        began.elapsed()
    };
    let refused = async {
        while caller(other, &key).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        began.elapsed()
    };
    tokio::join!(refused, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn revoked_key_is_refused_by_every_replica_in_time() {
    // By notifications, and by looking alone.
    for more in [&[][..], &[("INVITATION__STORE__LISTEN_URL", "off")]] {
        let Some(database) = TestDatabase::migrated_postgres().await else { return };
        let root = make(&database, "root", "acme", "*").await;
        let (one, other) = (start(&database, more).await, start(&database, more).await);
        for number in 0..3 {
            let (refused, ended) = revoke_elsewhere(&one, &other, &root, &format!("k{number}")).await;
            assert!(
                refused < paced(LIMIT) && ended < paced(LIMIT),
                "{more:?}: refused after {refused:?}, ended after {ended:?}"
            );
        }
        let here = revoke_elsewhere(&one, &one, &root, "here").await;
        assert!(here.0 < paced(LIMIT) && here.1 < paced(LIMIT), "{more:?}: {here:?}");

        let made = create(&one, &root, creation("changed", &["events.read", "invitations.read"])).await.unwrap();
        caller(&other, &made.key_string).await.unwrap();
        let watch = with(&made.key_string, pb::WatchEventsRequest::default());
        let mut watch = other.events().watch_events(watch).await.unwrap().into_inner();
        let fewer =
            pb::ApiKey { name: made.name, permissions: vec!["invitations.read".to_owned()], ..Default::default() };
        let began = Instant::now();
        update(&one, &root, fewer, &[]).await.unwrap();
        let ended = messages::next_event(&mut watch).await.unwrap_err();
        assert_eq!(ended.code(), Code::PermissionDenied);
        assert_eq!(caller(&other, &made.key_string).await.unwrap().permissions, ["invitations.read"]);
        assert!(began.elapsed() < paced(LIMIT));
        // Made by the command line while the services run.
        let late = make(&database, "late", "acme", "events.read").await;
        caller(&other, &late).await.unwrap();
        one.stop().await;
        other.stop().await;
    }
}

async fn known_keys_go_on_while_the_database_is_away(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let idle = make(&database, "idle", "acme", "events.read").await;
    let service = start(&database, &[]).await;
    caller(&service, &root).await.unwrap();
    let wrong = unknown();
    refused(caller(&service, &wrong).await, Code::Unauthenticated, "UNAUTHENTICATED");
    let past = database.connect().await;
    past.execute_unprepared("ALTER TABLE api_key_position RENAME TO gone").await.unwrap();
    past.execute_unprepared("ALTER TABLE api_key RENAME TO gone_too").await.unwrap();
    let began = Instant::now();
    loop {
        let status = caller(&service, &idle).await.unwrap_err();
        assert_eq!(reason(&status), (Code::Unavailable, "UNAVAILABLE".to_owned()), "it may be a good one");
        if began.elapsed() > Duration::from_secs(2) {
            break;
        }
        // Other tests need the processor as well.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    caller(&service, &root).await.unwrap();
    refused(caller(&service, &wrong).await, Code::Unauthenticated, "UNAUTHENTICATED");
    refused(caller(&service, "ivk_short").await, Code::Unauthenticated, "UNAUTHENTICATED");
    past.execute_unprepared("ALTER TABLE gone RENAME TO api_key_position").await.unwrap();
    past.execute_unprepared("ALTER TABLE gone_too RENAME TO api_key").await.unwrap();
    past.close().await.unwrap();
    let began = Instant::now();
    while let Err(status) = caller(&service, &idle).await {
        assert_eq!(status.code(), Code::Unavailable);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(began.elapsed() < paced(Duration::from_secs(5)));
    }
    service.stop().await;
}

async fn flood_of_wrong_keys_leaves_known_ones_alone(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    caller(&service, &root).await.unwrap();
    let flood = join_all((0..3_000).map(|_| async { caller(&service, &unknown()).await.unwrap_err().code() }));
    let known = async {
        for _ in 0..20 {
            caller(&service, &root).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (codes, ()) = tokio::join!(flood, known);
    assert!(codes.iter().all(|code| [Code::Unauthenticated, Code::Unavailable].contains(code)), "{codes:?}");
    let made = create(&service, &root, creation("after", &["events.read"])).await.unwrap();
    caller(&service, &made.key_string).await.unwrap();
    service.stop().await;
}
