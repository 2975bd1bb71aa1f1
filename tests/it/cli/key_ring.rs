//! Key rings that do not fit the database are refused; rotations in their order are not.

use std::fs;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::pb::health::health_check_response::ServingStatus;
use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;

use super::server::{Server, printed, refusal, run};
use crate::support::build::commands::{command, create, created, link, options, revoke, store_with};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::folder::folder;
use crate::support::network::Network;
use crate::support::on_both;

on_both!(
    other_bytes_under_a_known_id_are_refused,
    missing_key_is_refused_until_it_is_retired,
    rotation_in_its_order_is_served_all_along,
    key_is_in_use_until_two_days_and_all_its_links_are_over,
);

fn key(id: u8, byte: u8) -> String {
    KeyRing::format_key(id, [byte; 32])
}

fn fingerprint(id: u8, byte: u8) -> String {
    KeyRing::parse(&key(id, byte)).unwrap().fingerprints().remove(0).text
}

/// The address of a database, and a folder to run in.
struct Place<'a>(TempDir, &'a TestDatabase);

impl<'a> Place<'a> {
    async fn migrated(database: &'a TestDatabase) -> Self {
        let place = Self(folder(), database);
        let environment = [("INVITATION__STORE__URL", database.url())];
        let keys = key(1, 1);
        let environment = [environment[0], ("INVITATION__TOKEN__KEYS", keys.as_str())];
        printed(&run(place.0.path(), &["migrate"], &environment).await);
        place
    }

    async fn serve(&self, keys: &str) -> Server {
        let environment = [("INVITATION__STORE__URL", self.1.url()), ("INVITATION__TOKEN__KEYS", keys)];
        Server::ready(self.0.path(), &[], &environment).await
    }

    /// Starts a server that has to end by itself, and returns what it says.
    async fn refused(&self, keys: &str) -> String {
        let environment = [("INVITATION__STORE__URL", self.1.url()), ("INVITATION__TOKEN__KEYS", keys)];
        let text = refusal(&run(self.0.path(), &["serve", "--listen", "127.0.0.1:0"], &environment).await);
        for part in keys.split(',') {
            assert!(!text.contains(part.split_once(':').unwrap().1), "no key is shown: {text}");
        }
        text
    }

