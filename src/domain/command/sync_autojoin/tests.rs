//! The sync of an auto-join: created, updated, emptied, restored, and created again after a revocation.

use crate::domain::command::{Action, RevokeInvitation, SyncAutojoin};
use crate::domain::decide::tests::{after, event_types, is_nothing, run_on, together};
use crate::domain::decide::{Changes, Decided};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, by_any_name, command, email, general, invited, minutes, person, reach, resend, sync,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType::{AutojoinUpdated, Created, Revoked};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::Slot;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::{Details, Scope};

/// Returns the auto-join of the scope with these domains; emptied if there are none.
fn joining(domains: &[&str]) -> Invitation {
    let details = GeneralDetails { domains: sync(domains).domains, ..general(Usage::Autojoin) };
    let mut invitation = invited(1, Details::General(Box::new(details)), &[]);
    invitation.facts.max_uses = None;
    invitation.facts.emptied_at = domains.is_empty().then(|| minutes(-5));
    invitation
}

fn run_sync(loaded: &Loaded, sync: SyncAutojoin) -> Result<Decided, Refusal> {
    run_on(loaded, &command(1, Action::SyncAutojoin(Box::new(sync))))
}

fn domains(invitation: &Invitation) -> Vec<&str> {
    let details = invitation.details.general().unwrap();
    details.domains.iter().map(String::as_str).collect()
}

/// Returns the added and the removed domains.
fn changed_domains(changes: &Changes) -> (Vec<&str>, Vec<&str>) {
    let of = |joins| changes.domains.iter().filter(move |change| change.joins == joins);
    let [new, gone] = [true, false].map(|joins| of(joins).map(|change| change.domain.as_str()).collect());
    (new, gone)
}

#[test]
fn first_sync_creates_an_endless_auto_join_with_the_scopes_slot() {
    let Decided { changes, affected } = run_sync(&Loaded::empty(NOW), sync(&["a.org", "b.org"])).unwrap();
    let made = after(&changes).unwrap();
    assert_eq!((made.id, domains(made)), (affected.invitation, vec!["a.org", "b.org"]));
    assert_eq!((made.details.usage(), made.facts.expire_at, made.facts.max_uses), (Some(Usage::Autojoin), None, None));
    assert_eq!(changed_domains(&changes), (vec!["a.org", "b.org"], vec![]));
    assert_eq!(event_types(&changes), [Created, AutojoinUpdated]);
    assert_eq!(
        changes.slots.iter().map(|(key, slot)| (key.clone(), slot.version)).collect::<Vec<_>>(),
        [(made.slots()[0].clone(), Slot::first_version(NOW))]
    );
}

#[test]
fn there_is_nothing_to_empty_where_there_is_none() {
    assert_eq!(run_sync(&Loaded::empty(NOW), sync(&[])).unwrap_err(), Refusal::InvitationNotFound);
    let mut revoked = joining(&["a.org"]);
    revoked.facts.revoked_at = Some(minutes(-1));
    assert_eq!(run_sync(&together(&[&revoked]), sync(&[])).unwrap_err(), Refusal::InvitationNotFound);
}

/// The domains before and after, the added ones, the removed ones, and the state.
type Row = (&'static [&'static str], &'static [&'static str], &'static [&'static str], &'static [&'static str], State);

const SYNCS: [Row; 5] = [
    (&["a.org"], &["a.org", "b.org"], &["b.org"], &[], State::Active),
    (&["a.org", "b.org"], &["b.org", "c.org"], &["c.org"], &["a.org"], State::Active),
    (&["a.org", "b.org"], &["b.org"], &[], &["a.org"], State::Active),
    (&["a.org", "b.org"], &[], &[], &["a.org", "b.org"], State::Revoked),
    (&[], &["c.org"], &["c.org"], &[], State::Active),
];

