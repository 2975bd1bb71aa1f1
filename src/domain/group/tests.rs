//! The merged save of a group of commands.

mod batches;
mod conflicts;
mod kinds;
mod mail;
mod sequences;

use uuid::Uuid;

use super::loaded::Loaded;
use super::{BatchMode, Executed, Group};
use crate::domain::command::{Action, Command, ResendInvitation};
use crate::domain::fixtures::{
    CONTEXT, accept, accept_with, acceptor, address, command, connection, create, decline, early, engage, in_state,
    invitation, loaded, minutes, requested, resend, revoke, ttl, update, verbs,
};
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::event::EventType::{Accepted, Clicked, Created, Fulfilled, Resent, Updated, Viewed};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::invitation::{Engagement, EngagementType, Invitation, NEWEST_ACCEPTANCES};
use crate::domain::value::id::AcceptanceId;

fn group(invitation: &Invitation) -> Group {
    Group::new(loaded(invitation, &[]))
}

fn run(group: &mut Group, command: &Command) -> Result<Executed, Refusal> {
    group.run(command, &CONTEXT)
}

/// Runs actions one after another, each by its own command; all have to succeed.
fn run_all(group: &mut Group, actions: impl IntoIterator<Item = Action>) -> Vec<Executed> {
    (1..).zip(actions).map(|(number, action)| run(group, &command(number, action)).unwrap()).collect()
}

/// Resends without mail.
fn silent(invitation: &Invitation) -> Action {
    let Action::Resend(resend) = resend(invitation, false, None) else { panic!("no resend") };
    Action::Resend(ResendInvitation { send_email: Some(false), ..resend })
}

fn event_types(group: &Group) -> Vec<EventType> {
    group.save().events.iter().map(|event| event.event_type).collect()
}

#[test]
fn accepts_of_one_invitation_fold_to_one_row() {
    for (n, m) in [(1_u8, 1_u8), (20, 1), (20, 7), (5, 5), (4, 50)] {
        let invitation = invitation(0, Some(m.into()));
        let mut group = group(&invitation);
        let accepts = (0..n).map(|n| command(n, accept(invitation.claims(0), acceptor(&n.to_string()))));
        let (fine, refused): (Vec<_>, Vec<_>) = accepts.map(|accept| run(&mut group, &accept)).partition(Result::is_ok);
        let accepted = n.min(m);
        assert_eq!(fine.len(), usize::from(accepted), "{n} for {m}");
        assert!(refused.into_iter().all(|refused| refused.unwrap_err() == Refusal::InvitationFulfilled));
        let save = group.save();
        assert_eq!((save.created.len(), save.updated.len(), save.accepted.len()), (0, 1, usize::from(accepted)));
        let update = &save.updated[&invitation.id];
        assert_eq!(update.invitation.facts.use_count, u32::from(accepted));
        assert_eq!(update.loaded_revision, invitation.revision);
        assert_eq!(update.invitation.revision, invitation.revision + i64::from(accepted));
        assert!(update.unexpired);
        let mut wanted = vec![Accepted; accepted.into()];
        wanted.extend((n >= m).then_some(Fulfilled));
        assert_eq!(event_types(&group), wanted, "{n} for {m}");
    }
}

#[test]
fn one_subject_twice_in_a_group_is_one_acceptance() {
    let invitation = invitation(0, Some(2));
    let mut group = group(&invitation);
    let link = invitation.claims(0);
    let twice = [accept(link, acceptor("a")), accept(link, acceptor("a"))];
    let [first, second] = run_all(&mut group, twice).try_into().unwrap();
    assert_eq!((first.already_accepted, second.already_accepted), (false, true));
    assert!(first.acceptance.is_some());
    assert_eq!(first.acceptance, second.acceptance);
    assert_eq!((group.save().accepted.len(), second.invitation.facts.use_count), (1, 1));
}

