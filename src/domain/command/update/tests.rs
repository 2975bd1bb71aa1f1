//! The guest kind: acceptance for an organization, archiving, and updates by its host.

mod offer;
mod recipients;

use uuid::Uuid;

use crate::domain::command::{AcceptInvitation, Access, Action, Expiry, ExpiryTime, UpdatedFields};
use crate::domain::decide::tests::{after, event_types, is_nothing, run, run_on, together};
use crate::domain::decide::{AcceptanceChange, Changes};
use crate::domain::fixtures::{
    NOW, accept_by_system, acceptor, at, command, creation, details, invited, minutes, organization, resend, set,
    set_expiry, ttl,
};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, AcceptedBy, Acceptor};
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::event::EventType::{Accepted, Archived, Fulfilled, Unarchived, Updated};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::guest::GuestAcceptance;
use crate::domain::kind::{Details, Kind};
use crate::domain::quota::Quotas;
use crate::domain::value::time::Timestamp;

fn guest() -> Invitation {
    let mut guest = invited(1, details(Kind::Guest), &["guest@example.org"]);
    guest.facts.expire_at = Some(minutes(60));
    guest
}

/// Accepts by the mailed link for an organization, or for none that is known.
fn accept_for(invitation: &Invitation, organization: Option<Uuid>) -> Action {
    let acceptor: Acceptor = acceptor("person");
    let access = Access::Link(invitation.claims(1));
    let (created_connection, guest_organization_id) = (None, organization);
    Action::Accept(Box::new(AcceptInvitation {
        access,
        acceptor,
        created_connection,
        guest_organization_id,
        by_system: false,
        proof: None,
    }))
}

fn acceptance(changes: &Changes) -> &Acceptance {
    let Some(AcceptanceChange::Create(acceptance)) = &changes.acceptance else { panic!("no acceptance") };
    acceptance
}

fn accepted(invitation: &Invitation) -> Option<GuestAcceptance> {
    let Details::Guest(details) = &invitation.details else { panic!("no guest") };
    details.accepted
}

#[test]
fn acceptance_says_for_which_organization_and_on_whose_word() {
    let guest = guest();
    let known = Some(organization(7));
    for (action, subject, by, wanted) in [
        (accept_by_system(&guest, organization(7)), format!("system:{}", organization(7)), AcceptedBy::System, known),
        (accept_for(&guest, known), "person".to_owned(), AcceptedBy::Guest, known),
        (accept_for(&guest, None), "person".to_owned(), AcceptedBy::Guest, None),
    ] {
        let changes = run(&guest, action).unwrap().changes;
        let made = acceptance(&changes);
        assert_eq!((made.subject.0.as_str(), made.accepted_by), (subject.as_str(), by));
        assert_eq!(made.guest_organization_id, wanted, "{by:?}");
        let recorded = GuestAcceptance { guest_organization_id: wanted, by_system: by == AcceptedBy::System };
        let after = after(&changes).unwrap();
        assert_eq!((accepted(after), after.state_at(NOW)), (Some(recorded), State::Fulfilled), "{by:?}");
        assert_eq!(event_types(&changes), [Accepted, Fulfilled], "{by:?}");
        let payload = changes.events[0].payload.json();
        let told = payload.get("guest_organization_id").and_then(|id| id.as_str());
        assert_eq!(told.map(str::to_owned), wanted.map(|id| id.to_string()), "the caller connects from the event");
    }
}

