//! The roles that an account and a credential may give: on create, on resend, and again at accept.

use std::fs;
use std::time::Duration;

use invitation_service::pb;
use sea_orm::ConnectionTrait as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::stored_keys::{create, creation, make, start};
use crate::rpc::redemption::keys::with;
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: role_that_the_account_may_no_longer_give_is_given_by_nobody,
    credential_that_may_not_give_a_role_does_not_accept_it,
    link_that_gives_a_role_is_not_queued_again_without_it,
);

/// Creates a link by which whoever has it gets a role.
async fn invite(service: &Service, key: &str, role: &str) -> Result<pb::Invitation, Status> {
    let invitation_type = pb::InvitationType::MultiUse.into();
    let invitation = pb::Invitation { invitation_type, roles: vec![role.to_owned()], ..generals::into_team(&[]) };
    Ok(service.invitations().create_invitation(with(key, messages::general(invitation))).await?.into_inner())
}

async fn accept(service: &Service, key: &str, link: &pb::Invitation, subject: &str) -> Result<(), Status> {
    let accept = messages::accept(&link.invitation_token, subject);
    service.redemptions().accept_invitation(with(key, accept)).await.map(drop)
}

async fn role_that_the_account_may_no_longer_give_is_given_by_nobody(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let other = make(&database, "other", "umbrella", "*").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |acme: &str, others: &str| {
        let entry = |name: &str, roles: &str| format!("[[account]]\nname = {name:?}\ngrantable_roles = [{roles}]\n");
        fs::write(file.path(), entry("acme", acme) + &entry("*", others)).unwrap();
    };
    write("\"viewer\", \"admin\"", "\"viewer\"");
    let path = file.path().to_str().unwrap();
    let service = start(&database, &[("INVITATION__AUTH__ACCOUNTS_FILE", path)]).await;

    let admin = invite(&service, &root, "admin").await.unwrap();
    let viewer = invite(&service, &root, "viewer").await.unwrap();
    let both = invite(&service, &root, "admin").await.unwrap();
    accept(&service, &root, &both, "both").await.unwrap();
    refused(invite(&service, &other, "admin").await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    invite(&service, &other, "viewer").await.unwrap();

    write("\"viewer\"", "\"viewer\", \"admin\"");
    while invite(&service, &other, "admin").await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = invite(&service, &root, "admin").await;
    refused(again, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    let resend = pb::ResendInvitationRequest { name: admin.name.clone(), ..Default::default() };
    let resent = service.invitations().resend_invitation(with(&root, resend)).await;
    refused(resent, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    let accepted = accept(&service, &root, &admin, "ann").await;
    refused(accepted, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    accept(&service, &root, &viewer, "bob").await.unwrap();
    accept(&service, &root, &both, "both").await.expect("what was given is not taken back");
    service.stop().await;
}

async fn credential_that_may_not_give_a_role_does_not_accept_it(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    let request = creation("portal", &["invitations.redeem", "invitations.accept"]);
    let grantable_roles = Some(pb::GrantableRoles { roles: vec!["viewer".to_owned()] });
    let api_key = request.api_key.clone().map(|key| pb::ApiKey { grantable_roles, ..key });
    let portal = create(&service, &root, pb::CreateApiKeyRequest { api_key, ..request }).await.unwrap().key_string;
    let admin = invite(&service, &root, "admin").await.unwrap();
    let viewer = invite(&service, &root, "viewer").await.unwrap();
    let denied = accept(&service, &portal, &admin, "ann").await;
    refused(denied, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    accept(&service, &portal, &viewer, "bob").await.unwrap();
    accept(&service, &root, &admin, "ann").await.unwrap();
    service.stop().await;
}

async fn link_that_gives_a_role_is_not_queued_again_without_it(database: TestDatabase) {
    let root = make(&database, "root", "acme", "*").await;
    let service = start(&database, &[]).await;
    let limited = async |id: &str, roles: &[&str]| {
        let request = creation(id, &["deliveries.write"]);
        let grantable_roles = Some(pb::GrantableRoles { roles: roles.iter().map(|role| (*role).to_owned()).collect() });
        let api_key = request.api_key.clone().map(|key| pb::ApiKey { grantable_roles, ..key });
        create(&service, &root, pb::CreateApiKeyRequest { api_key, ..request }).await.unwrap().key_string
    };
    let (viewer, nobody) = (limited("viewer", &["viewer", "editor"]).await, limited("nobody", &[]).await);
    let mut names = Vec::new();
    for roles in [&["viewer", "admin"][..], &["viewer"], &[]] {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let target = generals::email(&format!("n{}@example.org", names.len()));
        let invitation = pb::Invitation { roles, ..generals::into_team(&[target]) };
        let made = service.invitations().create_invitation(with(&root, messages::general(invitation))).await.unwrap();
        names.push(made.into_inner().name);
    }
    let rows = service.connect().await;
    rows.execute_unprepared("UPDATE outbox SET state = 'failed', due_at = NULL").await.unwrap();
    rows.close().await.unwrap();
    let redeliver = async |key: &str, parent: &str, validate_only: bool| {
        let parent = parent.to_owned();
        let request = pb::RedeliverDeliveriesRequest { parent, validate_only, ..Default::default() };
        let answer = service.deliveries().redeliver_deliveries(with(key, request)).await;
        answer.map(|answer| answer.into_inner().redelivered_count)
    };
    for (key, queued) in [(&viewer, [0, 1, 1]), (&nobody, [0, 0, 1]), (&root, [1, 1, 1])] {
        for (name, queued) in names.iter().zip(queued) {
            match redeliver(key, name, true).await {
                Ok(number) => assert_eq!(number, queued),
                refusal if queued == 0 => {
                    let status = refused(refusal, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
                    let role = if key == &viewer { "admin" } else { "viewer" };
                    assert_eq!(status.get_error_details().error_info().unwrap().metadata["role"], role);
                }
                refusal => panic!("{name}: {refusal:?}"),
            }
        }
        assert_eq!(redeliver(key, "invitations/-", true).await.unwrap(), queued.iter().sum::<i32>());
    }
    assert_eq!(redeliver(&viewer, "invitations/-", false).await.unwrap(), 2);
    assert_eq!(redeliver(&root, "invitations/-", false).await.unwrap(), 1, "it was left as it was");
    service.stop().await;
}
