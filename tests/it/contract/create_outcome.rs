//! The outcome in the answer of a create, and the link beside it.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{CreateOutcome, OnConflict, TokenVisibility};
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::generals::into_team;
use crate::support::build::guests::{HOST, guest, of};
use crate::support::build::users::user;
use crate::support::build::{guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    create_says_what_it_did_in_every_kind_with_a_place,
    retry_of_a_create_says_what_the_first_try_said,
    existing_one_names_words_about_a_person_and_an_end,
    dry_run_names_no_replaced_one_of_its_own,
);

const ANN: &str = "ann@example.org";

async fn create_says_what_it_did_in_every_kind_with_a_place(database: TestDatabase) {
    let service = Service::start(&database).await;
    let create = async |on_conflict: OnConflict, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let request = pb::CreateUserInvitationRequest {
            on_conflict: on_conflict.into(),
            ..users::creation(pb::UserInvitation { roles, ..user(ANN) })
        };
        service.users().create_user_invitation(request).await
    };
    let first = create(OnConflict::Unspecified, &["viewer"]).await.unwrap().into_inner();
    assert_eq!((first.create_outcome(), first.token_visibility()), (CreateOutcome::Created, TokenVisibility::Shown));
    assert_eq!(
        users::get(&service, &first.name).await.create_outcome(),
        CreateOutcome::Unspecified,
        "a read says nothing"
    );
    refused(create(OnConflict::Reject, &["viewer"]).await, Code::AlreadyExists, "INVITATION_EXISTS");
    let allowed = refused(create(OnConflict::Allow, &[]).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&allowed), ["on_conflict"]);
    let same = create(OnConflict::ReturnExisting, &["viewer"]).await.unwrap().into_inner();
    assert_eq!(
        (&same.name, same.create_outcome(), same.differing_fields.len()),
        (&first.name, CreateOutcome::Existing, 0)
    );
    let other = create(OnConflict::ReturnExisting, &["owner"]).await.unwrap().into_inner();
    assert_eq!((other.differing_fields, other.roles), (vec!["roles".to_owned()], vec!["viewer".to_owned()]));
    let replaced = create(OnConflict::Replace, &["owner"]).await.unwrap().into_inner();
    assert_eq!(replaced.create_outcome(), CreateOutcome::Replaced);
    assert_eq!(replaced.replaced_invitations, [format!("invitations/{}", first.uid)]);
    assert_eq!(users::get(&service, &first.name).await.state(), pb::InvitationState::Revoked);

    let invite = async |on_conflict: OnConflict, message: &str| {
        let wanted = pb::GuestInvitation { message: message.to_owned(), ..guest("kim@example.org") };
        let request = pb::CreateGuestInvitationRequest { on_conflict: on_conflict.into(), ..guests::creation(wanted) };
        service.guests().create_guest_invitation(of(HOST, request)).await.unwrap().into_inner()
    };
    let first = invite(OnConflict::Reject, "Hello").await;
    let again = invite(OnConflict::ReturnExisting, "Hello again").await;
    assert_eq!((&again.name, again.create_outcome()), (&first.name, CreateOutcome::Existing));
    assert_eq!((again.message.as_str(), again.differing_fields), ("Hello", vec!["message".to_owned()]));
    let replaced = invite(OnConflict::Replace, "").await;
    assert_eq!(replaced.replaced_invitations, [format!("invitations/{}", first.uid)]);
    service.stop().await;
}

async fn retry_of_a_create_says_what_the_first_try_said(database: TestDatabase) {
    let service = Service::start(&database).await;
    let target = || messages::target(pb::TargetType::Internal, "ann");
    let request = |id: &str, on_conflict: OnConflict| pb::CreateInvitationRequest {
        on_conflict: on_conflict.into(),
        request_id: id.to_owned(),
        ..messages::general(into_team(&[target()]))
    };
    let create = async |id: &str, on_conflict| {
        service.invitations().create_invitation(request(id, on_conflict)).await.unwrap().into_inner()
    };
    let created = create("r1", OnConflict::Reject).await;
    let existing = create("r2", OnConflict::ReturnExisting).await;
    assert_eq!((&existing.name, existing.create_outcome()), (&created.name, CreateOutcome::Existing));
    assert_eq!(create("r1", OnConflict::Reject).await, created);
    let replaced = create("r3", OnConflict::Replace).await;
    assert_eq!(create("r3", OnConflict::Replace).await, replaced);
    assert_eq!(replaced.replaced_invitations, [created.name]);
    assert_eq!(create("r2", OnConflict::ReturnExisting).await.create_outcome(), CreateOutcome::Existing);
    service.stop().await;
}

