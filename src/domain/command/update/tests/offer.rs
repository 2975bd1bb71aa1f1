//! Updates of the offer: uses, roles, groups and expiry, and of the words beside it.

use serde_json::{Value, json};

use crate::domain::command::{
    Action, Expiry, ExpiryTime, Fixed, FixedField, JsonUpdate, KeptText, MapUpdate, UpdateInvitation, UpdatedFields,
};
use crate::domain::decide::Changes;
use crate::domain::decide::tests::{after, event_types, is_nothing, run, run_on, together};
use crate::domain::fixtures::{
    NOW, command, details, email, general, in_state, invitation, invited, minutes, organization, set, set_expiry, ttl,
    updating,
};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType::{Expired, Fulfilled, Updated};
use crate::domain::invitation::event::Payload;
use crate::domain::invitation::event::payload::UpdatedPayload;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::connection::{ConnectionPurpose, Prefill};
use crate::domain::kind::general::{GeneralDetails, RecipientMatch, Usage};
use crate::domain::kind::shared::Inviter;
use crate::domain::kind::{Details, Kind, Scope};
use crate::domain::value::rule::FieldRule;

/// A link for several people, of which some uses are used.
fn link(usage: Usage, max_uses: Option<u32>, used: u32) -> Invitation {
    let mut link = Invitation { details: Details::General(Box::new(general(usage))), ..invitation(0, max_uses) };
    link.facts.use_count = used;
    link.facts.accepted_at = (used > 0).then(|| minutes(-1));
    link
}

fn max_uses(of: &Invitation, max_uses: Option<u32>) -> Action {
    set(of, UpdatedFields { max_uses: Some(max_uses), ..UpdatedFields::default() })
}

fn told(changes: &Changes) -> &UpdatedPayload {
    let Payload::Updated(told) = &changes.events[0].payload else { panic!("{:?}", changes.events) };
    told
}