#[test]
fn each_caller_is_told_the_invitation_as_their_command_left_it() {
    let invitation = invitation(2, None);
    let mut group = group(&invitation);
    let rotated = Invitation { generation: 4, ..invitation.clone() };
    let actions = [
        decline(invitation.claims(1)),
        resend(&invitation, true, Some(ttl(5))),
        accept(rotated.claims(2), acceptor("b")),
        revoke(&invitation),
    ];
    let executed = run_all(&mut group, actions);
    let told: Vec<_> = executed
        .iter()
        .map(|executed| {
            let told = &executed.invitation;
            (told.revision, told.generation, told.facts.use_count, told.state_at(executed.now))
        })
        .collect();
    let active = State::Active;
    assert_eq!(told, [(8, 3, 0, active), (9, 4, 0, active), (10, 4, 1, active), (11, 4, 1, State::Revoked)]);
    let update = &group.save().updated[&invitation.id];
    let saved = Invitation { acceptances: executed[3].invitation.acceptances.clone(), ..(*update.invitation).clone() };
    assert_eq!(saved, *executed[3].invitation, "the last is what is saved");
    assert_eq!(update.loaded_revision, 7);
    assert_eq!(update.recipients.iter().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(update.invitation.facts.expire_at, Some(minutes(5)));
    assert!(update.unexpired, "one accept among them is enough");
}

#[test]
fn later_commands_see_what_earlier_ones_changed() {
    let invitation = invitation(0, Some(1));
    let link = invitation.claims(0);
    let late = || accept(link, acceptor("late"));
    let refused = Refusal::InvitationNotFound;
    for (first, then, refusal) in [
        (revoke(&invitation), late(), Refusal::InvitationRevoked),
        (late(), revoke(&invitation), Refusal::InvitationFulfilled),
        (late(), decline(link), Refusal::InvitationFulfilled),
        (decline(link), late(), Refusal::InvitationDeclined),
        (decline(link), resend(&invitation, false, Some(ttl(5))), Refusal::InvitationDeclined),
        (resend(&invitation, true, None), late(), refused.clone()),
        (resend(&invitation, true, None), engage(link, EngagementType::View), refused),
    ] {
        let mut group = group(&invitation);
        run(&mut group, &command(1, first.clone())).unwrap();
        assert_eq!(run(&mut group, &command(2, then)).unwrap_err(), refusal, "after {first:?}");
    }
}

#[test]
fn renewal_in_the_group_lets_the_accept_behind_it_in() {
    let expired = in_state(State::Expired);
    let mut group = group(&expired);
    let late = command(1, accept(expired.claims(1), acceptor("late")));
    assert_eq!(run(&mut group, &late).unwrap_err(), Refusal::InvitationExpired);
    run(&mut group, &command(2, resend(&expired, false, Some(ttl(5))))).unwrap();
    assert!(run(&mut group, &late).is_ok());
    assert_eq!(event_types(&group), [Resent, Accepted, Fulfilled]);
}

#[test]
fn etag_is_the_one_that_the_command_before_has_left() {
    let invitation = invitation(0, None);
    let tagged = |etag: &str| {
        let Action::Revoke(mut revoke) = revoke(&invitation) else { panic!("no revoke") };
        revoke.target.etag = Some(etag.to_owned());
        Action::Revoke(revoke)
    };
    let mut group = group(&invitation);
    let executed = run(&mut group, &command(1, resend(&invitation, false, None))).unwrap();
    assert_eq!(run(&mut group, &command(2, tagged(&invitation.etag()))).unwrap_err(), Refusal::EtagMismatch);
    assert!(run(&mut group, &command(3, tagged(&executed.invitation.etag()))).is_ok());
}

#[test]
fn refused_command_changes_nothing_in_any_state() {
    let mut refusals = 0;
    for state in State::ALL {
        let invitation = in_state(state);
        for (verb, action) in verbs(&invitation) {
            let mut group = Group::new(loaded(&invitation, &[early(&invitation)]));
            run(&mut group, &command(1, engage(invitation.claims(0), EngagementType::View))).unwrap();
            let before = format!("{group:?}");
            if run(&mut group, &requested(command(2, action), "r", "body", &[1])).is_err() {
                refusals += 1;
                assert_eq!(format!("{group:?}"), before, "{verb} when {state:?}");
            }
        }
    }
    assert_eq!(refusals, 4 + 6 + 6 + 7, "of EXPIRED, REVOKED, DECLINED, FULFILLED");
}

#[test]
fn events_deliveries_and_counters_keep_the_command_order() {
    let invitation = invitation(2, None);
    let mut group = group(&invitation);
    let link = invitation.claims(0);
    let actions = [
        engage(link, EngagementType::View),
        silent(&invitation),
        engage(link, EngagementType::Click),
        decline(invitation.claims(1)),
        resend(&invitation, false, None),
        engage(link, EngagementType::View),
    ];
    run_all(&mut group, actions);
    assert_eq!(event_types(&group), [Viewed, Resent, Clicked, EventType::Declined, Resent, Viewed]);
    let mailed: Vec<_> = group.save().deliveries.iter().map(|(_, delivery)| delivery.recipient).collect();
    assert_eq!(mailed, [2], "nobody the first time, and recipient 1 had declined by the second");
    assert_eq!(group.save().engagement[&invitation.id], Engagement { views: 2, clicks: 1, unfurls: 0 });
    assert_eq!(group.save().updated[&invitation.id].invitation.deliveries, 1);
}

#[test]
fn creates_alone_are_plain_and_anything_else_is_not() {
    let mut group = Group::new(Loaded::empty(minutes(0)));
    assert!(group.save().is_empty());
    let executed = run_all(&mut group, [create(&[address(1)], true), create(&[], true)]);
    assert!(!group.save().is_empty() && group.save().only_creates());
    assert_eq!(event_types(&group), [Created, Created]);
    let ids: Vec<_> = executed.iter().map(|executed| executed.invitation.id).collect();
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| group.save().created.contains_key(id)));
    assert_eq!(group.save().deliveries.len(), 1);

    let invitation = in_state(State::Active);
    for (verb, action) in verbs(&invitation) {
        let mut group = Group::new(loaded(&invitation, &[early(&invitation)]));
        run_all(&mut group, [create(&[], true), action]);
        assert!(!group.save().only_creates(), "{verb}");
    }
}