#[test]
fn system_accepts_again_only_for_the_same_organization() {
    let guest = guest();
    for first in [accept_by_system(&guest, organization(7)), accept_for(&guest, Some(organization(7)))] {
        let changes = run(&guest, first).unwrap().changes;
        let mut loaded = together(&[after(&changes).unwrap()]);
        loaded.put_acceptance(acceptance(&changes).clone());
        let again = run_on(&loaded, &command(2, accept_by_system(&guest, organization(7)))).unwrap();
        assert!(is_nothing(&again.changes) && again.affected.already_accepted);
        let other = run_on(&loaded, &command(3, accept_by_system(&guest, organization(8))));
        assert_eq!(other.unwrap_err(), Refusal::InvitationFulfilled);
    }
    let mut unknown = guest.clone();
    unknown.details = after(&run(&guest, accept_for(&guest, None)).unwrap().changes).unwrap().details.clone();
    unknown.facts.use_count = 1;
    let refusal = run(&unknown, accept_by_system(&guest, organization(7))).unwrap_err();
    assert_eq!(refusal, Refusal::InvitationFulfilled, "nobody knows that it was for this organization");
}

#[test]
fn system_accepts_only_what_is_active_and_a_guest_invitation() {
    let mut guest = guest();
    guest.facts.expire_at = Some(NOW);
    assert_eq!(run(&guest, accept_by_system(&guest, organization(7))).unwrap_err(), Refusal::InvitationExpired);
    let mut user = invited(1, details(Kind::User), &["guest@example.org"]);
    let refusal = run(&user, accept_by_system(&user, organization(7))).unwrap_err();
    assert_eq!(refusal, Refusal::EmailNotAllowed, "no other kind is accepted without an address");
    let refusal = run(&user, accept_for(&user, Some(organization(7)))).unwrap_err();
    assert!(matches!(refusal, Refusal::InvalidField { field: "guest_organization_id", .. }), "{refusal:?}");
    user.details = guest.details.clone();
    assert!(run(&user, accept_for(&user, Some(organization(7)))).is_ok());
}

/// The fields that an update sets.
type Change = fn(&mut UpdatedFields);

const ARCHIVE: Change = |update| update.archived = Some(true);
const TAKE_OUT: Change = |update| update.archived = Some(false);
const LATER: Change = |update| update.expiry = Some(Expiry { time: ExpiryTime::After(ttl(90)), field: "ttl" });
const AS_IS: Change = |update| update.expiry = Some(Expiry { time: ExpiryTime::At(minutes(60)), field: "expire_time" });
const PARENT: Change = |update| update.parent_organization_id = Some(Some(organization(9)));
const NO_PARENT: Change = |update| update.parent_organization_id = Some(None);
const PARENT_NAME: Change = |update| update.parent_organization_name = Some(Some("Parent".to_owned()));

/// Whether it is archived before, the update, and the result.
const UPDATES: [(bool, &[Change], &[EventType]); 11] = [
    (false, &[], &[]),
    (false, &[AS_IS, NO_PARENT, TAKE_OUT], &[]),
    (true, &[ARCHIVE], &[]),
    (false, &[ARCHIVE], &[Archived]),
    (true, &[TAKE_OUT], &[Unarchived]),
    (false, &[LATER], &[Updated]),
    (true, &[LATER], &[Updated]),
    (false, &[PARENT, PARENT_NAME], &[Updated]),
    (false, &[PARENT, LATER, ARCHIVE], &[Updated, Archived]),
    (true, &[PARENT_NAME, TAKE_OUT], &[Updated, Unarchived]),
    (true, &[PARENT, ARCHIVE], &[Updated]),
];

fn updated(guest: &Invitation, changes: &[Change]) -> Action {
    let mut fields = UpdatedFields::default();
    changes.iter().for_each(|change| change(&mut fields));
    set(guest, fields)
}

#[test]
fn update_tells_what_has_changed_and_nothing_else() {
    for (number, (archived, parts, events)) in UPDATES.into_iter().enumerate() {
        let mut before = guest();
        before.archived_at = archived.then(|| minutes(-5));
        let changes = run_on(&together(&[&before]), &command(1, updated(&before, parts))).unwrap().changes;
        assert_eq!(event_types(&changes), events, "{number}");
        let Some(after) = after(&changes) else {
            assert!(events.is_empty() && is_nothing(&changes), "{number}");
            continue;
        };
        let put_away = match events.last() {
            Some(Archived) => Some(NOW),
            Some(Unarchived) => None,
            Some(_) | None => before.archived_at,
        };
        assert_eq!((after.archived_at, after.revision), (put_away, before.revision + 1), "{number}");
        assert_eq!(after.state_at(NOW), State::Active, "{number}: being put away is no state");
    }
}

