//! The planned reminders and their recipients; a planned one does not count as sent.

use std::time::Duration;

use super::{after, run_on};
use crate::domain::command::{Action, CreateInvitation, Expiry, ExpiryTime, UpdatedFields};
use crate::domain::decide::{Changes, Context, decide};
use crate::domain::delivery::reminder::{Schedule, Schedules};
use crate::domain::delivery::{Delivery, DeliveryState, NewDelivery, Purpose};
use crate::domain::fixtures::{
    CONTEXT, NOW, at, command, creation, details, invitation, invited, loaded, minutes, resend, set, set_expiry, ttl,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::Kind;
use crate::domain::value::time::Timestamp;

const HOUR: Duration = Duration::from_secs(3_600);

/// Every kind has reminders an hour after the creation and an hour before the expiry, except for users.
fn hourly() -> Context {
    let hourly = || Schedule { after: vec![HOUR], before_expiry: vec![HOUR] };
    let reminders = Schedules::from_fn(|kind| if kind == Kind::User { Schedule::NONE } else { hourly() });
    Context { reminders, ..CONTEXT }
}

fn run(loaded: &Loaded, action: Action) -> Changes {
    decide(loaded, &command(1, action), &hourly()).unwrap().changes
}

fn reminders(changes: &Changes) -> Vec<&NewDelivery> {
    changes.deliveries.iter().filter(|delivery| delivery.purpose == Purpose::Reminder).collect()
}

/// The recipients, the minutes until the reminder, and the minutes until the expiry that it names.
fn planned(changes: &Changes) -> Vec<(u16, i64, Option<i64>)> {
    let minutes = |at: Timestamp| (at.micros() - NOW.micros()) / 60_000_000;
    let row = |reminder: &NewDelivery| {
        assert_eq!((reminder.created_at, reminder.address.as_ref(), reminder.about), (NOW, None, None));
        (reminder.recipient, minutes(reminder.due_at), reminder.moment.map(minutes))
    };
    reminders(changes).into_iter().map(row).collect()
}

#[test]
fn create_plans_uncounted_reminders_to_mailed_recipients() {
    let (ann, bob) = ("ann@example.org", "bob@example.org");
    let both: &[_] = &[(1, 60, None), (1, 120, Some(180)), (2, 60, None), (2, 120, Some(180))];
    for (case, kind, mails, expiry, addresses, expected) in [
        ("two who are mailed", Kind::Connection, true, Some(180), &[ann, bob][..], both),
        ("two who are not", Kind::Connection, false, Some(180), &[ann, bob], &[]),
        ("a kind without reminders", Kind::User, true, Some(180), &[ann], &[]),
        ("one who has no address", Kind::General, true, Some(180), &["42", ann], &both[2..]),
        ("never to expire", Kind::Guest, true, None, &[ann], &both[..1]),
        ("soon to expire", Kind::Guest, true, Some(60), &[ann], &[]),
        ("a little later", Kind::Guest, true, Some(61), &[ann], &[(1, 1, Some(61)), (1, 60, None)]),
    ] {
        let addresses: Vec<_> = addresses.iter().map(|address| at(address)).collect();
        let expiry = expiry.map(|span| Expiry { time: ExpiryTime::After(ttl(span)), field: "ttl" });
        let create = CreateInvitation { mails, expiry, ..creation(details(kind), &addresses) };
        let changes = run(&Loaded::empty(NOW), Action::Create(Box::new(create)));
        assert_eq!(planned(&changes), expected, "{case}");
        let links = changes.deliveries.len() - expected.len();
        assert_eq!(after(&changes).unwrap().deliveries, u32::try_from(links).unwrap(), "{case}");
        assert_eq!(changes.events[0].payload.json()["mailed_count"], links, "{case}");
    }
}

#[test]
fn resend_plans_reminders_of_the_expiry_if_it_moves_it() {
    let mut before = invitation(3, None);
    before.facts.expire_at = Some(minutes(180));
    before.recipients[1].declined_at = Some(minutes(-1));
    for (case, span, mails, expected) in [
        ("the expiry stays", None, true, &[][..]),
        ("the same expiry", Some(180), true, &[]),
        ("another", Some(300), true, &[(1, 240, Some(300)), (3, 240, Some(300))]),
        ("one that is too near", Some(60), true, &[]),
        ("nobody is mailed", Some(300), false, &[]),
    ] {
        let before = Invitation { mails, ..before.clone() };
        let changes = run(&loaded(&before, &[]), resend(&before, true, span.map(ttl)));
        assert_eq!(planned(&changes), expected, "{case}");
        let links = if mails { 2 } else { 0 };
        assert_eq!(
            (after(&changes).unwrap().deliveries, changes.deliveries.len()),
            (links, links as usize + expected.len())
        );
    }
}

#[test]
fn update_plans_reminders_if_the_expiry_moves() {
    let mut before = invited(1, details(Kind::Guest), &["ann@example.org"]);
    before.facts.expire_at = Some(minutes(180));
    let moved = |from: &Invitation, to: i64| run(&loaded(from, &[]), set_expiry(from, ExpiryTime::At(minutes(to))));
    let parent = UpdatedFields { parent_organization_name: Some(Some("P".to_owned())), ..UpdatedFields::default() };
    assert!(run(&loaded(&before, &[]), set(&before, parent)).deliveries.is_empty());
    assert!(moved(&before, 180).deliveries.is_empty());
    let there = moved(&before, 300);
    assert_eq!(planned(&there), [(1, 240, Some(300))]);
    assert_eq!(after(&there).unwrap().deliveries, 0, "nothing is sent now");
    let back = moved(after(&there).unwrap(), 180);
    assert_eq!(planned(&back), [(1, 120, Some(180))]);
    let again = moved(after(&back).unwrap(), 300);
    assert_eq!(reminders(&again)[0].id, reminders(&there)[0].id);
    assert_ne!(reminders(&back)[0].id, reminders(&there)[0].id);
}

#[test]
fn moves_of_the_expiry_that_plan_reminders_are_limited() {
    let mut guest = invited(1, details(Kind::Guest), &["ann@example.org"]);
    let moved = |from: &Invitation, to: i64| {
        let update = set_expiry(from, ExpiryTime::At(minutes(to)));
        decide(&loaded(from, &[]), &command(1, update), &hourly())
    };
    guest.facts.expire_at = Some(minutes(100));
    for count in 0..10 {
        guest = after(&moved(&guest, 101 + count).unwrap().changes).unwrap().clone();
    }
    let Refusal::RateLimited(limited) = moved(&guest, 200).unwrap_err() else { panic!("another refusal") };
    assert_eq!((limited.limit, limited.retry_after), ("expiry_moves_per_invitation", 24 * HOUR));
    assert!(moved(&guest, 59).is_ok(), "no reminder is due before that expiry");
    let silent = Invitation { mails: false, ..guest };
    assert!(moved(&silent, 200).is_ok(), "nobody is reminded");
}

#[test]
fn reminder_is_needless_after_an_answer_or_a_moved_expiry() {
    let mut before = invitation(2, None);
    before.facts.expire_at = Some(minutes(180));
    let changes = run(&loaded(&before, &[]), resend(&before, false, Some(ttl(300))));
    let now = after(&changes).unwrap();
    let mut answered = now.clone();
    answered.recipients[0].accepted_at = Some(NOW);
    for reminder in reminders(&changes) {
        let reminder = Delivery {
            message: reminder.clone(),
            state: DeliveryState::Queued,
            lease: None,
            attempts: 0,
            last_error: None,
            sent_at: None,
            due_at: None,
        };
        assert_eq!(reminder.needless(now, minutes(240)), None);
        assert!(reminder.needless(&before, minutes(120)).is_some(), "another expiry");
        assert!(reminder.needless(now, minutes(300)).is_some(), "expired");
        assert_eq!(reminder.needless(&answered, minutes(240)).is_some(), reminder.message.recipient == 1);
    }
}

#[test]
fn whoever_is_reminded_of_nothing_gets_what_they_got_before() {
    let before = invitation(2, None);
    let changes = run_on(&loaded(&before, &[]), &command(1, resend(&before, false, Some(ttl(300))))).unwrap().changes;
    assert!(changes.deliveries.iter().all(|delivery| delivery.purpose == Purpose::Invitation));
}

#[test]
fn command_weighs_what_its_reminders_do() {
    let addresses = ["ann@example.org", "bob@example.org"].map(at);
    let weight = |mails, reminders: &Schedules| {
        let create = CreateInvitation { mails, ..creation(details(Kind::Guest), &addresses) };
        command(1, Action::Create(Box::new(create))).weight(reminders)
    };
    let (none, hourly) = (Schedules::NONE, hourly().reminders);
    assert_eq!(weight(true, &hourly), weight(true, &none) + 4);
    assert_eq!(weight(false, &hourly), weight(false, &none));
}
