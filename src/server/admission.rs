//! Admission: the permission of a call, and whether a stream still has it.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

use super::status;
use crate::auth::authenticator::Authenticator;
use crate::auth::caller::Caller;
use crate::auth::permission::Required;

/// The interval at which the credential of a stream is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// The metadata that hold a credential.
const CREDENTIAL_HEADERS: [&str; 2] = ["authorization", "x-api-key"];

/// Checks the permission, before anything else, and returns the caller for the handler.
pub(crate) fn admit(required: Option<Required>, caller: Caller) -> Result<http::Extensions, Status> {
    let mut extensions = http::Extensions::new();
    // A path that requires nothing is no RPC, and the router refuses it.
    if let Some(required) = required {
        if let Some(permission) = required.permission().filter(|permission| !caller.may(*permission)) {
            return Err(status::permission_denied(&caller.name, permission));
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
}

impl Admission {
    /// Keeps the data for checking a call again.
    pub(crate) fn of(authenticator: Authenticator, required: Option<Required>, metadata: &HeaderMap) -> Self {
        let mut credentials = HeaderMap::new();
        for name in CREDENTIAL_HEADERS {
            for value in metadata.get_all(name) {
                credentials.append(name, value.clone());
            }
        }
        Self { authenticator, required, credentials }
    }

    /// Waits until the caller would no longer be admitted, and returns the status.
    pub(crate) async fn ended(&self, caller: &Caller) -> Status {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            if let Err(refused) = self.check(caller) {
                return refused;
            }
        }
    }

    fn check(&self, caller: &Caller) -> Result<(), Status> {
        let now = self.authenticator.authenticate(&self.credentials).map_err(|_| status::unauthenticated())?;
        // A credential that now belongs to another caller is not the one that was admitted.
        if (&now.account, now.organization_id) != (&caller.account, caller.organization_id) {
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
    use crate::auth::permission::Permission;
    use crate::config::{ApiKeyEntry, AuthConfig};

    const NEEDED: Option<Required> = Some(Required::Permission(Permission::EventsRead));

    fn keys(permission: &str, account: &str, organization_id: Option<Uuid>) -> Authenticator {
        let entry = ApiKeyEntry {
            name: "ci".to_owned(),
            hash: hash_api_key("key"),
            account: account.to_owned(),
            permissions: vec![permission.to_owned()],
            organization_id,
        };
        Authenticator::new(&AuthConfig::Required { api_keys: vec![entry] }).unwrap()
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn stream_ends_soon_after_its_credential_loses_permission() {
        let mut metadata = HeaderMap::new();
        metadata.insert("x-api-key", http::HeaderValue::from_static("key"));
        let caller = keys("events.read", "acme", None).authenticate(&metadata).unwrap();
        let none = Authenticator::new(&AuthConfig::Required { api_keys: Vec::new() }).unwrap();
        let other = Some(Uuid::from_u128(1));
        for (later, code) in [
            (none, Code::Unauthenticated),
            (keys("events.read", "other", None), Code::Unauthenticated),
            (keys("events.read", "acme", other), Code::Unauthenticated),
            (keys("invitations.read", "acme", None), Code::PermissionDenied),
        ] {
            let began = tokio::time::Instant::now();
            assert_eq!(Admission::of(later, NEEDED, &metadata).ended(&caller).await.code(), code);
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        let unchanged = Admission::of(keys("events.read", "acme", None), NEEDED, &metadata);
        tokio::time::timeout(Duration::from_secs(3_600), unchanged.ended(&caller)).await.unwrap_err();
    }
}
