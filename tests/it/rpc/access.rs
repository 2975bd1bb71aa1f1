//! `AccessService.GetCaller`: what a credential is, and what for. Grants have their tests beside those of guests.

mod api_keys;
mod followed_keys;
mod jwt;
mod key_limit;
mod person;
mod roles;
pub(crate) mod stored_keys;

use invitation_service::pb;
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::guests::HOST;
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::service::Service;

#[tokio::test(crate = "crate::support::limit")]
async fn caller_sees_its_own_credential_without_a_permission() {
    let database = TestDatabase::sqlite();
    let keys = [("acme", "invitations.read events.read", None), ("acme", "tokens.read", Some(HOST))];
    let (service, key) = keys::start_bound(&database, &keys).await;
    let mut access = service.access();
    let caller = access.get_caller(keys::with(&key[0], pb::GetCallerRequest {})).await.unwrap().into_inner();
    let expected = pb::Caller {
        account: "acme".to_owned(),
        name: "apiKeys/key-0".to_owned(),
        organization_id: String::new(),
        permissions: vec!["events.read".to_owned(), "invitations.read".to_owned()],
        auth_mode: pb::AuthMode::ApiKey.into(),
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        person: None,
    };
    assert_eq!(caller, expected);
    let bound = access.get_caller(keys::with(&key[1], pb::GetCallerRequest {})).await.unwrap().into_inner();
    assert_eq!((bound.organization_id.as_str(), bound.permissions), (HOST, vec!["tokens.read".to_owned()]));
    refused(access.get_caller(pb::GetCallerRequest {}).await, Code::Unauthenticated, "UNAUTHENTICATED");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn caller_without_authentication_has_every_permission() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let caller = service.access().get_caller(pb::GetCallerRequest {}).await.unwrap().into_inner();
    assert_eq!((caller.account.as_str(), caller.name.as_str()), ("default", "anonymous"));
    assert_eq!(caller.auth_mode(), pb::AuthMode::None);
    assert!(caller.permissions.is_sorted() && caller.permissions.contains(&"webhooks.write".to_owned()));
    service.stop().await;
}