    async fn retire(&self, id: &str) {
        let environment = [
            ("INVITATION__STORE__URL", self.1.url()),
            ("INVITATION__TOKEN__KEYS", "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
        ];
        printed(&run(self.0.path(), &["retire-key", "--id", id], &environment).await);
    }
}

async fn other_bytes_under_a_known_id_are_refused(database: TestDatabase) {
    let place = Place::migrated(&database).await;
    place.serve(&key(1, 1)).await.stop().await;
    for ring in [key(1, 9), format!("{},{}", key(2, 2), key(1, 9))] {
        let text = place.refused(&ring).await;
        assert!(
            text.contains("key 1") && text.contains(&fingerprint(1, 1)) && text.contains(&fingerprint(1, 9)),
            "{text}"
        );
    }
    place.serve(&key(1, 1)).await.stop().await;
}

async fn missing_key_is_refused_until_it_is_retired(database: TestDatabase) {
    let place = Place::migrated(&database).await;
    place.serve(&key(1, 1)).await.stop().await;
    let text = place.refused(&key(2, 2)).await;
    assert!(text.contains(&fingerprint(1, 1)) && text.contains("retire-key --id 1"), "{text}");
    place.retire("1").await;
    place.serve(&key(2, 2)).await.stop().await;
    // A replica that still has the key may start again in the middle of a rollout. A key that signs is in use again.
    place.serve(&format!("{},{}", key(2, 2), key(1, 1))).await.stop().await;
    place.serve(&key(2, 2)).await.stop().await;
    place.serve(&format!("{},{}", key(1, 1), key(2, 2))).await.stop().await;
    place.refused(&key(2, 2)).await;
}

async fn rotation_in_its_order_is_served_all_along(database: TestDatabase) {
    let place = Place::migrated(&database).await;
    let rings = [key(1, 1), format!("{},{}", key(1, 1), key(2, 2)), format!("{},{}", key(2, 2), key(1, 1))];
    for ring in &rings {
        let server = place.serve(ring).await;
        server.create().await.one().await.unwrap();
        server.stop().await;
    }
    // And back again.
    for ring in rings[..2].iter().rev() {
        let Some(back) = (ring != &rings[0]).then_some(ring) else { continue };
        place.serve(back).await.stop().await;
    }
    assert!(place.refused(&rings[0]).await.contains("key 2"), "the new key has signed");
}

#[tokio::test(crate = "crate::support::limit")]
async fn replicas_with_overlapping_rings_serve_side_by_side() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let place = Place::migrated(&database).await;
    let (old, both, new) = (key(1, 1), format!("{},{}", key(1, 1), key(2, 2)), format!("{},{}", key(2, 2), key(1, 1)));
    let (first, second) = (place.serve(&old).await, place.serve(&both).await);
    assert_eq!(first.health(super::server::BY_NAME).await, ServingStatus::Serving);
    place.refused(&key(3, 3)).await;
    let third = place.serve(&new).await;
    // The first could not verify what the third signs.
    first.until(ServingStatus::NotServing).await;
    let line = first.logged("not ready").await;
    assert!(line.contains("key 2") && line.contains(&fingerprint(2, 2)), "{line}");
    assert_eq!(second.health(super::server::BY_NAME).await, ServingStatus::Serving);
    for server in [first, second, third] {
        server.stop().await;
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn ring_is_compared_when_the_database_comes_later() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let place = Place::migrated(&database).await;
    let network = Network::to(database.url()).await;
    network.silence();
    let environment = [("INVITATION__STORE__URL", network.url()), ("INVITATION__TOKEN__KEYS", &key(1, 9))];
    let late = Server::start(place.0.path(), &[], &environment).await;
    late.logged("not ready").await;
    let first = place.serve(&key(1, 1)).await;
    network.heal();
    let line = late.logged("has the fingerprint").await;
    assert!(line.contains(&fingerprint(1, 1)), "{line}");
    assert_eq!(late.health(super::server::BY_NAME).await, ServingStatus::NotServing);
    // Nothing is signed by a ring that does not fit, whoever calls past the readiness.
    let refused = late.create().await.one().await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    first.create().await.one().await.unwrap();
    for server in [late, first] {
        server.stop().await;
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn key_file_is_not_made_anew_beside_a_used_database() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    server.create().await.one().await.unwrap();
    server.stop().await;
    let path = folder.path().join("data/invitations.keys");
    let keys = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let text = refusal(&run(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &[]).await);
    assert!(text.contains("invitations.keys is missing") && text.contains("restore"), "{text}");
    assert!(!path.exists());
    fs::write(&path, keys).unwrap();
    Server::ready(folder.path(), &[], &[]).await.stop().await;
}

async fn key_is_in_use_until_two_days_and_all_its_links_are_over(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let store = store_with(&database, &clock, &options(Group::run)).await;
    let made = created(&store, link()).await;
    let maintenance = store.maintenance();
    let ring = |ids: &[u8]| {
        let keys: Vec<String> = ids.iter().map(|id| key(*id, *id)).collect();
        KeyRing::parse(&keys.join(",")).unwrap().fingerprints()
    };
    let fits = async |ids: &[u8]| maintenance.check_keys(&ring(ids)).await.unwrap().is_ok();
    // The commands of this store sign with key 7.
    assert!(fits(&[7]).await && fits(&[7, 8]).await && fits(&[8, 7]).await);
    assert!(!fits(&[8]).await, "it has signed until now");
    clock.advance(Duration::from_secs(48 * 3_600));
    assert!(!fits(&[8]).await, "a link that it signed is open");
    assert!(maintenance.still_fits(&ring(&[8])).await.unwrap().is_ok(), "only a start looks at links");
    store.executor().execute(command(revoke(&made)), None).await.unwrap();
    assert!(fits(&[8]).await);
    let second = store.executor().execute(command(create(link())), None).await.unwrap().invitation;
    assert!(!fits(&[8]).await, "{:?}", second.key_id);
    store.executor().execute(command(revoke(&second)), None).await.unwrap();

    maintenance.note_signing(8).await.unwrap();
    let raw = database.connect().await;
    let sql = "SELECT signed_at FROM key_check WHERE id = 8";
    let row = raw.query_one_raw(Statement::from_string(raw.get_database_backend(), sql)).await.unwrap().unwrap();
    assert_eq!(Timestamp::from_micros(row.try_get("", "signed_at").unwrap()), clock.now());
    store.close().await;
}