#[test]
fn invitations_of_a_group_are_told_apart() {
    let one = invitation(0, Some(1));
    let mut other = one.clone();
    other.id.0 = Uuid::from_u128(9);
    let mut loaded = loaded(&one, &[]);
    loaded.put_invitation(other.clone());
    let mut group = Group::new(loaded);
    run_all(&mut group, [revoke(&one), accept(other.claims(0), acceptor("a"))]);
    let states = [&one, &other].map(|of| group.save().updated[&of.id].invitation.state_at(minutes(0)));
    assert_eq!(states, [State::Revoked, State::Fulfilled]);
    assert!(!group.save().updated[&one.id].unexpired && group.save().updated[&other.id].unexpired);
}

#[test]
fn request_id_twice_in_a_group_has_one_effect() {
    let invitation = invitation(0, Some(2));
    let link = invitation.claims(0);
    for action in [accept(link, acceptor("a")), resend(&invitation, true, None), create(&[address(1)], true)] {
        let mut group = group(&invitation);
        let first = run(&mut group, &requested(command(1, action.clone()), "r", "body", &[1])).unwrap();
        let saved = format!("{:?}", group.save());
        let again = run(&mut group, &requested(command(2, action.clone()), "r", "body", &[1])).unwrap();
        assert_eq!((again.invitation, again.acceptance), (first.invitation, first.acceptance));
        assert!(!again.already_accepted);
        let other = run(&mut group, &requested(command(3, action), "r", "other", &[1]));
        assert_eq!(other.unwrap_err(), Refusal::RequestIdReused);
        assert_eq!(format!("{:?}", group.save()), saved);
        assert_eq!(group.save().requests.len(), 1);
    }
}

#[test]
fn refused_command_leaves_its_request_id_free() {
    let expired = in_state(State::Expired);
    let mut group = group(&expired);
    let refused = requested(command(1, resend(&expired, false, None)), "r", "body", &[1]);
    assert_eq!(run(&mut group, &refused).unwrap_err(), Refusal::InvitationExpired);
    let mended = requested(command(2, resend(&expired, false, Some(ttl(5)))), "r", "other body", &[1]);
    assert!(run(&mut group, &mended).is_ok());
}

