//! The erasure of a person from one invitation: a row for each role that they may have in it.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::domain::fixtures::{NOW, account, details, general, invited, minutes, person};
use crate::domain::invitation::event::payload::{AcceptancePayload, AcceptedPayload, DeclinedPayload};
use crate::domain::invitation::event::{EventType, NewEvent};
use crate::domain::kind::Kind;
use crate::domain::kind::connection::Prefill;
use crate::domain::kind::general::GeneralDetails;
use crate::domain::kind::shared::Inviter;

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

fn email(value: &str) -> GivenEmail {
    GivenEmail::parse(value).unwrap()
}

fn general_for(usage: Usage, addresses: &[&str]) -> Invitation {
    let mut invitation = invited(1, Details::General(Box::new(general(usage))), addresses);
    if usage == Usage::MultiUse {
        invitation.facts.max_uses = None;
    }
    invitation
}

/// An acceptance by a subject, as a recipient and with an address.
fn accepted(invitation: &Invitation, subject: &str, recipient: Option<u16>, address: Option<&str>) -> Acceptance {
    let acceptor = person(subject, None, false);
    let id = AcceptanceId(Uuid::from_u128(subject.bytes().fold(7, |sum, byte| sum * 31 + u128::from(byte))));
    let mut acceptance =
        Acceptance::new(id, invitation.id, &acceptor, (recipient, address.map(email)), None, minutes(-5));
    acceptance.display_name = Some(format!("{subject} Example"));
    acceptance.phone = Some("+4912345".to_owned());
    acceptance
}

fn states(invitation: &Invitation) -> Vec<bool> {
    invitation.recipients.iter().map(Recipient::is_erased).collect()
}

#[test]
fn open_invitation_is_revoked_if_nobody_else_is_meant() {
    let connection = |addresses: &[&str]| invited(1, details(Kind::Connection), addresses);
    for (case, invitation, erased, revoked) in [
        ("user", invited(1, details(Kind::User), &[ANN]), vec![true], true),
        ("guest", invited(1, details(Kind::Guest), &[ANN]), vec![true], true),
        ("the only one of a connection", connection(&[ANN]), vec![true], true),
        ("one of two", connection(&[ANN, BOB]), vec![true, false], false),
        ("addresses of one person", general_for(Usage::SingleUse, &[ANN, "+4912345", "u-1"]), vec![true; 3], true),
        ("a link for several", general_for(Usage::MultiUse, &[ANN]), vec![true], false),
        ("another spelling", connection(&["ANN@Example.org"]), vec![true], true),
    ] {
        let Erased { invitation: after, is_revoked, erasure } = erase(&invitation, &[], &email(ANN), NOW).unwrap();
        assert_eq!((states(&after), is_revoked), (erased, revoked), "{case}");
        let state = if revoked { State::Revoked } else { State::Active };
        assert_eq!((after.state_at(NOW), after.facts.use_count), (state, invitation.facts.use_count), "{case}");
        assert!(erasure.acceptances.is_empty() && erasure.rows.addresses.contains(ANN), "{case}");
        assert!(erase(&after, &[], &email(ANN), NOW).is_none(), "{case}: nothing is left");
    }
    let other = connection(&[BOB]);
    assert!(erase(&other, &[], &email(ANN), NOW).is_none());
}

#[test]
fn ended_invitation_keeps_its_state_but_for_an_expired_one() {
    for (state, after) in [
        (State::Expired, State::Revoked),
        (State::Revoked, State::Revoked),
        (State::Declined, State::Declined),
        (State::Fulfilled, State::Fulfilled),
    ] {
        let mut invitation = invited(1, details(Kind::User), &[ANN]);
        match state {
            State::Active => {}
            State::Expired => invitation.facts.expire_at = Some(NOW),
            State::Revoked => invitation.facts.revoked_at = Some(minutes(-1)),
            State::Declined => invitation.facts.declined_at = Some(minutes(-1)),
            State::Fulfilled => invitation.facts.use_count = 1,
        }
        let erased = erase(&invitation, &[], &email(ANN), NOW).unwrap();
        assert_eq!(erased.invitation.state_at(NOW), after, "{state:?}");
        assert_eq!(erased.is_revoked, state == State::Expired, "{state:?}");
    }
}

