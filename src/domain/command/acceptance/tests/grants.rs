//! Acceptances that count for a time.

use super::{accepted, there};
use crate::domain::command::Command;
use crate::domain::decide::tests::{event_types, is_nothing, run_on};
use crate::domain::decide::{AcceptanceChange, Decided};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, acceptor, command, details, expire_grant, extend, invited, minutes, release, requested, ttl,
};
use crate::domain::group::Group;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, AcceptanceState, Release, ReleaseMode};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::Kind;
use crate::domain::value::grantable_roles::GrantableRoles;
use crate::domain::value::time::{Timestamp, Ttl};

const JANE: &str = "jane@example.org";

/// Returns an invitation of a kind whose acceptances count for ten minutes.
pub(super) fn for_ten_minutes(kind: Kind) -> Invitation {
    let mut invitation = invited(1, details(kind), &[JANE]);
    invitation.details.shared_mut().grant_ttl = Some(ttl(10));
    invitation
}

/// Returns what is there some minutes after Jane has accepted, and her acceptance as it then is.
fn later(kind: Kind, at: i64, change: impl FnOnce(&mut Acceptance)) -> (Loaded, Acceptance) {
    let invitation = for_ten_minutes(kind);
    let (group, mut acceptance) = accepted(&[&invitation]);
    change(&mut acceptance);
    let mut loaded = there(&group, &[&invitation], &acceptance);
    loaded.now = minutes(at);
    (loaded, acceptance)
}

fn changed(decided: &Decided) -> &Acceptance {
    match decided.changes.acceptance.as_ref().unwrap() {
        AcceptanceChange::Create(changed)
        | AcceptanceChange::Update(changed)
        | AcceptanceChange::Stop(changed)
        | AcceptanceChange::Resume(changed) => changed,
    }
}

#[test]
fn grant_begins_with_the_accept_in_every_kind() {
    for kind in Kind::ALL {
        let (group, acceptance) = accepted(&[&for_ten_minutes(kind)]);
        assert_eq!(acceptance.grant_expire_at, Some(minutes(10)), "{kind:?}");
        let Payload::Accepted(told) = &group.save().events[0].payload else { panic!() };
        assert_eq!(told.grant_expire_at, Some(minutes(10)), "{kind:?}");
        let (_, plain) = accepted(&[&invited(1, details(kind), &[JANE])]);
        assert_eq!((plain.grant_expire_at, plain.state_at(Timestamp::MAX)), (None, AcceptanceState::Active));
    }
}

#[test]
fn state_follows_from_the_release_and_the_time() {
    let released = |mode| Some(Release { mode, at: NOW });
    let (_, acceptance) = later(Kind::User, 0, |_| ());
    for (at, release, wanted) in [
        (9, None, AcceptanceState::Active),
        (10, None, AcceptanceState::Expired),
        (9, released(ReleaseMode::End), AcceptanceState::Ended),
        (10, released(ReleaseMode::End), AcceptanceState::Ended),
        (10, released(ReleaseMode::Undo), AcceptanceState::Released),
    ] {
        let state = Acceptance { release, ..acceptance.clone() }.state_at(minutes(at));
        assert_eq!(state, wanted, "{at} {release:?}");
    }
}

#[test]
fn subject_whose_time_is_over_is_refused_also_by_a_replay() {
    for kind in Kind::ALL {
        let invitation = for_ten_minutes(kind);
        let accept = requested(command(1, accept(invitation.claims(1), acceptor("u1"))), "r", "body", &[1]);
        let mut group = Group::new(super::together(&[&invitation]));
        let acceptance = group.run(&accept, &CONTEXT).unwrap().acceptance.unwrap();
        let at = |at: i64, command: &Command| {
            let mut loaded = there(&group, &[&invitation], &acceptance);
            loaded.now = minutes(at);
            for (key, remembered) in &group.save().requests {
                loaded.put_request(key.clone(), remembered.clone());
            }
            run_on(&loaded, command).map(|_| ())
        };
        assert_eq!(at(9, &accept), Ok(()), "{kind:?}");
        assert_eq!(at(10, &accept), Err(Refusal::GrantExpired), "{kind:?}");
        let anew = Command { request: None, ..accept };
        assert_eq!(at(9, &anew), Ok(()), "{kind:?}");
        assert_eq!(at(10, &anew), Err(Refusal::GrantExpired), "{kind:?}");
    }
}

