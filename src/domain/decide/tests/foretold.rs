//! Checks of accepts and their dry runs, compared with the accepts, over the lifecycle table of the API.

use std::fmt::Debug;

use uuid::Uuid;

use super::conformance::{Shape, newcomer, shapes, ways_to_be};
use crate::domain::command::{AcceptInvitation, Access, Action, CheckAcceptance, Command};
use crate::domain::fixtures::{CONTEXT, NOW, acceptor, command, connection, email, loaded, minutes, person, target};
use crate::domain::group::loaded::Loaded;
use crate::domain::group::{BatchMode, Executed, Group};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, AcceptanceState, Acceptor, Release, ReleaseMode};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::seat::{ScopeKey, ScopeSeats, SeatHold};
use crate::domain::value::grantable_roles::GrantableRoles;
use crate::domain::value::id::AcceptanceId;

/// The seats of the scope: it counts none, has some left, or is full with or without reserved ones.
const SEATS: [Option<(i64, bool, i64)>; 4] = [None, Some((9, true, 0)), Some((1, false, 0)), Some((2, true, 1))];

/// Returns the acceptors: one with all that is required, and such that lack something.
fn acceptors(shape: Shape) -> Vec<(u16, Acceptor)> {
    let (link, late) = newcomer(shape);
    let eve = |address: &str, verified| person("late", Some(email(address)), verified);
    vec![(link, late), (0, acceptor("late")), (0, eve("eve@example.com", true)), (0, eve("r1@example.org", false))]
}

/// Returns what the subject may have done before: nothing, or an acceptance in each state.
fn earlier(invitation: &Invitation) -> Vec<Option<Acceptance>> {
    let id = AcceptanceId(Uuid::from_u128(0xacc3));
    let made = Acceptance::new(id, invitation.id, &acceptor("late"), (None, None), None, minutes(-30));
    let released = |mode| Acceptance { release: Some(Release { mode, at: minutes(-20) }), ..made.clone() };
    let expired = Acceptance { grant_expire_at: Some(NOW), ..made.clone() };
    let all = [released(ReleaseMode::Undo), released(ReleaseMode::End), expired, made.clone()];
    [None].into_iter().chain(all.map(Some)).collect()
}

fn there(invitation: &Invitation, earlier: Option<&Acceptance>, seats: Option<(i64, bool, i64)>) -> Loaded {
    let mut loaded = loaded(invitation, &[]);
    earlier.into_iter().for_each(|made| loaded.put_acceptance(made.clone()));
    if let (Some((seats, reserve_open, held)), Some(scope)) = (seats, invitation.details.scope(&invitation.account)) {
        let id = Uuid::from_u128(0x5c);
        let hold = SeatHold::of(invitation, NOW).filter(|_| reserve_open);
        // Others hold the rest, so that this invitation's own hold decides.
        let held = held.max(hold.map_or(0, |hold| hold.uses.into()));
        let scope_seats =
            ScopeSeats { id, seats: Some(seats), reserve_open, occupied: 1, held, lapsed: 0, revision: 3 };
        loaded.put_scope(ScopeKey::new(&invitation.account, &scope), scope_seats);
        loaded.set_hold(invitation.id, hold);
    }
    loaded
}

/// Runs a command that comes alone, for good or dry.
fn run(there: &Loaded, command: &Command, mode: BatchMode) -> Result<Executed, Refusal> {
    let mut group = Group::new(there.clone());
    let mut results =
        group.run_batch(std::slice::from_ref(command), mode, |group, command| group.run(command, &CONTEXT));
    assert!(mode != BatchMode::DryRun || group.save().is_empty(), "a dry run saves nothing");
    results.remove(0)
}

/// Compares the three, and returns the reasons of the check.
fn compare(case: &impl Debug, there: &Loaded, accept: &AcceptInvitation) -> Vec<Refusal> {
    let of = |action| command(1, action);
    let accepting = of(Action::Accept(Box::new(accept.clone())));
    let checking = of(Action::CheckAcceptance(Box::new(CheckAcceptance { accept: accept.clone() })));
    let none = GrantableRoles { of_credential: Some(Vec::new().into()), ..GrantableRoles::default() };
    let mut all = Vec::new();
    for grantable_roles in [GrantableRoles::default(), none] {
        let by = |command: &Command| Command { grantable_roles: grantable_roles.clone(), ..command.clone() };
        let done = run(there, &by(&accepting), BatchMode::Independent);
        let said = run(there, &by(&accepting), BatchMode::DryRun);
        match (&done, &said) {
            (Ok(done), Ok(said)) => {
                assert_eq!(done.acceptance, said.acceptance, "{case:?}");
                assert_eq!(done.invitation.facts, said.invitation.facts, "{case:?}");
            }
            (done, said) => assert_eq!(done.as_ref().err(), said.as_ref().err(), "{case:?}"),
        }
        match (done, run(there, &by(&checking), BatchMode::DryRun)) {
            (Ok(done), Ok(checked)) => assert_eq!(done.already_accepted, checked.already_accepted, "{case:?}"),
            (Err(refusal), Err(Refusal::Blocked(blockers))) => {
                assert_eq!(blockers[0], refusal, "{case:?}: the first blocker is what the accept says");
                all.extend(blockers);
            }
            (done, checked) => panic!("{case:?}: {done:?}, and the check {checked:?}"),
        }
    }
    all
}

/// Returns the accepts by an acceptor: with a link, by the name of somebody who is invited, and with a connection.
fn accepts(invitation: &Invitation, link: u16, acceptor: Acceptor) -> [AcceptInvitation; 3] {
    let by_link = AcceptInvitation {
        access: Access::Link(invitation.claims(link)),
        acceptor,
        proof: None,
        created_connection: None,
        guest_organization_id: None,
        by_system: false,
    };
    let by_name = AcceptInvitation { access: Access::NameOfInvited(target(invitation)), ..by_link.clone() };
    let connected = AcceptInvitation { created_connection: Some(connection(1, "NEW")), ..by_link.clone() };
    [by_link, by_name, connected]
}

#[test]
fn check_and_dry_run_say_what_every_accept_says() {
    let of_shape = |shape| State::ALL.into_iter().flat_map(move |state| ways_to_be(shape, state));
    let all = shapes().flat_map(|shape| of_shape(shape).map(move |invitation| (shape, invitation)));
    let (mut cases, mut full, mut several) = (0, 0, 0);
    for (shape, invitation) in all {
        for (made, seats) in earlier(&invitation).iter().flat_map(|made| SEATS.map(|seats| (made.as_ref(), seats))) {
            let there = there(&invitation, made, seats);
            let answered = made.is_some_and(|made| made.state_at(NOW) != AcceptanceState::Released);
            let by = acceptors(shape).into_iter().flat_map(|(link, by)| accepts(&invitation, link, by));
            for accept in by {
                let case = (shape, invitation.facts, made, seats, &accept);
                let blockers = compare(&case, &there, &accept);
                cases += 1;
                full += usize::from(blockers.iter().any(|blocker| matches!(blocker, Refusal::ScopeFull(_))));
                several += usize::from(blockers.len() > 2);
                // To whoever has accepted, the rest matters no more: there is one reason, whichever roles may be given.
                assert!(!answered || blockers.len() <= 2, "{case:?}: {blockers:?}");
            }
        }
    }
    assert!(cases > 1_000 && full > 100 && several > 100, "{cases} cases, {full} full, {several} with several reasons");
}
