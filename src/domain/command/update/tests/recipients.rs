//! Recipients who are added and removed.

use crate::domain::command::{Action, ExpiryTime, UpdateInvitation};
use crate::domain::decide::tests::{after, event_types, is_nothing, run, run_on, together};
use crate::domain::decide::{Changes, Context, decide};
use crate::domain::delivery::Purpose;
use crate::domain::delivery::reminder::{Schedule, Schedules};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, acceptor, at, command, decline, details, email, general, invitation, invited, loaded,
    minutes, person, set_expiry, set_recipients, updating,
};
use crate::domain::group::{Group, Save};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType::Updated;
use crate::domain::invitation::event::Payload;
use crate::domain::invitation::recipient::{NewRecipient, RecipientState};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::{Details, Kind};
use crate::domain::value::rule::FieldRule;

const KIM: &str = "kim@example.org";

fn change(of: &Invitation, added: &[&str], removed: &[u16]) -> Action {
    set_recipients(of, &added.iter().map(|person| at(person)).collect::<Vec<_>>(), removed, true)
}

fn ordinals(changes: &Changes) -> (Vec<u16>, Vec<u16>, usize) {
    let Payload::Updated(told) = &changes.events[0].payload else { panic!("{:?}", changes.events) };
    (told.added.clone(), told.removed.clone(), told.mailed_count)
}

