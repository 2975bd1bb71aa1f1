//! The end of a message, by its worker and by the provider.

use uuid::Uuid;

use crate::domain::command::{Action, ReportDelivery, SettleDelivery};
use crate::domain::decide::tests::{event_types, run_on};
use crate::domain::decide::{Changes, Context, Decided, decide};
use crate::domain::delivery::{Delivery, DeliveryEnd, DeliveryReport, DeliveryState, NewDelivery, Purpose};
use crate::domain::fixtures::{CONTEXT, NOW, address, command, invitation, loaded, minutes};
use crate::domain::group::Group;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::recipient::AddressType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::quota::Quotas;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::suppression::{ADDRESS_SUPPRESSED, SuppressionReason, SuppressionRule};

const LEASE: Uuid = Uuid::from_u128(0x1ea5e);

/// Returns a message to the first recipient in a state, under the lease of its worker.
fn message(invitation: &Invitation, state: DeliveryState, attempts: u32) -> Delivery {
    let message = NewDelivery {
        id: Uuid::from_u128(0xde1),
        invitation: invitation.id,
        purpose: Purpose::Invitation,
        recipient: 1,
        address: None,
        about: None,
        moment: None,
        created_at: minutes(-60),
        due_at: minutes(-60),
    };
    let waits = matches!(state, DeliveryState::Queued | DeliveryState::Sending);
    Delivery {
        message,
        state,
        lease: (state == DeliveryState::Sending).then_some(LEASE),
        attempts,
        last_error: Some("451".to_owned()),
        sent_at: (state == DeliveryState::Sent).then(|| minutes(-50)),
        due_at: waits.then(|| minutes(1)),
    }
}

fn with(delivery: &Delivery, invitation: &Invitation) -> Loaded {
    let mut loaded = loaded(invitation, &[]);
    loaded.put_delivery(&invitation.account, delivery.clone());
    loaded
}

fn report(delivery: &Delivery, report: DeliveryReport) -> Action {
    Action::ReportDelivery(ReportDelivery { delivery: delivery.message.id, report, detail: None })
}

#[test]
fn only_the_holder_of_the_lease_settles_and_only_while_sending() {
    let invitation = invitation(1, None);
    let sending = message(&invitation, DeliveryState::Sending, 1);
    // No other state has a lease, except for a row that was repaired by hand.
    let sent = Delivery { state: DeliveryState::Sent, ..sending.clone() };
    for (delivery, lease, settles) in
        [(&sending, LEASE, true), (&sending, Uuid::from_u128(2), false), (&sent, LEASE, false)]
    {
        for end in [
            DeliveryEnd::Sent,
            DeliveryEnd::Failed("550".to_owned()),
            DeliveryEnd::BadAddress("550 5.1.1".to_owned()),
            DeliveryEnd::Suppressed,
        ] {
            let settle = SettleDelivery { delivery: delivery.message.id, lease, end: end.clone() };
            let decided = run_on(&with(delivery, &invitation), &command(1, Action::SettleDelivery(settle)));
            if !settles {
                assert_eq!(decided.unwrap_err(), Refusal::LeaseLost);
                continue;
            }
            let Decided { changes, .. } = decided.unwrap();
            let (wanted, event_type) = match end {
                DeliveryEnd::Sent => (
                    Delivery { state: DeliveryState::Sent, sent_at: Some(NOW), last_error: None, ..sending.clone() },
                    EventType::DeliverySent,
                ),
                DeliveryEnd::Suppressed => (
                    Delivery {
                        state: DeliveryState::Suppressed,
                        last_error: Some(ADDRESS_SUPPRESSED.to_owned()),
                        ..sending.clone()
                    },
                    EventType::DeliverySuppressed,
                ),
                DeliveryEnd::Failed(error) | DeliveryEnd::BadAddress(error) => (
                    Delivery { state: DeliveryState::Failed, last_error: Some(error), ..sending.clone() },
                    EventType::DeliveryFailed,
                ),
            };
            assert_eq!(changes.delivery, Some(Delivery { lease: None, due_at: None, ..wanted }));
            assert_eq!(event_types(&changes), [event_type]);
        }
    }
}

