//! The fields of a new invitation of each kind, its mail, and the roles and scopes of its acceptors.

use crate::domain::command::{Action, CommandRules as _, CreateInvitation, Expiry, ExpiryTime};
use crate::domain::decide::tests::{after, event_types, run, run_on};
use crate::domain::decide::{AcceptanceChange, Changes};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, acceptor, at, command, creation, details, email, general, invited, minutes, resend, ttl,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType::Created;
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::Usage;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::time::Timestamp;

fn made(create: CreateInvitation) -> Result<Changes, Refusal> {
    let command = command(1, Action::Create(Box::new(create)));
    run_on(&Loaded::empty(NOW), &command).map(|decided| decided.changes)
}

#[test]
fn new_invitation_of_every_kind_is_active_and_its_makers() {
    for kind in Kind::ALL {
        let changes = made(creation(details(kind), &[at("jane@example.org")])).unwrap();
        let made = after(&changes).unwrap();
        assert_eq!((made.details.kind(), made.state_at(NOW)), (kind, State::Active));
        assert_eq!((made.revision, made.generation, made.key_id), (1, 0, CONTEXT.signing_key), "{kind:?}");
        assert_eq!((made.creator.as_str(), made.updater.as_str()), ("caller", "caller"), "{kind:?}");
        assert_eq!((made.archived_at, made.deleted_at), (None, None), "{kind:?}");
        assert_eq!((event_types(&changes), changes.events[0].kind), (vec![Created], kind), "{kind:?}");
        let kept = (kind == Kind::General).then_some("opaque");
        assert_eq!(changes.events[0].pass_through.as_deref(), kept, "{kind:?}");
        assert!(!format!("{:?}", changes.events[0].payload.json()).contains('@'), "{kind:?}: events hold no address");
    }
}

#[test]
fn only_addresses_of_mailboxes_are_mailed() {
    for mails in [true, false] {
        let targets = [at("+4930123"), at("jane@example.org"), at("u1"), at(""), at("joe@example.org")];
        let changes = made(CreateInvitation { mails, ..creation(details(Kind::General), &targets) }).unwrap();
        let mailed: Vec<_> = changes.deliveries.iter().map(|delivery| delivery.recipient).collect();
        assert_eq!(mailed, if mails { vec![2, 5] } else { vec![] });
        let made = after(&changes).unwrap();
        let sent = mails.then_some(NOW);
        assert_eq!((made.first_sent_at, made.last_sent_at), (sent, sent), "sent is what is handed to delivery");
        assert_eq!(made.deliveries as usize, mailed.len());
        assert_eq!(
            (&changes.events[0].payload.json()["recipient_count"], &changes.events[0].payload.json()["mailed_count"]),
            (&5.into(), &mailed.len().into())
        );
    }
}

#[test]
fn expiry_is_in_the_future_of_the_decision_or_there_is_none() {
    let at = |micros| Timestamp::from_micros(NOW.micros() + micros);
    for (expiry, expected) in [
        (None, Ok(None)),
        (Some(Expiry { time: ExpiryTime::After(ttl(5)), field: "ttl" }), Ok(Some(minutes(5)))),
        (Some(Expiry { time: ExpiryTime::At(at(1)), field: "expire_time" }), Ok(Some(at(1)))),
        (Some(Expiry { time: ExpiryTime::At(at(0)), field: "expire_time" }), Err("expire_time")),
        (Some(Expiry { time: ExpiryTime::At(at(-1)), field: "x.expire_time" }), Err("x.expire_time")),
    ] {
        let result = made(CreateInvitation { expiry, ..creation(details(Kind::General), &[]) });
        match (result, expected) {
            (Ok(changes), Ok(expire_at)) => assert_eq!(after(&changes).unwrap().facts.expire_at, expire_at),
            (Err(Refusal::InvalidField { field, .. }), Err(expected)) => assert_eq!(field, expected),
            (result, expected) => panic!("{expiry:?}: {result:?}, not {expected:?}"),
        }
    }
}

#[test]
fn acceptor_gets_the_roles_the_invitation_has_at_that_moment() {
    for (kind, roles) in
        [(Kind::Connection, &[][..]), (Kind::User, &["viewer"]), (Kind::Guest, &[]), (Kind::General, &["editor"])]
    {
        let invitation = invited(1, details(kind), &["jane@example.org"]);
        let changes = run(&invitation, accept(invitation.claims(1), acceptor("jane"))).unwrap().changes;
        let Some(AcceptanceChange::Create(acceptance)) = changes.acceptance else { panic!("{kind:?}") };
        assert_eq!(acceptance.roles, roles, "{kind:?}");
    }
}

#[test]
fn resend_moves_the_last_sent_time_and_keeps_the_first() {
    let before = Invitation {
        first_sent_at: Some(minutes(-60)),
        last_sent_at: Some(minutes(-60)),
        deliveries: 1,
        ..invited(1, details(Kind::Guest), &["guest@example.org"])
    };
    for (mails, last) in [(true, NOW), (false, minutes(-60))] {
        let before = Invitation { mails, ..before.clone() };
        let changes = run(&before, resend(&before, false, None)).unwrap().changes;
        let after = after(&changes).unwrap();
        assert_eq!((after.first_sent_at, after.last_sent_at), (Some(minutes(-60)), Some(last)));
    }
}

fn growth(change: impl FnOnce(&mut CreateInvitation)) -> usize {
    let plain = creation(details(Kind::Connection), &[]);
    let mut changed = plain.clone();
    change(&mut changed);
    changed.bytes() - plain.bytes()
}

#[test]
fn size_grows_with_recipients_and_labels() {
    let address = "ann@example.org";
    let recipient = NewRecipient { display_name: Some("Ann".to_owned()), ..email(address).into() };
    assert_eq!(growth(|create| create.recipients.push(recipient)), 128 + 2 * address.len() + 3);
    assert_eq!(growth(|create| drop(create.labels.insert("key".to_owned(), "value".to_owned()))), 2 * 128 + 8);
}

#[test]
fn size_grows_with_the_json_of_every_kind() {
    for kind in Kind::ALL {
        let size = details(kind).bytes();
        assert!((10..1_000).contains(&size), "{kind:?}: {size}");
    }
    let mut large = general(Usage::MultiUse);
    let plain = Details::General(Box::new(large.clone())).bytes();
    large.shared.metadata = Some("x".repeat(10_000));
    assert!(Details::General(Box::new(large)).bytes() > plain + 9_000);
}