#[test]
fn acceptance_is_the_persons_by_address_or_by_recipient() {
    let single = general_for(Usage::SingleUse, &[ANN, BOB]);
    let several = invited(1, details(Kind::Connection), &[ANN, BOB]);
    let link = general_for(Usage::MultiUse, &[]);
    for (case, invitation, recipient, address, is_theirs) in [
        ("their address on a link", &link, None, Some("Ann@Example.org"), true),
        ("another address on a link", &link, None, Some(BOB), false),
        ("no address on a link", &link, None, None, false),
        ("their mailed link", &several, Some(1), None, true),
        ("the other recipient", &several, Some(2), Some(BOB), false),
        ("their other address", &single, Some(2), Some(BOB), true),
        ("somebody else as their recipient", &single, Some(1), Some("eve@example.org"), false),
    ] {
        let acceptance = accepted(invitation, "user-7", recipient, address);
        let erased = erase(invitation, std::slice::from_ref(&acceptance), &email(ANN), NOW);
        let after = erased.map(|erased| erased.erasure.acceptances).unwrap_or_default();
        assert_eq!(after.len(), usize::from(is_theirs), "{case}");
        for after in after {
            assert_eq!(after.subject, erased_subject(acceptance.id), "{case}");
            assert_eq!((after.email, after.phone, after.display_name), (None, None, None), "{case}");
            assert_eq!((after.accepted_at, after.recipient), (acceptance.accepted_at, recipient), "{case}");
        }
    }
}

#[test]
fn address_that_no_mail_could_be_sent_to_is_found_too() {
    let link = general_for(Usage::MultiUse, &[]);
    let acceptance = accepted(&link, "user-7", None, Some("A..nn@docomo.example"));
    let erased = erase(&link, &[acceptance], &email("a..NN@docomo.example"), NOW).unwrap();
    assert_eq!(erased.erasure.acceptances.len(), 1);
}

