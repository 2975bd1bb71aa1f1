//! Admission: the permission of a call, and whether a stream still has it.

pub(crate) mod keyed_rate;
pub(crate) mod person_rate;

use std::time::Duration;

use http::HeaderMap;
use tokio::time::timeout;
use tonic::Status;

use super::status;
use crate::auth::authenticator::Authenticator;
use crate::auth::caller::Caller;
use crate::auth::client_certificate::Client;
use crate::auth::permission::Required;
use crate::auth::refused_caller::RefusedCaller;

/// The interval at which the credential of a stream is checked: that of a key that was withdrawn ends soon.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The metadata that hold a credential.
const CREDENTIAL_HEADERS: [&str; 2] = ["authorization", "x-api-key"];

/// Finds the caller of a call: by the credential in its metadata or, if there is none, by the certificate of its connection.
pub(crate) async fn find_caller(
    authenticator: &Authenticator,
    metadata: &HeaderMap,
    client: Option<&Client>,
) -> Result<Caller, RefusedCaller> {
    match client {
        Some(client) if !CREDENTIAL_HEADERS.iter().any(|name| metadata.contains_key(*name)) => client.caller(),
        _ => authenticator.authenticate(metadata).await,
    }
}

/// Checks the permission, before anything else, and returns the caller for the handler.
pub(crate) fn admit(required: Option<Required>, caller: Caller) -> Result<http::Extensions, Status> {
    let mut extensions = http::Extensions::new();
    // A path that requires nothing is no RPC, and the router refuses it.
    if let Some(required) = required {
        if let Some(permission) = required.lacked_by(&caller) {
            return Err(status::permission_denied(&caller, permission));
        }
        extensions.insert(caller);
    }
    Ok(extensions)
}

/// The credential and the permission that admitted a stream. `Debug` does not show them.
#[derive(Clone)]
pub(crate) struct Admission {
    authenticator: Authenticator,
    required: Option<Required>,
    credentials: HeaderMap,
    client: Option<Client>,
}

impl Admission {
    /// Keeps the data for checking a call again.
    pub(crate) fn of(
        authenticator: Authenticator,
        required: Option<Required>,
        metadata: &HeaderMap,
        client: Option<Client>,
    ) -> Self {
        let mut credentials = HeaderMap::new();
        for name in CREDENTIAL_HEADERS {
            for value in metadata.get_all(name) {
                credentials.append(name, value.clone());
            }
        }
        Self { authenticator, required, credentials, client }
    }

    /// Waits until the caller would no longer be admitted, and returns the status.
    pub(crate) async fn ended(&self, caller: &Caller) -> Status {
        let mut changes = self.authenticator.changes();
        loop {
            let changed = async {
                let is_change = match &mut changes {
                    Some(changes) => changes.changed().await.is_ok(),
                    None => false,
                };
                if !is_change {
                    std::future::pending::<()>().await;
                }
            };
            // A key that expires changes by time alone.
            drop(timeout(CHECK_INTERVAL, changed).await);
            if let Err(refused) = self.check(caller).await {
                return refused;
            }
        }
    }

