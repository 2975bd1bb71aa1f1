//! The seats that commands take, hold and give back, and the limits that a save has to check.

use uuid::Uuid;

use super::{Charge, HoldChange, ScopeKey, ScopeSeats, Seat, SeatChanges, SeatHold, SeatHolder, Unseated};
use crate::domain::command::{Action, Command};
use crate::domain::decide::tests::run_on;
use crate::domain::decide::{Change, Changes, Decided};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, acceptor, command, invitation, loaded, minutes, resend, revoke, ttl,
};
use crate::domain::group::Group;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::id::AcceptanceId;

const SCOPE: Uuid = Uuid::from_u128(0x5c);

fn key(invitation: &Invitation) -> ScopeKey {
    ScopeKey::new(&invitation.account, &invitation.details.scope(&invitation.account).unwrap())
}

fn seats(seats: i64, reserve_open: bool, occupied: i64, held: i64) -> ScopeSeats {
    ScopeSeats { id: SCOPE, seats: Some(seats), reserve_open, occupied, held, lapsed: 0, revision: 3 }
}

/// A snapshot of an invitation into a scope with seats.
fn into(invitation: &Invitation, scope: ScopeSeats) -> Loaded {
    let mut loaded = loaded(invitation, &[]);
    loaded.put_scope(key(invitation), scope);
    loaded
}

fn seat_of(holder: u128) -> Seat {
    let acceptance = AcceptanceId(Uuid::from_u128(holder));
    let holders = vec![SeatHolder { invitation: invitation(0, None).id, acceptance }];
    Seat { id: Uuid::from_u128(1), holders, by_caller: false, occupied_at: NOW, version: 4 }
}

fn late(invitation: &Invitation) -> Command {
    command(1, accept(invitation.claims(0), acceptor("late")))
}

fn seats_of(decided: Decided) -> SeatChanges {
    *decided.changes.seats.unwrap()
}

fn is_full(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::ScopeFull(_))
}

#[test]
fn accept_takes_a_seat_if_one_is_left() {
    let invitation = invitation(0, Some(3));
    for (scope, fits) in [
        (seats(2, false, 1, 0), true),
        (seats(2, false, 2, 0), false),
        (seats(0, false, 0, 0), false),
        (ScopeSeats { seats: None, ..seats(0, false, 9, 0) }, true),
        // Others have reserved what is left.
        (seats(2, true, 1, 1), false),
        (ScopeSeats { lapsed: 1, ..seats(2, true, 1, 1) }, false),
        (ScopeSeats { lapsed: 1, ..seats(5, true, 1, 2) }, true),
    ] {
        match run_on(&into(&invitation, scope.clone()), &late(&invitation)) {
            Ok(decided) => {
                assert!(fits, "{scope:?}");
                let SeatChanges { seats, charges, .. } = seats_of(decided);
                assert_eq!((seats[0].subject.0.as_str(), &seats[0].before), ("late", &None));
                let charge = &charges[&key(&invitation)];
                assert_eq!((charge.occupied, charge.revision), (1, 3));
                let limits = scope.seats.map_or((i64::MAX, i64::MAX), |seats| (seats, seats + scope.lapsed));
                assert_eq!((charge.most_occupied, charge.most), limits, "{scope:?}");
            }
            Err(refusal) => assert!(!fits && is_full(&refusal), "{scope:?}: {refusal:?}"),
        }
    }
}

#[test]
fn refusal_says_how_many_seats_are_left() {
    let invitation = invitation(0, None);
    let refused = run_on(&into(&invitation, seats(5, true, 2, 3)), &late(&invitation)).unwrap_err();
    let Refusal::ScopeFull(full) = refused else { panic!("{refused:?}") };
    assert_eq!((full.scope_type.as_str(), full.seats, full.available), ("company", 5, 0));
}

#[test]
fn person_with_a_seat_needs_none() {
    let invitation = invitation(0, None);
    let mut loaded = into(&invitation, seats(1, false, 1, 0));
    loaded.set_seat(SCOPE, Subject("late".to_owned()), Some(seat_of(9)));
    let decided = run_on(&loaded, &late(&invitation)).unwrap();
    let acceptance = decided.affected.acceptance.unwrap();
    let SeatChanges { seats, charges, .. } = seats_of(decided);
    assert_eq!(charges[&key(&invitation)].occupied, 0);
    let holders: Vec<_> = seats[0].after.as_ref().unwrap().holders.iter().map(|holder| holder.acceptance).collect();
    assert_eq!(holders, [AcceptanceId(Uuid::from_u128(9)), acceptance], "both hold it");
}

