//! Messages with a link replace those to the same recipients that are not sent yet.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{BatchMode, Group, group, run, run_all, silent};
use crate::domain::command::{Action, ResendInvitation};
use crate::domain::delivery::REPLACED;
use crate::domain::fixtures::{address, command, create, invitation, minutes, requested, resend};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::Refusal;

fn resend_to(invitation: &Invitation, recipients: &[u16]) -> Action {
    let Action::Resend(resend) = resend(invitation, false, None) else { panic!("no resend") };
    Action::Resend(ResendInvitation { recipients: recipients.to_vec(), ..resend })
}

/// The recipients whose queued messages the save replaces.
fn replacing(group: &Group) -> Vec<u16> {
    group.save().replacing.keys().map(|(_, recipient)| *recipient).collect()
}

#[test]
fn resend_replaces_what_is_queued_to_those_it_mails() {
    let invitation = invitation(3, None);
    for (action, wanted) in [
        (resend(&invitation, false, None), vec![1, 2, 3]),
        (resend(&invitation, true, None), vec![1, 2, 3]),
        (resend_to(&invitation, &[2]), vec![2]),
        (silent(&invitation), vec![]),
    ] {
        let mut group = group(&invitation);
        run_all(&mut group, [action]);
        assert_eq!(replacing(&group), wanted);
        let new: Vec<Uuid> = group.save().replacing.values().map(|(_, id)| *id).collect();
        let sent: Vec<Uuid> = group.save().deliveries.iter().map(|(_, delivery)| delivery.id).collect();
        assert_eq!((new, group.save().cancelled.len()), (sent, 0));
    }
}

#[test]
fn create_replaces_nothing() {
    let mut group = Group::new(Loaded::empty(minutes(0)));
    run_all(&mut group, [create(&[address(1)], true), create(&[address(1)], true)]);
    assert!(group.save().replacing.is_empty() && group.save().cancelled.is_empty());
}

#[test]
fn resend_replaces_the_message_of_a_create_in_its_group() {
    let mut group = Group::new(Loaded::empty(minutes(0)));
    let made = run_all(&mut group, [create(&[address(1), address(2)], true)]).remove(0).invitation;
    run(&mut group, &command(2, resend_to(&made, &[2]))).unwrap();
    let messages = &group.save().deliveries;
    let recipients: Vec<u16> = messages.iter().map(|(_, delivery)| delivery.recipient).collect();
    assert_eq!(recipients, [1, 2, 2]);
    assert_eq!(group.save().cancelled, BTreeMap::from([(messages[1].1.id, REPLACED)]));
}

#[test]
fn second_resend_in_a_minute_is_refused_and_a_retry_is_not() {
    let invitation = invitation(1, None);
    let mut group = group(&invitation);
    let first = requested(command(1, resend(&invitation, false, None)), "r", "body", &[1]);
    run(&mut group, &first).unwrap();
    let saved = format!("{:?}", group.save());
    let refused = |result| matches!(result, Err(Refusal::RateLimited(_)));
    assert!(refused(run(&mut group, &command(2, resend(&invitation, false, None))).map(drop)));
    let dry = group.run_batch(&[command(3, resend(&invitation, false, None))], BatchMode::DryRun, run).remove(0);
    assert!(refused(dry.map(drop)));
    assert!(run(&mut group, &first).is_ok(), "a retry mails nobody");
    assert_eq!(format!("{:?}", group.save()), saved);
}
