//! The small rules of the domain's values, as tables: codes, bounds, sums.

use super::kind::shared::SharedDetails;
use std::time::Duration;

use uuid::Uuid;

use super::command::{ExpiryTime, RequestKey};
use super::delivery::reminder::{Schedule, Schedules};
use super::fixtures::*;
use super::group::loaded::Loaded;
use super::invitation::event::EventType;
use super::invitation::recipient::{Address, AddressType};
use super::invitation::refusal::Refusal;
use super::invitation::state::State;
use super::invitation::{Engagement, EngagementType, Invitation};
use super::kind::connection::{ConnectionDetails, ConnectionPurpose, Country, HttpUrl, StartDate};
use super::kind::{Details, Kind};
use super::organization_grant::{GrantUpdate, OrganizationGrant, UpdateRefusal};
use super::secret::key_ring::KeyRing;
use super::value::email::Email;
use super::value::rule;
use super::value::text;
use super::value::time::{Timestamp, Ttl};

fn loaded_with(invitation: &Invitation) -> Loaded {
    loaded(invitation, &[])
}

#[test]
fn kinds_and_address_types_have_one_code_each() {
    for (kind, code, collection) in [
        (Kind::Connection, "connection", "connectionInvitations"),
        (Kind::User, "user", "userInvitations"),
        (Kind::Guest, "guest", "guestInvitations"),
        (Kind::General, "general", "invitations"),
    ] {
        assert_eq!((kind.code(), kind.collection(), Kind::from_code(code)), (code, collection, Some(kind)));
    }
    for (address_type, code) in [
        (AddressType::Email, "email"),
        (AddressType::Phone, "phone"),
        (AddressType::Internal, "internal"),
        (AddressType::Share, "share"),
    ] {
        assert_eq!((address_type.code(), AddressType::from_code(code)), (code, Some(address_type)));
    }
    assert_eq!((Kind::from_code("unheard_of"), AddressType::from_code("fax")), (None, None));
}

#[test]
fn events_are_named_by_their_type() {
    assert_eq!(EventType::Created.name(), "invitation.created");
    assert_eq!(EventType::Revoked.name(), "invitation.revoked");
}

#[test]
fn edited_connection_is_the_resource_of_its_invitation() {
    let connection_id = Uuid::from_u128(7);
    let company_id = Uuid::from_u128(8);
    let of = |purpose| Details::Connection(ConnectionDetails { company_id, purpose, shared: SharedDetails::default() });
    assert_eq!(of(ConnectionPurpose::EditConnection { connection_id }).resource_id(), Some(connection_id));
    assert_eq!(of(ConnectionPurpose::CreateConnection { prefill: None }).resource_id(), None);
    let group = scope();
    let mut grouped = general(super::kind::general::Usage::MultiUse);
    grouped.groups = vec![group.clone()];
    assert_eq!(Details::General(Box::new(grouped)).groups(), [group]);
}

