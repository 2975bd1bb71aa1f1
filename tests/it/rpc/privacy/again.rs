//! An erasure that breaks off goes on, and one that a backup takes back is done again.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::CreateInvitation;
use invitation_service::domain::erasure::tombstone::{AddressMac, Tombstone};
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::value::given_email::GivenEmail;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::domain::value::text::AccountId;
use invitation_service::pb;
use invitation_service::serve::erasures;
use invitation_service::store::erasures::chunk::{PersonErasure, PersonPlace};
use sea_orm::ConnectionTrait as _;

use super::{ADDRESS, BOB, erase};
use crate::support::build::commands::{account, created, email, link, store};
use crate::support::build::messages;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;
use crate::support::service::{KEYS, Service, configuration};

on_both!(
    migrated:
    erasure_that_broke_off_goes_on_with_what_is_left,
    tombstones_erase_again_what_is_older_than_they_are,
    tombstones_take_the_address_out_of_its_suppression,
    tombstone_of_a_key_that_is_gone_is_reported,
    address_that_cannot_be_read_is_reported,
);

async fn erasure_that_broke_off_goes_on_with_what_is_left(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for _ in 0..120 {
        created(&store, CreateInvitation { recipients: vec![email(ADDRESS).into()], ..link() }).await;
    }
    let (ring, given, account) = (KeyRing::parse(KEYS).unwrap(), GivenEmail::parse(ADDRESS).unwrap(), account());
    let person = PersonErasure {
        account: &account,
        actor: "apiKeys/ci",
        email: &given,
        until: clock.now(),
        ring: &ring,
        is_dry_run: false,
    };
    let mut number = 0_u8;
    let mut seed = move || {
        number = number.wrapping_add(1);
        number
    };
    let mut counts = Vec::new();
    // The second round breaks off nowhere; the first does behind its first invitations.
    for most in [2, usize::MAX] {
        let (mut place, mut chunks) = (Some(PersonPlace::start()), 0);
        while let Some(after) = place.filter(|_| chunks < most) {
            let bytes = [seed(); 16];
            let numbered = std::cell::Cell::new(0_u8);
            let seed = || {
                numbered.set(numbered.get() + 1);
                let mut bytes = bytes;
                bytes[0] = numbered.get();
                IdSeed::new(clock.now(), bytes)
            };
            let chunk = store.erase_chunk(&person, after, seed, None).await.unwrap();
            assert!(chunk.failed.is_none());
            counts.push(chunk.erased.len());
            (place, chunks) = (chunk.next, chunks + 1);
        }
    }
    assert_eq!(counts, [0, 50, 0, 50, 20], "acceptances, recipients; and again");
    store.close().await;
}

/// Erases the address an hour after New Year in another database, and returns its tombstones.
async fn tombstones(elsewhere: &TestDatabase) -> String {
    let service = Service::start(elsewhere).await;
    service.clock.advance(Duration::from_secs(3_600));
    erase(&service, ADDRESS, "").await;
    service.stop().await;
    let mut text = String::new();
    let print = |line: String| {
        text += &(line + "\n");
        true
    };
    let config = configuration(elsewhere, &[]);
    erasures::list(&config.store, Clock::manual(NEW_YEAR), print).await.unwrap();
    assert!(!text.to_lowercase().contains("zebra"), "{text}");
    text
}

async fn tombstones_erase_again_what_is_older_than_they_are(database: TestDatabase) {
    let text = tombstones(&TestDatabase::sqlite()).await;
    assert_eq!(text.lines().count(), 1);
    // The database as a backup has brought it back: it knows nothing of the erasure.
    let service = Service::start(&database).await;
    let old = messages::create(&service, messages::invitation_for(&[ADDRESS, BOB])).await;
    service.clock.advance(Duration::from_secs(2 * 3_600));
    let new = messages::create(&service, messages::invitation_for(&[ADDRESS])).await;
    service.stop().await;
    let config = configuration(&database, &[]);
    let clock = Clock::manual(NEW_YEAR);
    clock.advance(Duration::from_secs(3 * 3_600));
    for people in [1, 1] {
        let report = erasures::again(&config, &clock, &text).await.unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!((report.tombstones, report.people), (1, people), "{report}");
    }
    let service = Service::start_with(config, clock).await;
    assert_eq!(messages::get(&service, &old.name).await.allowed_emails, ["", BOB]);
    assert_eq!(messages::get(&service, &new.name).await.allowed_emails, [ADDRESS], "it is younger");
    let last = messages::events(&service, &format!("invitations/{}", old.uid)).await.pop().unwrap();
    assert_eq!((last.r#type.as_str(), last.actor.as_str()), ("invitation.recipient_erased", "system/erasure"));
    assert!(last.payload.is_some_and(|payload| matches!(payload, pb::event::Payload::RecipientErased(_))));
    service.stop().await;
}

async fn tombstones_take_the_address_out_of_its_suppression(database: TestDatabase) {
    let text = tombstones(&TestDatabase::sqlite()).await;
    let service = Service::start(&database).await;
    let suppression = pb::Suppression { email: ADDRESS.to_owned(), ..Default::default() };
    let request = pb::CreateSuppressionRequest { suppression: Some(suppression), ..Default::default() };
    let made = service.suppressions().create_suppression(request).await.unwrap().into_inner();
    service.stop().await;
    let config = configuration(&database, &[]);
    let clock = Clock::manual(NEW_YEAR);
    clock.advance(Duration::from_secs(3 * 3_600));
    // The second round finds nobody.
    for people in [1, 0] {
        let report = erasures::again(&config, &clock, &text).await.unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!((report.tombstones, report.people), (1, people), "{report}");
    }
    let service = Service::start_with(config, clock).await;
    let request = pb::LookupSuppressionRequest { email: ADDRESS.to_owned() };
    let found = service.suppressions().lookup_suppression(request).await.unwrap().into_inner();
    assert_eq!(found, pb::Suppression { masked_email: String::new(), ..made });
    service.stop().await;
}

async fn tombstone_of_a_key_that_is_gone_is_reported(database: TestDatabase) {
    let text = tombstones(&TestDatabase::sqlite()).await.replace("\"key_id\":2", "\"key_id\":77");
    let config = configuration(&database, &[]);
    Service::start(&database).await.stop().await;
    let report = erasures::again(&config, &Clock::manual(NEW_YEAR), &text).await.unwrap();
    assert_eq!((report.tombstones, report.without_key, report.is_complete()), (1, 1, false), "{report}");
}

async fn address_that_cannot_be_read_is_reported(database: TestDatabase) {
    let text = tombstones(&TestDatabase::sqlite()).await;
    let service = Service::start(&database).await;
    messages::create(&service, messages::invitation_for(&[ADDRESS])).await;
    let rows = service.connect().await;
    // A text that is no address, and a tombstone that stands for it.
    rows.execute_unprepared("UPDATE recipient SET value = 'nonsense'").await.unwrap();
    rows.close().await.unwrap();
    service.stop().await;
    let mac =
        AddressMac::of(&KeyRing::parse(KEYS).unwrap(), &AccountId::parse("default").unwrap(), "nonsense").remove(0);
    let mut tombstone: Tombstone = serde_json::from_str(text.trim()).unwrap();
    tombstone.address = mac;
    let clock = Clock::manual(NEW_YEAR);
    clock.advance(Duration::from_secs(3 * 3_600));
    let text = serde_json::to_string(&tombstone).unwrap();
    let report = erasures::again(&configuration(&database, &[]), &clock, &text).await.unwrap();
    assert_eq!((report.unreadable, report.people, report.failed, report.is_complete()), (1, 0, 0, false), "{report}");
}