#[test]
fn report_keeps_the_moment_at_which_the_message_was_sent() {
    let invitation = invitation(1, None);
    for (state, sent_at) in
        [(DeliveryState::Sent, minutes(-50)), (DeliveryState::Sending, NOW), (DeliveryState::Failed, NOW)]
    {
        let before = message(&invitation, state, 1);
        let report = command(1, report(&before, DeliveryReport::Delivered));
        let after = run_on(&with(&before, &invitation), &report).unwrap().changes.delivery.unwrap();
        assert_eq!((after.state, after.sent_at), (DeliveryState::Delivered, Some(sent_at)), "{state:?}");
        assert_eq!((after.lease, after.due_at), (None, None), "{state:?}");
    }
}

#[test]
fn message_that_was_seen_was_sent_unless_it_was_never_tried() {
    use DeliveryState::{Bounced, Cancelled, Delivered, Failed, Queued, Sending, Sent};
    let invitation = invitation(1, None);
    for (state, attempts, becomes) in [
        (Queued, 0, None),
        (Queued, 1, Some(Sent)),
        (Sending, 1, Some(Sent)),
        (Failed, 3, Some(Sent)),
        (Sent, 1, None),
        (Delivered, 1, None),
        (Bounced, 1, None),
        (Cancelled, 1, None),
    ] {
        for seen in [DeliveryReport::Opened, DeliveryReport::Complained] {
            let before = message(&invitation, state, attempts);
            let Decided { changes, affected } =
                run_on(&with(&before, &invitation), &command(1, report(&before, seen))).unwrap();
            let after = changes.delivery.map(|delivery| delivery.state);
            assert_eq!(after, becomes, "{state:?} after {attempts} attempts");
            assert_eq!((changes.events.len(), affected.delivery), (1, Some(before.message.id)));
        }
    }
}

#[test]
fn reminder_is_needless_once_its_expiry_has_moved() {
    let (early, late) = (Some(minutes(60)), Some(minutes(120)));
    for (speaks_of, expire_at, reason) in [
        (None, None, None),
        (None, early, None),
        (early, early, None),
        (early, late, Some("the expiry has moved")),
        (early, None, Some("the expiry has moved")),
    ] {
        let mut invitation = invitation(1, None);
        invitation.facts.expire_at = expire_at;
        let mut reminder = message(&invitation, DeliveryState::Sending, 1);
        (reminder.message.purpose, reminder.message.moment) = (Purpose::Reminder, speaks_of);
        assert_eq!(reminder.needless(&invitation, NOW), reason, "{speaks_of:?}, {expire_at:?}");
        // A message that brings a link names no expiry.
        reminder.message.purpose = Purpose::Invitation;
        assert_eq!(reminder.needless(&invitation, NOW), None);
    }
}

#[test]
fn reports_of_one_group_rest_on_the_message_as_it_was_loaded() {
    let invitation = invitation(1, None);
    let before = message(&invitation, DeliveryState::Sending, 1);
    let mut group = Group::new(with(&before, &invitation));
    for (number, seen) in [(1, DeliveryReport::Opened), (2, DeliveryReport::Delivered), (3, DeliveryReport::Bounced)] {
        group.run(&command(number, report(&before, seen)), &CONTEXT).unwrap();
    }
    let save = group.into_save();
    let settled: Vec<_> = save.settled.values().collect();
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0].delivery.state, DeliveryState::Bounced);
    assert_eq!((settled[0].loaded_state, settled[0].loaded_lease), (DeliveryState::Sending, Some(LEASE)));
    assert_eq!(save.events.len(), 3);
}

/// The codes are in the database and in events, so a variant that is renamed keeps its code.
#[test]
fn stored_enums_keep_their_words() {
    let words = [
        "invitation",
        "reminder",
        "acceptance_notice",
        "verification_code",
        "decline_notice",
        "failure_notice",
        "expiry_notice",
    ];
    assert_eq!(Purpose::ALL.map(Purpose::code), words);
    assert_eq!(words.map(Purpose::from_code), Purpose::ALL.map(Some));
    let words = ["queued", "sending", "sent", "delivered", "bounced", "failed", "cancelled", "suppressed"];
    assert_eq!(DeliveryState::ALL.map(DeliveryState::code), words);
    assert_eq!(words.map(DeliveryState::from_code), DeliveryState::ALL.map(Some));
    let words = ["email", "phone", "internal", "share", "erased", "removed"];
    assert_eq!(AddressType::ALL.map(AddressType::code), words);
    assert_eq!(words.map(AddressType::from_code), AddressType::ALL.map(Some));
    assert_eq!((Purpose::from_code("later"), DeliveryState::from_code("")), (None, None));
}

