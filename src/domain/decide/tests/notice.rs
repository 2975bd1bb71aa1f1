//! The inviters who get a notice of an acceptance.

use crate::domain::decide::{AcceptanceChange, Context, Decided, decide};
use crate::domain::delivery::Purpose;
use crate::domain::delivery::reminder::Schedules;
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, acceptor, command, details, email, general, invited, loaded, requested,
};
use crate::domain::group::Group;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::shared::{Inviter, SharedDetails};
use crate::domain::kind::{Details, Kind};
use crate::domain::quota::Quotas;

const TOLD: Context =
    Context { signing_key: 1, reminders: Schedules::NONE, acceptance_notice: true, quotas: Quotas::NONE };

/// Returns a link for many by an inviter with this address.
fn by(inviter: Option<&str>) -> Details {
    let inviter = Some(Inviter { user_id: "42".to_owned(), email: inviter.map(email), ..Inviter::default() });
    let shared = SharedDetails { inviter, ..SharedDetails::default() };
    Details::General(Box::new(GeneralDetails { shared, ..general(Usage::MultiUse) }))
}

fn link(details: Details) -> Invitation {
    let mut link = invited(1, details, &[]);
    link.facts.max_uses = None;
    link
}

#[test]
fn inviter_gets_a_notice_if_wanted_and_address_is_known() {
    let no_inviter = Details::General(Box::new(general(Usage::MultiUse)));
    for (case, details, context, told) in [
        ("wanted and known", by(Some("ada@example.org")), &TOLD, Some("ada@example.org")),
        ("not wanted", by(Some("ada@example.org")), &CONTEXT, None),
        ("without an address", by(None), &TOLD, None),
        ("without an inviter", no_inviter, &TOLD, None),
        ("another kind", details(Kind::Connection), &TOLD, None),
    ] {
        let link = link(details);
        let accept = command(1, accept(link.claims(0), acceptor("ann")));
        let Decided { changes, affected } = decide(&loaded(&link, &[]), &accept, context).unwrap();
        let notices: Vec<_> = changes
            .deliveries
            .iter()
            .map(|notice| {
                assert_eq!((notice.purpose, notice.recipient), (Purpose::AcceptanceNotice, 0), "{case}");
                assert_eq!((notice.created_at, notice.due_at), (NOW, NOW), "{case}");
                assert_eq!(notice.about, affected.acceptance.map(|id| id.0), "{case}");
                notice.address.as_ref().unwrap().key()
            })
            .collect();
        assert_eq!(notices, told.into_iter().collect::<Vec<_>>(), "{case}");
        let Some(AcceptanceChange::Create(Acceptance { .. })) = changes.acceptance else { panic!("{case}") };
        assert!(changes.invitations.len() == 1, "{case}");
    }
}

#[test]
fn each_acceptance_is_told_once_however_often_it_is_asked_for() {
    let link = link(by(Some("ada@example.org")));
    let mut group = Group::new(loaded(&link, &[]));
    let accept = |number, subject: &str| command(number, accept(link.claims(0), acceptor(subject)));
    for (number, subject, notices) in [(1, "ann", 1), (2, "ann", 1), (3, "bob", 2)] {
        group.run(&accept(number, subject), &TOLD).unwrap();
        assert_eq!(group.save().deliveries.len(), notices, "{subject}");
    }
    for number in [4, 5] {
        group.run(&requested(accept(number, "carl"), "r", "body", &[1]), &TOLD).unwrap();
        assert_eq!(group.save().deliveries.len(), 3, "a replay is no acceptance");
    }
}
