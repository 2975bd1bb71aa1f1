//! Persons who act as themselves: what they reach, what they may answer, and for whom.

use std::sync::Arc;

use super::{after, event_types, is_nothing, run_on, together};
use crate::domain::command::{AcceptInvitation, Access, Action, Command, DeclineInvitation, is_declinable};
use crate::domain::decide::Decided;
use crate::domain::fixtures::{
    NOW, accept, account, at, by_any_name, command, create, decline, details, early, general, in_state, invited,
    loaded, requested, sync, verbs,
};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, Acceptor, Subject};
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, RecipientMatch, Usage};
use crate::domain::kind::shared::Inviter;
use crate::domain::kind::{Details, Kind};
use crate::domain::reach::Reach;
use crate::domain::reach::person::{Person, Relation};
use crate::domain::value::id::AcceptanceId;

const ANN: &str = "ann@example.org";

fn person(subject: &str, email: &str) -> Arc<Person> {
    Arc::new(Person { subject: Subject(subject.to_owned()), email: Person::parse_email(email) })
}

fn ann() -> Arc<Person> {
    person("ann", ANN)
}

fn as_person(number: u8, person: &Arc<Person>, relation: Relation, action: Action) -> Command {
    let reach = Reach::of_person(account("acme"), Arc::clone(person), relation);
    Command { reach, actor: person.name(), ..command(number, action) }
}

/// Returns the acceptance of an invitation by its name, by a person.
fn by_name(invitation: &Invitation, acceptor: Acceptor) -> Action {
    let access = Access::NameOfInvited(by_any_name(invitation));
    let accept = AcceptInvitation {
        access,
        acceptor,
        created_connection: None,
        guest_organization_id: None,
        by_system: false,
        proof: None,
    };
    Action::Accept(Box::new(accept))
}

fn accepts(invitation: &Invitation, person: &Arc<Person>) -> Result<Decided, Refusal> {
    let action = by_name(invitation, person.acceptor());
    run_on(&loaded(invitation, &[]), &as_person(1, person, Relation::Recipient, action))
}

fn autojoin(domain: &str) -> Details {
    Details::General(Box::new(GeneralDetails { domains: vec![domain.to_owned()], ..general(Usage::Autojoin) }))
}

fn matching(recipient_match: RecipientMatch) -> Details {
    Details::General(Box::new(GeneralDetails { recipient_match, ..general(Usage::SingleUse) }))
}

#[test]
fn person_accepts_by_name_what_is_addressed_to_them() {
    let multi_use = Details::General(Box::new(general(Usage::MultiUse)));
    let missing = || Err(Refusal::InvitationNotFound);
    for (details, addresses, expected) in [
        (details(Kind::User), vec!["ANN@Example.org"], Ok(())),
        (details(Kind::Guest), vec![ANN], Ok(())),
        (details(Kind::Connection), vec!["bob@example.org", ANN], Ok(())),
        (details(Kind::General), vec!["ann"], Ok(())),
        (details(Kind::General), vec!["bob", ANN], Ok(())),
        (multi_use.clone(), vec![ANN], Ok(())),
        (autojoin("example.org"), vec![], Ok(())),
        (matching(RecipientMatch::Any), vec![ANN], Ok(())),
        (details(Kind::User), vec!["ann+x@example.org"], missing()),
        (details(Kind::User), vec!["bob@example.org"], missing()),
        (details(Kind::Connection), vec![], missing()),
        (details(Kind::General), vec!["bob"], missing()),
        (details(Kind::General), vec!["+4930123456", ""], missing()),
        (multi_use, vec![], missing()),
        (autojoin("sub.example.org"), vec![], missing()),
        (matching(RecipientMatch::Domain), vec!["bob@example.org"], missing()),
        (matching(RecipientMatch::Any), vec!["bob@other.example"], missing()),
    ] {
        let invitation = invited(1, details, &addresses);
        let decided = accepts(&invitation, &ann());
        assert_eq!(decided.as_ref().map(|_| ()).map_err(Clone::clone), expected, "{addresses:?}");
        let Ok(decided) = decided else { continue };
        assert_eq!(after(&decided.changes).unwrap().updater, "users/ann");
        assert!(decided.changes.events.iter().all(|event| event.actor == "users/ann"));
    }
}

#[test]
fn person_without_verified_address_reaches_their_subject_alone() {
    for (email, addresses, expected) in [
        ("", vec![ANN], Err(Refusal::InvitationNotFound)),
        ("nonsense", vec![ANN], Err(Refusal::InvitationNotFound)),
        ("", vec!["ann"], Ok(())),
        ("", vec![ANN, "ann"], Ok(())),
    ] {
        let invitation = invited(1, details(Kind::General), &addresses);
        assert_eq!(accepts(&invitation, &person("ann", email)).map(|_| ()), expected, "{addresses:?}");
    }
    let joins = accepts(&invited(1, autojoin("example.org"), &[]), &person("ann", ""));
    assert_eq!(joins.unwrap_err(), Refusal::InvitationNotFound);
}

