//! The slots: at most one ACTIVE invitation has each, and a second one is handled by its options.

use super::{after, beside, event_types, run_on, together};
use crate::domain::command::{Action, CreateInvitation, ExpiryTime, OnConflict};
use crate::domain::decide::Decided;
use crate::domain::fixtures::{
    NOW, at, command, creation, details, general, invited, minutes, organization, resend, scope, set_expiry, ttl,
};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType::{Created, Revoked};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::invitation::state::Facts;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::guest::GuestDetails;
use crate::domain::kind::{Details, Kind, Scope};
use crate::domain::value::id::InvitationId;

const JANE: &str = "jane@example.org";

/// Returns a general invitation to the scope, exclusive or not.
fn exclusive(exclusive: bool) -> Details {
    Details::General(Box::new(GeneralDetails { exclusive, ..general(Usage::SingleUse) }))
}

fn create_on(details: &Details, targets: &[&str], on_conflict: OnConflict) -> Action {
    let addresses: Vec<_> = targets.iter().map(|target| at(target)).collect();
    Action::Create(Box::new(CreateInvitation { on_conflict, ..creation(details.clone(), &addresses) }))
}

fn guest_of(host: u128) -> Details {
    let Details::Guest(guest) = details(Kind::Guest) else { panic!("no guest") };
    Details::Guest(GuestDetails { host_organization_id: organization(host), ..guest })
}

