//! The effects of a resend: renewal, rotation and mail.

use std::time::Duration;

use super::ResendInvitation;
use crate::domain::command::Action;
use crate::domain::decide::tests::{after, run, run_on};
use crate::domain::decide::{Context, decide};
use crate::domain::fixtures::{CONTEXT, NOW, at, command, invitation, loaded, minutes, resend, target, ttl};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::time::Timestamp;

#[test]
fn resend_changes_expiry_with_ttl_and_link_with_rotate_only() {
    for expire_at in [None, Some(minutes(60))] {
        for (rotate, span) in [(false, None), (false, Some(10)), (true, None), (true, Some(10))] {
            let mut before = invitation(0, None);
            before.facts.expire_at = expire_at;
            let action = resend(&before, rotate, span.map(ttl));
            let context = Context { signing_key: 9, ..CONTEXT };
            let decided = decide(&loaded(&before, &[]), &command(1, action), &context).unwrap();
            let mut wanted = before.clone();
            if span.is_some() {
                wanted.facts.expire_at = Some(minutes(10));
            }
            if rotate {
                (wanted.generation, wanted.key_id) = (4, 9);
            }
            wanted.touch("caller", NOW);
            assert_eq!(after(&decided.changes), Some(&wanted), "rotate: {rotate}, ttl: {span:?}");
            assert_eq!(decided.changes.events[0].payload.json()["rotated"], rotate);
        }
    }
}

#[test]
fn resend_mails_who_has_not_answered_unless_mail_is_off() {
    let mut invitation = invitation(4, None);
    invitation.recipients[0].accepted_at = Some(minutes(-1));
    invitation.recipients[2].declined_at = Some(minutes(-1));
    invitation.deliveries = 4;
    for (mails, to) in [(true, vec![2, 4]), (false, vec![])] {
        invitation.mails = mails;
        let changes = run(&invitation, resend(&invitation, false, None)).unwrap().changes;
        let mailed: Vec<_> = changes.deliveries.iter().map(|delivery| delivery.recipient).collect();
        assert_eq!(mailed, to);
        assert_eq!(after(&changes).unwrap().deliveries as usize, 4 + to.len());
        assert_eq!(changes.events[0].payload.json()["mailed_count"], to.len());
    }
}

#[test]
fn named_recipients_alone_are_mailed_whether_or_not_mail_is_on() {
    let mut invitation = invitation(4, None);
    invitation.recipients[1].declined_at = Some(minutes(-1));
    invitation.recipients[2].address = at("u-3");
    let unknown = Invalid::new(FieldRule::UnknownValue, "must be a recipient of the invitation");
    let without_email = Invalid::new(FieldRule::NotAllowed, "must be a recipient with an e-mail address");
    let entry = |index, invalid| Err(Refusal::InvalidEntry { field: "recipients", index, invalid });
    let answered = Err(Refusal::RecipientAnswered(invitation.id, 2));
    for (recipients, wanted) in [
        (vec![4, 1, 4], Ok(vec![1, 4])),
        (vec![1], Ok(vec![1])),
        (vec![2], answered.clone()),
        (vec![1, 2], answered),
        (vec![2, 3], entry(1, without_email)),
        (vec![1, 2, 5], entry(2, unknown)),
    ] {
        for (mails, send_email) in [(true, None), (true, Some(true)), (false, None), (false, Some(true))] {
            invitation.mails = mails;
            let (target, recipients) = (target(&invitation), recipients.clone());
            let resend = ResendInvitation { target, rotate: false, expiry: None, send_email, recipients };
            let changes = run(&invitation, Action::Resend(resend)).map(|decided| decided.changes);
            let mailed = changes.as_ref().map(|changes| {
                assert_eq!(after(changes).unwrap().mails, mails || send_email == Some(true));
                assert_eq!(changes.events[0].payload.json()["mailed_count"], changes.deliveries.len());
                changes.deliveries.iter().map(|delivery| delivery.recipient).collect::<Vec<_>>()
            });
            assert_eq!(mailed.map_err(Clone::clone), wanted, "mails: {mails}, send_email: {send_email:?}");
        }
    }
    invitation.facts.revoked_at = Some(minutes(-1));
    let (target, recipients) = (target(&invitation), vec![2]);
    let resend = ResendInvitation { target, rotate: false, expiry: None, send_email: None, recipients };
    assert_eq!(run(&invitation, Action::Resend(resend)).unwrap_err(), Refusal::InvitationRevoked);
}

#[test]
fn resends_that_mail_are_limited_and_others_are_not() {
    let mut invitation = invitation(1, None);
    let with = |mails: Option<bool>| {
        let Action::Resend(resend) = resend(&self::invitation(1, None), true, Some(ttl(10))) else {
            panic!("no resend")
        };
        Action::Resend(ResendInvitation { send_email: mails, ..resend })
    };
    for day in 0..2 {
        for minute in 0..10 {
            let mut loaded = loaded(&invitation, &[]);
            loaded.now = minutes(day * 24 * 60 + minute);
            let decided = run_on(&loaded, &command(1, with(None))).unwrap();
            invitation = after(&decided.changes).unwrap().clone();
        }
        let mut loaded = loaded(&invitation, &[]);
        loaded.now = minutes(day * 24 * 60 + 10);
        let Refusal::RateLimited(limited) = run_on(&loaded, &command(1, with(Some(true)))).unwrap_err() else {
            panic!("another refusal")
        };
        let left = Duration::from_secs((24 * 60 - 10) * 60);
        assert_eq!((limited.limit, limited.retry_after), ("resends_per_invitation", left));
        assert!(run_on(&loaded, &command(1, with(Some(false)))).is_ok(), "it mails nobody");
        let mut silent = invitation.clone();
        silent.mails = false;
        loaded.put_invitation(silent);
        assert!(run_on(&loaded, &command(1, with(None))).is_ok(), "its links are not mailed");
    }
}

#[test]
fn link_rotates_as_often_as_its_token_can_count_and_no_more() {
    let mut invitation = invitation(0, None);
    invitation.generation = u16::MAX - 1;
    let last = run(&invitation, resend(&invitation, true, None)).unwrap();
    assert_eq!(after(&last.changes).unwrap().generation, u16::MAX);
    invitation.generation = u16::MAX;
    assert_eq!(run(&invitation, resend(&invitation, true, None)).unwrap_err(), Refusal::RotationsUsedUp);
    assert!(run(&invitation, resend(&invitation, false, Some(ttl(1)))).is_ok(), "the link itself still works");
}

#[test]
fn no_renewal_goes_beyond_the_calendar() {
    let invitation = invitation(0, None);
    let mut loaded = loaded(&invitation, &[]);
    loaded.now = Timestamp::MAX;
    let decided = run_on(&loaded, &command(1, resend(&invitation, false, Some(ttl(1))))).unwrap();
    assert_eq!(after(&decided.changes).unwrap().facts.expire_at, Some(Timestamp::MAX));
}