#[test]
fn person_runs_no_command_but_their_own_accept_and_decline() {
    let invitation = invited(1, details(Kind::User), &[ANN]);
    let ann = ann();
    let mut refused: Vec<(&str, Action)> = verbs(&invitation).into_iter().collect();
    refused.extend([("create", create(&[], false)), ("sync", Action::SyncAutojoin(Box::new(sync(&["example.org"]))))]);
    let known = ann.acceptor();
    let (subject, email) = (Subject("bob".to_owned()), Person::parse_email("bob@example.org"));
    refused.extend([
        ("subject", by_name(&invitation, Acceptor { subject, ..known.clone() })),
        ("email", by_name(&invitation, Acceptor { email, ..known.clone() })),
        ("no email", by_name(&invitation, Acceptor { email: None, ..known.clone() })),
        ("unverified", by_name(&invitation, Acceptor { email_verified: false, ..known.clone() })),
        ("phone", by_name(&invitation, Acceptor { phone: Some("+4930123456".to_owned()), ..known.clone() })),
        ("existing_user", by_name(&invitation, Acceptor { existing_user: Some(true), ..known })),
    ]);
    for relation in [Relation::Recipient, Relation::LinkHolder, Relation::Inviter] {
        for (verb, action) in &refused {
            // A link of one's own may be used to decline.
            if *verb == "decline" {
                continue;
            }
            let loaded = together(&[&invitation]);
            let decided = run_on(&loaded, &as_person(1, &ann, relation, action.clone()));
            assert_eq!(decided.unwrap_err(), Refusal::InvitationNotFound, "{verb} {relation:?}");
        }
    }
}

#[test]
fn person_declines_for_their_own_addresses_alone() {
    let user = |address: &'static str| (details(Kind::User), vec![address]);
    let several = (details(Kind::General), vec!["bob@example.org", ANN, "ann"]);
    let nobody = (details(Kind::General), vec!["+4930123456"]);
    let (not_allowed, no_email) = (Err(Refusal::EmailNotAllowed), person("ann", ""));
    let multi_use = (Details::General(Box::new(general(Usage::MultiUse))), vec![ANN]);
    let eve = person("eve", "eve@example.org");
    for ((details, addresses), link, person, expected) in [
        (user(ANN), 0, ann(), Ok(vec![1])),
        (user(ANN), 1, ann(), Ok(vec![1])),
        (user("bob@example.org"), 0, ann(), not_allowed.clone()),
        (user("bob@example.org"), 1, ann(), not_allowed.clone()),
        (user("bob@example.org"), 0, no_email.clone(), not_allowed.clone()),
        (user("bob@example.org"), 1, no_email.clone(), Ok(vec![1])),
        (several.clone(), 0, ann(), Ok(vec![2, 3])),
        // Whichever link they have, nobody else declines by them.
        (several.clone(), 1, ann(), Ok(vec![2, 3])),
        (several.clone(), 1, no_email, Ok(vec![3])),
        (several, 0, eve, not_allowed),
        (nobody, 0, ann(), Ok(vec![1])),
        (multi_use, 0, ann(), Err(Refusal::NotDeclinable)),
    ] {
        let invitation = invited(1, details, &addresses);
        let action = decline(invitation.claims(link));
        let decided = run_on(&loaded(&invitation, &[]), &as_person(1, &person, Relation::LinkHolder, action));
        let declined = |decided: Decided| {
            let recipients = after(&decided.changes).unwrap().recipients.iter();
            recipients.filter(|recipient| recipient.declined_at.is_some()).map(|recipient| recipient.ordinal).collect()
        };
        assert_eq!(decided.map(declined), expected, "{addresses:?} by {link} as {person:?}");
        assert_eq!(is_declinable(&invitation, link, Some(&person), NOW), expected.is_ok(), "{addresses:?}");
    }
}

