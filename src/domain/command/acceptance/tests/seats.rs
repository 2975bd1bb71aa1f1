//! The seats that acceptances give back, and need again.

use uuid::Uuid;

use super::grants::for_ten_minutes;
use super::{JANE, accepted, there};
use crate::domain::decide::Decided;
use crate::domain::decide::tests::{changed, run_on, together};
use crate::domain::fixtures::{
    CONTEXT, accept, command, details, email, expire_grant, extend, invited, minutes, person, release,
};
use crate::domain::group::Group;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::ReleaseMode::{End, Undo};
use crate::domain::invitation::acceptance::{Acceptance, Subject};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::Kind;
use crate::domain::seat::{ScopeKey, ScopeSeats, Seat, SeatHold, SeatHolder};
use crate::domain::value::id::{AcceptanceId, InvitationId};

const SCOPE: Uuid = Uuid::from_u128(0x5c);

fn key(invitation: &Invitation) -> ScopeKey {
    ScopeKey::new(&invitation.account, &invitation.details.scope(&invitation.account).unwrap())
}

fn counting(seats: i64, reserve_open: bool, (occupied, held): (i64, i64)) -> ScopeSeats {
    ScopeSeats { id: SCOPE, seats: Some(seats), reserve_open, occupied, held, lapsed: 0, revision: 3 }
}

fn jane() -> Subject {
    Subject("u1".to_owned())
}

/// A seat that is held by an acceptance, or by an invitation's other one.
fn seat(holders: &[AcceptanceId], by_caller: bool) -> Seat {
    let holder = |acceptance: &AcceptanceId| SeatHolder {
        invitation: InvitationId(Uuid::from_u128(1)),
        acceptance: *acceptance,
    };
    let holders = holders.iter().map(holder).collect();
    Seat { id: Uuid::from_u128(1), holders, by_caller, occupied_at: minutes(-5), version: 4 }
}

/// Returns what is there after Jane's accept in a scope with seats, of which she may have one.
fn seated(
    invitation: &Invitation,
    scope: ScopeSeats,
    own: impl Fn(&Acceptance) -> Option<Seat>,
) -> (Loaded, Acceptance) {
    let (group, acceptance) = accepted(&[invitation]);
    let mut loaded = there(&group, &[invitation], &acceptance);
    loaded.put_scope(key(invitation), scope);
    loaded.set_seat(SCOPE, jane(), own(&acceptance));
    (loaded, acceptance)
}

/// Returns the number that is added to the people in the seats, and whether Jane has a seat afterwards if hers changes.
fn moved(decided: &Decided) -> (i64, Option<bool>) {
    let Some(seats) = &decided.changes.seats else { return (0, None) };
    let after = seats.seats.last().map(|change| change.after.is_some());
    (seats.charges.values().map(|charge| charge.occupied).sum(), after)
}

#[test]
fn seat_goes_back_unless_something_else_holds_it() {
    let other = AcceptanceId(Uuid::from_u128(9));
    for kind in Kind::ALL {
        let invitation = for_ten_minutes(kind);
        for (of, by_caller, wanted) in [
            (vec![true], false, (-1, Some(false))),
            (vec![true, false], false, (0, Some(true))),
            (vec![true], true, (0, Some(true))),
            (vec![false], false, (0, None)),
        ] {
            let holders =
                |own: &Acceptance| of.iter().map(|is_own| if *is_own { own.id } else { other }).collect::<Vec<_>>();
            let own = |own: &Acceptance| Some(seat(&holders(own), by_caller));
            let (mut loaded, acceptance) = seated(&invitation, counting(1, false, (1, 0)), own);
            loaded.now = minutes(11);
            for action in [release(&acceptance, Undo), release(&acceptance, End), expire_grant(&acceptance)] {
                let decided = run_on(&loaded, &command(2, action.clone())).unwrap();
                assert_eq!(moved(&decided), wanted, "{kind:?} {of:?} {by_caller} {action:?}");
            }
        }
        let (loaded, acceptance) = seated(&invitation, counting(1, false, (1, 0)), |_| None);
        for mode in [Undo, End] {
            let decided = run_on(&loaded, &command(2, release(&acceptance, mode))).unwrap();
            assert_eq!(moved(&decided), (0, None), "{kind:?}: there is none to give back");
        }
    }
}

#[test]
fn expired_acceptance_needs_a_seat_again_once_it_is_told() {
    let invitation = for_ten_minutes(Kind::User);
    for (occupied, own, wanted) in [
        (1, false, None),
        (0, false, Some((1, Some(true)))),
        // Nobody has told the expiry yet, so the seat is still there.
        (1, true, Some((0, None))),
    ] {
        let own = |acceptance: &Acceptance| own.then(|| seat(&[acceptance.id], false));
        let (mut loaded, acceptance) = seated(&invitation, counting(1, false, (occupied, 0)), own);
        loaded.now = minutes(11);
        match (run_on(&loaded, &command(2, extend(&acceptance, Some(minutes(30))))), wanted) {
            (Ok(decided), Some(wanted)) => assert_eq!(moved(&decided), wanted, "{occupied}"),
            (Err(Refusal::ScopeFull(_)), None) => {}
            (result, _) => panic!("{result:?}"),
        }
        loaded.now = minutes(9);
        let decided = run_on(&loaded, &command(2, extend(&acceptance, Some(minutes(30))))).unwrap();
        assert_eq!(moved(&decided), (0, None), "one that counts needs no other seat");
    }
}