async fn existing_one_names_words_about_a_person_and_an_end(database: TestDatabase) {
    use pb::invitation::Expiration::{Never, Ttl};
    let service = Service::start(&database).await;
    let day = prost_types::Duration { seconds: 86_400, nanos: 0 };
    let target = || messages::target(pb::TargetType::Internal, "ann");
    let create = async |target: pb::Target, expiration, on_conflict: OnConflict| {
        let invitation = pb::Invitation { expiration: Some(expiration), ..into_team(&[target]) };
        let request = pb::CreateInvitationRequest { on_conflict: on_conflict.into(), ..messages::general(invitation) };
        service.invitations().create_invitation(request).await.unwrap().into_inner()
    };
    create(target(), Never(()), OnConflict::Reject).await;
    for (other, expiration, differing) in [
        (target(), Never(()), &[][..]),
        (target(), Ttl(day), &["expire_time"]),
        (pb::Target { display_name: "Ann".to_owned(), ..target() }, Never(()), &["targets"]),
        (pb::Target { existing_user: Some(true), ..target() }, Never(()), &["targets"]),
    ] {
        let existing = create(other, expiration, OnConflict::ReturnExisting).await;
        assert_eq!(existing.create_outcome(), CreateOutcome::Existing);
        assert_eq!(existing.differing_fields, differing);
    }
    service.stop().await;
}

async fn dry_run_names_no_replaced_one_of_its_own(database: TestDatabase) {
    let service = Service::start(&database).await;
    let entry = |subject: &str| pb::CreateInvitationRequest {
        on_conflict: OnConflict::Replace.into(),
        ..messages::general(into_team(&[messages::target(pb::TargetType::Internal, subject)]))
    };
    let present = service.invitations().create_invitation(entry("ann")).await.unwrap().into_inner().name;
    let batch = |validate_only: bool| pb::BatchCreateInvitationsRequest {
        requests: ["ann", "ann", "bob", "bob"].map(entry).to_vec(),
        validate_only,
        ..Default::default()
    };
    let replaced = async |batch| {
        let answer = service.invitations().batch_create_invitations(batch).await.unwrap().into_inner();
        let created = answer.results.into_iter().map(|result| match result.result {
            Some(pb::batch_create_invitations_result::Result::Invitation(created)) => created,
            other => panic!("{other:?}"),
        });
        created.map(|created| (created.name, created.replaced_invitations)).collect::<Vec<_>>()
    };
    let empty = String::new;
    let dry: Vec<_> = replaced(batch(true)).await.into_iter().map(|(_, replaced)| replaced).collect();
    assert_eq!(dry, [vec![present.clone()], vec![empty()], vec![], vec![empty()]]);
    let real = replaced(batch(false)).await;
    let names: Vec<_> = real.iter().map(|(_, replaced)| replaced.clone()).collect();
    assert_eq!(names, [vec![present], vec![real[0].0.clone()], vec![], vec![real[2].0.clone()]]);
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn link_is_shown_to_whoever_makes_it_and_to_no_other() {
    let database = TestDatabase::sqlite();
    let write = "user_invitations.write user_invitations.read";
    let (service, key) = keys::start(&database, &[("ours", write), ("ours", write)]).await;
    let creation = || {
        let inviter = Some(pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() });
        let user = pb::UserInvitation { inviter, ..user(ANN) };
        pb::CreateUserInvitationRequest { request_id: "r".to_owned(), ..users::creation(user) }
    };
    let mut users = service.users();
    let made = users.create_user_invitation(keys::with(&key[0], creation())).await.unwrap().into_inner();
    assert!(made.invitation_uri.ends_with(&made.invitation_token) && !made.invitation_token.is_empty());
    let retried = users.create_user_invitation(keys::with(&key[0], creation())).await.unwrap().into_inner();
    assert_eq!(retried, made, "the retry of the creator");
    let other = users.create_user_invitation(keys::with(&key[1], creation())).await.unwrap().into_inner();
    let shown = |shown: &pb::UserInvitation| {
        (shown.token_visibility(), shown.invitation_token.clone(), shown.invitation_uri.clone())
    };
    let hidden = (TokenVisibility::PermissionMissing, String::new(), String::new());
    assert_eq!(shown(&other), hidden, "the retry of another credential");
    let get = pb::GetUserInvitationRequest { name: made.name.clone() };
    assert_eq!(shown(&users.get_user_invitation(keys::with(&key[0], get)).await.unwrap().into_inner()), hidden);
    let resend = |rotate_token| pb::ResendUserInvitationRequest { rotate_token, ..users::resending(&made.name) };
    let resent = users.resend_user_invitation(keys::with(&key[1], resend(false))).await.unwrap().into_inner();
    assert_eq!(shown(&resent), hidden);
    service.clock.advance(Duration::from_secs(60));
    let rotated = users.resend_user_invitation(keys::with(&key[1], resend(true))).await.unwrap().into_inner();
    assert_ne!((rotated.invitation_token.as_str(), &rotated.invitation_token), ("", &made.invitation_token));
    let retried = users.create_user_invitation(keys::with(&key[0], creation())).await.unwrap().into_inner();
    assert_eq!(shown(&retried), hidden, "another credential made the present link");
    service.stop().await;
}
