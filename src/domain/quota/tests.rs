//! The use of quotas by commands: what fits, what is refused, and what is suppressed.

use super::*;
use crate::domain::command::CreateInvitation;
use crate::domain::command::{Action, ExpiryTime, OnConflict};
use crate::domain::decide::{Context, decide};
use crate::domain::delivery::reminder::{Schedule, Schedules};
use crate::domain::delivery::{DeliveryState, Purpose};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, acceptor, account, address, at, command, create, creation, details, email, invitation,
    invited, loaded, minutes, requested, resend, revoke, set_expiry, sync, ttl,
};
use crate::domain::group::{BatchMode, Group};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::kind::Kind;
use crate::domain::kind::shared::{Inviter, SharedDetails};
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::suppression::SuppressionRule;

fn quotas() -> Quotas {
    Quotas { open_invitations: Some(10), ..Quotas::NONE }
}

fn with(quotas: Quotas) -> Context {
    Context { quotas, ..CONTEXT }
}

fn per_recipient(limit: u32) -> Quotas {
    let ring = KeyRing::parse(&KeyRing::format_key(1, [1; 32])).unwrap();
    Quotas { per_recipient: Some(RecipientQuota { limit, ring }), ..Quotas::NONE }
}

/// Returns a create for some recipients.
fn invite(number: u8, recipients: u16) -> Command {
    let addresses: Vec<_> = (1..=recipients).map(address).collect();
    command(number, create(&addresses, false))
}

/// Notes that an account's open invitations hold so many, of which some have lapsed.
fn put_open(loaded: &mut Loaded, used: i64, lapsed: i64) {
    let count = QuotaCount { period: Timestamp::from_micros(0), used, lapsed };
    loaded.put_quota(open_key(&account("acme")), count);
}

fn exceeded(refusal: &Refusal) -> QuotaExceeded {
    match refusal {
        Refusal::QuotaExceeded(exceeded) => *exceeded,
        other => panic!("{other:?}"),
    }
}

#[test]
fn create_fits_up_to_the_last_invitee() {
    for (used, lapsed, recipients, fits) in [
        (0, 0, 10, true),
        (0, 0, 11, false),
        (9, 0, 1, true),
        (10, 0, 1, false),
        // An open link counts as one.
        (9, 0, 0, true),
        (10, 0, 0, false),
        // Lapsed ones do not count.
        (12, 3, 1, true),
        (12, 2, 1, false),
        (30, 25, 5, true),
        (30, 25, 6, false),
    ] {
        let mut loaded = Loaded::empty(NOW);
        put_open(&mut loaded, used, lapsed);
        let decided = decide(&loaded, &invite(1, recipients), &with(quotas()));
        assert_eq!(decided.is_ok(), fits, "{recipients} beside {used} less {lapsed}");
        match decided {
            Ok(decided) => {
                let addition = &decided.changes.quotas.additions[0];
                assert_eq!((addition.net, addition.most), (i64::from(recipients.max(1)), 10 + lapsed));
                assert_eq!(decided.changes.quotas.taken[0].open_until, minutes(60));
            }
            Err(refusal) => assert_eq!(exceeded(&refusal).name, OPEN_INVITATIONS),
        }
    }
}

#[test]
fn quota_is_given_back_when_an_invitation_ends() {
    let open = invited(1, details(Kind::Connection), &["a@example.org", "b@example.org"]);
    let mut expired = open.clone();
    expired.facts.expire_at = Some(minutes(-1));
    let guest = invited(2, details(Kind::Guest), &["a@example.org"]);
    let moved = set_expiry(&guest, ExpiryTime::After(ttl(90)));
    let mut ended = open.clone();
    ended.facts.max_uses = Some(2);
    for (name, before, action, released, taken) in [
        ("revoke", &open, revoke(&open), 2, 0),
        ("revoke of an expired one", &expired, revoke(&expired), 0, 0),
        ("last use", &open, accept(open.claims(1), acceptor("ann")), 2, 0),
        ("one of two uses", &ended, accept(ended.claims(1), acceptor("ann")), 0, 0),
        ("resend", &open, resend(&open, true, None), 0, 0),
        ("renewal", &expired, resend(&expired, false, Some(ttl(60))), 0, 2),
        ("longer expiry", &open, resend(&open, false, Some(ttl(60))), 2, 2),
        ("guest's expiry", &guest, moved, 1, 1),
    ] {
        let mut loaded = loaded(before, &[]);
        put_open(&mut loaded, 8, 0);
        let changes = decide(&loaded, &command(1, action.clone()), &with(quotas())).unwrap().changes;
        let sum = |holds: &[Hold]| holds.iter().map(|hold| hold.invitees).sum::<u32>();
        assert_eq!((sum(&changes.quotas.released), sum(&changes.quotas.taken)), (released, taken), "{name}");
        put_open(&mut loaded, 10, 0);
        let is_refused = decide(&loaded, &command(1, action), &with(quotas())).is_err();
        assert_eq!(is_refused, taken > released, "{name} beside a full quota");
    }
}