/// A change of the holder after which it no longer conflicts.
type Change = (&'static str, fn(&mut Invitation));

const OUT_OF_THE_WAY: [Change; 5] = [
    ("revoked", |this| this.facts.revoked_at = Some(minutes(-1))),
    ("declined", |this| this.facts.declined_at = Some(minutes(-1))),
    ("fulfilled", |this| this.facts.use_count = 1),
    ("accepted elsewhere", |this| this.facts.accepted_elsewhere_at = Some(minutes(-1))),
    ("expired", |this| this.facts.expire_at = Some(NOW)),
];

#[test]
fn second_invitation_is_refused_while_the_first_is_active() {
    for (details, on_conflict) in [
        (details(Kind::User), OnConflict::Allow),
        (details(Kind::Guest), OnConflict::Allow),
        (exclusive(true), OnConflict::Reject),
    ] {
        let there = invited(1, details.clone(), &[JANE]);
        let again = || command(1, create_on(&details, &[" Jane@EXAMPLE.org "], on_conflict));
        let exists = Refusal::InvitationExists(there.id, details.kind());
        assert_eq!(run_on(&together(&[&there]), &again()).unwrap_err(), exists, "{details:?}");
        for (case, change) in OUT_OF_THE_WAY {
            let mut gone = there.clone();
            change(&mut gone);
            let made = run_on(&together(&[&gone]), &again()).unwrap().changes;
            let [(key, slot)] = &made.slots[..] else { panic!("{case}: {:?}", made.slots) };
            assert_eq!((key, slot.invitation), (&there.slots()[0], after(&made).unwrap().id), "{case}");
            assert_eq!(slot.version, 2, "{case}: taken over, by the count that guards the save");
            assert_eq!(event_types(&made), [Created], "{case}");
        }
    }
}

#[test]
fn archived_invitation_holds_no_slot() {
    let mut there = invited(1, details(Kind::Guest), &[JANE]);
    let mut loaded = together(&[&there]);
    let again = command(1, create_on(&there.details, &[JANE], OnConflict::Allow));
    assert!(run_on(&loaded, &again).is_err());
    there.archived_at = Some(minutes(-1));
    loaded.put_invitation(there);
    assert!(run_on(&loaded, &again).is_ok(), "although nobody has taken the slot over yet");
}

#[test]
fn others_do_not_meet() {
    let elsewhere = GeneralDetails { scope: Some(Scope::new("team", "t2")), ..general(Usage::SingleUse) };
    let nowhere = GeneralDetails { scope: None, explicit_scope: false, ..general(Usage::SingleUse) };
    for (case, there, next, targets) in [
        ("another address", details(Kind::User), details(Kind::User), "joe@example.org"),
        ("a tag", details(Kind::User), details(Kind::User), "jane+x@example.org"),
        ("another host", guest_of(1), guest_of(2), JANE),
        ("another kind", details(Kind::User), details(Kind::Guest), JANE),
        ("another scope", exclusive(true), Details::General(Box::new(elsewhere)), JANE),
        ("no scope", exclusive(true), Details::General(Box::new(nowhere)), JANE),
        ("connections", details(Kind::Connection), details(Kind::Connection), JANE),
        ("a shared link", exclusive(true), exclusive(true), ""),
    ] {
        let there = invited(1, there, &[JANE, ""]);
        let next = command(1, create_on(&next, &[targets], OnConflict::Reject));
        assert!(run_on(&together(&[&there]), &next).is_ok(), "{case}");
    }
}

/// Whether the holder was created with ALLOW, the option of the next invitation, and the result.
#[derive(Clone, Copy, Debug)]
enum Affected {
    Another,
    Refused,
    TheOld,
    InItsPlace,
}

use Affected::{Another, InItsPlace, Refused, TheOld};

const ON_CONFLICT: [(bool, OnConflict, Affected); 8] = [
    (false, OnConflict::Allow, Another),
    (false, OnConflict::Reject, Refused),
    (false, OnConflict::ReturnExisting, TheOld),
    (false, OnConflict::Replace, InItsPlace),
    (true, OnConflict::Allow, Another),
    (true, OnConflict::Reject, Refused),
    (true, OnConflict::ReturnExisting, TheOld),
    (true, OnConflict::Replace, InItsPlace),
];

#[test]
fn conflict_is_handled_as_the_caller_asks() {
    for (held, on_conflict, outcome) in ON_CONFLICT {
        let case = format!("{on_conflict:?}, held: {held}");
        let there = invited(1, exclusive(held), &[JANE, "+4930123"]);
        let create = create_on(&exclusive(on_conflict != OnConflict::Allow), &["u1", "+4930123"], on_conflict);
        let result = run_on(&together(&[&there]), &command(1, create));
        let Decided { changes, affected } = match (result, outcome) {
            (Err(refusal), Refused) => {
                assert_eq!(refusal, Refusal::InvitationExists(there.id, Kind::General), "{case}");
                continue;
            }
            (result, _) => result.unwrap(),
        };
        match outcome {
            Refused => panic!("{case}: not refused"),
            TheOld => assert!(affected.invitation == there.id && changes.events.is_empty(), "{case}"),
            Another => {
                assert!(event_types(&changes) == [Created] && changes.slots.is_empty(), "{case}");
            }
            InItsPlace => {
                assert_eq!(event_types(&changes), [Created, Revoked], "{case}");
                assert_eq!(beside(&changes)[0].facts.revoked_at, Some(NOW), "{case}");
                assert!(changes.slots.iter().all(|(_, slot)| slot.invitation == affected.invitation), "{case}");
                assert_eq!(changes.slots.len(), 2, "{case}: one for each target");
            }
        }
    }
}

#[test]
fn replacement_revokes_all_that_match_and_no_other() {
    let [old, new, gone, other] = [1, 2, 3, 4].map(|n| invited(n, exclusive(false), &[JANE]));
    let gone = Invitation { facts: Facts { use_count: 1, ..gone.facts }, ..gone };
    let other = Invitation { recipients: invited(4, exclusive(false), &["joe@example.org"]).recipients, ..other };
    let many = Details::General(Box::new(general(Usage::MultiUse)));
    let many = invited(5, many, &["x@example.org", JANE]);
    let loaded = together(&[&old, &new, &gone, &other, &many]);
    let replace = create_on(&exclusive(true), &[JANE], OnConflict::Replace);
    let changes = run_on(&loaded, &command(1, replace)).unwrap().changes;
    let revoked: Vec<InvitationId> = beside(&changes).iter().map(|revoked| revoked.id).collect();
    assert_eq!(revoked, [old.id, new.id, many.id]);
    let newest = create_on(&exclusive(true), &[JANE], OnConflict::ReturnExisting);
    assert_eq!(run_on(&loaded, &command(1, newest)).unwrap().affected.invitation, many.id, "the newest");
}

#[test]
fn whatever_becomes_active_again_has_to_win_its_slot_again() {
    for details in [details(Kind::User), details(Kind::Guest), exclusive(true)] {
        let mut expired = invited(1, details.clone(), &[JANE]);
        expired.facts.expire_at = Some(NOW);
        let rival = invited(2, details.clone(), &[JANE]);
        let exists = Refusal::InvitationExists(rival.id, details.kind());
        for access in [resend(&expired, false, Some(ttl(5))), set_expiry(&expired, ExpiryTime::After(ttl(5)))] {
            let taken = run_on(&together(&[&expired, &rival]), &command(1, access.clone()));
            assert_eq!(taken.unwrap_err(), exists, "{details:?} {access:?}");
            let alone = run_on(&together(&[&expired]), &command(1, access.clone())).unwrap().changes;
            let [(_, slot)] = &alone.slots[..] else { panic!("{access:?}: {:?}", alone.slots) };
            assert_eq!((slot.invitation, slot.version), (expired.id, 2), "taken again, lest another takes it over");
        }
    }
}

#[test]
fn resend_that_renews_nothing_needs_no_slot() {
    let active = invited(1, details(Kind::User), &[JANE]);
    let changes = run_on(&together(&[&active]), &command(1, resend(&active, true, None))).unwrap().changes;
    assert!(changes.slots.is_empty());
}

#[test]
fn slot_keys_tell_scopes_apart_and_fit_an_index() {
    let key = |scope_type: &str, id: &str| SlotKey::autojoin(&Scope::new(scope_type, id));
    assert_ne!(key("a b", "c"), key("a", "b c"));
    assert_ne!(key("a", "1:b"), key("a 1:b", ""));
    assert_eq!(key("team", "t1"), SlotKey::autojoin(&Scope { display_name: Some("T".to_owned()), ..scope() }));
    let long = "\u{10ffff}".repeat(200);
    assert!(key(&long, &long).0.len() < 100);
    assert_ne!(key(&long, &long), key(&long, &long[4..]));
}
