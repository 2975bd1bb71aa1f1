//! The notices to inviters: what leads to one, and how an hour's are one.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::command::{Action, Command, CreateInvitation, ExpireInvitation, ReportDelivery, SettleDelivery};
use crate::domain::decide::{AcceptanceChange, Change, Context, Decided, decide};
use crate::domain::delivery::notice::{Notices, span_before};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::delivery::{Delivery, DeliveryEnd, DeliveryReport, DeliveryState, NewDelivery, Purpose};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, acceptor, account, at, command, creation, decline, details, email, general, invited, loaded,
    minutes, person, requested,
};
use crate::domain::group::Group;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::recipient::Address;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::shared::{Inviter, SharedDetails};
use crate::domain::kind::{Details, Kind};
use crate::domain::quota::Quotas;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::suppression::SuppressionRule;
use crate::domain::value::email::Email;
use crate::domain::value::time::Timestamp;

const ALL: Notices = Notices { accepted: true, declined: true, failed: true, expired: true };
const TOLD: Context = Context { signing_key: 1, reminders: Schedules::NONE, notices: ALL, quotas: Quotas::NONE };
const LEASE: Uuid = Uuid::from_u128(0x1ea5e);

/// Returns a link for many, or an invitation for one, by an inviter with this address.
fn by(inviter: Option<&str>, usage: Usage) -> Details {
    let inviter = Some(Inviter { user_id: "42".to_owned(), email: inviter.map(email), ..Inviter::default() });
    let shared = SharedDetails { inviter, ..SharedDetails::default() };
    Details::General(Box::new(GeneralDetails { shared, ..general(usage) }))
}

fn link(details: Details) -> Invitation {
    let mut link = invited(1, details, &[]);
    link.facts.max_uses = None;
    link
}

fn adas_link() -> Invitation {
    link(by(Some("ada@example.org"), Usage::MultiUse))
}

fn adas_invitation() -> Invitation {
    let mut invitation = invited(1, by(Some("ada@example.org"), Usage::SingleUse), &["r1@example.org"]);
    invitation.created_at = minutes(-60);
    invitation
}

/// Returns a snapshot at another moment than that of most decisions.
fn loaded_at(invitation: &Invitation, now: Timestamp) -> Loaded {
    let mut loaded = Loaded::empty(now);
    loaded.put_invitation(invitation.clone());
    loaded
}

fn notices(deliveries: &[NewDelivery]) -> Vec<&NewDelivery> {
    deliveries.iter().filter(|delivery| delivery.purpose.is_notice()).collect()
}

/// Returns the purposes of the notices that follow from a command.
fn purposes(loaded: &Loaded, command: &Command, context: &Context) -> Vec<Purpose> {
    let changes = decide(loaded, command, context).unwrap().changes;
    notices(&changes.deliveries).iter().map(|notice| notice.purpose).collect()
}

#[test]
fn inviter_gets_a_notice_if_wanted_and_address_is_known() {
    let no_inviter = Details::General(Box::new(general(Usage::MultiUse)));
    let without = Context { notices: Notices { accepted: false, ..ALL }, ..TOLD };
    for (case, details, context, told) in [
        ("wanted and known", by(Some("ada@example.org"), Usage::MultiUse), &TOLD, true),
        ("not wanted", by(Some("ada@example.org"), Usage::MultiUse), &without, false),
        ("no notices at all", by(Some("ada@example.org"), Usage::MultiUse), &CONTEXT, false),
        ("without an address", by(None, Usage::MultiUse), &TOLD, false),
        ("without an inviter", no_inviter, &TOLD, false),
        ("another kind", details(Kind::Connection), &TOLD, false),
    ] {
        let link = link(details);
        let accept = command(1, accept(link.claims(0), acceptor("ann")));
        let Decided { changes, .. } = decide(&loaded(&link, &[]), &accept, context).unwrap();
        let [Change::Update { invitation: after, .. }] = changes.invitations.as_slice() else { panic!("{case}") };
        for notice in &changes.deliveries {
            assert_eq!((notice.purpose, notice.recipient), (Purpose::AcceptanceNotice, 0), "{case}");
            assert_eq!((notice.created_at, notice.due_at, notice.moment), (NOW, NOW, Some(NOW)), "{case}");
            let delivery = sending(after, notice.clone());
            assert_eq!(delivery.address(after).map(Email::key), Some("ada@example.org"), "{case}");
        }
        assert_eq!(changes.deliveries.len(), usize::from(told), "{case}");
        let Some(AcceptanceChange::Create(Acceptance { .. })) = changes.acceptance else { panic!("{case}") };
    }
}