    async fn check(&self, caller: &Caller) -> Result<(), Status> {
        let now = find_caller(&self.authenticator, &self.credentials, self.client.as_ref()).await;
        let now = now.map_err(|refused| status::not_authenticated(refused.answer()))?;
        // A credential that now belongs to another caller is not the one that was admitted.
        if (&now.account, now.organization_id, now.person())
            != (&caller.account, caller.organization_id, caller.person())
        {
            return Err(status::unauthenticated());
        }
        admit(self.required, now).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use uuid::Uuid;

    use super::*;
    use crate::auth::api_key::hash_api_key;
    use crate::auth::key_directory::KeyDirectory;
    use crate::auth::permission::Permission;
    use crate::clock::Clock;
    use crate::config::{ApiKeyEntry, AuthConfig};
    use crate::domain::value::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
    const KEY: &str = "key";
    const OTHER: &str = "other";
    const NEEDED: Option<Required> = Some(Required::Permission(Permission::EventsRead));

    fn keys(permission: &str, account: &str, organization_id: Option<Uuid>) -> Authenticator {
        authenticator(vec![entry(permission, account, organization_id)], NOW)
    }

    fn entry(permission: &str, account: &str, organization_id: Option<Uuid>) -> ApiKeyEntry {
        ApiKeyEntry {
            name: "ci".to_owned(),
            hash: hash_api_key(KEY),
            account: account.to_owned(),
            permissions: vec![permission.to_owned()],
            organization_id,
            expires_at: None,
        }
    }

    fn authenticator(api_keys: Vec<ApiKeyEntry>, now: Timestamp) -> Authenticator {
        Authenticator::new(&AuthConfig::Required { api_keys }, KeyDirectory::new().0, Clock::manual(now)).unwrap()
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn stream_ends_soon_after_its_credential_loses_permission() {
        let mut metadata = HeaderMap::new();
        metadata.insert("x-api-key", http::HeaderValue::from_static(KEY));
        let caller = keys("events.read", "acme", None).authenticate(&metadata).await.unwrap();
        let none = authenticator(Vec::new(), NOW);
        let other = Some(Uuid::from_u128(1));
        for (later, code) in [
            (none, Code::Unauthenticated),
            (keys("events.read", "other", None), Code::Unauthenticated),
            (keys("events.read", "acme", other), Code::Unauthenticated),
            (keys("invitations.read", "acme", None), Code::PermissionDenied),
        ] {
            let began = tokio::time::Instant::now();
            assert_eq!(Admission::of(later, NEEDED, &metadata, None).ended(&caller).await.code(), code);
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        let unchanged = Admission::of(keys("events.read", "acme", None), NEEDED, &metadata, None);
        timeout(Duration::from_secs(3_600), unchanged.ended(&caller)).await.unwrap_err();
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn replaced_keys_end_the_streams_of_those_withdrawn() {
        let mut metadata = HeaderMap::new();
        metadata.insert("x-api-key", http::HeaderValue::from_static(KEY));
        let authenticator = keys("events.read", "acme", None);
        let caller = authenticator.authenticate(&metadata).await.unwrap();
        let admission = Admission::of(authenticator.clone(), NEEDED, &metadata, None);
        let other = ApiKeyEntry { hash: hash_api_key(OTHER), ..entry("*", "acme", None) };
        let kept = entry("events.read", "acme", None);
        authenticator.replace(&[kept, other.clone()]).unwrap();
        timeout(Duration::from_secs(60), admission.ended(&caller)).await.unwrap_err();
        authenticator.replace(&[other]).unwrap();
        let ended = timeout(Duration::from_secs(2), admission.ended(&caller)).await.unwrap();
        assert_eq!(ended.code(), Code::Unauthenticated);
        authenticator.authenticate(&metadata).await.unwrap_err();
        metadata.insert("x-api-key", http::HeaderValue::from_static(OTHER));
        authenticator.authenticate(&metadata).await.unwrap();
        let unknown = entry("everything", "acme", None);
        authenticator.replace(&[unknown]).unwrap_err();
        authenticator.authenticate(&metadata).await.unwrap();
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn expired_key_is_refused_and_ends_its_streams() {
        let mut metadata = HeaderMap::new();
        metadata.insert("authorization", http::HeaderValue::from_static("Bearer key"));
        let entry = entry("events.read", "acme", None);
        let expires_at = NOW.later(Duration::from_secs(60));
        for (expires_at, millis, accepted) in [
            (Some(expires_at), 59_999, true),
            (Some(expires_at), 60_000, false),
            (Some(expires_at), 90_000_000, false),
            (None, 90_000_000, true),
        ] {
            let entries = vec![ApiKeyEntry { expires_at, ..entry.clone() }];
            let caller = authenticator(entries.clone(), NOW).authenticate(&metadata).await.unwrap();
            let later = authenticator(entries, NOW.later(Duration::from_millis(millis)));
            assert_eq!(later.authenticate(&metadata).await.is_ok(), accepted, "{expires_at:?} after {millis} ms");
            let admission = Admission::of(later, NEEDED, &metadata, None);
            let ended = timeout(Duration::from_secs(20), admission.ended(&caller)).await;
            assert_eq!(ended.ok().map(|status| status.code()), (!accepted).then_some(Code::Unauthenticated));
        }
    }
}