#[test]
fn person_declines_by_name_with_or_without_their_target() {
    let invitation = invited(1, details(Kind::General), &["bob@example.org", ANN, "ann"]);
    let decline = |target: &Invitation, address: Option<&str>| {
        let access = Access::NameOfInvited(by_any_name(target));
        let action = Action::Decline(DeclineInvitation {
            access,
            addresses: address.map(at).into_iter().collect(),
            reason: None,
        });
        run_on(&loaded(target, &[]), &as_person(1, &ann(), Relation::Recipient, action))
    };
    for (address, events, declined) in [(None, 2, vec![2, 3]), (Some(ANN), 1, vec![2]), (Some("ann"), 1, vec![3])] {
        let changes = decline(&invitation, address).unwrap().changes;
        assert_eq!(event_types(&changes), vec![EventType::Declined; events], "{address:?}");
        let recipients = &after(&changes).unwrap().recipients;
        let found: Vec<u16> =
            recipients.iter().filter(|one| one.declined_at.is_some()).map(|one| one.ordinal).collect();
        assert_eq!((found, after(&changes).unwrap().state_at(NOW)), (declined, State::Active), "{address:?}");
        let again = decline(after(&changes).unwrap(), address).unwrap().changes;
        assert!(is_nothing(&again), "{address:?}");
    }
    assert_eq!(decline(&invitation, Some("bob@example.org")).unwrap_err(), Refusal::InvitationNotFound);
    let foreign = invited(2, details(Kind::General), &["bob@example.org"]);
    assert_eq!(decline(&foreign, None).unwrap_err(), Refusal::InvitationNotFound);
    assert_eq!(decline(&foreign, Some(ANN)).unwrap_err(), Refusal::InvitationNotFound);
}

#[test]
fn what_a_person_accepted_stays_theirs_with_another_address() {
    let invitation = invited(1, details(Kind::User), &[ANN]);
    let (moved, other) = (person("ann", "ann@new.example"), person("eve", "eve@new.example"));
    let id = AcceptanceId(early(&invitation).id.0);
    let accepted = Acceptance::new(id, invitation.id, &ann().acceptor(), (Some(1), None), None, NOW);
    let loaded = loaded(&invitation, &[accepted]);
    let run = |person: &Arc<Person>| {
        let action = by_name(&invitation, person.acceptor());
        run_on(&loaded, &as_person(1, person, Relation::Recipient, action))
    };
    assert!(run(&moved).unwrap().affected.already_accepted);
    assert_eq!(run(&other).unwrap_err(), Refusal::InvitationNotFound);
    assert_eq!(accepts(&invitation, &moved).unwrap_err(), Refusal::InvitationNotFound, "it was not accepted yet");
}

#[test]
fn request_ids_of_persons_do_not_meet() {
    let invitation = in_state(State::Active);
    let (ann, bob) = (ann(), person("bob", "bob@example.org"));
    let requested_by = |person: Option<&Arc<Person>>| {
        let mut command = requested(command(1, decline(invitation.claims(1))), "r", "body", &[1]);
        let request = command.request.as_mut().unwrap();
        request.person = person.map(|person| person.subject.clone());
        let request = command.request.unwrap();
        [request.key(&account("acme")), request.part(invitation.id.0).key(&account("acme"))]
    };
    let keys = [requested_by(None), requested_by(Some(&ann)), requested_by(Some(&bob))].concat();
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key), "{key:?}");
        assert!(!key.id.contains("ann"), "the subject is not stored with it");
    }
    assert_eq!(requested_by(Some(&ann)), requested_by(Some(&person("ann", ""))), "whatever the address is by now");
}

#[test]
fn inviter_reaches_what_they_sent_and_nothing_else() {
    let mut invitation = invited(1, details(Kind::User), &[ANN]);
    let reach = |subject: &str| Reach::of_person(account("acme"), person(subject, ANN), Relation::Inviter);
    assert!(!reach("ann").includes_invitation(&invitation), "it is addressed to her, and not by her");
    let inviter = Inviter { user_id: "ann".to_owned(), ..Inviter::default() };
    invitation.details.shared_mut().inviter = Some(inviter);
    assert!(reach("ann").includes_invitation(&invitation));
    assert!(!reach("an").includes_invitation(&invitation) && !reach("").includes_invitation(&invitation));
    for relation in [Relation::Recipient, Relation::LinkHolder, Relation::Inviter] {
        let reach = Reach::of_person(account("acme"), ann(), relation);
        assert!(!reach.includes(None) && !reach.includes(invitation.details.host()) && !reach.is_whole());
    }
}

#[test]
fn mailed_link_proves_an_address_to_who_has_no_other() {
    let invitation = invited(1, details(Kind::User), &["bob@example.org"]);
    for (email, link, expected) in [
        (ANN, 1, Err(Refusal::EmailNotAllowed)),
        (ANN, 0, Err(Refusal::EmailNotAllowed)),
        ("", 1, Ok(())),
        ("", 0, Err(Refusal::EmailNotAllowed)),
        ("BOB@example.org", 0, Ok(())),
    ] {
        let person = person("ann", email);
        let action = accept(invitation.claims(link), person.acceptor());
        let decided = run_on(&loaded(&invitation, &[]), &as_person(1, &person, Relation::LinkHolder, action));
        assert_eq!(decided.map(|_| ()), expected, "{email} by {link}");
    }
}
