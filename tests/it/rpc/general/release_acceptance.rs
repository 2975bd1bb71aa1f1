//! ReleaseAcceptance: a caller that could not do its part takes an accept back, and a person who has left is kept out.

use invitation_service::pb;
use invitation_service::pb::AcceptanceState as State;
use invitation_service::pb::ReleaseMode::{End, Undo};
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::acceptances::{accept, get, list, release, releasing};
use crate::support::build::guests::{GUEST, HOST, OTHER_HOST};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    undone_accept_leaves_no_trace_but_events,
    undo_does_not_fail_where_the_place_is_taken,
    undo_opens_what_the_accept_had_closed,
    ended_member_is_kept_out_by_every_link,
    guest_that_was_undone_or_ended_is_none,
    acceptances_are_listed_by_subject_and_state,
    dry_run_of_a_release_changes_nothing,
    release_is_for_whoever_reaches_the_invitation,
    malformed_release_is_refused_field_by_field,
);

const JANE: &str = "jane@example.org";

async fn undone_accept_leaves_no_trace_but_events(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = users::create(&service, users::user(JANE)).await;
    let before = messages::get_general(&service, &made.name).await;
    let token = &made.invitation_token;
    let accept_once =
        pb::AcceptInvitationRequest { request_id: "join".to_owned(), ..messages::accept_as(token, "u-1", JANE, true) };
    let first = service.redemptions().accept_invitation(accept_once.clone()).await.unwrap().into_inner();
    let first = first.acceptance.unwrap();
    assert_eq!((first.state(), first.etag.as_str()), (State::Active, ""), "an accept shows no etag");
    let held = get(&service, &first.name).await;
    assert_eq!(users::get(&service, &made.name).await.acceptance.unwrap().name, first.name);

    let undo = pb::ReleaseAcceptanceRequest {
        etag: held.etag.clone(),
        request_id: "undo".to_owned(),
        ..releasing(&first.name, Undo)
    };
    let undone = service.invitations().release_acceptance(undo.clone()).await.unwrap().into_inner();
    assert_eq!((undone.state(), undone.release_time.is_some()), (State::Released, true));
    assert_ne!(undone.etag, held.etag);
    assert_eq!(get(&service, &first.name).await, undone);
    let again = service.invitations().release_acceptance(undo.clone()).await.unwrap().into_inner();
    assert_eq!(again, undone, "a retry");
    let after = messages::get_general(&service, &made.name).await;
    let comparable = |read: pb::Invitation| pb::Invitation {
        acceptances: Vec::new(),
        etag: String::new(),
        update_time: None,
        updater: String::new(),
        ..read
    };
    assert_eq!(comparable(after), comparable(before));
    assert_eq!(users::get(&service, &made.name).await.acceptance, None);

    refused(
        service.redemptions().accept_invitation(accept_once).await,
        Code::FailedPrecondition,
        "ACCEPTANCE_RELEASED",
    );
    let second = accept(&service, token, "u-1", JANE).await.unwrap();
    assert_ne!(second.name, first.name, "another name");
    assert_eq!(release(&service, &first.name, Undo).await.unwrap(), undone, "a late one does not touch the second");
    let stale = pb::ReleaseAcceptanceRequest { request_id: String::new(), ..undo };
    refused(service.invitations().release_acceptance(stale).await, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(get(&service, &second.name).await.state(), State::Active);

    let events = messages::events(&service, &made.name).await;
    let types: Vec<_> = events.iter().map(|event| event.r#type.trim_start_matches("invitation.")).collect();
    assert_eq!(types, ["created", "accepted", "fulfilled", "acceptance.released", "accepted", "fulfilled"]);
    let Some(pb::event::Payload::Acceptance(told)) = &events[3].payload else { panic!("{:?}", events[3]) };
    assert_eq!((told.acceptance.as_str(), told.subject.as_str()), (first.name.as_str(), "u-1"));
    assert_eq!((told.reason.as_str(), told.use_count), ("Ask [removed]", 0));
    assert_eq!(events[3].state(), pb::InvitationState::Active, "the invitation can be accepted again");
    service.stop().await;
}

async fn undo_does_not_fail_where_the_place_is_taken(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = users::create(&service, users::user(JANE)).await;
    let accepted = accept(&service, &made.invitation_token, "u-1", JANE).await.unwrap();
    let rival = users::create(&service, users::user(JANE)).await;
    assert_eq!(release(&service, &accepted.name, Undo).await.unwrap().state(), State::Released);
    let closed = messages::get_general(&service, &made.name).await;
    assert_eq!((closed.state(), closed.use_count), (pb::InvitationState::Fulfilled, 0));
    assert_eq!(closed.status(), pb::InvitationStatus::AcceptedElsewhere);
    let late = accept(&service, &made.invitation_token, "u-1", JANE).await;
    refused(late, Code::FailedPrecondition, "INVITATION_FULFILLED");
    accept(&service, &rival.invitation_token, "u-1", JANE).await.unwrap();
    service.stop().await;
}

async fn undo_opens_what_the_accept_had_closed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let target = || [generals::email(JANE)];
    let reject = || generals::with_conflict(generals::into_team(&target()), pb::OnConflict::Reject);
    let [first, second] = [(); 2].map(|()| generals::into_team(&target()));
    let (first, second) = (generals::create(&service, first).await, generals::create(&service, second).await);
    let third = generals::create(&service, generals::into_team(&[generals::internal("u-1")])).await;
    let accepted = accept(&service, &first.invitation_token, "u-1", JANE).await.unwrap();
    let state = async |made: &pb::Invitation| messages::get_general(&service, &made.name).await.state();
    for closed in [&second, &third] {
        assert_eq!(state(closed).await, pb::InvitationState::Fulfilled);
    }
    release(&service, &accepted.name, Undo).await.unwrap();
    for opened in [&first, &second, &third] {
        assert_eq!(state(opened).await, pb::InvitationState::Active);
    }
    let events = messages::events(&service, &second.name).await;
    let Some(pb::event::Payload::Reopened(told)) = &events.last().unwrap().payload else { panic!("{events:?}") };
    assert_eq!((&told.accepted_invitation, &told.acceptance), (&first.name, &accepted.name));

    // An exclusive one that has lost its place meanwhile stays closed.
    for made in [&first, &second, &third] {
        generals::revoke(&service, &made.name).await;
    }
    let [held, loose] = [reject(), messages::general(generals::into_team(&target()))];
    let held = generals::try_create(&service, held).await.unwrap();
    let loose = generals::create(&service, loose.invitation.unwrap()).await;
    let accepted = accept(&service, &loose.invitation_token, "u-1", JANE).await.unwrap();
    generals::try_create(&service, reject()).await.unwrap();
    release(&service, &accepted.name, Undo).await.unwrap();
    assert_eq!(
        (state(&held).await, state(&loose).await),
        (pb::InvitationState::Fulfilled, pb::InvitationState::Active)
    );
    service.stop().await;
}

async fn ended_member_is_kept_out_by_every_link(database: TestDatabase) {
    let service = Service::start(&database).await;
    let many = pb::Invitation {
        max_uses: Some(5),
        invitation_type: pb::InvitationType::MultiUse.into(),
        ..generals::into_team(&[generals::email(JANE)])
    };
    let made = generals::create(&service, many).await;
    let accept_once = pb::AcceptInvitationRequest {
        request_id: "join".to_owned(),
        ..messages::accept_as(&made.invitation_token, "u-1", JANE, true)
    };
    let first = service.redemptions().accept_invitation(accept_once.clone()).await.unwrap().into_inner();
    let name = first.acceptance.unwrap().name;
    let ended = release(&service, &name, End).await.unwrap();
    assert_eq!(ended.state(), State::Ended);
    assert_eq!(release(&service, &name, End).await.unwrap(), ended);
    assert_eq!(release(&service, &name, Undo).await.unwrap(), ended, "a late undo lets nobody back in");
    assert_eq!(messages::get_general(&service, &made.name).await.use_count, 1, "the use stays spent");
    let mailed = messages::mailed_token(&made.uid, 1);
    for token in [&made.invitation_token, &mailed] {
        refused(accept(&service, token, "u-1", JANE).await, Code::FailedPrecondition, "ACCEPTANCE_ENDED");
    }
    let by_name = generals::accept(&service, &[&made.name], generals::subject("u-1")).await;
    assert_eq!(generals::refusal(&by_name[0]), "ACCEPTANCE_ENDED");
    refused(service.redemptions().accept_invitation(accept_once).await, Code::FailedPrecondition, "ACCEPTANCE_ENDED");
    accept(&service, &made.invitation_token, "u-2", "").await.unwrap();

    let undone = accept(&service, &made.invitation_token, "u-3", "").await.unwrap();
    release(&service, &undone.name, Undo).await.unwrap();
    refused(release(&service, &undone.name, End).await, Code::FailedPrecondition, "ACCEPTANCE_RELEASED");

    // Invitations that the accept has closed stay closed, so the person's other links let nobody in either.
    let [one, other] = [(); 2].map(|()| generals::into_team(&[generals::email("kim@example.org")]));
    let (one, other) = (generals::create(&service, one).await, generals::create(&service, other).await);
    let accepted = accept(&service, &one.invitation_token, "u-4", "kim@example.org").await.unwrap();
    release(&service, &accepted.name, End).await.unwrap();
    for (made, reason) in [(&one, "ACCEPTANCE_ENDED"), (&other, "INVITATION_FULFILLED")] {
        for token in [made.invitation_token.clone(), messages::mailed_token(&made.uid, 1)] {
            let late = accept(&service, &token, "u-4", "kim@example.org").await;
            refused(late, Code::FailedPrecondition, reason);
        }
    }
    service.stop().await;
}

async fn guest_that_was_undone_or_ended_is_none(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = guests::create(&service, guests::guest(JANE)).await;
    let token = &made.invitation_token;
    let as_guest = pb::AcceptInvitationRequest {
        kind_input: messages::as_guest(GUEST),
        ..messages::accept_as(token, "u-1", JANE, true)
    };
    let first = service.redemptions().accept_invitation(as_guest.clone()).await.unwrap().into_inner();
    release(&service, &first.acceptance.unwrap().name, Undo).await.unwrap();
    let open = guests::get(&service, &made.name).await;
    assert_eq!((open.status(), open.guest_organization_id.as_str()), (pb::GuestInvitationStatus::Sent, ""));
    assert_eq!((open.state(), open.acceptance), (pb::InvitationState::Active, None));

    let second = service.redemptions().accept_invitation(as_guest).await.unwrap().into_inner();
    release(&service, &second.acceptance.unwrap().name, End).await.unwrap();
    let by_system = service.guests().accept_guest_invitation(guests::by_system(&made.name, GUEST)).await;
    refused(by_system, Code::FailedPrecondition, "ACCEPTANCE_ENDED");
    let ended = guests::get(&service, &made.name).await;
    assert_eq!(ended.acceptance.unwrap().state(), State::Ended);
    service.stop().await;
}

async fn acceptances_are_listed_by_subject_and_state(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let mut names = Vec::new();
    for (subject, mode) in [("ann", Some(Undo)), ("ann", Some(Undo)), ("ann", None), ("bob", Some(End)), ("cid", None)]
    {
        service.clock.advance(std::time::Duration::from_secs(1));
        let accepted = accept(&service, &made.invitation_token, subject, "").await.unwrap();
        if let Some(mode) = mode {
            release(&service, &accepted.name, mode).await.unwrap();
        }
        names.push(accepted.name);
    }
    for (subject, states, wanted) in [
        ("", &[][..], &[0, 1, 2, 3, 4][..]),
        ("ann", &[], &[0, 1, 2]),
        ("ann", &[State::Active], &[2]),
        ("ann", &[State::Released], &[0, 1]),
        ("ann", &[State::Ended], &[]),
        ("", &[State::Ended], &[3]),
        ("", &[State::Active, State::Ended], &[2, 3, 4]),
    ] {
        let wanted: Vec<_> = wanted.iter().map(|at: &usize| names[*at].clone()).collect();
        for parent in [&made.name, "invitations/-"] {
            let found = list(&service, parent, subject, states).await;
            assert!(found.iter().all(|found| !found.etag.is_empty()));
            let found: Vec<_> = found.into_iter().map(|found| found.name).collect();
            assert_eq!(found, wanted, "{parent} {subject} {states:?}");
        }
    }
    let shown = messages::get(&service, &made.name).await;
    assert_eq!(shown.use_count, 3);
    service.stop().await;
}

async fn dry_run_of_a_release_changes_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = users::create(&service, users::user(JANE)).await;
    let accepted = accept(&service, &made.invitation_token, "u-1", JANE).await.unwrap();
    let before = get(&service, &accepted.name).await;
    for mode in [Undo, End] {
        let dry = pb::ReleaseAcceptanceRequest { validate_only: true, ..releasing(&accepted.name, mode) };
        let told = service.invitations().release_acceptance(dry).await.unwrap().into_inner();
        let wanted = if mode == Undo { State::Released } else { State::Ended };
        assert_eq!((told.state(), told.etag.as_str(), &told.name), (wanted, "", &accepted.name));
        assert_eq!(get(&service, &accepted.name).await, before);
    }
    service.stop().await;
}

