//! Properties that hold after each command, for random commands on one invitation in any grouping.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{Just, Strategy, any, proptest};
use proptest::{collection, option, prop_oneof};

use super::{Executed, Group, run};
use crate::domain::command::{Action, Command, RequestKey};
use crate::domain::fixtures::{
    accept_with, address, command, connection, decline, engage, invitation, minutes, person, requested, resend, revoke,
    ttl, update,
};
use crate::domain::group::loaded::{Loaded, Remembered};
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::{EventType, NewEvent};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::invitation::{EngagementType, Invitation};
use crate::domain::secret::token::Claims;
use crate::domain::value::id::AcceptanceId;

/// A command of a caller; the numbers are small, so that the commands collide.
#[derive(Clone, Debug)]
enum Verb {
    Accept { subject: u8, email: Option<u16>, verified: bool, connection: Option<u8> },
    Decline,
    Revoke,
    Resend { rotate: bool, ttl: Option<u64> },
    Engage,
    Update { connection: u8, status: u8, to_newest: bool },
}

#[derive(Clone, Debug)]
struct Step {
    verb: Verb,
    /// The recipient of the link, and the number of rotations since it was sent.
    link: u16,
    old: u16,
    /// A request_id; the body is the verb.
    request: Option<u8>,
    stale_etag: bool,
}

fn verb() -> impl Strategy<Value = Verb> {
    let accept = (0..5_u8, option::of(1..=4_u16), any::<bool>(), option::of(0..3_u8))
        .prop_map(|(subject, email, verified, connection)| Verb::Accept { subject, email, verified, connection });
    let resend = (any::<bool>(), option::of(1..4_u64)).prop_map(|(rotate, ttl)| Verb::Resend { rotate, ttl });
    let update = (0..3_u8, 0..2_u8, any::<bool>()).prop_map(|(connection, status, to_newest)| Verb::Update {
        connection,
        status,
        to_newest,
    });
    prop_oneof![
        8 => accept,
        2 => Just(Verb::Decline),
        1 => Just(Verb::Revoke),
        3 => resend,
        1 => Just(Verb::Engage),
        2 => update,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let rarely = || (0..10_u8).prop_map(|n| n == 0);
    (verb(), 0..=3_u16, rarely(), option::weighted(0.3, 0..6_u8), rarely())
        .prop_map(|(verb, link, old, request, stale_etag)| Step { verb, link, old: old.into(), request, stale_etag })
}

/// The rows that the database would have.
struct World {
    now: i64,
    invitation: Invitation,
    acceptances: BTreeMap<AcceptanceId, Acceptance>,
    requests: BTreeMap<RequestKey, Remembered>,
    events: Vec<NewEvent>,
}

impl World {
    fn load(&self) -> Loaded {
        let mut loaded = Loaded::empty(minutes(self.now));
        loaded.put_invitation(self.invitation.clone());
        for acceptance in self.acceptances.values() {
            loaded.put_acceptance(acceptance.clone());
        }
        for (key, remembered) in &self.requests {
            loaded.put_request(key.clone(), remembered.clone());
        }
        loaded
    }

    /// Applies a save as the store does.
    fn commit(&mut self, group: &Group) {
        let save = group.save();
        assert!(save.created.is_empty() && save.updated.len() <= 1, "one row for one invitation");
        if let Some(update) = save.updated.get(&self.invitation.id) {
            assert_eq!(update.loaded_revision, self.invitation.revision, "the guard fits the load");
            for (before, after) in self.invitation.recipients.iter().zip(&update.invitation.recipients) {
                assert_eq!(update.recipients.contains(&after.ordinal), before != after, "the rows that change");
            }
            self.invitation = Invitation::clone(&update.invitation);
        }
        for (id, (_, acceptance)) in &save.accepted {
            assert!(self.acceptances.insert(*id, acceptance.clone()).is_none(), "inserted once");
        }
        for (id, (_, acceptance)) in &save.reaccepted {
            assert!(self.acceptances.insert(*id, acceptance.clone()).is_some(), "updated only if there");
        }
        if let Some(counted) = save.engagement.get(&self.invitation.id) {
            self.invitation.engagement.add(*counted);
        }
        for (key, remembered) in &save.requests {
            assert!(self.requests.insert(key.clone(), remembered.clone()).is_none(), "remembered once");
        }
        self.events.extend(save.events.iter().cloned());
    }

    fn command(&self, number: u8, invitation: &Invitation, step: &Step) -> Command {
        let Step { verb, link, old, request, stale_etag } = step;
        let link = invitation.claims(*link);
        let link = Claims { generation: link.generation.saturating_sub(*old), ..link };
        let etag = stale_etag.then(|| "\"0\"".to_owned());
        let connection = |n: u8, status: u8| connection(n.into(), &status.to_string());
        let mut action = match verb {
            Verb::Accept { subject, email, verified, connection: made } => {
                let person = person(&format!("s{subject}"), email.map(address), *verified);
                accept_with(link, person, made.map(|n| connection(n, 0)))
            }
            Verb::Decline => decline(link),
            Verb::Revoke => revoke(invitation),
            Verb::Resend { rotate, ttl: span } => resend(invitation, *rotate, span.map(ttl)),
            Verb::Engage => engage(link, EngagementType::View),
            Verb::Update { connection: n, status, to_newest } => {
                let newest = self.acceptances.keys().next_back().filter(|_| *to_newest);
                update(invitation, connection(*n, *status), newest.copied())
            }
        };
        if let Action::Revoke(revoke) = &mut action {
            revoke.target.etag = etag;
        } else if let Action::Resend(resend) = &mut action {
            resend.target.etag = etag;
        }
        let command = command(number, action);
        match request {
            Some(id) => requested(command, &format!("q{id}"), &format!("{verb:?}"), &[1]),
            None => command,
        }
    }
}

/// Everything about one moment that commands may change.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    invitation: Invitation,
    acceptances: BTreeMap<AcceptanceId, Acceptance>,
    views: i64,
    events: usize,
    deliveries: usize,
    requests: usize,
}