#[test]
fn autojoin_counts_while_it_has_domains() {
    let make = command(1, Action::SyncAutojoin(Box::new(sync(&["example.org"]))));
    let mut group = Group::new(Loaded::empty(NOW));
    let open = with(Quotas { open_invitations: Some(1), per_inviter: Some(1), ..Quotas::NONE });
    group.run(&make, &open).unwrap();
    assert!(group.run(&invite(2, 0), &open).is_err());
    group.run(&command(3, Action::SyncAutojoin(Box::new(sync(&[])))), &open).unwrap();
    group.run(&invite(4, 0), &open).unwrap();
    let again = command(5, Action::SyncAutojoin(Box::new(sync(&["example.org"]))));
    assert_eq!(exceeded(&group.run(&again, &open).unwrap_err()).name, OPEN_INVITATIONS);
}

#[test]
fn replacement_counts_the_new_one_instead_of_the_old_one() {
    let old = invited(1, details(Kind::General), &["ann@example.org"]);
    let mut loaded = loaded(&old, &[]);
    put_open(&mut loaded, 10, 0);
    let ann = [at("ann@example.org")];
    let replacing = |on_conflict, addresses: &[_]| {
        let create = CreateInvitation { on_conflict, ..creation(details(Kind::General), addresses) };
        command(1, Action::Create(Box::new(create)))
    };
    let changes = decide(&loaded, &replacing(OnConflict::Replace, &ann), &with(quotas())).unwrap().changes.quotas;
    assert_eq!((changes.taken.len(), changes.released.len(), changes.additions.len()), (1, 1, 0));
    decide(&loaded, &replacing(OnConflict::ReturnExisting, &ann), &with(quotas())).unwrap();
    decide(&loaded, &replacing(OnConflict::Allow, &ann), &with(quotas())).unwrap_err();
    let both = [at("ann@example.org"), at("bob@example.org")];
    decide(&loaded, &replacing(OnConflict::Replace, &both), &with(quotas())).unwrap_err();
}

#[test]
fn retry_of_a_request_uses_nothing() {
    let mut group = Group::new(Loaded::empty(NOW));
    let first = requested(invite(1, 10), "id", "body", &[1]);
    group.run(&first, &with(quotas())).unwrap();
    let retry = requested(invite(2, 10), "id", "body", &[1]);
    group.run(&retry, &with(quotas())).unwrap();
    let saved = group.into_save().quotas;
    assert_eq!((saved.taken.len(), saved.additions.values().next().unwrap().net), (1, 10));
}

#[test]
fn refused_atomic_batch_uses_nothing() {
    let run = |group: &mut Group, command: &Command| group.run(command, &with(quotas()));
    let commands = [invite(1, 6), invite(2, 6), invite(3, 4)];
    let mut group = Group::new(Loaded::empty(NOW));
    let results = group.run_batch(&commands, BatchMode::Atomic, run);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert!(group.save().quotas.additions.is_empty() && group.save().quotas.taken.is_empty());
    group.run(&invite(4, 10), &with(quotas())).unwrap();
    // Each of independent ones is told by itself.
    let mut group = Group::new(Loaded::empty(NOW));
    group.run_batch(&commands, BatchMode::Independent, run);
    assert_eq!(group.save().quotas.additions.values().next().unwrap().net, 10);
    let mut group = Group::new(Loaded::empty(NOW));
    group.run_batch(&commands, BatchMode::DryRun, run);
    assert!(group.save().quotas.additions.is_empty());
}

