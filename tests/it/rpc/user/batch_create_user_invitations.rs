//! BatchCreateUserInvitations: each for itself or all together, by the same code as BatchCreateInvitations.

use invitation_service::pb;
use invitation_service::pb::batch_create_user_invitations_result::Result as Outcome;
use invitation_service::pb::{BatchCreateUserInvitationsRequest as Batch, OnConflict};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::rpc::redemption::keys;
use crate::support::build::users;
use crate::support::build::users::{creation, user};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    each_person_has_a_result_in_its_place,
    atomic_batch_invites_all_or_nobody,
    batch_answers_like_single_creates_with_the_same_ids,
    batch_needs_the_permission_and_an_inviter,
);

fn batch(emails: &[&str]) -> Batch {
    Batch { requests: emails.iter().map(|email| creation(user(email))).collect(), ..Default::default() }
}

async fn try_run(service: &Service, batch: Batch) -> Result<Vec<Outcome>, Status> {
    let answer = service.users().batch_create_user_invitations(batch).await?.into_inner();
    Ok(answer.results.into_iter().map(|result| result.result.unwrap()).collect())
}

#[track_caller]
fn made(outcome: &Outcome) -> &pb::UserInvitation {
    match outcome {
        Outcome::UserInvitation(invitation) => invitation,
        Outcome::Error(error) => panic!("refused: {error:?}"),
    }
}

#[track_caller]
fn error(outcome: &Outcome) -> (Code, &str) {
    match outcome {
        Outcome::UserInvitation(_) => panic!("the entry should have been refused"),
        Outcome::Error(error) => (Code::from_i32(error.code), error.reason.as_str()),
    }
}

async fn count(service: &Service) -> usize {
    let list = pb::ListUserInvitationsRequest { page_size: 1_000, ..Default::default() };
    service.users().list_user_invitations(list).await.unwrap().into_inner().user_invitations.len()
}

async fn each_person_has_a_result_in_its_place(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut sent = batch(&["ann@example.org", "nobody", "ANN@example.org", "bob@example.org"]);
    let again = OnConflict::ReturnExisting.into();
    sent.requests.push(pb::CreateUserInvitationRequest { on_conflict: again, ..creation(user("bob@example.org")) });
    let outcomes = try_run(&service, sent).await.unwrap();
    assert_eq!(made(&outcomes[0]).invited_email, "ann@example.org");
    assert!(!made(&outcomes[0]).invitation_token.is_empty(), "the caller has made the link");
    assert_eq!(error(&outcomes[1]), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_eq!(error(&outcomes[2]), (Code::AlreadyExists, "INVITATION_EXISTS"), "as by an earlier call");
    assert_eq!(made(&outcomes[4]).name, made(&outcomes[3]).name);
    assert_eq!(made(&outcomes[4]).create_outcome(), pb::CreateOutcome::Existing);
    assert_eq!(users::get(&service, &made(&outcomes[0]).name).await.name, made(&outcomes[0]).name);
    assert_eq!(count(&service).await, 2);

    let emails: Vec<_> = (0..501).map(|number| format!("p{number}@example.org")).collect();
    let emails: Vec<_> = emails.iter().map(String::as_str).collect();
    assert_eq!(try_run(&service, batch(&emails[..500])).await.unwrap().len(), 500);
    for refusal in [batch(&[]), batch(&emails)] {
        let status = refused(try_run(&service, refusal).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["requests"]);
    }
    assert_eq!(count(&service).await, 502);
    service.stop().await;
}

async fn atomic_batch_invites_all_or_nobody(database: TestDatabase) {
    let service = Service::start(&database).await;
    let ann = users::create(&service, user("ann@example.org")).await;
    let atomic = |emails: &[&str], validate_only| Batch { atomic: true, validate_only, ..batch(emails) };
    for validate_only in [true, false] {
        let refusal = try_run(&service, atomic(&["bob@example.org", "x", "cid@example.org", "y"], validate_only)).await;
        let status = refused(refusal, Code::InvalidArgument, "INVALID_FIELD");
        let fields = ["requests[1].user_invitation.invited_email", "requests[3].user_invitation.invited_email"];
        assert_eq!(violated(&status), fields);
        let refusal = try_run(&service, atomic(&["bob@example.org", "ann@example.org"], validate_only)).await;
        let status = refused(refusal, Code::AlreadyExists, "INVITATION_EXISTS");
        assert_eq!(status.get_error_details().resource_info().unwrap().resource_name, ann.name);
        assert_eq!(count(&service).await, 1);
    }
    let dry = try_run(&service, atomic(&["bob@example.org", "cid@example.org"], true)).await.unwrap();
    assert!(dry.iter().all(|outcome| made(outcome).name.is_empty() && made(outcome).invitation_token.is_empty()));
    assert_eq!(count(&service).await, 1);
    try_run(&service, atomic(&["bob@example.org", "cid@example.org"], false)).await.unwrap();
    assert_eq!(count(&service).await, 3);
    service.stop().await;
}

async fn batch_answers_like_single_creates_with_the_same_ids(database: TestDatabase) {
    let service = Service::start(&database).await;
    let whole = |emails: &[&str]| Batch { request_id: "r".to_owned(), ..batch(emails) };
    let first = try_run(&service, whole(&["ann@example.org", "bob@example.org"])).await.unwrap();
    let again = try_run(&service, whole(&["ann@example.org", "bob@example.org"])).await.unwrap();
    assert_eq!(again, first);
    let other = try_run(&service, whole(&["ann@example.org", "cid@example.org"])).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");

    let own = pb::CreateUserInvitationRequest { request_id: "own".to_owned(), ..creation(user("dan@example.org")) };
    let sent = Batch { requests: vec![own.clone()], ..Default::default() };
    let outcomes = try_run(&service, sent.clone()).await.unwrap();
    let alone = service.users().create_user_invitation(own).await.unwrap().into_inner();
    assert_eq!(alone.name, made(&outcomes[0]).name, "as CreateUserInvitation would");
    let status = refused(
        try_run(&service, Batch { request_id: "both".to_owned(), ..sent }).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
    );
    assert_eq!(violated(&status), ["requests[0].request_id"]);
    assert_eq!(count(&service).await, 3);
    service.stop().await;
}

async fn batch_needs_the_permission_and_an_inviter(database: TestDatabase) {
    let keys = [("ours", "user_invitations.write"), ("ours", "invitations.write")];
    let (service, key) = keys::start(&database, &keys).await;
    let run = async |key: &str, sent: &Batch| {
        service.users().batch_create_user_invitations(keys::with(key, sent.clone())).await
    };
    let mut sent = batch(&["ann@example.org"]);
    refused(run(&key[1], &sent).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let results = run(&key[0], &sent).await.unwrap().into_inner().results;
    let Some(Outcome::Error(error)) = &results[0].result else { panic!("{results:?}") };
    assert_eq!(error.field_violations[0].field, "user_invitation.inviter.display_name");
    let inviter = pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() };
    sent.requests[0].user_invitation.as_mut().unwrap().inviter = Some(inviter);
    let results = run(&key[0], &sent).await.unwrap().into_inner().results;
    assert!(matches!(results[0].result, Some(Outcome::UserInvitation(_))), "{results:?}");
    service.stop().await;
}