#[test]
fn scope_without_settings_leaves_no_trace() {
    let invitation = invitation(0, None);
    assert!(run_on(&loaded(&invitation, &[]), &late(&invitation)).unwrap().changes.seats.is_none());
}

#[test]
fn open_invitation_holds_the_uses_that_it_has_left() {
    let hold = |uses| Some(SeatHold { uses, open_until: minutes(60) });
    let mut open = invitation(0, Some(3));
    open.facts.expire_at = Some(minutes(60));
    let mut loaded = into(&open, seats(10, true, 0, 3));
    loaded.set_hold(open.id, hold(3));
    let changes = |action: Action| seats_of(run_on(&loaded, &command(1, action)).unwrap());
    let accepted = changes(accept(open.claims(0), acceptor("late")));
    let [HoldChange { before, after, .. }] = accepted.holds[..] else { panic!("{accepted:?}") };
    assert_eq!((before, after), (hold(3), hold(2)));
    let Charge { occupied, held, most, .. } = accepted.charges[&key(&open)];
    assert_eq!((occupied, held, most), (1, -1, i64::MAX), "it takes its own seat");
    let revoked = changes(revoke(&open));
    assert_eq!((revoked.holds[0].after, revoked.charges[&key(&open)].held), (None, -3));
    let moved = changes(resend(&open, false, Some(ttl(90))));
    assert_eq!(moved.charges[&key(&open)].held, 0);
    assert_eq!(moved.holds[0].after.unwrap().open_until, minutes(90));
}

#[test]
fn reserved_seat_is_no_seat_after_the_number_was_lowered() {
    let mut open = invitation(0, Some(1));
    open.facts.expire_at = Some(minutes(60));
    for (number, fits) in [(2, true), (1, false)] {
        let mut loaded = into(&open, seats(number, true, 1, 1));
        loaded.set_hold(open.id, SeatHold::of(&open, NOW));
        assert_eq!(run_on(&loaded, &late(&open)).is_ok(), fits, "{number}");
    }
}

#[test]
fn last_holder_gives_the_seat_back() {
    let (ann, holder) = (Subject("ann".to_owned()), |number| Some(AcceptanceId(Uuid::from_u128(number))));
    let two = Seat { holders: [seat_of(9).holders, seat_of(8).holders].concat(), ..seat_of(9) };
    let recorded = Seat { by_caller: true, ..seat_of(9) };
    for (seat, holder, left) in [
        (Some(seat_of(9)), holder(9), Some(0)),
        (Some(seat_of(9)), holder(7), None),
        (Some(two.clone()), holder(9), Some(1)),
        (Some(two), None, Some(0)),
        (Some(recorded.clone()), holder(9), Some(1)),
        (Some(recorded), None, Some(0)),
        (None, holder(9), None),
    ] {
        let about = invitation(0, None);
        let mut loaded = into(&about, seats(1, false, 1, 0));
        loaded.set_seat(SCOPE, ann.clone(), seat.clone());
        let update = Change::Update { invitation: about.clone(), unexpired: false };
        let unseated = vec![Unseated { subject: ann.clone(), holder }];
        let mut changes = Changes { invitations: vec![update], unseated, ..Changes::default() };
        super::charge(&loaded, &late(&about), &mut changes).unwrap();
        let change = changes.seats.and_then(|mut changes| changes.seats.pop());
        let after = change.map(|change| usize::from(change.after.is_some()));
        assert_eq!(after, left, "{seat:?} {holder:?}");
    }
}

#[test]
fn group_adds_up_what_its_commands_take() {
    let invitation = invitation(0, None);
    let mut group = Group::new(into(&invitation, seats(3, false, 1, 0)));
    for (number, subject, fits) in [(1, "a", true), (2, "b", true), (3, "c", false)] {
        let command = command(number, accept(invitation.claims(0), acceptor(subject)));
        assert_eq!(group.run(&command, &CONTEXT).is_ok(), fits, "{subject}");
    }
    let save = group.into_save();
    let charges: Vec<_> = save.seats.charges.values().collect();
    assert_eq!((charges.len(), charges[0].occupied, charges[0].most_occupied), (1, 2, 3));
    assert_eq!(save.seats.seats.len(), 2);
    assert!(!save.only_creates());
}
