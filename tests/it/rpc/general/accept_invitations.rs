//! AcceptInvitations: several invitations of any kind at once, each for itself.

use invitation_service::pb;
use invitation_service::pb::accept_invitations_result::Result as Outcome;
use invitation_service::pb::event::Payload;
use invitation_service::pb::{InvitationState, InvitationStatus};
use tonic::Code;

use crate::contract::codes;
use crate::support::build::generals::{accept, email, internal, into, into_team, refusal, subject, verified};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    invitations_of_every_kind_are_accepted_each_with_a_result,
    one_refusal_keeps_nobody_from_the_others,
    same_subject_again_has_the_same_acceptance,
    retry_tells_what_the_first_try_told,
    accepting_closes_the_same_persons_others_into_the_scope,
    invitation_of_another_person_or_scope_stays_open,
    bad_request_accepts_nothing,
    malformed_or_repeated_entry_fails_alone,
    entry_has_its_own_etag_input_and_proof,
    proof_by_name_opens_one_invitation_alone,
);

const ANN: &str = "ann@example.org";

fn acceptance(result: &pb::AcceptInvitationsResult) -> &pb::Acceptance {
    match &result.result {
        Some(Outcome::Acceptance(acceptance)) => acceptance,
        other => panic!("{} was not accepted: {other:?}", result.name),
    }
}

async fn invite_ann_to_everything(service: &Service) -> Vec<String> {
    vec![
        messages::create(service, messages::invitation_for(&[ANN])).await.name,
        users::create(service, users::user(ANN)).await.name,
        guests::create(service, guests::guest(ANN)).await.name,
        generals::create(service, into_team(&[email(ANN)])).await.name,
    ]
}

async fn invitations_of_every_kind_are_accepted_each_with_a_result(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut names = invite_ann_to_everything(&service).await;
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "all")),
        domains: vec!["example.org".to_owned()],
        ..Default::default()
    };
    let autojoin = service.scopes().sync_autojoin(sync).await.unwrap().into_inner().invitation.unwrap();
    names.push(autojoin.name);
    let names: Vec<&String> = names.iter().collect();
    let results = accept(&service, &names, verified("ann", "Ann@Example.org")).await;
    assert_eq!(results.iter().map(|result| &result.name).collect::<Vec<_>>(), names);
    for result in &results {
        let (accepted, invitation) = (acceptance(result), result.invitation.as_ref().unwrap());
        assert_eq!((accepted.subject.as_str(), accepted.email.as_str()), ("ann", "Ann@Example.org"));
        assert_eq!((invitation.use_count, invitation.acceptances.as_slice()), (1, std::slice::from_ref(accepted)));
        assert!(accepted.name.starts_with(&invitation.name) && !result.already_accepted);
        let read = messages::get_general(&service, &invitation.name).await;
        assert_eq!(&read, invitation);
    }
    let by: Vec<_> = results.iter().map(|result| acceptance(result).accepted_by()).collect();
    use pb::AcceptedBy::{Guest, User};
    assert_eq!(by, [User, User, Guest, User, User]);
    service.stop().await;
}

async fn one_refusal_keeps_nobody_from_the_others(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut names = invite_ann_to_everything(&service).await;
    let open = messages::create(&service, messages::invitation()).await.name;
    let revoked = generals::create(&service, into_team(&[])).await.name;
    generals::revoke(&service, &revoked).await;
    let missing = "invitations/01920000-0000-7000-8000-000000000001".to_owned();
    let mistyped = generals::create(&service, into("blue", &[])).await.name.replace("invitations", "userInvitations");
    names.extend([open, revoked, missing, mistyped]);
    let names: Vec<&String> = names.iter().collect();
    let unproven = pb::Acceptor { email_verified: false, ..verified("ann", ANN) };
    let results = accept(&service, &names, unproven).await;
    let refusals: Vec<_> = results.iter().map(refusal).collect();
    let (unverified, missing) = ("EMAIL_NOT_VERIFIED", "INVITATION_NOT_FOUND");
    let wanted = [unverified, unverified, unverified, unverified, "", "INVITATION_REVOKED", missing, missing];
    assert_eq!(refusals, wanted);
    for (result, refusal) in results.iter().zip(refusals) {
        assert_eq!(result.invitation.is_none(), !refusal.is_empty());
    }
    let stranger = accept(&service, &names[..4], verified("eve", "eve@example.org")).await;
    assert!(stranger.iter().all(|result| refusal(result) == "EMAIL_NOT_ALLOWED"));
    service.stop().await;
}

