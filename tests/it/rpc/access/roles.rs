//! The roles that an account and a credential may give: on create, on resend, and again at accept.

use std::fs;
use std::time::Duration;

use invitation_service::pb;
use tonic::{Code, Status};

use super::stored_keys::{create, creation, make, start};
use crate::rpc::redemption::keys::with;
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: role_that_the_account_may_no_longer_give_is_given_by_nobody,
    credential_that_may_not_give_a_role_does_not_accept_it,
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