async fn release_is_for_whoever_reaches_the_invitation(database: TestDatabase) {
    let keys = [
        ("ours", "*", None),
        ("ours", "*", Some(HOST)),
        ("ours", "*", Some(OTHER_HOST)),
        ("ours", "invitations.redeem invitations.write", None),
    ];
    let (service, key) = keys::start_bound(&database, &keys).await;
    let mut create = keys::with(&key[0], guests::creation(guests::guest(JANE)));
    guests::add(&mut create, HOST, HOST);
    let made = service.guests().create_guest_invitation(create).await.unwrap().into_inner();
    let accept = keys::with(&key[3], messages::accept_as(&made.invitation_token, "u-1", JANE, true));
    let accepted = service.redemptions().accept_invitation(accept).await.unwrap().into_inner().acceptance.unwrap();
    let release = pb::ReleaseAcceptanceRequest { request_id: "r".to_owned(), ..releasing(&accepted.name, Undo) };
    let call = async |at: usize| service.invitations().release_acceptance(keys::with(&key[at], release.clone())).await;
    let status = refused(call(3).await, Code::PermissionDenied, "PERMISSION_DENIED");
    assert!(status.message().contains("acceptances.write"), "{status:?}");
    refused(call(2).await, Code::NotFound, "ACCEPTANCE_NOT_FOUND");
    assert_eq!(call(1).await.unwrap().into_inner().state(), State::Released);
    service.stop().await;
}

async fn malformed_release_is_refused_field_by_field(database: TestDatabase) {
    let service = Service::start(&database).await;
    let wrong = pb::ReleaseAcceptanceRequest {
        name: "invitations/1/acceptances/2".to_owned(),
        etag: "e".repeat(201),
        ..Default::default()
    };
    let status = service.invitations().release_acceptance(wrong).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["name", "etag", "mode"]);
    let missing = format!("invitations/{}/acceptances/{}", messages::COMPANY, messages::COMPANY);
    let unknown = pb::ReleaseAcceptanceRequest { mode: 9, ..releasing(&missing, Undo) };
    let status = service.invitations().release_acceptance(unknown).await;
    assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["mode"]);
    refused(release(&service, &missing, End).await, Code::NotFound, "ACCEPTANCE_NOT_FOUND");
    service.stop().await;
}
