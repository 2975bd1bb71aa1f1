//! Dry runs: every RPC that takes `validate_only` decides with it as it does without, and changes and remembers nothing.

use invitation_service::pb;
use prost_types::field_descriptor_proto::Type;
use tonic::{Code, Status};

use super::idempotency::effects;
use super::raw::{Rpc, told};
use super::request::{Known, call};
use super::{raw, request};
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: dry_run_of_every_rpc_answers_as_the_call_and_changes_nothing,
    dry_run_of_every_rpc_is_refused_as_the_call_is,
    dry_run_shows_no_name_token_or_etag_of_what_it_would_create,
    dry_run_of_a_used_request_id_answers_as_the_retry,
    dry_batch_names_nothing_that_it_would_create,
    dry_run_names_the_acceptances_that_there_are,
);

/// The RPCs that take the field.
fn rpcs() -> Vec<&'static Rpc> {
    let takes = |rpc: &&Rpc| {
        let mut inputs = raw::inputs(rpc).into_iter();
        inputs.any(|input| input.path == "validate_only" && input.kind == Type::Bool)
    };
    let rpcs: Vec<_> = raw::rpcs().iter().filter(takes).collect();
    assert!(rpcs.len() >= 30, "only {} RPCs take validate_only", rpcs.len());
    rpcs
}

/// Field 15, set.
fn dry(body: &[u8]) -> Vec<u8> {
    [body, &[0x78, 1]].concat()
}

fn outcome(answer: Result<bytes::Bytes, Status>) -> Option<(Code, String, Vec<u8>)> {
    answer.err().map(|status| told(&status))
}

async fn dry_run_of_every_rpc_answers_as_the_call_and_changes_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    for rpc in rpcs() {
        let known = request::known(&service, None, messages::COMPANY).await;
        let (_, valid) = request::valid(&rpc.path, &known);
        let before = effects(&service).await;
        call(&service, rpc, dry(&valid)).await.unwrap_or_else(|status| panic!("{}: {status:?}", rpc.path));
        assert_eq!(effects(&service).await, before, "{}", rpc.path);
        call(&service, rpc, valid.clone()).await.unwrap_or_else(|status| panic!("{}: {status:?}", rpc.path));
        // A second dry run is decided as a second call is.
        let again = outcome(call(&service, rpc, dry(&valid)).await);
        assert_eq!(again, outcome(call(&service, rpc, valid).await), "{}", rpc.path);
    }
    service.stop().await;
}

async fn dry_run_of_every_rpc_is_refused_as_the_call_is(database: TestDatabase) {
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    let missing: Known = known.missing();
    let before = effects(&service).await;
    for rpc in rpcs() {
        let (_, body) = request::valid(&rpc.path, &missing);
        for body in [Vec::new(), body] {
            let answer = outcome(call(&service, rpc, dry(&body)).await);
            assert_eq!(effects(&service).await, before, "{}", rpc.path);
            if answer.is_some() {
                assert_eq!(answer, outcome(call(&service, rpc, body).await), "{}", rpc.path);
            }
        }
    }
    service.stop().await;
}