fn see(world: &World, group: &Group) -> Seen {
    let save = group.save();
    let of = &world.invitation;
    let mut acceptances = world.acceptances.clone();
    let changed = save.accepted.iter().chain(&save.reaccepted);
    acceptances.extend(changed.map(|(id, (_, acceptance))| (*id, acceptance.clone())));
    Seen {
        invitation: save.updated.get(&of.id).map_or(of, |update| &update.invitation).clone(),
        acceptances,
        views: save.engagement.get(&of.id).map_or(0, |engagement| engagement.views),
        events: save.events.len(),
        deliveries: save.deliveries.len(),
        requests: save.requests.len(),
    }
}

fn is_terminal(state: State) -> bool {
    matches!(state, State::Revoked | State::Declined | State::Fulfilled)
}

/// Checks the properties of every moment.
fn check_moment(seen: &Seen, now: i64) {
    let Seen { invitation, acceptances, .. } = seen;
    let facts = &invitation.facts;
    let used_up = facts.max_uses == Some(facts.use_count);
    assert!(facts.max_uses.is_none_or(|max_uses| facts.use_count <= max_uses), "use_count <= max_uses");
    let subjects: BTreeSet<_> = acceptances.values().map(|acceptance| &acceptance.subject).collect();
    assert_eq!(subjects.len(), facts.use_count as usize, "one use for each subject");
    assert_eq!(acceptances.len(), subjects.len(), "one acceptance for each subject");
    assert_eq!(facts.accepted_at.is_some(), facts.use_count > 0);
    let terminal = [facts.revoked_at.is_some(), facts.declined_at.is_some(), used_up];
    assert!(terminal.into_iter().filter(|fact| *fact).count() <= 1, "at most one terminal fact: {facts:?}");
    let expired = facts.expire_at.is_some_and(|at| at <= minutes(now));
    let [revoked, declined, fulfilled] = terminal;
    let by_precedence = [
        (revoked, State::Revoked),
        (declined, State::Declined),
        (fulfilled, State::Fulfilled),
        (expired, State::Expired),
        (true, State::Active),
    ];
    let state = by_precedence.into_iter().find_map(|(holds, state)| holds.then_some(state));
    assert_eq!(Some(invitation.state_at(minutes(now))), state);
    let mut connections = BTreeSet::new();
    for created in acceptances.values().filter_map(|acceptance| acceptance.created_connection.as_ref()) {
        assert!(connections.insert(created.connection.id), "a connection is made once");
    }
    for recipient in &invitation.recipients {
        assert!(recipient.accepted_at.is_none() || recipient.declined_at.is_none(), "one answer of each recipient");
    }
}

