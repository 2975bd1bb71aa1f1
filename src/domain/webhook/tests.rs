//! The changes of an endpoint.

use uuid::Uuid;

use super::*;
use crate::domain::invitation::event::{EventFormat, EventType};

const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

fn later(by: Duration) -> Timestamp {
    Timestamp::from_micros(NOW.micros() + i64::try_from(by.as_micros()).unwrap())
}

fn endpoint() -> Endpoint {
    Endpoint {
        id: Uuid::from_u128(1),
        uri: "https://example.com/".to_owned(),
        event_types: vec![EventTypeFilter::from(EventType::Accepted).into()],
        format: EventFormat::CloudEventsBinary.into(),
        disabled_at: None,
        disabled_reason: None,
        secrets: SealedSecrets { present: "first".to_owned(), previous: None },
        failing_since: None,
        revision: 1,
        creator: "tester".to_owned(),
        created_at: NOW,
        updated_at: NOW,
    }
}

#[test]
fn same_again_is_no_change() {
    let same = EndpointChange {
        uri: Some(endpoint().uri),
        event_types: Some(endpoint().event_types),
        format: Some(EventFormat::CloudEventsBinary),
        disabled: Some(false),
    };
    assert_eq!(endpoint().changed(&same, later(Duration::from_secs(1))), None);
    assert_eq!(endpoint().changed(&EndpointChange::default(), NOW), None);
    let disabled = Endpoint { disabled_at: Some(NOW), ..endpoint() };
    let again = EndpointChange { disabled: Some(true), ..EndpointChange::default() };
    assert_eq!(disabled.changed(&again, later(Duration::from_secs(1))), None);
}

#[test]
fn enabling_forgets_why_it_was_disabled_and_that_it_failed() {
    let disabled = Endpoint {
        disabled_at: Some(NOW),
        disabled_reason: Some(DisabledReason::Gone.into()),
        failing_since: Some(NOW),
        ..endpoint()
    };
    let enable = EndpointChange { disabled: Some(false), ..EndpointChange::default() };
    let at = later(Duration::from_secs(60));
    let enabled = disabled.changed(&enable, at).unwrap();
    assert_eq!(enabled, Endpoint { revision: 2, updated_at: at, ..endpoint() });
    assert!(disabled.is_enabled_by(&enabled) && !disabled.is_disabled_by(&enabled));
    assert_ne!(enabled.etag(), disabled.etag());
}

#[test]
fn after_a_rotation_both_secrets_sign_until_the_overlap_is_over() {
    let until = later(Duration::from_secs(3_600));
    let rotated = endpoint().rotated("second".to_owned(), until, NOW);
    assert_eq!(rotated.secrets.signing(NOW), ["second", "first"]);
    assert_eq!(rotated.secrets.signing(later(Duration::from_secs(3_599))), ["second", "first"]);
    assert_eq!(rotated.secrets.signing(until), ["second"]);
    let again = rotated.rotated("third".to_owned(), until, NOW);
    assert_eq!(again.secrets.signing(NOW), ["third", "second"], "never more than two");
    let at_once = endpoint().rotated("second".to_owned(), NOW, NOW);
    assert_eq!(at_once.secrets.previous, None, "without an overlap the old one ends at once");
}

#[test]
fn update_and_rotation_want_the_present_etag() {
    let (before, at) = (endpoint(), later(Duration::from_secs(60)));
    let disable = EndpointChange { disabled: Some(true), ..EndpointChange::default() };
    let rotation = Rotation { sealed: "second".to_owned(), until: later(Duration::from_secs(3_600)) };
    for etag in [None, Some(before.etag().as_str())] {
        let disabled = before.update(&disable, etag, at).unwrap().unwrap();
        assert_eq!(disabled, Endpoint { disabled_at: Some(at), revision: 2, updated_at: at, ..endpoint() });
        assert!(before.is_disabled_by(&disabled) && !before.is_enabled_by(&disabled));
        assert!(disabled.is_enabled_by(&before) && !disabled.is_disabled_by(&before));
        let rotated = before.rotate(&rotation, etag, at).unwrap().unwrap();
        assert_eq!((rotated.secrets.present.as_str(), rotated.revision, rotated.updated_at), ("second", 2, at));
    }
    assert!(![&before].iter().any(|same| before.is_disabled_by(same) || before.is_enabled_by(same)));
    assert_eq!(before.update(&disable, Some("\"x\""), at), Err(StaleEtag));
    assert_eq!(before.rotate(&rotation, Some("1"), at), Err(StaleEtag));
}