#[test]
fn expiry_is_told_once_for_each_moment() {
    let (loaded, acceptance) = later(Kind::General, 10, |_| ());
    let told = run_on(&loaded, &command(2, expire_grant(&acceptance))).unwrap();
    assert_eq!(event_types(&told.changes), [EventType::AcceptanceExpired]);
    assert!(matches!(&told.changes.acceptance, Some(AcceptanceChange::Stop(_))));
    let changed = changed(&told);
    assert_eq!((changed.grant_told_at, changed.etag()), (Some(minutes(10)), acceptance.etag()), "the etag stays");
    let again = run_on(&loaded, &command(3, expire_grant(&acceptance))).unwrap();
    assert_eq!(told.changes.events[0].id, again.changes.events[0].id, "two processes tell the same");
    for (case, at, change) in [
        ("not yet", 9, (|_| ()) as fn(&mut Acceptance)),
        ("told", 11, |it| it.grant_told_at = Some(minutes(10))),
        ("for ever", 11, |it| it.grant_expire_at = None),
        ("ended", 11, |it| it.release = Some(Release { mode: ReleaseMode::End, at: NOW })),
    ] {
        let (loaded, acceptance) = later(Kind::General, at, change);
        let decided = run_on(&loaded, &command(2, expire_grant(&acceptance))).unwrap();
        assert!(is_nothing(&decided.changes), "{case}");
    }
    let (loaded, acceptance) = later(Kind::General, 31, |it| {
        it.grant_expire_at = Some(minutes(30));
        it.grant_told_at = Some(minutes(10));
    });
    assert!(!is_nothing(&run_on(&loaded, &command(2, expire_grant(&acceptance))).unwrap().changes), "extended");
}

#[test]
fn update_moves_the_moment_and_lets_an_expired_one_count_again() {
    for (at, wanted, resumes) in [(5, Some(minutes(20)), false), (5, None, false), (10, Some(minutes(20)), true)] {
        let (loaded, acceptance) = later(Kind::User, at, |_| ());
        let decided = run_on(&loaded, &command(2, extend(&acceptance, wanted))).unwrap();
        let after = changed(&decided);
        assert_eq!((after.grant_expire_at, after.revision), (wanted, 2));
        assert_eq!(matches!(&decided.changes.acceptance, Some(AcceptanceChange::Resume(_))), resumes, "{at}");
        let [event] = decided.changes.events.as_slice() else { panic!() };
        let Payload::Acceptance(told) = &event.payload else { panic!() };
        assert_eq!((told.grant_expire_at, told.old_grant_expire_at), (wanted, Some(minutes(10))));
        assert_eq!(event.event_type, EventType::AcceptanceUpdated);
    }
    let (loaded, acceptance) = later(Kind::User, 5, |_| ());
    let same = run_on(&loaded, &command(2, extend(&acceptance, Some(minutes(10))))).unwrap();
    assert!(is_nothing(&same.changes));
}

#[test]
fn update_is_refused_for_what_has_ended_and_for_wrong_moments() {
    let released = |mode| move |it: &mut Acceptance| it.release = Some(Release { mode, at: NOW });
    for (mode, wanted) in
        [(ReleaseMode::Undo, Refusal::AcceptanceReleased), (ReleaseMode::End, Refusal::AcceptanceEnded)]
    {
        let (loaded, acceptance) = later(Kind::User, 5, released(mode));
        assert_eq!(run_on(&loaded, &command(2, extend(&acceptance, None))).unwrap_err(), wanted);
    }
    let (loaded, acceptance) = later(Kind::User, 5, |_| ());
    let last = loaded.now.plus(Ttl::LONGEST_GRANT);
    for (moment, fits) in
        [(minutes(5), false), (minutes(6), true), (last, true), (Timestamp::from_micros(last.micros() + 1), false)]
    {
        let result = run_on(&loaded, &command(2, extend(&acceptance, Some(moment))));
        let is_refused = matches!(&result, Err(Refusal::InvalidField { field: "acceptance.grant_expire_time", .. }));
        assert_eq!((result.is_ok(), is_refused), (fits, !fits), "{moment}");
    }
}

#[test]
fn nobody_gives_roles_for_longer_that_they_may_not_give() {
    let (loaded, acceptance) = later(Kind::User, 5, |_| ());
    let of_credential = Some(vec!["other".to_owned()].into());
    let grantable_roles = GrantableRoles { of_credential, ..GrantableRoles::default() };
    let run = |expire_at| {
        let extend = command(2, extend(&acceptance, expire_at));
        run_on(&loaded, &Command { grantable_roles: grantable_roles.clone(), ..extend }).map(|_| ())
    };
    for longer in [None, Some(minutes(11))] {
        assert_eq!(run(longer), Err(Refusal::RoleNotGrantable("viewer".to_owned())));
    }
    assert_eq!(run(Some(minutes(9))), Ok(()), "less is always allowed");
}

#[test]
fn expired_acceptance_can_be_released() {
    for mode in [ReleaseMode::Undo, ReleaseMode::End] {
        let (loaded, acceptance) = later(Kind::Guest, 11, |_| ());
        let decided = run_on(&loaded, &command(2, release(&acceptance, mode))).unwrap();
        assert_eq!(changed(&decided).release.unwrap().mode, mode);
    }
}
