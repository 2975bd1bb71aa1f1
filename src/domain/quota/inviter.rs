//! The counts of the people whom one inviter invites.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::QuotaKey;
use crate::domain::kind::Details;
use crate::domain::value::text::AccountId;

/// Returns the count of an inviter: of their id, else their address, else of the credential.
pub fn inviter_key(account: &AccountId, details: &Details, actor: &str) -> QuotaKey {
    let inviter = details.shared().inviter.as_ref();
    let user_id = inviter.map(|inviter| inviter.user_id.as_str()).filter(|user_id| !user_id.is_empty());
    let email = || inviter.and_then(|inviter| inviter.email.as_ref());
    match (user_id, email()) {
        (Some(user_id), _) => user_key(account, user_id),
        (None, Some(email)) => named_inviter(account, "email", email.key()),
        (None, None) => credential_key(account, actor),
    }
}

/// Returns the count of an inviter with an id of the caller's own.
pub fn user_key(account: &AccountId, user_id: &str) -> QuotaKey {
    named_inviter(account, "user", user_id)
}

/// Returns the count of invitations that name no inviter, by the credential that created them.
pub fn credential_key(account: &AccountId, actor: &str) -> QuotaKey {
    named_inviter(account, "credential", actor)
}

/// The name is hashed, so that it fits any index.
fn named_inviter(account: &AccountId, named_by: &str, name: &str) -> QuotaKey {
    let digest = BASE64URL_NOPAD.encode(&Sha256::digest(format!("{named_by} {name}")));
    QuotaKey { account: Some(account.clone()), key: format!("inviter {digest}") }
}