async fn dry_run_shows_no_name_token_or_etag_of_what_it_would_create(database: TestDatabase) {
    let service = Service::start(&database).await;
    let user = pb::UserInvitation {
        invited_email: "ann@example.org".to_owned(),
        inviter: Some(pb::Inviter { display_name: "Ann".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let create = pb::CreateUserInvitationRequest { user_invitation: Some(user), ..Default::default() };
    let asked = pb::CreateUserInvitationRequest { validate_only: true, ..create.clone() };
    let shown = service.users().create_user_invitation(asked.clone()).await.unwrap().into_inner();
    let made = service.users().create_user_invitation(create).await.unwrap().into_inner();
    assert!(!made.name.is_empty() && !made.invitation_token.is_empty() && !made.etag.is_empty());
    let emptied = pb::UserInvitation {
        name: String::new(),
        uid: String::new(),
        etag: String::new(),
        invitation_token: String::new(),
        invitation_uri: String::new(),
        token_visibility: pb::TokenVisibility::ValidateOnly.into(),
        ..made.clone()
    };
    assert_eq!(shown, emptied, "but for the names, the answer is that of the call");
    refused(service.users().create_user_invitation(asked).await, Code::AlreadyExists, "INVITATION_EXISTS");

    let accept = |validate_only| pb::AcceptInvitationRequest {
        validate_only,
        ..messages::accept_as(&made.invitation_token, "ann", "ann@example.org", true)
    };
    let shown = service.redemptions().accept_invitation(accept(true)).await.unwrap().into_inner();
    assert_eq!(shown.acceptance.as_ref().unwrap().name, "");
    let invitation = shown.invitation.unwrap();
    assert_eq!((invitation.use_count, invitation.etag.as_str(), invitation.name.is_empty()), (1, "", false));
    assert!(invitation.invitation_token.is_empty() && !shown.already_accepted);
    let accepted = service.redemptions().accept_invitation(accept(false)).await.unwrap().into_inner();
    assert!(!accepted.already_accepted && !accepted.acceptance.unwrap().name.is_empty());
    let again = service.redemptions().accept_invitation(accept(true)).await.unwrap().into_inner();
    assert!(again.already_accepted && !again.acceptance.unwrap().name.is_empty(), "the acceptance that there is");
    service.stop().await;
}

async fn dry_run_of_a_used_request_id_answers_as_the_retry(database: TestDatabase) {
    let service = Service::start(&database).await;
    let request = |email: &str, validate_only| {
        let invited_email = email.to_owned();
        let user = pb::UserInvitation {
            invited_email,
            inviter: Some(pb::Inviter { display_name: "Ann".to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let request_id = "r".to_owned();
        pb::CreateUserInvitationRequest { user_invitation: Some(user), request_id, validate_only, ..Default::default() }
    };
    let create = async |email: &str, dry| service.users().create_user_invitation(request(email, dry)).await;
    assert_eq!(create("ann@example.org", true).await.unwrap().into_inner().name, "");
    let made = create("bob@example.org", false).await.unwrap().into_inner();
    assert_eq!(create("bob@example.org", true).await.unwrap().into_inner().name, made.name);
    refused(create("ann@example.org", true).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    service.stop().await;
}

async fn dry_batch_names_nothing_that_it_would_create(database: TestDatabase) {
    use pb::batch_create_invitations_result::Result as Entry;
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    let entry = || pb::CreateInvitationRequest {
        on_conflict: pb::OnConflict::ReturnExisting.into(),
        ..request::new_general(&known, "same")
    };
    let batch = pb::BatchCreateInvitationsRequest { requests: vec![entry(), entry()], ..Default::default() };
    let before = effects(&service).await;
    let dry = pb::BatchCreateInvitationsRequest { validate_only: true, ..batch.clone() };
    let results = service.invitations().batch_create_invitations(dry).await.unwrap().into_inner().results;
    assert_eq!(results.len(), 2);
    for result in results {
        let Some(Entry::Invitation(shown)) = result.result else { panic!("{result:?}") };
        assert_eq!((shown.name, shown.uid, shown.typed_name), Default::default());
    }
    // The batch has one validate_only for all of its entries.
    let dry_entry = pb::CreateInvitationRequest { validate_only: true, ..entry() };
    let mixed = pb::BatchCreateInvitationsRequest { requests: vec![entry(), dry_entry], ..Default::default() };
    let answer = service.invitations().batch_create_invitations(mixed).await;
    let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["requests[1].validate_only"]);
    assert_eq!(effects(&service).await, before);
    service.stop().await;
}

async fn dry_run_names_the_acceptances_that_there_are(database: TestDatabase) {
    let service = Service::start(&database).await;
    let many = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..Default::default() };
    let made = service.invitations().create_invitation(messages::general(many)).await.unwrap().into_inner();
    let accept = |subject: &str, validate_only| pb::AcceptInvitationRequest {
        request_id: subject.to_owned(),
        validate_only,
        ..messages::accept(&made.invitation_token, subject)
    };
    let redeem = async |request| service.redemptions().accept_invitation(request).await.unwrap().into_inner();
    let accepted = redeem(accept("ann", false)).await.acceptance.unwrap();
    assert_eq!(redeem(accept("ann", true)).await.acceptance.unwrap(), accepted, "the retry shows it");
    assert_eq!(redeem(accept("bob", true)).await.acceptance.unwrap().name, "");
    let name = made.name.clone();
    let resend = pb::ResendInvitationRequest { name: name.clone(), validate_only: true, ..Default::default() };
    let revoke = pb::RevokeInvitationRequest { name, validate_only: true, ..Default::default() };
    let resent = service.invitations().resend_invitation(resend).await.unwrap().into_inner();
    let revoked = service.invitations().revoke_invitation(revoke).await.unwrap().into_inner();
    assert_eq!((resent.acceptances, revoked.acceptances), (vec![accepted.clone()], vec![accepted]));
    service.stop().await;
}