#[test]
fn undo_opens_what_the_scope_has_seats_for() {
    let [first, second, third] = [1, 2, 3].map(|number| invited(number, details(Kind::General), &[JANE]));
    let all = [&first, &second, &third];
    let (mut group, acceptance) = accepted(&all);
    assert_eq!(acceptance.closed.len(), 2);
    for (occupied, held, opened) in [(1, 0, 3), (1, 1, 2), (1, 2, 1), (1, 3, 1), (3, 0, 1), (4, 0, 0), (7, 9, 1)] {
        let mut loaded = there(&group, &all, &acceptance);
        loaded.put_scope(key(&first), counting(3, true, (occupied, held)));
        loaded.set_seat(SCOPE, jane(), Some(seat(&[acceptance.id], occupied == 4)));
        let decided = run_on(&loaded, &command(2, release(&acceptance, Undo))).unwrap();
        let after = decided.changes.invitations.iter().map(changed);
        let open = after.filter(|after| after.state_at(loaded.now) == State::Active).count();
        assert_eq!(open, opened, "{occupied} occupied, {held} reserved");
        let charge = decided.changes.seats.unwrap().charges.into_values().next().unwrap();
        assert_eq!(charge.held, i64::try_from(opened).unwrap(), "{occupied} occupied, {held} reserved");
    }
    // Without a count, everything opens.
    let opened = group.run(&command(2, release(&acceptance, Undo)), &CONTEXT).unwrap();
    assert_eq!(opened.invitation.state_at(minutes(0)), State::Active);
    assert_eq!(group.save().events.iter().filter(|event| event.state == State::Active).count(), 3);
}

#[test]
fn undo_of_one_use_of_many_never_fails() {
    let mut many = invited(1, details(Kind::Connection), &[]);
    many.facts.max_uses = Some(3);
    let (loaded, acceptance) = {
        let mut group = Group::new(together(&[&many]));
        let by = person("u1", Some(email(JANE)), true);
        let acceptance = group.run(&command(1, accept(many.claims(0), by)), &CONTEXT).unwrap().acceptance.unwrap();
        let mut loaded = there(&group, &[&many], &acceptance);
        loaded.put_scope(key(&many), counting(2, true, (0, 2)));
        let left = loaded.invitation(&many.account, many.id).unwrap();
        let hold = SeatHold::of(left, loaded.now);
        assert_eq!(hold.unwrap().uses, 2);
        loaded.set_hold(many.id, hold);
        (loaded, acceptance)
    };
    let decided = run_on(&loaded, &command(2, release(&acceptance, Undo))).unwrap();
    let charge = decided.changes.seats.unwrap().charges.into_values().next().unwrap();
    assert_eq!((charge.held, charge.most), (1, i64::MAX), "the use comes back, with more promised than there is");
}

#[test]
fn undo_opens_a_link_of_many_uses_without_a_seat() {
    for (max_uses, opens) in [(1, false), (2, true)] {
        let mut link = invited(1, details(Kind::General), &[]);
        link.facts.max_uses = Some(max_uses);
        let mut group = Group::new(together(&[&link]));
        let mut accept_as = |number: u8| {
            let subject = format!("u{number}");
            let by = person(&subject, Some(email(&format!("{subject}@example.org"))), true);
            let accepted = group.run(&command(number, accept(link.claims(0), by)), &CONTEXT).unwrap();
            accepted.acceptance.unwrap()
        };
        let acceptances: Vec<_> = (1..=max_uses).map(|number| accept_as(u8::try_from(number).unwrap())).collect();
        let mut loaded = there(&group, &[&link], &acceptances[0]);
        // She has a seat by another invitation too, and all others are taken.
        loaded.put_scope(key(&link), counting(2, true, (2, 0)));
        loaded.set_seat(SCOPE, jane(), Some(seat(&[acceptances[0].id], true)));
        let decided = run_on(&loaded, &command(9, release(&acceptances[0], Undo))).unwrap();
        let after = changed(&decided.changes.invitations[0]);
        assert_eq!((after.state_at(loaded.now) == State::Active, after.facts.use_count), (opens, max_uses - 1));
        let charge = decided.changes.seats.unwrap().charges.into_values().next().unwrap();
        assert_eq!((charge.held, charge.most), (i64::from(opens), i64::MAX), "more is promised than there is");
    }
}

#[test]
fn seat_that_was_given_back_is_there_for_another() {
    let [first, second] =
        [(1, JANE), (2, "bob@example.org")].map(|(number, to)| invited(number, details(Kind::General), &[to]));
    let (mut loaded, acceptance) = seated(&first, counting(1, false, (1, 0)), |own| Some(seat(&[own.id], false)));
    loaded.put_invitation(second.clone());
    let mut group = Group::new(loaded);
    let bob = || accept(second.claims(1), person("bob", Some(email("bob@example.org")), true));
    assert!(matches!(group.run(&command(2, bob()), &CONTEXT), Err(Refusal::ScopeFull(_))));
    group.run(&command(3, release(&acceptance, End)), &CONTEXT).unwrap();
    group.run(&command(4, bob()), &CONTEXT).unwrap();
    let charge = group.save().seats.charges.values().next().unwrap();
    assert_eq!((charge.occupied, charge.most_occupied), (0, 1), "one has left, one has come");
}