#[test]
fn event_of_a_message_names_its_recipient_if_it_has_one() {
    let invitation = invitation(1, None);
    for (recipient, wanted) in [(0, serde_json::Value::Null), (1, 1.into())] {
        let mut delivery = message(&invitation, DeliveryState::Sent, 1);
        delivery.message.recipient = recipient;
        let bounced = command(1, report(&delivery, DeliveryReport::Bounced));
        let decided = run_on(&with(&delivery, &invitation), &bounced).unwrap();
        assert_eq!(
            decided.changes.events[0].payload.json().get("recipient").unwrap_or(&serde_json::Value::Null),
            &wanted
        );
    }
}

fn rule() -> SuppressionRule {
    SuppressionRule { ring: KeyRing::parse(&KeyRing::format_key(1, [1; 32])).unwrap() }
}

/// Decides on a message with the rule on suppressed addresses.
fn suppressing(loaded: &Loaded, action: Action) -> Changes {
    let quotas = Quotas { suppressions: Some(rule()), ..Quotas::NONE };
    decide(loaded, &command(1, action), &Context { quotas, ..CONTEXT }).unwrap().changes
}

#[test]
fn bad_address_and_complaint_suppress_the_address() {
    let invitation = invitation(2, None);
    let (sending, sent) =
        (message(&invitation, DeliveryState::Sending, 1), message(&invitation, DeliveryState::Sent, 1));
    let settle = |end| Action::SettleDelivery(SettleDelivery { delivery: sending.message.id, lease: LEASE, end });
    let told = |report, detail: &str| {
        let (delivery, detail) = (sent.message.id, Some(detail.to_owned()));
        Action::ReportDelivery(ReportDelivery { delivery, report, detail })
    };
    for (delivery, action, reason) in [
        (&sending, settle(DeliveryEnd::BadAddress("550 5.1.1".to_owned())), Some(SuppressionReason::HardBounce)),
        (&sending, settle(DeliveryEnd::Failed("550 5.7.1".to_owned())), None),
        (&sending, settle(DeliveryEnd::Sent), None),
        (&sending, settle(DeliveryEnd::Suppressed), None),
        (&sent, told(DeliveryReport::Bounced, "no such user"), Some(SuppressionReason::HardBounce)),
        (&sent, told(DeliveryReport::Bounced, "552 5.2.2 mailbox full"), None),
        (&sent, told(DeliveryReport::Complained, "5.2.2"), Some(SuppressionReason::Complaint)),
        (&sent, told(DeliveryReport::Delivered, ""), None),
        (&sent, told(DeliveryReport::Opened, ""), None),
    ] {
        let mut loaded = with(delivery, &invitation);
        let changes = suppressing(&loaded, action.clone());
        let suppression = changes.suppression.as_ref();
        assert_eq!(suppression.map(|known| known.reason), reason, "{action:?}");
        let is_told = |changes: &Changes| event_types(changes).contains(&EventType::SuppressionCreated);
        assert_eq!(is_told(&changes), reason.is_some(), "{action:?}");
        let Some(suppression) = suppression else { continue };
        assert_eq!((suppression.key.as_str(), suppression.masked.as_str()), ("r1@example.org", "r***@example.org"));
        assert_eq!(suppression.source, Some((invitation.id, delivery.message.id)));
        // One that is suppressed already, by its address or by a hash of it, is not suppressed again.
        for key in rule().keys(&invitation.account, &address(1)) {
            loaded.put_suppression(invitation.account.clone(), key);
            let again = suppressing(&loaded, action.clone());
            assert!(again.suppression.is_none() && !is_told(&again), "{action:?}");
            loaded = with(delivery, &invitation);
        }
    }
}

#[test]
fn message_whose_address_is_not_known_suppresses_nobody() {
    let invitation = invitation(1, None);
    let sent = message(&invitation, DeliveryState::Sent, 1);
    let unknown = Delivery { message: NewDelivery { recipient: 0, ..sent.message.clone() }, ..sent };
    let changes = suppressing(&with(&unknown, &invitation), report(&unknown, DeliveryReport::Complained));
    assert!(changes.suppression.is_none());
}