#[test]
fn update_names_the_fields_that_have_changed() {
    let before = guest();
    let changes = run(&before, updated(&before, &[AS_IS, PARENT, PARENT_NAME])).unwrap().changes;
    let fields = serde_json::json!(["parent_organization_id", "parent_organization_name"]);
    assert_eq!(changes.events[0].payload.json()["fields"], fields);
}

#[test]
fn unarchived_invitation_has_to_win_its_slot_again() {
    let mut away = guest();
    away.archived_at = Some(minutes(-5));
    let rival = Invitation { id: invited(2, away.details.clone(), &[]).id, archived_at: None, ..away.clone() };
    let loaded = together(&[&away, &rival]);
    for parts in [&[TAKE_OUT][..], &[TAKE_OUT, LATER]] {
        let refusal = run_on(&loaded, &command(1, updated(&away, parts))).unwrap_err();
        assert_eq!(refusal, Refusal::InvitationExists(rival.id, Kind::Guest));
    }
    assert!(run_on(&loaded, &command(1, updated(&away, &[LATER]))).is_ok(), "renewed while it is put away");
    let changes = run_on(&together(&[&away]), &command(1, updated(&away, &[TAKE_OUT]))).unwrap().changes;
    assert_eq!(changes.slots[0].1.invitation, away.id);
    let mut late = away.clone();
    late.facts.expire_at = Some(NOW);
    assert!(
        run_on(&together(&[&late, &rival]), &command(1, updated(&late, &[TAKE_OUT]))).is_ok(),
        "EXPIRED needs none"
    );
}

#[test]
fn unarchiving_or_renewing_checks_the_holder_of_the_slot() {
    let mut away = guest();
    let slots = away.slots();
    away.archived_at = Some(minutes(-5));
    for action in [updated(&away, &[TAKE_OUT]), updated(&away, &[LATER]), resend(&away, false, Some(ttl(5)))] {
        assert_eq!(command(1, action).second_read_set(&together(&[&away]), &Quotas::NONE).slots, slots);
    }
}

#[test]
fn expiry_moves_only_before_an_end_and_into_the_future() {
    for (case, change, refusal) in [
        ("revoked", (|this| this.facts.revoked_at = Some(NOW)) as fn(&mut Invitation), Refusal::InvitationRevoked),
        ("declined", |this| this.facts.declined_at = Some(NOW), Refusal::InvitationDeclined),
        ("fulfilled", |this| this.facts.use_count = 1, Refusal::InvitationFulfilled),
    ] {
        let mut ended = guest();
        change(&mut ended);
        assert_eq!(run(&ended, updated(&ended, &[LATER])).unwrap_err(), refusal, "{case}");
        assert!(run(&ended, updated(&ended, &[ARCHIVE, PARENT])).is_ok(), "{case}");
    }
    let guest = guest();
    for micros in [0, -1] {
        let at = Timestamp::from_micros(NOW.micros() + micros);
        let refusal = run(&guest, set_expiry(&guest, ExpiryTime::At(at))).unwrap_err();
        assert!(matches!(refusal, Refusal::InvalidField { field: "expire_time", .. }), "{refusal:?}");
    }
}

#[test]
fn guest_invitation_is_sent_if_it_is_mailed() {
    for mails in [true, false] {
        let mut create = creation(details(Kind::Guest), &[at("guest@example.org")]);
        create.mails = mails;
        let changes = run(&guest(), Action::Create(Box::new(create))).unwrap().changes;
        let made = after(&changes).unwrap();
        let sent = mails.then_some(NOW);
        assert_eq!((made.first_sent_at, made.last_sent_at), (sent, sent));
        assert_eq!(changes.deliveries.len(), usize::from(mails));
    }
}