#[test]
fn sync_leaves_exactly_the_domains_it_names() {
    for (before, wanted, new, gone, state) in SYNCS {
        let case = format!("{before:?} to {wanted:?}");
        let present = joining(before);
        let Decided { changes, affected } = run_sync(&together(&[&present]), sync(wanted)).unwrap();
        let after = after(&changes).unwrap();
        assert_eq!((affected.invitation, after.id), (present.id, present.id), "{case}");
        assert_eq!((domains(after), after.state_at(NOW)), (wanted.to_vec(), state), "{case}");
        assert_eq!(changed_domains(&changes), (new.to_vec(), gone.to_vec()), "{case}");
        assert_eq!(after.facts.emptied_at, wanted.is_empty().then_some(NOW), "{case}");
        assert_eq!(event_types(&changes), [AutojoinUpdated], "{case}");
        let data = &changes.events[0].payload.json();
        assert_eq!((&data["added"], &data["removed"]), (&new.into(), &gone.into()), "{case}");
        assert_eq!(changes.events[0].pass_through.as_deref(), Some("opaque"), "{case}");
        assert_eq!((changes.slots.len(), changes.slots[0].1.version), (1, 2), "{case}: two syncs at once collide");
    }
}

#[test]
fn sync_to_what_is_already_so_changes_nothing_in_any_order() {
    for (before, wanted) in [(&["a.org", "b.org"][..], &["b.org", "a.org"][..]), (&["a.org"], &["a.org"]), (&[], &[])] {
        let Decided { changes, affected } = run_sync(&together(&[&joining(before)]), sync(wanted)).unwrap();
        assert!(is_nothing(&changes), "{before:?} to {wanted:?}: {changes:?}");
        assert_eq!(affected.invitation, joining(before).id);
    }
}

#[test]
fn data_of_the_creator_is_synced_too() {
    let other = SyncAutojoin { widget_configuration_id: Some("w".to_owned()), metadata: None, ..sync(&[]) };
    let changes = run_sync(&together(&[&joining(&[])]), other).unwrap().changes;
    let after = after(&changes).unwrap();
    let kept = &after.details.general().unwrap().caller_data;
    assert_eq!(kept.widget_configuration_id.as_deref(), Some("w"));
    assert_eq!(after.facts.emptied_at, Some(minutes(-5)), "emptied when it was");
    assert!(changes.domains.is_empty());
}

#[test]
fn revoked_auto_join_stays_so_and_next_sync_creates_another() {
    for domains in [&["a.org"][..], &[]] {
        let present = joining(domains);
        let revoke = Action::Revoke(RevokeInvitation { target: by_any_name(&present) });
        let changes = run_on(&together(&[&present]), &command(2, revoke.clone())).unwrap().changes;
        let revoked = after(&changes).unwrap();
        assert_eq!(event_types(&changes), [Revoked]);
        assert_eq!((revoked.facts.revoked_at, revoked.facts.emptied_at), (Some(NOW), None), "one terminal fact");
        let again = run_on(&together(&[revoked]), &command(3, revoke)).unwrap().changes;
        assert!(is_nothing(&again));
        let Decided { changes, affected } = run_sync(&together(&[revoked]), sync(&["a.org"])).unwrap();
        assert_ne!(affected.invitation, present.id);
        assert_eq!((changes.slots[0].1.invitation, changes.slots[0].1.version), (affected.invitation, 2));
    }
}

#[test]
fn only_a_sync_brings_an_emptied_one_back() {
    let emptied = joining(&[]);
    assert_eq!(emptied.state_at(NOW), State::Revoked);
    let jane = person("jane", Some(email("jane@a.org")), true);
    for action in [accept(emptied.claims(0), jane.clone()), resend(&emptied, true, None)] {
        assert_eq!(run_on(&together(&[&emptied]), &command(1, action)).unwrap_err(), Refusal::InvitationRevoked);
    }
    let changes = run_sync(&together(&[&emptied]), sync(&["a.org"])).unwrap().changes;
    let back = after(&changes).unwrap();
    let joined = run_on(&together(&[back]), &command(2, accept(back.claims(0), jane))).unwrap();
    assert_eq!(event_types(&joined.changes).len(), 1, "accepted, and for more to come");
}

#[test]
fn scopes_and_accounts_have_auto_joins_of_their_own() {
    let present = joining(&["a.org"]);
    let loaded = together(&[&present]);
    let other = SyncAutojoin { scope: Scope::new("team", "t2"), ..sync(&["a.org"]) };
    assert_ne!(run_sync(&loaded, other.clone()).unwrap().affected.invitation, present.id);
    let mut theirs = command(1, Action::SyncAutojoin(Box::new(sync(&["a.org"]))));
    theirs.reach = reach("other");
    let made = crate::domain::decide::decide(&loaded, &theirs, &CONTEXT).unwrap();
    assert_ne!(made.affected.invitation, present.id);
}