/// A link for several with words about a person and words that are not.
fn with_words(mut invitation: Invitation) -> Invitation {
    invitation.recipients[0].display_name = Some("Ann Example".to_owned());
    let shared = invitation.details.shared_mut();
    shared.message = Some("Welcome!".to_owned());
    shared.metadata = Some(r#"{"to":"\u0061nn@example.org"}"#.to_owned());
    shared.inviter = Some(Inviter { display_name: Some("Ida".to_owned()), ..Inviter::default() });
    let Details::General(details) = &mut invitation.details else { return invitation };
    details.caller_data.attributes = Some(r#"{"campaign":"spring"}"#.to_owned());
    details.caller_data.pass_through = Some("for ann example!".to_owned());
    details.caller_data.template_variables = BTreeMap::from(
        [("name", "Ann Example"), ("team", "Annexample")].map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    invitation.labels =
        BTreeMap::from([("who", "ANN@example.org"), ("wave", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    invitation
}

#[test]
fn words_go_that_have_a_name_and_all_of_one_persons() {
    for (usage, message, attributes, variables) in
        [(Usage::MultiUse, true, true, vec!["team"]), (Usage::SingleUse, false, false, vec![])]
    {
        let before = with_words(general_for(usage, &[ANN]));
        let Erased { invitation, erasure, .. } = erase(&before, &[], &email(ANN), NOW).unwrap();
        let shared = invitation.details.shared();
        assert_eq!((shared.message.is_some(), shared.metadata.is_some()), (message, false), "{usage:?}");
        assert_eq!(shared.inviter_name(), "Ida", "the inviter is another person");
        let data = &invitation.details.general().unwrap().caller_data;
        assert_eq!((data.attributes.is_some(), &data.pass_through), (attributes, &None), "{usage:?}");
        assert_eq!(data.template_variables.keys().collect::<Vec<_>>(), variables, "{usage:?}");
        assert_eq!(invitation.labels.keys().collect::<Vec<_>>(), ["wave"], "{usage:?}");
        assert!(erasure.rows.drops_words && erasure.rows.is_whole == (usage == Usage::SingleUse), "{usage:?}");
    }
}

#[test]
fn inviter_and_owner_with_the_address_go_as_well() {
    let mut connection = invited(1, details(Kind::Connection), &[ANN]);
    let Details::Connection(details) = &mut connection.details else { panic!("no connection") };
    let owner = Email::parse("ann@EXAMPLE.org").ok();
    let prefill = Prefill { connection_owner_email: owner, ..Prefill::default() };
    details.purpose = ConnectionPurpose::CreateConnection { prefill: Some(prefill) };
    details.shared.inviter = Some(Inviter { email: Email::parse(ANN).ok(), ..Inviter::default() });
    let erased = erase(&connection, &[], &email(ANN), NOW).unwrap().invitation;
    let json: Value = serde_json::to_value(&erased.details).unwrap();
    assert!(!json.to_string().to_lowercase().contains("ann@"), "{json}");
    assert_eq!(erased.details.shared().inviter, None);
}

#[test]
fn slots_with_the_address_are_given_up_and_others_kept() {
    let exclusive = GeneralDetails { exclusive: true, ..general(Usage::SingleUse) };
    let invitation = invited(1, Details::General(Box::new(exclusive)), &[ANN, "u-1"]);
    let erased = erase(&invitation, &[], &email(ANN), NOW).unwrap();
    assert_eq!(erased.erasure.slots, SlotKey::of(&invitation.details, invitation.addresses()));
    assert_eq!(erased.erasure.slots.len(), 2);
    let user = invited(1, details(Kind::User), &[ANN]);
    assert_eq!(erase(&user, &[], &email(ANN), NOW).unwrap().erasure.slots.len(), 1);
}

fn event(actor: &str, event_type: EventType, payload: Payload) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(1),
        account: account("acme"),
        invitation: general_for(Usage::MultiUse, &[]).id,
        kind: Kind::General,
        event_type,
        state: State::Active,
        scope: None,
        time: NOW,
        actor: actor.to_owned(),
        request_id: Some("for-ann@example.org".to_owned()),
        pass_through: Some("words".to_owned()),
        payload,
    }
}

#[test]
fn event_loses_the_person_and_keeps_the_rest() {
    let acceptance = AcceptanceId(Uuid::from_u128(0xa1));
    let accepted = |id| {
        Payload::Accepted(Box::new(AcceptedPayload {
            acceptance: id,
            subject: "user-7".to_owned(),
            roles: vec!["admin".to_owned()],
            groups: Vec::new(),
            use_count: 1,
            recipient: Some(1),
            guest_organization_id: None,
            connection_id: None,
            grant_expire_at: None,
        }))
    };
    let rows = ErasedRows {
        recipients: BTreeSet::from([1]),
        acceptances: BTreeSet::from([acceptance]),
        actors: BTreeSet::from(["users/user-7".to_owned()]),
        addresses: BTreeSet::new(),
        is_whole: false,
        drops_words: false,
    };
    let erased = |rows: &ErasedRows, mut event: NewEvent| {
        rows.erase_event(&mut event);
        event
    };
    let own = erased(&rows, event("users/user-7", EventType::Accepted, accepted(acceptance)));
    let Payload::Accepted(payload) = &own.payload else { panic!("no acceptance") };
    assert_eq!(
        (payload.subject.as_str(), &payload.roles[..]),
        (&*erased_subject(acceptance).0, &["admin".to_owned()][..])
    );
    assert_eq!((own.actor.as_str(), own.request_id, own.pass_through.is_some()), (ERASED_ACTOR, None, true));

    let others = erased(&rows, event("apiKeys/ci", EventType::Accepted, accepted(AcceptanceId(Uuid::from_u128(0xb2)))));
    let Payload::Accepted(payload) = &others.payload else { panic!("no acceptance") };
    assert_eq!(payload.subject, "user-7", "the acceptance of somebody else by the person's recipient");

    for (id, subject, reason) in [
        (acceptance, erased_subject(acceptance).0, None),
        (AcceptanceId(Uuid::from_u128(0xb2)), "user-7".to_owned(), Some("left".to_owned())),
    ] {
        let ended = Payload::Acceptance(Box::new(AcceptancePayload {
            acceptance: id,
            subject: "user-7".to_owned(),
            roles: Vec::new(),
            groups: Vec::new(),
            use_count: 1,
            recipient: None,
            guest_organization_id: None,
            connection_id: None,
            reason: Some("left".to_owned()),
            grant_expire_at: None,
            old_grant_expire_at: None,
        }));
        let after = erased(&rows, event("apiKeys/ci", EventType::AcceptanceEnded, ended));
        let Payload::Acceptance(payload) = &after.payload else { panic!("no acceptance") };
        assert_eq!((&payload.subject, &payload.reason), (&subject, &reason));
    }

    let declined = |recipient| Payload::Declined(DeclinedPayload { recipient, reason: Some("moved".to_owned()) });
    for (rows, recipient, kept) in [
        (rows.clone(), Some(1), false),
        (rows.clone(), Some(2), true),
        (ErasedRows { is_whole: true, drops_words: true, ..ErasedRows::default() }, None, false),
    ] {
        let after = erased(&rows, event("apiKeys/ci", EventType::Declined, declined(recipient)));
        let Payload::Declined(payload) = &after.payload else { panic!("no refusal") };
        assert_eq!((payload.reason.is_some(), after.request_id.is_some()), (kept, kept), "{recipient:?}");
        assert_eq!(after.pass_through.is_some(), !rows.drops_words);
    }
}
