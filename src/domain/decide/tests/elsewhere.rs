//! An acceptance closes the same person's other invitations to its scope, and no others.

use super::{after, beside, event_types, run_on, together};
use crate::domain::decide::Decided;
use crate::domain::fixtures::{NOW, accept, account, command, details, email, general, invited, minutes, person};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::invitation::event::EventType::{Accepted, AcceptedElsewhere, Fulfilled};
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::{Details, Kind, Scope};

const JANE: &str = "jane@example.org";

fn of(usage: Usage, change: fn(&mut GeneralDetails)) -> Details {
    let mut details = general(usage);
    change(&mut details);
    Details::General(Box::new(details))
}

fn single() -> Details {
    of(Usage::SingleUse, |_| {})
}

fn jane() -> Acceptor {
    person("u1", Some(email(JANE)), true)
}

/// Decides an acceptance beside other invitations.
fn closed(accepted: &Invitation, link: u16, acceptor: Acceptor, others: &[&Invitation]) -> Decided {
    let all: Vec<_> = [accepted].into_iter().chain(others.iter().copied()).collect();
    run_on(&together(&all), &command(1, accept(accepted.claims(link), acceptor))).unwrap()
}

#[test]
fn accept_fulfils_the_persons_other_invitations_with_events() {
    let accepted = invited(1, single(), &[JANE]);
    let [other, by_id] = [invited(2, single(), &["+4930123", JANE]), invited(3, single(), &["u1"])];
    let Decided { changes, affected } = closed(&accepted, 0, jane(), &[&other, &by_id]);
    assert_eq!((affected.invitation, after(&changes).unwrap().id), (accepted.id, accepted.id));
    assert_eq!(event_types(&changes), [Accepted, Fulfilled, AcceptedElsewhere, AcceptedElsewhere]);
    let closed = beside(&changes);
    assert_eq!(closed.len(), 2);
    for closed in closed {
        assert_eq!((closed.facts.accepted_elsewhere_at, closed.state_at(NOW)), (Some(NOW), State::Fulfilled));
        assert_eq!((closed.facts.use_count, closed.revision), (0, accepted.revision + 1), "no use is consumed");
        let event = changes.events.iter().find(|event| event.invitation == closed.id).unwrap();
        assert_eq!(event.payload.json()["invitation"], accepted.id.0.to_string());
        assert_eq!(event.pass_through.as_deref(), Some("opaque"));
        assert!(!format!("{:?}", event.payload.json()).contains('@'));
    }
}

#[test]
fn nothing_else_is_closed() {
    let accepted = invited(1, single(), &[JANE]);
    let late = |change: fn(&mut Invitation)| {
        let mut other = invited(2, single(), &[JANE]);
        change(&mut other);
        other
    };
    let scope_2 = of(Usage::SingleUse, |this| this.scope = Some(Scope::new("team", "t2")));
    for (case, other) in [
        ("another person's", invited(2, single(), &["joe@example.org"])),
        ("of the domain", invited(2, single(), &["j@example.org"])),
        ("for many", invited(2, of(Usage::MultiUse, |_| {}), &[JANE])),
        ("another scope", invited(2, scope_2, &[JANE])),
        ("no scope", invited(2, of(Usage::SingleUse, |this| this.scope = None), &[JANE])),
        ("another kind", invited(2, details(Kind::User), &[JANE])),
        ("an id that is spelt like the address", invited(2, single(), &["jane"])),
        ("revoked", late(|this| this.facts.revoked_at = Some(minutes(-1)))),
        ("declined", late(|this| this.facts.declined_at = Some(minutes(-1)))),
        ("fulfilled", late(|this| this.facts.use_count = 1)),
        ("expired", late(|this| this.facts.expire_at = Some(NOW))),
        ("another account's", late(|this| this.account = account("other"))),
    ] {
        let changes = closed(&accepted, 0, jane(), &[&other]).changes;
        assert_eq!((changes.invitations.len(), event_types(&changes).len()), (1, 2), "{case}");
    }
}

#[test]
fn only_single_use_with_an_explicit_scope_fulfils_others() {
    let other = invited(2, single(), &[JANE]);
    for (case, details, closes) in [
        ("single use", single(), 1),
        ("scope from the first group", of(Usage::SingleUse, |this| this.explicit_scope = false), 0),
        ("for many", of(Usage::MultiUse, |_| {}), 0),
        ("auto-join", of(Usage::Autojoin, |this| this.domains = vec!["example.org".to_owned()]), 0),
        ("user", details(Kind::User), 0),
    ] {
        let accepted = invited(1, details, &[JANE]);
        assert_eq!(beside(&closed(&accepted, 0, jane(), &[&other]).changes).len(), closes, "{case}");
    }
}

#[test]
fn person_is_known_by_a_proven_address_or_an_internal_id() {
    let accepted = invited(1, single(), &["u1", JANE]);
    let by_email = invited(2, single(), &[JANE]);
    let by_id = invited(3, single(), &["u1"]);
    for (link, subject, address, verified, closes) in [
        (0, "u1", None, false, vec![by_id.id]),
        (0, "u1", Some(JANE), false, vec![by_id.id]),
        (0, "u1", Some(JANE), true, vec![by_id.id, by_email.id]),
        (0, "u2", Some(JANE), true, vec![by_email.id]),
        (2, "u2", None, false, vec![by_email.id]),
        (2, "u1", Some("j@other.org"), true, vec![by_id.id]),
    ] {
        let acceptor = person(subject, address.map(email), verified);
        let changes = closed(&accepted, link, acceptor, &[&by_email, &by_id]).changes;
        let ids: Vec<_> = beside(&changes).iter().map(|closed| closed.id).collect();
        assert_eq!(ids, closes, "{subject} by {link}, {address:?}, verified: {verified}");
    }
}
