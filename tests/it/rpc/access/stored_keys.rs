//! A service whose keys are in its database alone.

use invitation_service::auth::api_key::ApiKey;
use invitation_service::cli::ApiKeyArgs;
use invitation_service::cli::api_key::record;
use invitation_service::clock::Clock;
use invitation_service::entropy::Entropy;
use invitation_service::pb;
use invitation_service::store::{ApiKeyCreated, WriteOnce};
use tonic::Status;

use crate::rpc::redemption::keys::with;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::service::{Service, configuration};

/// Makes a key as the command line does, before or while services run on PostgreSQL, and before any does on SQLite.
pub(crate) async fn make(database: &TestDatabase, name: &str, account: &str, permissions: &str) -> String {
    let args = ApiKeyArgs {
        name: name.to_owned(),
        account: account.to_owned(),
        permissions: permissions.split(' ').map(str::to_owned).collect(),
        organization_id: None,
        expires_at: None,
    };
    let made = record(args, &Entropy::system(), NEW_YEAR).unwrap();
    let opened = database.open(&Clock::manual(NEW_YEAR)).await;
    let created = opened.create_api_key(&made.account, &made.record, &WriteOnce::default(), None).await.unwrap();
    assert_eq!(created, ApiKeyCreated::Created);
    opened.close().await;
    made.secret.expose().to_owned()
}

/// Starts a service that asks for credentials and has no file of keys.
pub(crate) async fn start(database: &TestDatabase, more: &[(&'static str, &str)]) -> Service {
    let more = [&[("INVITATION__AUTH__MODE", "required")], more].concat();
    Service::start_with(configuration(database, &more), Clock::manual(NEW_YEAR)).await
}

/// A key to be created.
pub(crate) fn creation(id: &str, permissions: &[&str]) -> pb::CreateApiKeyRequest {
    let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
    let api_key = Some(pb::ApiKey { permissions, ..Default::default() });
    pb::CreateApiKeyRequest { api_key_id: id.to_owned(), api_key, ..Default::default() }
}

/// Creates a key with a key.
pub(crate) async fn create(
    service: &Service,
    key: &str,
    request: pb::CreateApiKeyRequest,
) -> Result<pb::ApiKey, Status> {
    Ok(service.access().create_api_key(with(key, request)).await?.into_inner())
}

/// Changes a key with a key.
pub(crate) async fn update(
    service: &Service,
    key: &str,
    api_key: pb::ApiKey,
    mask: &[&str],
) -> Result<pb::ApiKey, Status> {
    let paths = mask.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!mask.is_empty()).then_some(prost_types::FieldMask { paths });
    let request = pb::UpdateApiKeyRequest { api_key: Some(api_key), update_mask, ..Default::default() };
    Ok(service.access().update_api_key(with(key, request)).await?.into_inner())
}

/// Revokes a key with a key.
pub(crate) async fn revoke(service: &Service, key: &str, name: &str) -> Result<pb::ApiKey, Status> {
    let request = pb::RevokeApiKeyRequest { name: name.to_owned(), ..Default::default() };
    Ok(service.access().revoke_api_key(with(key, request)).await?.into_inner())
}

/// Reads a key with a key.
pub(crate) async fn get(service: &Service, key: &str, name: &str) -> Result<pb::ApiKey, Status> {
    let request = pb::GetApiKeyRequest { name: name.to_owned() };
    Ok(service.access().get_api_key(with(key, request)).await?.into_inner())
}

/// Returns the caller that a key makes.
pub(crate) async fn caller(service: &Service, key: &str) -> Result<pb::Caller, Status> {
    Ok(service.access().get_caller(with(key, pb::GetCallerRequest {})).await?.into_inner())
}

/// A well-formed key that nobody has made.
pub(crate) fn unknown() -> String {
    ApiKey::generate(&Entropy::system()).expose().to_owned()
}