#[test]
fn hold_of_the_same_group_is_taken_back() {
    let mut group = Group::new(Loaded::empty(NOW));
    let created = group.run(&invite(1, 3), &with(quotas())).unwrap().invitation;
    group.run(&command(2, revoke(&created)), &with(quotas())).unwrap();
    let saved = group.into_save().quotas;
    assert!(saved.taken.is_empty() && saved.released.is_empty());
    assert_eq!(saved.additions.values().next().unwrap().net, 0);
}

#[test]
fn inviter_has_so_many_a_day() {
    let per_day = with(Quotas { per_inviter: Some(10), ..Quotas::NONE });
    let (day, tomorrow) = (day_of(NOW), day_of(NOW).later(DAY));
    let wait = tomorrow.since(NOW);
    for (period, used, recipients, refused) in [
        (day, 0, 10, None),
        (day, 7, 3, None),
        (day, 7, 4, Some(Some(wait))),
        (day, 10, 1, Some(Some(wait))),
        // More than a day's worth never fits.
        (day, 0, 11, Some(None)),
        // Those of another day do not count.
        (day.earlier(DAY), 10, 10, None),
    ] {
        let mut loaded = Loaded::empty(NOW);
        let key = credential_key(&account("acme"), "caller");
        loaded.put_quota(key.clone(), QuotaCount { period, used, lapsed: 0 });
        let decided = decide(&loaded, &invite(1, recipients), &per_day);
        let found = decided.as_ref().err().map(|refusal| exceeded(refusal).retry_after);
        assert_eq!(found, refused, "{recipients} beside {used}");
        if let Ok(decided) = decided {
            let addition = Addition { key, period: day, net: recipients.into(), by_holds: false, most: 10 };
            assert_eq!(decided.changes.quotas.additions, [addition]);
        }
    }
}