async fn same_subject_again_has_the_same_acceptance(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (one, two) = (
        messages::create(&service, messages::invitation()).await,
        messages::create(&service, messages::invitation()).await,
    );
    let first = accept(&service, &[&one.name], subject("ann")).await;
    messages::revoke(&service, &one.name).await.unwrap();
    let again = accept(&service, &[&two.name, &one.name], subject("ann")).await;
    assert_eq!(acceptance(&again[1]).name, acceptance(&first[0]).name);
    assert_eq!((again[0].already_accepted, again[1].already_accepted), (false, true));
    assert_eq!(again[1].invitation.as_ref().unwrap().state(), InvitationState::Revoked);
    assert_eq!(generals::happened(&service, &one.name).await, ["created", "accepted", "revoked"]);
    service.stop().await;
}

async fn retry_tells_what_the_first_try_told(database: TestDatabase) {
    let service = Service::start(&database).await;
    let names = invite_ann_to_everything(&service).await;
    let request = pb::AcceptInvitationsRequest {
        entries: generals::entries(&names),
        acceptor: Some(verified("ann", ANN)),
        request_id: "r".to_owned(),
        ..Default::default()
    };
    let mut client = service.invitations();
    let first = client.accept_invitations(request.clone()).await.unwrap().into_inner();
    let again = client.accept_invitations(request.clone()).await.unwrap().into_inner();
    assert_eq!(again, first);
    assert!(again.results.iter().all(|result| !result.already_accepted), "as it was at first");
    let other = pb::AcceptInvitationsRequest { acceptor: Some(verified("bob", ANN)), ..request };
    refused(client.accept_invitations(other).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    for name in &names {
        let events = messages::events(&service, name).await;
        assert!(events.iter().skip(1).all(|event| event.request_id == "r"), "the id of the call");
        assert_eq!(events.iter().filter(|event| event.r#type == "invitation.accepted").count(), 1);
    }
    service.stop().await;
}

async fn accepting_closes_the_same_persons_others_into_the_scope(database: TestDatabase) {
    let service = Service::start(&database).await;
    let passing = pb::Invitation { pass_through: "mine".to_owned(), ..into_team(&[email(ANN), internal("other")]) };
    let by_email = generals::create(&service, passing).await;
    let by_id = generals::create(&service, into_team(&[internal("ann")])).await;
    let accepted = generals::create(&service, into_team(&[internal("ann"), email("ann@home.org")])).await;
    let results = accept(&service, &[&accepted.name, &by_id.name], verified("ann", ANN)).await;
    assert_eq!((refusal(&results[0]), refusal(&results[1])), ("", "INVITATION_FULFILLED"), "closed by the row before");
    for closed in [&by_email, &by_id] {
        let read = messages::get_general(&service, &closed.name).await;
        assert_eq!((read.state(), read.status()), (InvitationState::Fulfilled, InvitationStatus::AcceptedElsewhere));
        assert_eq!((read.use_count, read.acceptances.len(), read.accept_time), (0, 0, None));
        assert_ne!(read.etag, closed.etag);
        assert_eq!(generals::happened(&service, &closed.name).await, ["created", "accepted_elsewhere"]);
    }
    let events = messages::events(&service, &by_email.name).await;
    let Some(Payload::AcceptedElsewhere(closed)) = &events[1].payload else { panic!("{:?}", events[1]) };
    assert_eq!(closed.accepted_invitation, accepted.name);
    assert!(closed.acceptance.starts_with(&format!("{}/acceptances/", accepted.name)));
    assert_eq!(events[1].pass_through, "mine");
    assert_eq!(generals::happened(&service, &accepted.name).await, ["created", "accepted", "fulfilled"]);
    service.stop().await;
}

async fn invitation_of_another_person_or_scope_stays_open(database: TestDatabase) {
    let service = Service::start(&database).await;
    let group = pb::Scope { r#type: "team".to_owned(), id: "red".to_owned(), display_name: String::new() };
    let many = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..into_team(&[email(ANN)]) };
    let by_group = pb::Invitation { groups: vec![group], targets: vec![internal("ann")], ..pb::Invitation::default() };
    let mut open = Vec::new();
    for other in [into("blue", &[internal("ann")]), into_team(&[email("bob@example.org")]), many] {
        open.push(generals::create(&service, other).await);
    }
    let unexplicit = generals::create(&service, by_group).await;
    // The scope of this one is only its first group: it closes nothing.
    accept(&service, &[&unexplicit.name], subject("ann")).await;
    let unproven = generals::create(&service, into_team(&[email(ANN)])).await;
    let accepted = generals::create(&service, into_team(&[internal("ann")])).await;
    let doubtful = pb::Acceptor { email_verified: false, ..verified("ann", ANN) };
    let results = accept(&service, &[&accepted.name], doubtful).await;
    assert_eq!(refusal(&results[0]), "");
    for open in open.iter().chain([&unproven]) {
        assert_eq!(&messages::get_general(&service, &open.name).await, open, "untouched");
    }
    service.stop().await;
}

async fn bad_request_accepts_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let acceptor = Some(subject("ann"));
    let request = |names: &[&String], acceptor: Option<pb::Acceptor>| pb::AcceptInvitationsRequest {
        entries: generals::entries(names),
        acceptor,
        ..Default::default()
    };
    for (request, fields) in [
        (request(&[], None), vec!["entries", "acceptor.subject"]),
        (request(&vec![&made.name; 101], acceptor), vec!["entries"]),
        (request(&[&made.name], None), vec!["acceptor.subject"]),
    ] {
        let status = service.invitations().accept_invitations(request).await;
        let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
        let (mut seen, mut wanted) = (violated(&status), fields);
        seen.sort();
        wanted.sort_unstable();
        assert_eq!(seen, wanted);
    }
    assert_eq!(messages::get_general(&service, &made.name).await.use_count, 0);
    service.stop().await;
}

async fn malformed_or_repeated_entry_fails_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (one, two) = (
        messages::create(&service, messages::invitation()).await,
        messages::create(&service, messages::invitation()).await,
    );
    let general = one.name.replace("connectionInvitations", "invitations");
    let names = [&general, "invitations/x", &one.name, "", &two.name, "nobody", &general];
    let entries = generals::entries(&names);
    let acceptor = Some(subject("ann"));
    let request = pb::AcceptInvitationsRequest { entries, acceptor, request_id: "r".to_owned(), ..Default::default() };
    let mut client = service.invitations();
    let dry = pb::AcceptInvitationsRequest { validate_only: true, ..request.clone() };
    let dry = client.accept_invitations(dry).await.unwrap().into_inner();
    let first = client.accept_invitations(request.clone()).await.unwrap().into_inner();
    let (malformed, repeated) = ("name INVALID_FORMAT", "name DUPLICATE");
    for answer in [&dry, &first] {
        let errors: Vec<_> = answer.results.iter().map(generals::entry_error).collect();
        assert_eq!(errors, ["", malformed, repeated, "name REQUIRED", "", malformed, repeated]);
        assert_eq!(answer.results.iter().map(|result| result.name.as_str()).collect::<Vec<_>>(), names);
        for result in answer.results.iter().filter(|result| result.invitation.is_none()) {
            let Some(Outcome::Error(error)) = &result.result else { panic!("{result:?}") };
            assert_eq!((error.code, error.reason.as_str()), (Code::InvalidArgument.into(), "INVALID_FIELD"));
            assert!(error.message.starts_with("name "), "{}", error.message);
        }
    }
    for name in [&one.name, &two.name] {
        assert_eq!(generals::happened(&service, name).await[..2], ["created", "accepted"]);
    }
    assert_eq!(client.accept_invitations(request.clone()).await.unwrap().into_inner(), first, "a replay");
    let fewer = request.entries.iter().filter(|entry| entry.name != "nobody").cloned().collect();
    let fewer = pb::AcceptInvitationsRequest { entries: fewer, ..request };
    refused(client.accept_invitations(fewer).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");

    let again = generals::entries(&[&one.name, &one.name]);
    let mut again =
        pb::AcceptInvitationsRequest { entries: again, acceptor: Some(subject("bob")), ..Default::default() };
    again.entries[0].etag = "a\nb".to_owned();
    let results = client.accept_invitations(again).await.unwrap().into_inner().results;
    assert_eq!(results.iter().map(generals::entry_error).collect::<Vec<_>>(), ["etag INVALID_FORMAT", repeated]);
    service.stop().await;
}

async fn entry_has_its_own_etag_input_and_proof(database: TestDatabase) {
    use pb::accept_invitations_entry::KindInput;
    let service = Service::start(&database).await;
    let connection = messages::create(&service, messages::invitation()).await;
    let guest = guests::create(&service, guests::guest(ANN)).await;
    let user = users::create(&service, users::user(ANN)).await;
    let created = pb::CreatedConnection { id: messages::CONNECTION.to_owned(), ..Default::default() };
    let created = Some(KindInput::CreatedConnection(created));
    let organization = Some(KindInput::GuestOrganizationId(guests::GUEST.to_owned()));
    let entry = |name: &str, etag: &str, kind_input: &Option<KindInput>| pb::AcceptInvitationsEntry {
        name: name.to_owned(),
        etag: etag.to_owned(),
        kind_input: kind_input.clone(),
        ..Default::default()
    };
    let run = async |entries: Vec<pb::AcceptInvitationsEntry>| {
        let acceptor = Some(verified("ann", ANN));
        let request = pb::AcceptInvitationsRequest { entries, acceptor, ..Default::default() };
        service.invitations().accept_invitations(request).await.map(|answer| answer.into_inner().results)
    };
    let wrong = run(vec![
        entry(&connection.name, &user.etag, &created),
        entry(&guest.name, "", &created),
        entry(&user.name, "", &organization),
    ]);
    let wrong = wrong.await.unwrap();
    assert_eq!(wrong.iter().map(refusal).collect::<Vec<_>>(), ["ETAG_MISMATCH", "INVALID_FIELD", "INVALID_FIELD"]);
    let bad = KindInput::GuestOrganizationId("x".to_owned());
    let bad_connection = KindInput::CreatedConnection(pb::CreatedConnection::default());
    let bad = run(vec![entry(&guest.name, "", &Some(bad)), entry(&connection.name, "", &Some(bad_connection))]).await;
    let bad: Vec<_> = bad.unwrap().iter().map(generals::entry_error).collect();
    assert_eq!(bad, ["guest_organization_id NOT_A_UUID", "created_connection.id REQUIRED"]);
    let right = run(vec![
        entry(&connection.name, &connection.etag, &created),
        entry(&guest.name, &guest.etag, &organization),
        entry(&user.name, &user.etag, &None),
    ]);
    let right = right.await.unwrap();
    assert_eq!(right.iter().map(refusal).collect::<Vec<_>>(), ["", "", ""]);
    assert_eq!(acceptance(&right[0]).created_connection.as_ref().unwrap().id, messages::CONNECTION);
    assert_eq!(acceptance(&right[1]).guest_organization_id, guests::GUEST);
    service.stop().await;
}

async fn proof_by_name_opens_one_invitation_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let user = users::create(&service, users::user(ANN)).await.name;
    let general = generals::create(&service, into_team(&[email(ANN)])).await.name;
    let proof = codes::prove_by_name(&service, &user, ANN).await;
    let mut entries = generals::entries(&[&user, &general]);
    entries.iter_mut().for_each(|entry| entry.email_proof.clone_from(&proof));
    assert!(!format!("{:?}", entries[0]).contains(&proof), "a proof is no text for a log");
    let acceptor = Some(subject("ann"));
    let request = pb::AcceptInvitationsRequest { entries, acceptor, ..Default::default() };
    let results = service.invitations().accept_invitations(request).await.unwrap().into_inner().results;
    assert_eq!(results.iter().map(refusal).collect::<Vec<_>>(), ["", "EMAIL_NOT_ALLOWED"]);
    assert_eq!(acceptance(&results[0]).email, ANN);
    service.stop().await;
}