#[test]
fn parts_of_a_prefill_are_shown_as_they_were_given() {
    assert_eq!(Country::parse("DE").unwrap().as_str(), "DE");
    assert_eq!(HttpUrl::parse("https://example.org/a").unwrap().as_str(), "https://example.org/a");
    assert_eq!(StartDate::parse("2026-01-31").unwrap().as_str(), "2026-01-31");
    for wrong in ["2026-1-31", "2026-02-30", "31.01.2026", ""] {
        assert!(StartDate::parse(wrong).is_err(), "{wrong}");
    }
    for wrong in ["ftp://example.org", "example.org", "https://", &format!("https://e.org/{}", "x".repeat(300))] {
        assert!(HttpUrl::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn addresses_are_bounded_and_folded() {
    // 64 bytes before the @ and as many labels as fit behind it.
    let domain = |length: usize| {
        let labels = format!("{}.", "d".repeat(59)).repeat(length / 60);
        format!("{labels}{}", "d".repeat(length - labels.len()))
    };
    let address = |length: usize| format!("{}@{}", "l".repeat(64), domain(length - 65));
    assert!(Email::parse(&address(254)).is_ok());
    assert!(Email::parse(&address(255)).is_err());
    assert_eq!(Email::normal_part(" Jane.Doe "), "jane.doe");
    assert_eq!(String::from(email("Jane@Example.org")), "Jane@Example.org");
    for (local, accepted) in
        [("a.b", true), ("a..b", false), ("a b", false), ("\u{939}\u{93f}", true), ("a\u{2028}", false)]
    {
        assert_eq!(Email::parse(&format!("{local}@example.org")).is_ok(), accepted, "{local:?}");
    }
    assert_eq!(Address::parse(AddressType::Share, ""), Ok(Address::Share(String::new())));
    assert_eq!(Address::parse(AddressType::Share, "chat"), Ok(Address::Share("chat".to_owned())));
}

#[test]
fn texts_are_kept_as_they_are_within_their_bounds() {
    type Check = fn(&str) -> Result<String, rule::Invalid>;
    for (name, check, min, max) in [
        ("free_text", text::free_text as Check, 1, 300),
        ("opaque_id", text::opaque_id, 1, 200),
        ("label_key", text::label_key, 1, 63),
        ("label_value", text::label_value, 0, 255),
        ("variable", text::variable, 0, 300),
        ("pass_through", text::pass_through, 1, 4_096),
        ("sealed", text::sealed, 1, 1_024),
        ("request_id", text::request_id, 1, 128),
    ] {
        for length in [min, max] {
            assert_eq!(check(&"x".repeat(length)), Ok("x".repeat(length)), "{name} of {length}");
        }
        assert!(check(&"x".repeat(max + 1)).is_err(), "{name} of {}", max + 1);
        assert_eq!(check("").is_ok(), min == 0, "{name} of nothing");
        assert!(check("x\ny").is_err(), "{name} with a line break");
        assert_eq!(check("x y").is_ok(), !matches!(name, "sealed" | "request_id"), "{name} with a space");
    }
}

#[test]
fn times_to_live_end_at_a_year_or_a_century() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(Ttl::parse(days(365)), Ok(Ttl::YEAR));
    assert_eq!(Ttl::parse(days(365)), Ok(Ttl::YEAR));
    assert_eq!(Ttl::parse(days(7)), Ok(Ttl::WEEK));
    let longer = ExpiryTime::After(Ttl::parse(days(365) + Duration::from_micros(1)).unwrap());
    for kind in Kind::ALL {
        let (year, never) = (kind == Kind::User, matches!(kind, Kind::User | Kind::Guest));
        assert_eq!(kind.lifetime().check(longer).is_err(), year, "{kind:?}");
        assert_eq!(kind.lifetime().check(ExpiryTime::Never).is_err(), never, "{kind:?}");
    }
    assert_eq!(Ttl::parse(days(36_525)), Ok(Ttl::LONGEST));
    assert!(Ttl::parse(days(36_525) + Duration::from_micros(1)).is_err());
}

#[test]
fn engagement_counts_each_sort_by_itself() {
    let mut counted = Engagement::default();
    for engagement in [EngagementType::View, EngagementType::Click, EngagementType::Click, EngagementType::Unfurl] {
        counted.count(engagement);
    }
    assert_eq!(counted, Engagement { views: 1, clicks: 2, unfurls: 1 });
    counted.add(Engagement { views: 10, clicks: 20, unfurls: 30 });
    assert_eq!(counted, Engagement { views: 11, clicks: 22, unfurls: 31 });
}

#[test]
fn refusals_about_the_state_are_told_from_others() {
    let about_state = [
        Refusal::InvitationExpired,
        Refusal::InvitationRevoked,
        Refusal::InvitationDeclined,
        Refusal::InvitationFulfilled,
        Refusal::AcceptanceReleased,
        Refusal::AcceptanceEnded,
        Refusal::GrantExpired,
    ];
    assert!(about_state.iter().all(Refusal::is_about_state));
    assert!(![Refusal::InvitationNotFound, Refusal::RequestIdReused].iter().any(Refusal::is_about_state));
}

#[test]
fn schedules_know_their_length() {
    let schedule = Schedule { after: vec![Duration::from_secs(1)], before_expiry: vec![Duration::from_secs(2)] };
    assert_eq!((schedule.len(), schedule.is_empty()), (2, false));
    assert_eq!((Schedule::NONE.len(), Schedule::NONE.is_empty()), (0, true));
    assert_eq!(Schedules::NONE.most(), 0);
    let user = Schedules::from_fn(|kind| if kind == Kind::User { schedule.clone() } else { Schedule::NONE });
    assert_eq!(user.most(), 2);
}

#[test]
fn first_key_signs_and_seals() {
    let key = |id: u8| KeyRing::format_key(id, [id; 32]);
    let (old, new) = (key(3), format!("{},{}", key(7), key(3)));
    let (old, new) = (KeyRing::parse(&old).unwrap(), KeyRing::parse(&new).unwrap());
    assert_eq!((old.signing_key(), new.signing_key()), (3, 7));
    let digest = new.body_digests(b"body").first().copied().unwrap();
    assert_eq!((digest.key_id, digest.hex().len()), (7, 64));
    assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn organization_grant_grants_what_it_names() {
    let grant = grant();
    assert!(grant.grants("guests.read") && !grant.grants("guests.write"));
}

#[test]
fn organization_grant_has_another_etag_after_a_change_only() {
    let (before, later) = (grant(), Timestamp::from_micros(NOW.micros() + 1));
    let to =
        |permission: &str| GrantUpdate { permissions: Some(vec![permission.to_owned()]), ..GrantUpdate::default() };
    assert_eq!(before.update(&GrantUpdate::default(), Some(&before.etag()), later), Ok(None));
    assert_eq!(before.update(&to("guests.read"), None, later), Ok(None));
    let after = before.update(&to("guests.write"), None, later).unwrap().unwrap();
    assert_eq!((after.revision, after.updated_at, after.created_at), (2, later, NOW));
    assert_ne!(after.etag(), before.etag());
    assert!(after.grants("guests.write") && !after.grants("guests.read"));
    assert_eq!(after.update(&to("guests.write"), Some(&before.etag()), later), Err(UpdateRefusal::Stale));
}

#[test]
fn organization_grant_keeps_its_two_organizations() {
    let before = grant();
    let ends = |requester: u128, target: u128| GrantUpdate {
        requester: Some(organization(requester)),
        target: Some(organization(target)),
        permissions: None,
    };
    assert_eq!(before.update(&ends(1, 2), None, NOW), Ok(None), "as they are");
    assert_eq!(before.update(&ends(3, 2), None, NOW), Err(UpdateRefusal::Fixed("requester_organization_id")));
    assert_eq!(before.update(&ends(1, 3), None, NOW), Err(UpdateRefusal::Fixed("target_organization_id")));
}

fn grant() -> OrganizationGrant {
    OrganizationGrant {
        id: Uuid::from_u128(9),
        requester: organization(1),
        target: organization(2),
        permissions: vec!["guests.read".to_owned()],
        revision: 1,
        creator: "maker".to_owned(),
        created_at: NOW,
        updated_at: NOW,
    }
}

#[test]
fn later_look_adds_recipients_and_keeps_the_rest() {
    let invitation = invitation(2, None);
    let mut bare = invitation.clone();
    bare.recipients.clear();
    let (mut first, second) = (loaded_with(&bare), loaded_with(&invitation));
    first.add(second);
    assert_eq!(first.invitation(&account("acme"), invitation.id).unwrap().recipients.len(), 2);
    let mut empty = Loaded::empty(NOW);
    empty.add(loaded_with(&invitation));
    assert!(empty.invitation(&account("acme"), invitation.id).is_ok());
    // An answer without recipients does not replace one that has them.
    let mut full = loaded_with(&invitation);
    full.add(loaded_with(&bare));
    assert_eq!(full.invitation(&account("acme"), invitation.id).unwrap().recipients.len(), 2);
}

#[test]
fn requests_are_kept_under_every_key() {
    let invitation = in_state(State::Active);
    let command = requested(command(1, revoke(&invitation)), "r", "body", &[1]);
    let keys: Vec<RequestKey> = command.request_keys().collect();
    assert_eq!(keys.first().map(|key| key.id.as_str()), Some("r"));
}