#[test]
fn inviter_is_the_person_else_the_address_else_the_credential() {
    let key = |user_id: &str, address: Option<&str>| {
        let mut details = details(Kind::User);
        let inviter = Inviter { user_id: user_id.to_owned(), email: address.map(email), ..Inviter::default() };
        *details.shared_mut() = SharedDetails { inviter: Some(inviter), ..SharedDetails::default() };
        inviter_key(&account("acme"), &details, "apiKeys/ci")
    };
    let all = [
        key("ann", Some("ann@example.org")),
        key("", Some("ann@example.org")),
        key("", None),
        key("bob", None),
        key("", Some("bob@example.org")),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(all[0], user_key(&account("acme"), "ann"));
    assert_eq!(all[1], key("", Some("Ann@Example.org")));
    assert_eq!(all[2], credential_key(&account("acme"), "apiKeys/ci"));
    assert_ne!(all[0], user_key(&account("other"), "ann"));
}

#[test]
fn mail_beyond_the_limit_of_its_address_is_suppressed() {
    let context = with(per_recipient(2));
    let quota = context.quotas.per_recipient.clone().unwrap();
    let create = command(1, create(&[address(1), address(2)], true));
    for (used, suppressed, is_last) in [([0, 0], 0, false), ([2, 0], 1, false), ([0, 5], 1, true), ([2, 2], 2, true)] {
        let mut loaded = Loaded::empty(NOW);
        for (n, used) in (1..).zip(used) {
            loaded.put_quota(quota.key(&address(n)), QuotaCount { period: day_of(NOW), used, lapsed: 0 });
        }
        let changes = decide(&loaded, &create, &context).unwrap().changes;
        assert_eq!(changes.deliveries.len(), 2, "{used:?}");
        assert_eq!((changes.quotas.suppressed.len(), changes.quotas.additions.len()), (suppressed, 2 - suppressed));
        let Change::Create(invitation) = &changes.invitations[0] else { panic!("no create") };
        assert_eq!(invitation.latest_delivery == Some(DeliveryState::Suppressed), is_last, "{used:?}");
        assert_eq!(invitation.last_sent_at.is_none(), suppressed == 2, "{used:?}");
        let Payload::Created(created) = &changes.events[0].payload else { panic!("no event of a create") };
        assert_eq!(created.mailed_count, 2 - suppressed);
    }
}

#[test]
fn no_reminder_follows_a_suppressed_message() {
    let half_an_hour = Duration::from_secs(1_800);
    let reminders = Schedules::from_fn(|_| Schedule { after: vec![half_an_hour], before_expiry: Vec::new() });
    let context = Context { reminders, ..with(per_recipient(1)) };
    let quota = context.quotas.per_recipient.clone().unwrap();
    let mut loaded = Loaded::empty(NOW);
    loaded.put_quota(quota.key(&address(1)), QuotaCount { period: day_of(NOW), used: 1, lapsed: 0 });
    let create = command(1, create(&[address(1), address(2)], true));
    let deliveries = decide(&loaded, &create, &context).unwrap().changes.deliveries;
    let reminded: Vec<_> = deliveries.iter().filter(|message| message.purpose == Purpose::Reminder).collect();
    assert_eq!(reminded.iter().map(|message| message.recipient).collect::<Vec<_>>(), [2]);
}

#[test]
fn suppressed_resend_leaves_what_is_queued() {
    let before = Invitation { last_sent_at: Some(minutes(-5)), ..invitation(1, None) };
    let context = with(per_recipient(1));
    let quota = context.quotas.per_recipient.clone().unwrap();
    for (used, replacing) in [(0, 1), (1, 0)] {
        let mut loaded = loaded(&before, &[]);
        loaded.put_quota(quota.key(&address(1)), QuotaCount { period: day_of(NOW), used, lapsed: 0 });
        let mut group = Group::new(loaded);
        let sent = group.run(&command(1, resend(&before, false, None)), &context).unwrap().invitation;
        assert_eq!(group.save().replacing.len(), replacing);
        assert_eq!(sent.last_sent_at, Some(if used == 0 { NOW } else { minutes(-5) }));
    }
}

#[test]
fn link_is_not_replaced_while_its_message_is_suppressed() {
    let before = invited(1, details(Kind::General), &["ann@example.org"]);
    let context = with(per_recipient(1));
    let quota = context.quotas.per_recipient.clone().unwrap();
    let ann = [at("ann@example.org")];
    let creating = |on_conflict| {
        let create = CreateInvitation { on_conflict, mails: true, ..creation(details(Kind::General), &ann) };
        Action::Create(Box::new(create))
    };
    for (action, ends) in [
        (resend(&before, true, None), true),
        (resend(&before, false, None), false),
        (creating(OnConflict::Replace), true),
        (creating(OnConflict::Allow), false),
    ] {
        for used in [0, 1, 7] {
            let mut loaded = loaded(&before, &[]);
            loaded.put_quota(quota.key(&email("ann@example.org")), QuotaCount { period: day_of(NOW), used, lapsed: 0 });
            let decided = decide(&loaded, &command(1, action.clone()), &context);
            assert_eq!(decided.is_err(), ends && used > 0, "{action:?} beside {used}");
            if let Err(refusal) = decided {
                let retry_after = Some(day_of(NOW).later(DAY).since(NOW));
                let (name, limit) = (PER_RECIPIENT, 1);
                assert_eq!(exceeded(&refusal), QuotaExceeded { name, limit, used: 1, asked: 1, retry_after });
            }
        }
    }
}

#[test]
fn nothing_is_counted_while_nothing_is_limited() {
    let create = command(1, create(&[address(1)], true));
    assert!(Quotas::NONE.keys(&create).is_empty());
    assert!(
        Quotas::NONE
            .second_keys(&command(2, resend(&invitation(1, None), false, None)), &invitation(1, None))
            .is_empty()
    );
    let quotas = decide(&Loaded::empty(NOW), &create, &CONTEXT).unwrap().changes.quotas;
    assert!(quotas.taken.is_empty() && quotas.released.is_empty() && quotas.additions.is_empty());
}

#[test]
fn address_is_counted_under_a_hash_of_the_signing_key() {
    let quota = |keys: &str| RecipientQuota { limit: 1, ring: KeyRing::parse(keys).unwrap() };
    let (one, two) = (KeyRing::format_key(1, [1; 32]), KeyRing::format_key(2, [2; 32]));
    let key = |quota: &RecipientQuota, address: &str| quota.key(&email(address));
    let before = quota(&one);
    assert_eq!(key(&before, "Ann@example.org"), key(&before, "ann@EXAMPLE.org"));
    assert_ne!(key(&before, "ann@example.org"), key(&before, "bob@example.org"));
    assert!(key(&before, "ann@example.org").account.is_none() && !key(&before, "ann@example.org").key.contains("ann"));
    let rotated = quota(&format!("{two},{one}"));
    assert_ne!(key(&before, "ann@example.org"), key(&rotated, "ann@example.org"));
}

fn suppressing() -> Quotas {
    let ring = KeyRing::parse(&KeyRing::format_key(1, [1; 32])).unwrap();
    Quotas { suppressions: Some(SuppressionRule { ring }), ..Quotas::NONE }
}

/// Returns a snapshot in which the first of some recipients is suppressed, under one of the keys of the address.
fn with_suppressed(mut loaded: Loaded, key: usize) -> Loaded {
    let rule = suppressing().suppressions.unwrap();
    loaded.put_suppression(account("acme"), rule.keys(&account("acme"), &address(1)).swap_remove(key));
    loaded
}

#[test]
fn suppressed_address_is_not_mailed_and_the_others_are() {
    let half_an_hour = Duration::from_secs(1_800);
    let reminders = Schedules::from_fn(|_| Schedule { after: vec![half_an_hour], before_expiry: Vec::new() });
    let context = Context { reminders, ..with(suppressing()) };
    let invite = command(1, create(&[address(1), address(2)], true));
    for key in [0, 1] {
        let mut group = Group::new(with_suppressed(Loaded::empty(NOW), key));
        let executed = group.run(&invite, &context).unwrap();
        assert_eq!(executed.suppressed, [1]);
        let save = group.into_save();
        let messages: Vec<_> = save.deliveries.iter().map(|(_, new)| (new.purpose, new.recipient)).collect();
        assert_eq!(messages, [(Purpose::Invitation, 1), (Purpose::Invitation, 2), (Purpose::Reminder, 2)]);
        assert_eq!(save.quotas.suppressed.keys().copied().collect::<Vec<_>>(), [save.deliveries[0].1.id]);
        let types: Vec<_> = save.events.iter().map(|event| event.event_type).collect();
        assert_eq!(types, [EventType::Created, EventType::DeliverySuppressed]);
        let Payload::Delivery(told) = &save.events[1].payload else { panic!("{:?}", save.events[1]) };
        assert_eq!((told.delivery, told.recipient), (save.deliveries[0].1.id, Some(1)));
        let ids: BTreeSet<_> = save.events.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), 2);
    }
    let other = command(1, create(&[address(1)], true));
    let mut group = Group::new(with_suppressed(Loaded::empty(NOW), 0));
    let other = Command { reach: crate::domain::fixtures::reach("umbrella"), ..other };
    assert!(group.run(&other, &context).unwrap().suppressed.is_empty(), "of another account");
}