#[test]
fn connection_changed_in_its_own_group_is_inserted_as_changed() {
    let invitation = invitation(0, None);
    let mut group = Group::new(loaded(&invitation, &[early(&invitation)]));
    let brought = accept_with(invitation.claims(0), acceptor("a"), Some(connection(2, "NEW")));
    let changes = [update(&invitation, connection(2, "LIVE"), None), update(&invitation, connection(1, "DOWN"), None)];
    run_all(&mut group, [brought].into_iter().chain(changes));
    let [inserted, updated] = [&group.save().accepted, &group.save().reaccepted].map(|rows| {
        let made = rows.values().filter_map(|(_, acceptance)| acceptance.created_connection.as_ref());
        made.map(|made| made.connection.status.as_str()).collect::<Vec<_>>()
    });
    assert_eq!(inserted, ["LIVE"]);
    assert_eq!(updated, ["DOWN"]);
    assert_eq!(event_types(&group), [Accepted, Updated, Updated]);
    let taken = accept_with(invitation.claims(0), acceptor("b"), Some(connection(2, "NEW")));
    let refusal = run(&mut group, &command(9, taken)).unwrap_err();
    assert!(matches!(refusal, Refusal::CreatedConnectionExists(_)), "{refusal:?}");
}

#[test]
fn answer_shows_changes_of_earlier_commands_of_the_group() {
    let invitation = invitation(0, None);
    let mut group = group(&invitation);
    let link = invitation.claims(0);
    let actions = [
        engage(link, EngagementType::View),
        accept_with(link, acceptor("a"), Some(connection(2, "NEW"))),
        accept(link, acceptor("b")),
        update(&invitation, connection(2, "LIVE"), None),
        revoke(&invitation),
    ];
    let executed = run_all(&mut group, actions);
    assert_eq!(executed[0].invitation.engagement.views, 1);
    for executed in &executed[3..] {
        let shown: Vec<_> = executed.invitation.acceptances.iter().map(|shown| shown.subject.0.as_str()).collect();
        let mut sorted = shown.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["a", "b"]);
        let made = executed.invitation.acceptances.iter().find_map(|shown| shown.created_connection.as_ref());
        assert_eq!(made.map(|made| made.connection.status.as_str()), Some("LIVE"));
        assert_eq!(executed.invitation.engagement.views, 1);
    }
}

#[test]
fn deciding_a_group_again_saves_the_same() {
    let invitation = invitation(3, None);
    let decide = || {
        let mut group = group(&invitation);
        let actions = [accept(invitation.claims(1), acceptor("a")), resend(&invitation, true, None), create(&[], true)];
        run_all(&mut group, actions);
        format!("{:?}", group.save())
    };
    assert_eq!(decide(), decide());
}

#[test]
fn executed_moment_is_the_one_of_the_load() {
    let invitation = invitation(0, None);
    let mut later = loaded(&invitation, &[]);
    later.now = minutes(3);
    let executed = run(&mut Group::new(later), &command(1, revoke(&invitation))).unwrap();
    assert_eq!((executed.now, executed.invitation.updated_at), (minutes(3), minutes(3)));
}

#[test]
fn answer_shows_no_more_than_the_newest_acceptances() {
    let mut invitation = invitation(0, None);
    let accepted = |id: u128, subject: &str| {
        let id = AcceptanceId(Uuid::from_u128(id));
        Acceptance::new(id, invitation.id, &acceptor(subject), (None, None), None, minutes(-50))
    };
    // Ids of the group are higher, since they begin with the moment of their command.
    invitation.acceptances = (0..NEWEST_ACCEPTANCES).rev().map(|n| accepted(n as u128, &n.to_string())).collect();
    let mut group = group(&invitation);
    let link = invitation.claims(0);
    let [new, shown] = run_all(&mut group, [accept(link, acceptor("new")), revoke(&invitation)]).try_into().unwrap();
    let shown: Vec<AcceptanceId> = shown.invitation.acceptances.iter().map(|acceptance| acceptance.id).collect();
    let mut wanted = vec![new.acceptance.unwrap().id];
    wanted.extend((1..NEWEST_ACCEPTANCES).rev().map(|n| AcceptanceId(Uuid::from_u128(n as u128))));
    assert_eq!(shown, wanted);
}

/// The caller of a retry learns as well whether the command changed anything.
#[test]
fn change_is_reported_on_the_first_call_and_on_its_retry() {
    let revoked = in_state(State::Revoked);
    let active = in_state(State::Active);
    for (invitation, happened) in [(&revoked, false), (&active, true)] {
        let mut group = group(invitation);
        for number in [1, 2] {
            let revoke = requested(command(number, revoke(invitation)), "r", "body", &[1]);
            assert_eq!(run(&mut group, &revoke).unwrap().happened, happened, "time {number}");
        }
    }
}