#[test]
fn inviter_who_accepts_by_themselves_gets_no_notice() {
    let link = adas_link();
    for (case, acceptor, told) in [
        ("their id", acceptor("42"), 0),
        (
            "their address, which a link that binds nobody does not prove",
            person("x", Some(email("Ada@Example.org")), true),
            1,
        ),
        ("another person", person("ann", Some(email("ann@example.org")), true), 1),
    ] {
        let accept = command(1, accept(link.claims(0), acceptor));
        assert_eq!(purposes(&loaded(&link, &[]), &accept, &TOLD).len(), told, "{case}");
    }
}

#[test]
fn first_acceptance_is_told_at_once_and_others_by_the_hour() {
    let mut link = adas_link();
    let mut planned = Vec::new();
    for (number, minute) in (1..).zip([0, 0, 1, 59, 60, 61, 120, 121]) {
        let mut group = Group::new(loaded_at(&link, minutes(minute)));
        let subject = format!("person {number}");
        group.run(&command(number, accept(link.claims(0), acceptor(&subject))), &TOLD).unwrap();
        let save = group.into_save();
        let [(_, notice)] = save.deliveries.as_slice() else { panic!("one notice") };
        let (from, to) = span_before(notice.moment.unwrap());
        assert!(from < minutes(minute) && minutes(minute) <= to, "minute {minute} is reported");
        planned.push((notice.id, notice.due_at.since(NOW).as_secs()));
        link = Invitation::clone(&save.updated.values().next().unwrap().invitation);
    }
    // An acceptance that is taken back makes none of the next ones the first again.
    link.facts.accepted_at = None;
    let again = command(9, accept(link.claims(0), acceptor("again")));
    let again = decide(&loaded_at(&link, minutes(122)), &again, &TOLD).unwrap().changes.deliveries.remove(0);
    assert_eq!(again.id, planned.last().unwrap().0);
    let due: Vec<u64> = planned.iter().map(|(_, due)| *due).collect();
    assert_eq!(due, [0, 0, 3_630, 3_630, 3_630, 7_230, 7_230, 10_830]);
    for (one, other) in planned.iter().zip(&planned[1..]) {
        assert_eq!(one.0 == other.0, one.1 == other.1, "an hour is one message");
    }
    planned.dedup();
    let gaps = planned.windows(2).map(|pair| pair[1].1 - pair[0].1);
    assert!(gaps.into_iter().all(|gap| gap >= 3_600), "{planned:?}");
}

#[test]
fn acceptances_of_a_group_are_one_notice() {
    let link = adas_link();
    let mut group = Group::new(loaded(&link, &[]));
    let accept = |number, subject: &str| command(number, accept(link.claims(0), acceptor(subject)));
    for (number, subject) in [(1, "ann"), (2, "ann"), (3, "bob")] {
        group.run(&accept(number, subject), &TOLD).unwrap();
        assert_eq!(group.save().deliveries.len(), 1, "{subject}");
    }
    for number in [4, 5] {
        group.run(&requested(accept(number, "carl"), "r", "body", &[1]), &TOLD).unwrap();
    }
    assert_eq!((group.save().deliveries.len(), group.save().accepted.len()), (1, 3));
}

#[test]
fn decline_and_expiry_are_reported_by_the_hour() {
    let before = adas_invitation();
    let declines = command(1, decline(before.claims(1)));
    let mut expired = adas_invitation();
    expired.facts.expire_at = Some(minutes(-1));
    let expires = command(1, Action::Expire(ExpireInvitation { id: expired.id }));
    let cases = [(&before, declines, Purpose::DeclineNotice), (&expired, expires, Purpose::ExpiryNotice)];
    for (invitation, command, purpose) in cases {
        let changes = decide(&loaded(invitation, &[]), &command, &TOLD).unwrap().changes;
        let [notice] = changes.deliveries.as_slice() else { panic!("{purpose:?}") };
        let due_at = minutes(5).later(Duration::from_secs(30));
        assert_eq!((notice.purpose, notice.moment, notice.due_at), (purpose, Some(minutes(5)), due_at));
        let again = decide(&loaded_at(invitation, minutes(4)), &command, &TOLD).unwrap().changes;
        assert_eq!(again.deliveries[0].id, notice.id, "the same hour");
        let later = decide(&loaded_at(invitation, minutes(6)), &command, &TOLD).unwrap().changes;
        assert_ne!(later.deliveries[0].id, notice.id, "another hour");
    }
}

