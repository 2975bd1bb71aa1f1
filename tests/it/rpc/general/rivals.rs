//! The limits of commands whose targets have many open invitations.

use invitation_service::pb;
use invitation_service::pb::batch_create_invitations_result::Result as Outcome;
use invitation_service::pb::{BatchCreateInvitationsRequest as Batch, CreateInvitationRequest, OnConflict};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::build::generals::{email, into, into_team, with_conflict};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    thousand_open_invitations_are_compared_and_no_more,
    acceptance_closes_others_of_a_crowd,
);

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

/// Creates open invitations that nobody is mailed.
async fn fill(service: &Service, count: usize, invitation: &pb::Invitation) -> Vec<String> {
    let mut names = Vec::new();
    for begin in (0..count).step_by(500) {
        let one = || CreateInvitationRequest { send_email: Some(false), ..messages::general(invitation.clone()) };
        let requests = (begin..count.min(begin + 500)).map(|_| one()).collect();
        let batch = Batch { requests, atomic: true, ..Default::default() };
        let results = service.invitations().batch_create_invitations(batch).await.unwrap().into_inner().results;
        names.extend(results.into_iter().map(|result| match result.result.unwrap() {
            Outcome::Invitation(invitation) => invitation.name,
            Outcome::Error(error) => panic!("{error:?}"),
        }));
    }
    names
}

async fn create(service: &Service, on_conflict: OnConflict, to: &[&str]) -> Result<pb::Invitation, Status> {
    let targets: Vec<_> = to.iter().map(|address| email(address)).collect();
    generals::try_create(service, with_conflict(into_team(&targets), on_conflict)).await
}

fn too_many(result: Result<pb::Invitation, Status>) {
    let details = refused(result, Code::ResourceExhausted, "QUOTA_EXCEEDED").get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], "open_invitations");
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "open_invitations");
}

async fn thousand_open_invitations_are_compared_and_no_more(database: TestDatabase) {
    let service = Service::start(&database).await;
    let names = fill(&service, 1_001, &into_team(&[email(ANN), email(BOB)])).await;
    fill(&service, 20, &into("blue", &[email(ANN)])).await;
    use OnConflict::{Reject, Replace, ReturnExisting};
    for on_conflict in [Reject, ReturnExisting, Replace] {
        too_many(create(&service, on_conflict, &[ANN]).await);
    }
    let entry = |to| with_conflict(into_team(&[email(to)]), ReturnExisting);
    let requests = vec![entry(ANN), entry("cid@example.org"), entry(BOB)];
    let batch = Batch { requests, validate_only: true, ..Default::default() };
    let results = service.invitations().batch_create_invitations(batch).await.unwrap().into_inner().results;
    let reasons: Vec<_> = results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            Outcome::Invitation(_) => "created".to_owned(),
            Outcome::Error(error) => error.reason,
        })
        .collect();
    assert_eq!(reasons, ["QUOTA_EXCEEDED", "created", "QUOTA_EXCEEDED"]);

    generals::revoke(&service, &names[0]).await;
    // Ids of one moment are in no order of creation.
    let newest = names[1..].iter().max().unwrap();
    let status = refused(create(&service, Reject, &[ANN, BOB]).await, Code::AlreadyExists, "INVITATION_EXISTS");
    assert_eq!(status.get_error_details().error_info().unwrap().metadata["invitation"], *newest);
    assert_eq!(create(&service, ReturnExisting, &[ANN, BOB]).await.unwrap().name, *newest);
    let replacing = with_conflict(into_team(&[email(BOB), email(ANN)]), Replace);
    let replacing = service.invitations().create_invitation(replacing).await.unwrap().into_inner();
    assert_eq!(replacing.replaced_invitations.len(), 1_000);
    assert_eq!(create(&service, ReturnExisting, &[ANN]).await.unwrap().name, replacing.name);
    service.stop().await;
}

async fn acceptance_closes_others_of_a_crowd(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut names = fill(&service, 40, &into_team(&[email(ANN)])).await;
    let other = fill(&service, 1, &into("blue", &[email(ANN)])).await.remove(0);
    let accepted = messages::get_general(&service, &names.remove(7)).await;
    let accept = messages::accept(&accepted.invitation_token, "ann");
    let acceptor = pb::Acceptor { email: ANN.to_owned(), email_verified: true, ..accept.acceptor.unwrap() };
    let accept = pb::AcceptInvitationRequest { acceptor: Some(acceptor), ..accept };
    service.redemptions().accept_invitation(accept).await.unwrap();
    for name in names {
        assert_eq!(messages::get_general(&service, &name).await.state(), pb::InvitationState::Fulfilled);
    }
    assert_eq!(messages::get_general(&service, &other).await.state(), pb::InvitationState::Active);
    service.stop().await;
}