/// Checks the effects of one command.
fn check_change(step: &Step, before: &Seen, after: &Seen, now: i64, result: &Result<Executed, Refusal>) {
    let states = [before, after].map(|seen| seen.invitation.state_at(minutes(now)));
    if result.is_err() {
        assert_eq!(before, after, "a refused command changes nothing");
    }
    if is_terminal(states[0]) {
        assert_eq!(states[0], states[1], "a terminal state is never left");
    }
    if states == [State::Expired, State::Active] {
        assert!(matches!(step.verb, Verb::Resend { ttl: Some(_), .. }), "only a renewal revives");
    }
    if after.acceptances.len() > before.acceptances.len() {
        assert_eq!(states[0], State::Active, "only an ACTIVE invitation is accepted");
    }
    let row_changed = before.invitation != after.invitation || before.acceptances != after.acceptances;
    let revisions = after.invitation.revision - before.invitation.revision;
    assert_eq!(revisions, i64::from(row_changed), "the revision counts the changes");
    let changed = row_changed || before.views != after.views;
    assert_eq!(after.events > before.events, changed, "an event if and only if something changed");
    assert!(after.deliveries == before.deliveries || changed, "mail only for a change");
    assert!(after.requests == before.requests || result.is_ok(), "a refused request is not remembered");
    assert!(after.invitation.generation >= before.invitation.generation);
}

proptest! {
    #[test]
    fn no_sequence_of_commands_breaks_an_invariant(
        recipients in 0..=3_u16,
        max_uses in option::of(1..4_u32),
        lifetime in option::of(1..6_u64),
        groups in collection::vec((0..3_i64, collection::vec(step(), 1..6)), 1..10),
    ) {
        let mut invitation = invitation(recipients, max_uses);
        invitation.facts.expire_at = lifetime.map(|lifetime| minutes(0).plus(ttl(lifetime)));
        let (acceptances, requests) = (BTreeMap::new(), BTreeMap::new());
        let mut world = World { now: 0, invitation, acceptances, requests, events: Vec::new() };
        let mut numbers = 0..;
        for (advance, steps) in &groups {
            world.now += advance;
            let mut group = Group::new(world.load());
            for step in steps {
                let before = see(&world, &group);
                let command = world.command(numbers.next().unwrap(), &before.invitation, step);
                let result = run(&mut group, &command);
                let after = see(&world, &group);
                check_moment(&after, world.now);
                check_change(step, &before, &after, world.now, &result);
            }
            world.commit(&group);
            check_moment(&see(&world, &Group::new(world.load())), world.now);
        }
        let count = |wanted| world.events.iter().filter(|event| event.event_type == wanted).count();
        assert_eq!(count(EventType::Accepted), world.acceptances.len(), "one event for each acceptance");
        let facts = &world.invitation.facts;
        assert_eq!(count(EventType::Revoked), usize::from(facts.revoked_at.is_some()));
        assert_eq!(count(EventType::Fulfilled), usize::from(facts.remaining_uses() == Some(0)));
        let ids: BTreeSet<_> = world.events.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), world.events.len(), "no two events have one id");
    }
}
