//! A service that asks for credentials, and calls with them.

use bytes::Bytes;
use invitation_service::auth::api_key::{ApiKey, format_hash};
use invitation_service::clock::Clock;
use invitation_service::entropy::Entropy;
use tonic::{Request, Status};

use crate::contract::raw;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::service::{Service, configuration};

/// The account, the permissions and the organization of a key.
type Key<'a> = (&'a str, &'a str, Option<&'a str>);

/// A service in mode `required` that knows one key per (account, permission), and the keys in that order.
pub(crate) async fn start(database: &TestDatabase, keys: &[(&str, &str)]) -> (Service, Vec<String>) {
    let keys: Vec<_> = keys.iter().map(|(account, permissions)| (*account, *permissions, None)).collect();
    start_bound(database, &keys).await
}

/// The same with keys that may be bound to an organization.
pub(crate) async fn start_bound(database: &TestDatabase, keys: &[Key<'_>]) -> (Service, Vec<String>) {
    start_configured(database, keys, &[]).await
}

/// The same with more configuration.
pub(crate) async fn start_configured(
    database: &TestDatabase,
    keys: &[Key<'_>],
    more: &[(&'static str, &str)],
) -> (Service, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let made: Vec<ApiKey> = keys.iter().map(|_| ApiKey::generate(&Entropy::system())).collect();
    let entry = |(index, ((account, permissions, bound), key)): (usize, (&Key<'_>, &ApiKey))| {
        let permissions: Vec<&str> = permissions.split(' ').collect();
        let hash = format_hash(&key.hash());
        let bound = bound.map(|id| format!("organization_id = \"{id}\"\n")).unwrap_or_default();
        format!(
            "[[api_key]]\nname = \"key-{index}\"\nhash = \"{hash}\"\naccount = \"{account}\"\npermissions = {permissions:?}\n{bound}"
        )
    };
    let entries: String = keys.iter().zip(&made).enumerate().map(entry).collect();
    std::fs::write(&path, entries).unwrap();
    let path = path.to_str().unwrap();
    let auth = [("INVITATION__AUTH__MODE", "required"), ("INVITATION__AUTH__API_KEYS_FILE", path)];
    let more = [&auth, more].concat();
    let service = Service::start_with(configuration(database, &more), Clock::manual(NEW_YEAR)).await;
    (service, made.iter().map(|key| key.expose().to_owned()).collect())
}

/// A request with a key.
pub(crate) fn with<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    request
}

/// The text with another character at a place: a fixed one would be right in one text of sixty.
pub(crate) fn altered(text: &str, at: usize) -> String {
    let mut altered = text.to_owned();
    altered.replace_range(at..=at, if &text[at..=at] == "A" { "B" } else { "A" });
    altered
}

/// Calls an RPC by its path with a key.
pub(crate) async fn call(service: &Service, key: &str, path: &str, message: Vec<u8>) -> Result<Bytes, Status> {
    raw::call(service, path, with(key, message.into())).await
}