/// Returns the field that is refused.
fn refused(refusal: Refusal) -> (&'static str, FieldRule) {
    match refusal {
        Refusal::InvalidFieldOf { field, invalid, .. } | Refusal::InvalidField { field, invalid } => {
            (field, invalid.rule)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn number_of_uses_moves_both_ways_and_opens_again() {
    let reopened = (State::Active, &[Updated][..]);
    for (most, used, new, wanted) in [
        (Some(3), 1, Some(20), Ok(reopened)),
        (Some(3), 1, None, Ok(reopened)),
        (None, 1, Some(2), Ok(reopened)),
        (Some(3), 3, Some(4), Ok(reopened)),
        (Some(3), 3, None, Ok(reopened)),
        (Some(3), 2, Some(2), Ok((State::Fulfilled, &[Updated, Fulfilled][..]))),
        (Some(3), 2, Some(1), Err(Refusal::MaxUsesBelowUseCount(2))),
        (Some(3), 3, Some(2), Err(Refusal::MaxUsesBelowUseCount(3))),
    ] {
        let before = link(Usage::MultiUse, most, used);
        let decided = run(&before, max_uses(&before, new));
        let found = decided.map(|decided| {
            let after = after(&decided.changes).unwrap().clone();
            assert_eq!((after.facts.max_uses, after.facts.use_count), (new, used));
            assert_eq!(told(&decided.changes).changes[0].old, json!(most));
            (after.state_at(NOW), event_types(&decided.changes))
        });
        assert_eq!(found, wanted.map(|(state, events)| (state, events.to_vec())), "{most:?} {used} {new:?}");
    }
}

#[test]
fn only_uses_that_were_used_up_come_back() {
    let single = link(Usage::SingleUse, Some(1), 1);
    assert!(is_nothing(&run(&single, max_uses(&single, Some(1))).unwrap().changes));
    assert!(is_nothing(&run(&single, max_uses(&single, None)).unwrap().changes), "it has no other number");
    let refusal = run(&single, max_uses(&single, Some(2))).unwrap_err();
    assert_eq!(refused(refusal), ("max_uses", FieldRule::Conflicts));
    let mut elsewhere = link(Usage::MultiUse, Some(3), 1);
    elsewhere.facts.accepted_elsewhere_at = Some(NOW);
    assert_eq!(run(&elsewhere, max_uses(&elsewhere, Some(5))).unwrap_err(), Refusal::InvitationFulfilled);
    let mut used_once = invited(1, details(Kind::Connection), &["ann@example.org"]);
    (used_once.facts.max_uses, used_once.facts.use_count) = (Some(1), 1);
    let changes = run(&used_once, max_uses(&used_once, Some(2))).unwrap().changes;
    assert_eq!(after(&changes).unwrap().state_at(NOW), State::Active, "a connection is for as many as it says");
    let mut late = link(Usage::MultiUse, Some(1), 1);
    late.facts.expire_at = Some(NOW);
    let changes = run(&late, max_uses(&late, Some(2))).unwrap().changes;
    assert_eq!(after(&changes).unwrap().state_at(NOW), State::Expired, "its time is over all the same");
    assert_eq!(after(&changes).unwrap().expiry_told_at, Some(NOW), "nobody walks along this moment again");
    let told: Vec<_> = changes.events.iter().map(|event| event.event_type).collect();
    assert_eq!(told, [Updated, Expired]);
    late.expiry_told_at = Some(NOW);
    let changes = run(&late, max_uses(&late, Some(2))).unwrap().changes;
    assert_eq!(changes.events.len(), 1, "it was told before it was used up");
}

/// Fields that an acceptor is offered, and those that only their caller reads.
fn some_fields() -> [(bool, UpdatedFields); 7] {
    let expiry = Some(Expiry { time: ExpiryTime::After(ttl(90)), field: "ttl" });
    let text = |text: &str| Some(Some(text.to_owned()));
    let labels = MapUpdate::Whole([("wave".to_owned(), "2".to_owned())].into());
    [
        (true, UpdatedFields { expiry, ..UpdatedFields::default() }),
        (true, UpdatedFields { roles: Some(vec!["owner".to_owned()]), ..UpdatedFields::default() }),
        (true, UpdatedFields { groups: Some(vec![Scope::new("team", "9")]), ..UpdatedFields::default() }),
        (false, UpdatedFields { labels: Some(labels), ..UpdatedFields::default() }),
        (false, UpdatedFields { message: text("Hello"), ..UpdatedFields::default() }),
        (false, UpdatedFields { metadata: Some(JsonUpdate::Whole(text("{}").flatten())), ..UpdatedFields::default() }),
        (false, UpdatedFields { archived: Some(true), ..UpdatedFields::default() }),
    ]
}

#[test]
fn offer_cannot_change_after_the_end_and_the_rest_can() {
    for state in State::ALL {
        let details = Details::General(Box::new(GeneralDetails { explicit_scope: true, ..general(Usage::MultiUse) }));
        let before = Invitation { details, ..in_state(state) };
        for (is_offer, fields) in some_fields() {
            let decided = run(&before, set(&before, fields.clone())).map(|decided| decided.changes);
            let wanted = if is_offer && state != State::Expired { state.require_active() } else { Ok(()) };
            assert_eq!(decided.map(drop), wanted, "{state:?}: {fields:?}");
        }
    }
}

#[test]
fn groups_change_only_beside_a_scope_that_is_named() {
    let team = |id: &str, name: Option<&str>| Scope { display_name: name.map(str::to_owned), ..Scope::new("team", id) };
    let groups = |of: &Invitation, groups: &[Scope]| {
        set(of, UpdatedFields { groups: Some(groups.to_vec()), ..UpdatedFields::default() })
    };
    for explicit_scope in [true, false] {
        let details = GeneralDetails {
            explicit_scope,
            scope: Some(team("1", None)),
            groups: vec![team("1", None), team("2", None)],
            ..general(Usage::MultiUse)
        };
        let before = Invitation { details: Details::General(Box::new(details)), ..invitation(0, None) };
        let other = run(&before, groups(&before, &[team("2", None)]));
        if explicit_scope {
            let changes = other.unwrap().changes;
            assert_eq!(told(&changes).changes[0].new, json!([{"type": "team", "id": "2"}]));
            assert!(after(&changes).unwrap().details.scope(&before.account).unwrap().is(&team("1", None)));
        } else {
            assert_eq!(refused(other.unwrap_err()), ("groups", FieldRule::Conflicts));
        }
        let renamed = [team("1", Some("One")), team("2", None)];
        let changes = run(&before, groups(&before, &renamed)).unwrap().changes;
        let name = after(&changes).unwrap().details.scope(&before.account).unwrap().display_name;
        assert_eq!(name.is_some(), !explicit_scope, "the scope is the first group");
    }
}

#[test]
fn event_has_old_and_new_values_but_no_address() {
    let Details::General(mut kept) = Details::General(Box::new(general(Usage::MultiUse))) else { panic!() };
    kept.shared.inviter = Some(Inviter { user_id: "u-1".to_owned(), ..Inviter::default() });
    kept.shared.locale = Some("de".to_owned());
    let labels = |labels: &[(&str, &str)]| labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let before = Invitation {
        details: Details::General(kept),
        labels: labels(&[("wave", "1"), ("mail", "ann@example.org"), ("my key", "x")]),
        ..invitation(0, None)
    };
    assert_eq!(before.labels.len(), 3);
    let inviter = Inviter { user_id: "u-2".to_owned(), email: Some(email("bob@example.org")), ..Inviter::default() };
    let fields = UpdatedFields {
        roles: Some(vec!["owner".to_owned()]),
        labels: Some(MapUpdate::Whole(labels(&[("wave", "2"), ("mail", "bob@example.org")]))),
        inviter: Some(Some(inviter)),
        locale: Some(None),
        message: Some(Some("Hello, bob@example.org".to_owned())),
        ..UpdatedFields::default()
    };
    let changes = run(&before, set(&before, fields)).unwrap().changes;
    let payload = changes.events[0].payload.json();
    assert!(!payload.to_string().contains('@'), "{payload}");
    assert_eq!(payload["fields"], json!(["labels", "inviter", "message", "locale", "roles"]));
    let words = json!([
        {"field": "labels.mail"},
        {"field": "labels.`my key`", "old": "x"},
        {"field": "labels.wave", "old": "1", "new": "2"},
        {"field": "inviter.user_id", "old": "u-1", "new": "u-2"},
        {"field": "locale", "old": "de"},
    ]);
    assert_eq!(payload["words"], words);
    assert_eq!(payload["changes"][0], json!({"field": "roles", "old": before.details.roles(), "new": ["owner"]}));
}

#[test]
fn maps_change_whole_or_by_key() {
    let entries = |entries: &[(&str, Option<&str>)]| {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    };
    let before = Invitation {
        labels: [("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..invitation(0, None)
    };
    let by_key = MapUpdate::Entries(entries(&[("a", None), ("b", Some("3")), ("c", Some("4")), ("d", None)]));
    let changes = run(&before, set(&before, UpdatedFields { labels: Some(by_key), ..UpdatedFields::default() }));
    let changed = after(&changes.unwrap().changes).unwrap().labels.clone();
    assert_eq!(changed, [("b", "3"), ("c", "4")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let many = (0..63).map(|number| (format!("k{number}"), Some("v".to_owned()))).collect();
    let many = UpdatedFields { labels: Some(MapUpdate::Entries(many)), ..UpdatedFields::default() };
    assert_eq!(refused(run(&before, set(&before, many)).unwrap_err()), ("labels", FieldRule::TooMany));
}

#[test]
fn json_keeps_its_text_where_nothing_in_it_changes() {
    let text = r#"{ "b":1.0, "a":[1e3] }"#;
    let update = |entries: &[(&str, Value)]| {
        let value = |value: &Value| Some(value.clone()).filter(|value| !value.is_null());
        JsonUpdate::Entries(entries.iter().map(|(key, entry)| ((*key).to_owned(), value(entry))).collect())
    };
    let on = |entries: &[(&str, Value)]| update(entries).on(Some(&text.to_owned())).unwrap().unwrap();
    assert_eq!(on(&[("b", json!(1.0)), ("c", Value::Null)]), text);
    assert_eq!(on(&[("b", json!("x")), ("a", Value::Null)]), r#"{"b":"x"}"#);
    let large = update(&[("c", json!("x".repeat(16 * 1024)))]).on(Some(&text.to_owned())).unwrap_err();
    assert_eq!(large.rule, FieldRule::TooLong);
    assert_eq!(update(&[("c", json!(1))]).on(None).unwrap().unwrap(), r#"{"c":1}"#);
}

#[test]
fn prefill_is_only_for_a_new_connection() {
    let prefill = Some(Some(Prefill::default()));
    let fields = UpdatedFields { prefill, ..UpdatedFields::default() };
    let mut before = invited(1, details(Kind::Connection), &["ann@example.org"]);
    let Details::Connection(details) = &mut before.details else { panic!("no connection") };
    details.purpose = ConnectionPurpose::CreateConnection { prefill: None };
    let changes = run(&before, set(&before, fields.clone())).unwrap().changes;
    assert_eq!((told(&changes).fields.as_slice(), told(&changes).changes.len()), (&["prefill".to_owned()][..], 0));
    let Details::Connection(details) = &mut before.details else { panic!("no connection") };
    details.purpose = ConnectionPurpose::EditConnection { connection_id: organization(3) };
    assert_eq!(refused(run(&before, set(&before, fields)).unwrap_err()), ("prefill", FieldRule::NotAllowed));
}

#[test]
fn auto_join_has_neither_expiry_nor_limit() {
    let join = link(Usage::Autojoin, None, 0);
    let refusal = run(&join, set_expiry(&join, ExpiryTime::After(ttl(5)))).unwrap_err();
    assert_eq!(refused(refusal), ("expire_time", FieldRule::NotAllowed));
    let refusal = run(&join, max_uses(&join, Some(3))).unwrap_err();
    assert_eq!(refused(refusal), ("max_uses", FieldRule::Conflicts));
    assert!(is_nothing(&run(&join, set_expiry(&join, ExpiryTime::Never)).unwrap().changes));
}

#[test]
fn invitation_of_another_kind_is_not_updated() {
    for kind in [Kind::Connection, Kind::User, Kind::Guest] {
        let before = invited(1, details(kind), &["ann@example.org"]);
        let update = UpdateInvitation { service: Kind::General, ..updating(&before) };
        let mut update = Action::Update(Box::new(update));
        let Action::Update(general) = &mut update else { panic!() };
        general.target.kind = None;
        let decided = run_on(&together(&[&before]), &command(1, update));
        assert_eq!(decided.unwrap_err(), Refusal::WrongKind(kind));
    }
}

#[test]
fn fields_that_stay_have_to_be_as_they_are() {
    let details = GeneralDetails { scope: Some(Scope::new("team", "1")), ..general(Usage::SingleUse) };
    let before = invited(1, Details::General(Box::new(details)), &["ann@example.org", "u-1"]);
    let address = |text: &str| Address::Email(email(text));
    let internal = Address::Internal("u-1".to_owned());
    for (value, is_kept) in [
        (Fixed::Scope(Scope { display_name: Some("One".to_owned()), ..Scope::new("team", "1") }), true),
        (Fixed::Scope(Scope::new("team", "2")), false),
        (Fixed::Usage(Usage::SingleUse), true),
        (Fixed::Usage(Usage::MultiUse), false),
        (Fixed::RecipientMatch(RecipientMatch::Exact), true),
        (Fixed::RecipientMatch(RecipientMatch::Any), false),
        (Fixed::Kept(KeptText::Source, "api".to_owned()), true),
        (Fixed::Kept(KeptText::Source, "widget".to_owned()), false),
        (Fixed::Kept(KeptText::Subtype, "api".to_owned()), false),
        (Fixed::Recipients(vec![address("ANN@example.org"), internal.clone()]), true),
        (Fixed::Recipients(vec![address("ann@example.org")]), false),
        (Fixed::Recipients(vec![address("bob@example.org"), internal]), false),
        (Fixed::Company(organization(1)), false),
        (Fixed::Connection(organization(1)), false),
    ] {
        let fixed = vec![FixedField { path: "x", value: value.clone() }];
        let update = Action::Update(Box::new(UpdateInvitation { fixed, ..updating(&before) }));
        let decided = run(&before, update).map(|decided| is_nothing(&decided.changes)).map_err(refused);
        assert_eq!(decided, if is_kept { Ok(true) } else { Err(("x", FieldRule::NotAllowed)) }, "{value:?}");
    }
}