fn rule(refusal: &Refusal) -> (&'static str, FieldRule) {
    match refusal {
        Refusal::InvalidField { field, invalid } | Refusal::InvalidEntry { field, invalid, .. } => {
            (field, invalid.rule)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn added_recipient_gets_a_new_ordinal_and_is_mailed_alone() {
    let before = invitation(2, None);
    let changes = run(&before, change(&before, &[KIM], &[])).unwrap().changes;
    let after = after(&changes).unwrap();
    assert_eq!(event_types(&changes), [Updated]);
    assert_eq!(ordinals(&changes), (vec![3], vec![], 1));
    let mailed: Vec<_> = changes.deliveries.iter().map(|message| (message.purpose, message.recipient)).collect();
    assert_eq!(mailed, [(Purpose::Invitation, 3)]);
    assert_eq!((after.recipients.len(), after.deliveries, after.last_sent_at), (3, 1, Some(NOW)));
    assert_eq!(after.claims(1), before.claims(1), "the link stays");
    let silent = run(&before, set_recipients(&before, &[at(KIM)], &[], false)).unwrap().changes;
    assert!(silent.deliveries.is_empty());
}

#[test]
fn removed_recipient_is_forgotten_with_their_link() {
    let before = invitation(2, None);
    let changes = run(&before, change(&before, &[], &[2])).unwrap().changes;
    let after = after(&changes).unwrap();
    assert_eq!((ordinals(&changes), &changes.removed), ((vec![], vec![2], 0), &vec![2]));
    assert_eq!(after.recipients[1].state(), RecipientState::Removed);
    assert!(!format!("{:?}", after.recipients[1]).contains('@'));
    assert_eq!(after.present_recipients().count(), 1);
    let by = |link| run(after, accept(after.claims(link), person("a", None, false))).map(drop);
    assert_eq!(by(2), Err(Refusal::InvitationNotFound));
    let known = before.recipients[1].email().unwrap().clone();
    let by_address = run(after, accept(after.claims(0), person("a", Some(known), true))).map(drop);
    assert_eq!(by_address, Err(Refusal::EmailNotAllowed));
    assert!(by(1).is_ok());
    assert!(is_nothing(&run(after, change(after, &[], &[2])).unwrap().changes), "once more");
    let again = run(after, set_recipients(after, std::slice::from_ref(&before.recipients[1].address), &[], true))
        .unwrap()
        .changes;
    assert_eq!(ordinals(&again).0, [3], "an ordinal is given to nobody else");
}

#[test]
fn recipient_who_has_answered_stays() {
    let answers: [fn(&mut Invitation); 2] =
        [|this| this.recipients[0].accepted_at = Some(NOW), |this| this.recipients[0].declined_at = Some(NOW)];
    for answer in answers {
        let mut before = invitation(2, None);
        answer(&mut before);
        let refusal = run(&before, change(&before, &[], &[2, 1])).unwrap_err();
        assert_eq!(refusal, Refusal::RecipientAnswered(before.id, 1));
    }
    let before = invitation(2, None);
    let refusal = run(&before, change(&before, &[], &[1, 3])).unwrap_err();
    assert_eq!(rule(&refusal), ("remove_recipients", FieldRule::UnknownValue));
}

#[test]
fn same_address_is_the_same_recipient_with_new_words() {
    let mut before = invitation(2, None);
    before.recipients[0].avatar_uri = Some("https://x".to_owned());
    before.recipients[0].declined_at = Some(minutes(-1));
    let known = email(&before.recipients[0].address.original().to_uppercase());
    let renamed = NewRecipient { display_name: Some("Ann".to_owned()), ..NewRecipient::from(known) };
    let update = UpdateInvitation { added: vec![renamed], mails_added: true, ..updating(&before) };
    let changes = run(&before, Action::Update(Box::new(update.clone()))).unwrap().changes;
    let after = after(&changes).unwrap();
    assert_eq!((after.recipients.len(), ordinals(&changes)), (2, (vec![], vec![], 0)));
    let same = &after.recipients[0];
    assert_eq!((same.display_name.as_deref(), same.avatar_uri.as_deref()), (Some("Ann"), Some("https://x")));
    assert_eq!((same.declined_at, same.address.clone()), (Some(minutes(-1)), before.recipients[0].address.clone()));
    assert!(changes.deliveries.is_empty());
    assert!(is_nothing(&run(after, Action::Update(Box::new(update))).unwrap().changes));
}

#[test]
fn each_kind_keeps_the_number_of_its_recipients() {
    let join = Details::General(Box::new(general(Usage::Autojoin)));
    for (details, people, added, removed, wanted) in [
        (details(Kind::User), 1, 1, &[][..], Some("add_targets")),
        (details(Kind::User), 1, 1, &[1], None),
        (details(Kind::Guest), 1, 0, &[1], Some("remove_recipients")),
        (details(Kind::Connection), 0, 1_000, &[], None),
        (details(Kind::Connection), 1, 1_000, &[], Some("add_targets")),
        (details(Kind::General), 99, 1, &[], None),
        (details(Kind::General), 100, 1, &[], Some("add_targets")),
        (details(Kind::General), 100, 1, &[7], None),
        (join, 0, 1, &[], Some("add_targets")),
    ] {
        let people: Vec<String> = (0..people).map(|number| format!("p{number}@example.org")).collect();
        let before = invited(1, details, &people.iter().map(String::as_str).collect::<Vec<_>>());
        let added: Vec<_> = (0..added).map(|number| at(&format!("new{number}@example.org"))).collect();
        let decided = run(&before, set_recipients(&before, &added, removed, false));
        let found = decided.as_ref().err().map(|refusal| rule(refusal).0);
        assert_eq!(found, wanted, "{:?} {} {removed:?}", before.details.kind(), added.len());
    }
}

#[test]
fn invitation_in_its_life_has_a_bounded_number_of_recipients() {
    let mut before = invitation(2, None);
    before.recipients[1].ordinal = 2_000;
    assert_eq!(run(&before, change(&before, &[KIM], &[])).unwrap_err(), Refusal::RecipientsUsedUp);
    before.recipients[1].ordinal = 1_999;
    assert_eq!(ordinals(&run(&before, change(&before, &[KIM], &[])).unwrap().changes).0, [2_000]);
}

#[test]
fn bound_invitation_keeps_one_who_can_still_accept() {
    let single = || Details::General(Box::new(general(Usage::SingleUse)));
    let many = || Details::General(Box::new(general(Usage::MultiUse)));
    for (details, people, removed, fits) in [
        (details(Kind::Connection), &["a@x.org", "b@x.org"][..], &[1][..], true),
        (details(Kind::Connection), &["a@x.org"], &[1], false),
        (single(), &["a@x.org", "u1"], &[1], true),
        (single(), &["a@x.org", "+4930123"], &[1], false),
        (single(), &["a@x.org", "+4930123"], &[2], true),
        (single(), &["+4930123"], &[1], true),
        (many(), &["a@x.org"], &[1], true),
    ] {
        let before = invited(1, details, people);
        let decided = run(&before, change(&before, &[], removed));
        assert_eq!(decided.is_ok(), fits, "{people:?} without {removed:?}");
        if let Err(refusal) = decided {
            assert_eq!(rule(&refusal), ("remove_recipients", FieldRule::NotAllowed));
        }
    }
    let mut declined = invited(1, details(Kind::Connection), &["a@x.org", "b@x.org"]);
    declined.recipients[0].declined_at = Some(NOW);
    assert!(run(&declined, change(&declined, &[], &[2])).is_err(), "nobody would be left to answer");
}

#[test]
fn plain_link_declines_for_the_only_one_who_is_left() {
    let single = |people: &[&str]| {
        let mut single = invited(1, Details::General(Box::new(general(Usage::SingleUse))), people);
        single.facts.max_uses = Some(1);
        single
    };
    let before = single(&["a@x.org", "u1"]);
    assert_eq!(run(&before, decline(before.claims(0))).unwrap_err(), Refusal::RecipientUnknown);
    let changes = run(&before, change(&before, &[], &[1])).unwrap().changes;
    let left = after(&changes).unwrap();
    let declined = run(left, decline(left.claims(0))).unwrap().changes;
    assert_eq!(after(&declined).unwrap().state_at(NOW), State::Declined);
    assert!(after(&declined).unwrap().recipients[1].declined_at.is_some());
}

#[test]
fn mail_to_added_recipients_needs_an_open_invitation() {
    let mut expired = invitation(1, None);
    expired.facts.expire_at = Some(NOW);
    assert_eq!(run(&expired, change(&expired, &[KIM], &[])).unwrap_err(), Refusal::InvitationExpired);
    assert!(run(&expired, set_recipients(&expired, &[at(KIM)], &[], false)).is_ok());
    let mut renewed = change(&expired, &[KIM], &[]);
    let (Action::Update(update), Action::Update(expiry)) =
        (&mut renewed, set_expiry(&expired, ExpiryTime::At(minutes(60))))
    else {
        panic!()
    };
    update.fields.expiry = expiry.fields.expiry;
    assert!(run(&expired, renewed).is_ok());
}

fn reminding() -> Context {
    let hours = |hours: u64| std::time::Duration::from_secs(hours * 3_600);
    let schedule = || Schedule { after: vec![hours(24)], before_expiry: vec![hours(1)] };
    Context { reminders: Schedules::from_fn(|_| schedule()), ..CONTEXT }
}

#[test]
fn reminders_follow_the_mail_and_the_expiry() {
    let mut before = invitation(1, None);
    before.facts.expire_at = Some(minutes(60 * 48));
    let reminded = |action: Action| {
        let changes = decide(&loaded(&before, &[]), &command(1, action), &reminding()).unwrap().changes;
        let reminders = changes.deliveries.iter().filter(|message| message.purpose == Purpose::Reminder);
        let mut due: Vec<_> = reminders
            .map(|planned| (planned.recipient, (planned.due_at.micros() - NOW.micros()) / 3_600_000_000))
            .collect();
        due.sort_unstable();
        due
    };
    assert_eq!(reminded(change(&before, &[KIM], &[])), [(2, 24), (2, 47)]);
    assert_eq!(reminded(set_recipients(&before, &[at(KIM)], &[], false)), []);
    let moved = |mails| {
        let mut update = set_recipients(&before, &[at(KIM)], &[], mails);
        let Action::Update(moved) = &mut update else { panic!() };
        let Action::Update(expiry) = set_expiry(&before, ExpiryTime::At(minutes(60 * 72))) else { panic!() };
        moved.fields.expiry = expiry.fields.expiry;
        update
    };
    assert_eq!(reminded(moved(true)), [(1, 71), (2, 24), (2, 71)]);
    assert_eq!(reminded(moved(false)), [(1, 71)], "nobody is reminded of a mail that they never had");
}

/// Invitations of one address that keep others out.
fn exclusive(number: u8, person: &str) -> Invitation {
    let details = GeneralDetails { exclusive: true, ..general(Usage::SingleUse) };
    invited(number.into(), Details::General(Box::new(details)), &[person, "u-9"])
}

#[test]
fn slot_follows_the_address() {
    let (holder, other) = (exclusive(1, KIM), exclusive(2, "lee@example.org"));
    let other = Invitation { recipients: other.recipients[..1].to_vec(), ..other };
    let all = together(&[&holder, &other]);
    let refusal = run_on(&all, &command(1, change(&other, &[KIM], &[]))).unwrap_err();
    assert_eq!(refusal, Refusal::InvitationExists(holder.id, Kind::General));
    let mut group = Group::new(all);
    group.run(&command(2, change(&holder, &[], &[1])), &CONTEXT).unwrap();
    let Save { erasures, slots, .. } = group.save();
    assert_eq!((erasures.slots.len(), slots.len()), (1, 0), "it is given up with its address");
    group.run(&command(3, change(&other, &[KIM], &[])), &CONTEXT).unwrap();
    let Save { erasures, slots, .. } = group.save();
    assert!(erasures.slots.is_empty() && slots.values().all(|slot| slot.invitation == other.id));
    let refusal = group.run(&command(4, change(&holder, &[KIM], &[])), &CONTEXT).unwrap_err();
    assert_eq!(refusal, Refusal::InvitationExists(other.id, Kind::General));
}

#[test]
fn messages_of_the_group_to_a_removed_recipient_are_cancelled() {
    let before = invitation(1, None);
    let mut group = Group::new(loaded(&before, &[]));
    group.run(&command(1, change(&before, &[KIM, "lee@example.org"], &[])), &CONTEXT).unwrap();
    group.run(&command(2, change(&before, &[], &[2])), &CONTEXT).unwrap();
    let save = group.save();
    let cancelled = save.deliveries.iter().filter(|(_, message)| save.cancelled.contains_key(&message.id));
    assert_eq!(cancelled.map(|(_, message)| message.recipient).collect::<Vec<_>>(), [2]);
    assert_eq!(save.removed.keys().map(|(_, ordinal)| *ordinal).collect::<Vec<_>>(), [2]);
    let update = &save.updated[&before.id];
    let added = update.invitation.recipients.iter().filter(|recipient| update.is_added(recipient));
    assert_eq!(added.map(|recipient| recipient.ordinal).collect::<Vec<_>>(), [2, 3]);
    assert!(group.run(&command(3, accept(before.claims(3), acceptor("lee"))), &CONTEXT).is_ok());
}