#[test]
fn resend_rotates_the_link_of_a_suppressed_address() {
    let before = Invitation { last_sent_at: Some(minutes(-5)), ..invitation(1, None) };
    let mut group = Group::new(with_suppressed(loaded(&before, &[]), 0));
    let sent = group.run(&command(1, resend(&before, true, None)), &with(suppressing())).unwrap();
    assert_eq!((sent.suppressed.as_slice(), sent.invitation.generation), ([1].as_slice(), before.generation + 1));
    assert_eq!(sent.invitation.last_sent_at, Some(minutes(-5)));
    assert!(group.save().replacing.is_empty(), "what is queued is left to its turn");
}

#[test]
fn addresses_that_are_mailed_are_looked_up_and_no_others() {
    let quotas = suppressing();
    let mails = command(1, create(&[address(1), address(2)], true));
    assert_eq!(mails.whole_read_set(&quotas).suppressions.len(), 4);
    assert!(mails.read_set_with(&quotas).suppressions.is_empty(), "a create needs no load for it");
    assert!(command(1, create(&[address(1)], false)).whole_read_set(&quotas).suppressions.is_empty());
    assert!(mails.whole_read_set(&Quotas::NONE).suppressions.is_empty());
    let before = invitation(2, None);
    let of = |action| command(2, action).second_read_set(&loaded(&before, &[]), &quotas).suppressions.len();
    assert_eq!((of(resend(&before, false, None)), of(revoke(&before))), (4, 0));
}