fn sending(invitation: &Invitation, message: NewDelivery) -> Delivery {
    let message = NewDelivery { invitation: invitation.id, ..message };
    let (state, lease, last_error, sent_at) = (DeliveryState::Sending, Some(LEASE), None, None);
    Delivery { message, state, lease, attempts: 1, last_error, sent_at, due_at: Some(NOW) }
}

/// Returns a message of a purpose to recipient 1.
fn message(purpose: Purpose) -> NewDelivery {
    let (id, recipient) = (Uuid::from_u128(0xde1), u16::from(purpose.brings_link()));
    let (created_at, due_at) = (minutes(-60), minutes(-60));
    let (invitation, address, about, moment) = (adas_invitation().id, None, None, None);
    NewDelivery { id, invitation, purpose, recipient, address, about, moment, created_at, due_at }
}

#[test]
fn mail_that_does_not_arrive_is_reported_if_it_brings_the_link() {
    let invitation = adas_invitation();
    let settle = |end| Action::SettleDelivery(SettleDelivery { delivery: Uuid::from_u128(0xde1), lease: LEASE, end });
    let report =
        |report| Action::ReportDelivery(ReportDelivery { delivery: Uuid::from_u128(0xde1), report, detail: None });
    for purpose in Purpose::ALL {
        let mut loaded = loaded(&invitation, &[]);
        loaded.put_delivery(&invitation.account, sending(&invitation, message(purpose)));
        for (action, fails) in [
            (settle(DeliveryEnd::Sent), false),
            (settle(DeliveryEnd::Failed("550".to_owned())), true),
            (settle(DeliveryEnd::BadAddress("550 5.1.1".to_owned())), true),
            (settle(DeliveryEnd::Suppressed), true),
            (report(DeliveryReport::Delivered), false),
            (report(DeliveryReport::Opened), false),
            (report(DeliveryReport::Complained), false),
            (report(DeliveryReport::Bounced), true),
        ] {
            let told = purposes(&loaded, &command(1, action.clone()), &TOLD);
            let wanted = if fails && purpose.brings_link() { vec![Purpose::FailureNotice] } else { Vec::new() };
            assert_eq!(told, wanted, "{purpose:?} {action:?}");
            let mut group = Group::new(loaded.clone());
            group.run(&command(1, action), &TOLD).unwrap();
            assert_eq!(group.save().deliveries.len(), wanted.len(), "it is saved without a change of the invitation");
        }
    }
}

#[test]
fn suppressed_recipient_of_a_create_is_reported() {
    let rule = SuppressionRule { ring: KeyRing::parse(&KeyRing::format_key(1, [1; 32])).unwrap() };
    let mut loaded = Loaded::empty(NOW);
    loaded.put_suppression(account("acme"), rule.keys(&account("acme"), &email("r1@example.org")).swap_remove(0));
    let context = Context { quotas: Quotas { suppressions: Some(rule), ..Quotas::NONE }, ..TOLD };
    let create = |address: &str| {
        let create = creation(by(Some("ada@example.org"), Usage::SingleUse), &[at(address)]);
        command(1, Action::Create(Box::new(CreateInvitation { mails: true, ..create })))
    };
    assert_eq!(purposes(&loaded, &create("r1@example.org"), &context), [Purpose::FailureNotice]);
    assert!(purposes(&loaded, &create("r2@example.org"), &context).is_empty());
}

#[test]
fn notice_is_needless_without_inviter_or_expiry() {
    let mut invitation = adas_invitation();
    invitation.facts.expire_at = Some(minutes(-1));
    let needless = |purpose, invitation: &Invitation| sending(invitation, message(purpose)).needless(invitation, NOW);
    let notices = Purpose::ALL.into_iter().filter(|purpose| purpose.is_notice());
    for purpose in notices {
        assert_eq!(needless(purpose, &invitation), None, "{purpose:?}");
        let mut renewed = invitation.clone();
        renewed.facts.expire_at = Some(minutes(1));
        let is_over = purpose == Purpose::ExpiryNotice;
        assert_eq!(needless(purpose, &renewed).is_some(), is_over, "{purpose:?}");
        let mut erased = invitation.clone();
        erased.details.shared_mut().inviter = None;
        assert_eq!(needless(purpose, &erased), Some("there is no inviter with an address"), "{purpose:?}");
    }
    assert!(matches!(invitation.recipients[0].address, Address::Email(_)));
}
