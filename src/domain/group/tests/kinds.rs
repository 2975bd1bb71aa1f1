//! Properties that hold after each command, for random commands on invitations of every kind.

use std::collections::BTreeMap;

use proptest::prelude::{Just, Strategy, any, proptest};
use proptest::{collection, option, prop_oneof, sample};

use super::{Group, run};
use crate::domain::command::{
    Action, Command, CreateInvitation, Expiry, ExpiryTime, MapUpdate, OnConflict, SyncAutojoin, UpdateInvitation,
    UpdatedFields,
};
use crate::domain::decide::decide;
use crate::domain::fixtures::{
    CONTEXT, accept, accept_by_system, at, command, creation, decline, decline_as, delete, details, email, general,
    minutes, organization, person, release, resend, revoke, set_recipients, sync, ttl, updating,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, ReleaseMode};
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, RecipientMatch, Usage};
use crate::domain::kind::{Details, Kind};
use crate::domain::quota::Quotas;
use crate::domain::value::id::InvitationId;

/// The numbers are small, so that the commands collide.
const PEOPLE: [&str; 4] = ["u1", "a@x.org", "b@x.org", "+4930123"];
const DOMAINS: [&str; 2] = ["x.org", "y.org"];

/// A command of a caller; `of` is the index of an invitation, the oldest is 0.
#[derive(Clone, Debug)]
enum Verb {
    Create { kind: Kind, usage: Usage, rule: RecipientMatch, people: Vec<&'static str>, on_conflict: OnConflict },
    Accept { of: usize, link: u16, subject: &'static str, email: Option<&'static str>, verified: bool },
    AcceptBySystem { of: usize, organization: u128 },
    Decline { of: usize, link: u16 },
    DeclineAs { of: usize, person: &'static str },
    Revoke { of: usize },
    Resend { of: usize, rotate: bool, ttl: Option<u64> },
    Update { of: usize, archived: Option<bool>, ttl: Option<u64>, max_uses: Option<u32> },
    Recipients { of: usize, added: Option<&'static str>, removed: Option<u16>, mails: bool },
    Delete { of: usize },
    Sync { domains: Vec<&'static str> },
    Release { made: usize, mode: ReleaseMode },
}

fn create() -> impl Strategy<Value = Verb> {
    let kind = sample::select(&[Kind::User, Kind::Guest, Kind::General, Kind::General][..]);
    let usage = sample::select(&[Usage::SingleUse, Usage::SingleUse, Usage::MultiUse][..]);
    let rule = sample::select(&[RecipientMatch::Exact, RecipientMatch::Domain, RecipientMatch::Any][..]);
    let people = sample::subsequence(&PEOPLE[..], 0..=3);
    let on_conflict = vec![OnConflict::Allow, OnConflict::Reject, OnConflict::ReturnExisting, OnConflict::Replace];
    (kind, usage, rule, people, sample::select(on_conflict)).prop_map(|(kind, usage, rule, people, on_conflict)| {
        if kind == Kind::General {
            return Verb::Create { kind, usage, rule, people, on_conflict };
        }
        let people = vec![if people.len() > 1 { "a@x.org" } else { "b@x.org" }];
        Verb::Create { kind, usage, rule, people, on_conflict: OnConflict::Allow }
    })
}

fn verb() -> impl Strategy<Value = Verb> {
    let of = || 0..6_usize;
    let subject = || sample::select(&["u1", "u2", "u3"][..]);
    let email = option::of(sample::select(&["a@x.org", "b@x.org", "c@y.org"][..]));
    let accept = (of(), 0..=3_u16, subject(), email, any::<bool>());
    prop_oneof![
        5 => create(),
        6 => accept.prop_map(|(of, link, subject, email, verified)| Verb::Accept { of, link, subject, email, verified }),
        1 => (of(), 1..3_u128).prop_map(|(of, organization)| Verb::AcceptBySystem { of, organization }),
        2 => (of(), 0..=3_u16).prop_map(|(of, link)| Verb::Decline { of, link }),
        1 => (of(), sample::select(&PEOPLE[..])).prop_map(|(of, person)| Verb::DeclineAs { of, person }),
        1 => of().prop_map(|of| Verb::Revoke { of }),
        3 => (of(), any::<bool>(), option::of(1..9_u64)).prop_map(|(of, rotate, ttl)| Verb::Resend { of, rotate, ttl }),
        3 => (of(), option::of(any::<bool>()), option::of(1..9_u64), option::of(1..4_u32))
            .prop_map(|(of, archived, ttl, max_uses)| Verb::Update { of, archived, ttl, max_uses }),
        4 => (of(), option::of(sample::select(&PEOPLE[..])), option::of(1..=4_u16), any::<bool>())
            .prop_map(|(of, added, removed, mails)| Verb::Recipients { of, added, removed, mails }),
        1 => of().prop_map(|of| Verb::Delete { of }),
        2 => sample::subsequence(&DOMAINS[..], 0..=2).prop_map(|domains| Verb::Sync { domains }),
        1 => Just(Verb::Sync { domains: vec!["y.org", "x.org"] }),
        4 => (0..4_usize, any::<bool>()).prop_map(|(made, undo)| {
            Verb::Release { made, mode: if undo { ReleaseMode::Undo } else { ReleaseMode::End } }
        }),
    ]
}

fn creating(verb: &Verb) -> Option<CreateInvitation> {
    let Verb::Create { kind, usage, rule, people, on_conflict } = verb else { return None };
    let addresses: Vec<_> = people.iter().map(|person| at(person)).collect();
    let details = match kind {
        Kind::General => Details::General(Box::new(GeneralDetails {
            recipient_match: *rule,
            exclusive: *on_conflict != OnConflict::Allow,
            ..general(*usage)
        })),
        Kind::Connection | Kind::User | Kind::Guest => details(*kind),
    };
    let max_uses = Some(if *usage == Usage::MultiUse && *kind == Kind::General { 2 } else { 1 });
    let expiry = Some(Expiry { time: ExpiryTime::After(ttl(6)), field: "ttl" });
    Some(CreateInvitation { max_uses, expiry, mails: true, on_conflict: *on_conflict, ..creation(details, &addresses) })
}

/// Returns the action on one of the invitations; `None` if there are fewer.
fn action(verb: &Verb, all: &[&Invitation], made: &[&Acceptance]) -> Option<Action> {
    if let Some(create) = creating(verb) {
        return Some(Action::Create(Box::new(create)));
    }
    let here = |of: &usize| all.get(*of).copied();
    Some(match verb {
        Verb::Create { .. } => return None,
        Verb::Accept { of, link, subject, email: address, verified } => {
            accept(here(of)?.claims(*link), person(subject, address.map(email), *verified))
        }
        Verb::AcceptBySystem { of, organization: n } => accept_by_system(here(of)?, organization(*n)),
        Verb::Decline { of, link } => decline(here(of)?.claims(*link)),
        Verb::DeclineAs { of, person } => decline_as(here(of)?, Some(at(person))),
        Verb::Revoke { of } => revoke(here(of)?),
        Verb::Resend { of, rotate, ttl: span } => resend(here(of)?, *rotate, span.map(ttl)),
        Verb::Update { of, archived, ttl: span, max_uses } => {
            let expiry = span.map(|span| Expiry { time: ExpiryTime::After(ttl(span)), field: "ttl" });
            let labels = [("who", "a@x.org"), ("number", if max_uses.is_some() { "1" } else { "2" })];
            let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let fields = UpdatedFields {
                archived: *archived,
                expiry,
                max_uses: max_uses.map(Some),
                labels: Some(MapUpdate::Whole(labels)),
                ..UpdatedFields::default()
            };
            Action::Update(Box::new(UpdateInvitation { fields, ..updating(here(of)?) }))
        }
        Verb::Recipients { of, added, removed, mails } => {
            set_recipients(here(of)?, &added.map(at).into_iter().collect::<Vec<_>>(), removed.as_slice(), *mails)
        }
        Verb::Delete { of } => delete(here(of)?),
        Verb::Release { made: number, mode } => release(made.get(*number)?, *mode),
        Verb::Sync { domains } => Action::SyncAutojoin(Box::new(SyncAutojoin { ..sync(domains) })),
    })
}

/// Loads only the read set of a command, as the store would.
fn asked_for(all: &Loaded, command: &Command) -> Loaded {
    let mut loaded = Loaded::empty(all.now);
    let account = command.account();
    let mut read_set = command.read_set();
    for look in 1..=3 {
        let found = read_set.invitation.and_then(|id| all.invitation(account, id).ok());
        if let Some(invitation) = found {
            loaded.put_invitation(Invitation::clone(invitation));
            let accepted = read_set.subject.as_ref().and_then(|subject| all.acceptance_of(invitation.id, subject));
            accepted.into_iter().for_each(|acceptance| loaded.put_acceptance(acceptance.clone()));
        }
        if read_set.newest_acceptances
            && let Some(invitation) = found
        {
            all.acceptances_of(invitation).into_iter().for_each(|acceptance| loaded.put_acceptance(acceptance));
        }
        for id in &read_set.found {
            loaded.put_invitation(Invitation::clone(all.invitation(account, *id).unwrap()));
        }
        for key in &read_set.slots {
            let Some(slot) = all.slot(account, key) else { continue };
            loaded.put_slot(account, key.clone(), slot);
            loaded.put_invitation(Invitation::clone(all.invitation(account, slot.invitation).unwrap()));
        }
        for id in read_set.open_search.iter().flat_map(|search| all.rivals(account, search).ids) {
            loaded.put_invitation(Invitation::clone(all.invitation(account, id).unwrap()));
        }
        read_set = match look {
            1 => command.second_read_set(&loaded, &Quotas::NONE),
            _ => command.third_read_set(&loaded),
        };
    }
    loaded
}

type Seen = BTreeMap<InvitationId, Invitation>;

/// Returns every invitation as the group would leave it.
fn see(group: &Group) -> Seen {
    group.save().created.iter().map(|(id, invitation)| (*id, Invitation::clone(invitation))).collect()
}

/// Checks the properties of every moment.
fn check_moment(group: &Group) {
    let now = group.loaded.now;
    let mut holders = BTreeMap::new();
    for invitation in group.save().created.values() {
        let facts = &invitation.facts;
        assert!(facts.max_uses.is_none_or(|max_uses| facts.use_count <= max_uses), "use_count <= max_uses");
        let terminal = [facts.revoked_at, facts.emptied_at, facts.declined_at, facts.accepted_elsewhere_at];
        let terminal = terminal.into_iter().flatten().count() + usize::from(facts.remaining_uses() == Some(0));
        assert!(terminal <= 1, "at most one terminal fact: {facts:?}");
        let made = group.save().accepted.values().map(|(_, acceptance)| acceptance);
        let made = made.filter(|made| made.invitation == invitation.id && !made.is_undone());
        assert_eq!(made.count(), facts.use_count as usize, "a use for each acceptance");
        for key in invitation.slots().into_iter().filter(|_| invitation.holds_slots_at(now)) {
            let slot = group.loaded.slot(&invitation.account, &key).map(|slot| slot.invitation);
            assert_eq!(slot, Some(invitation.id), "whatever is ACTIVE has its slots: {key:?}");
            assert_eq!(holders.insert(key, invitation.id), None, "and no other has");
        }
        if let Details::General(details) = &invitation.details {
            let empty = details.usage == Usage::Autojoin && details.domains.is_empty();
            let emptied = facts.emptied_at.is_some() || (empty && facts.revoked_at.is_some());
            assert_eq!(empty, emptied, "emptied is what has no domain");
        }
    }
}

/// Checks the effects of one command.
fn check_change(verb: &Verb, before: &Seen, after: &Seen, events: &[(InvitationId, EventType)], group: &Group) {
    let now = group.loaded.now;
    for (id, after) in after {
        let told: Vec<_> = events.iter().filter(|(of, _)| of == id).map(|(_, event)| *event).collect();
        let Some(before) = before.get(id) else {
            assert_eq!(told[0], EventType::Created, "{verb:?}");
            continue;
        };
        assert_eq!(after.revision - before.revision, i64::from(before != after), "{verb:?}");
        assert_eq!(told.is_empty(), before == after, "an event if and only if something changed: {verb:?}, {told:?}");
        let states = [before, after].map(|seen| seen.state_at(now));
        let synced = matches!(verb, Verb::Sync { .. }) && before.facts.emptied_at.is_some();
        // More uses open what was used up again, and nothing else.
        let raised = after.facts.max_uses > before.facts.max_uses && before.facts.remaining_uses() == Some(0);
        let is_released = matches!(verb, Verb::Release { .. });
        let back = is_released || synced || raised && after.facts.accepted_elsewhere_at.is_none();
        if !back && matches!(states[0], State::Revoked | State::Declined | State::Fulfilled) {
            assert_eq!(states[0], states[1], "a terminal state is never left: {verb:?}");
        }
        if after.facts.use_count > before.facts.use_count {
            assert_eq!(states[0], State::Active, "only what is ACTIVE is accepted: {verb:?}");
        }
        for (event, happened) in [
            (EventType::Accepted, after.facts.use_count > before.facts.use_count),
            (EventType::Revoked, after.facts.revoked_at != before.facts.revoked_at),
            (
                EventType::AcceptedElsewhere,
                !is_released && after.facts.accepted_elsewhere_at != before.facts.accepted_elsewhere_at,
            ),
            (EventType::Archived, after.archived_at > before.archived_at),
            (EventType::Unarchived, after.archived_at < before.archived_at),
        ] {
            assert_eq!(told.contains(&event), happened, "{event:?} by {verb:?}");
        }
    }
}

fn one_step(group: &mut Group, number: u8, verb: &Verb) {
    let before = see(group);
    let all: Vec<_> = before.values().collect();
    let made: Vec<_> = group.save().accepted.values().map(|(_, acceptance)| acceptance).collect();
    let Some(action) = action(verb, &all, &made) else { return };
    let command = command(number, action);
    let events = group.save().events.len();
    let [on_all, on_asked] = [group.loaded.clone(), asked_for(&group.loaded, &command)]
        .map(|loaded| format!("{:?}", decide(&loaded, &command, &CONTEXT)));
    assert_eq!(on_all, on_asked, "{verb:?} is decided on what it asks for as on everything");
    let result = run(group, &command);
    let events: Vec<_> =
        group.save().events[events..].iter().map(|event| (event.invitation, event.event_type)).collect();
    let after = see(group);
    if result.is_err() {
        assert!(before == after && events.is_empty(), "a refused command changes nothing: {verb:?}");
    }
    check_change(verb, &before, &after, &events, group);
    check_moment(group);
}

proptest! {
    #[test]
    fn no_sequence_of_commands_on_any_kinds_breaks_an_invariant(
        steps in collection::vec((0..3_i64, verb()), 1..40),
    ) {
        let mut group = Group::new(Loaded::empty(minutes(0)));
        let mut now = 0;
        for (number, (advance, verb)) in (0..).zip(&steps) {
            now += advance;
            group.loaded.now = minutes(now);
            one_step(&mut group, number, verb);
        }
        for event in &group.save().events {
            assert!(!format!("{:?}", event.payload.json()).contains("@"), "an address in {:?}", event.payload.json());
        }
    }
}
