//! The invitees of one inviter in a day: the count, and what a command adds to it.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::{Addition, DAY, PER_INVITER, QuotaChanges, QuotaKey, check, day_of, invitees};
use crate::domain::command::Command;
use crate::domain::decide::{Change, Changes};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::Details;
use crate::domain::value::text::AccountId;

/// Adds the people whom a command invites, if they fit.
pub(super) fn charge(
    limit: u32,
    loaded: &Loaded,
    (command, changes): (&Command, &Changes),
    quotas: &mut QuotaChanges,
) -> Result<(), Refusal> {
    let (net, inviting) = match changes.invitations.first() {
        // A sync of an auto-join invites nobody.
        Some(Change::Create(created)) if command.rules().create().is_some() => {
            (i64::from(invitees(created.recipients.len())), created)
        }
        Some(Change::Update { invitation, .. }) => {
            let Ok(before) = loaded.invitation(command.account(), invitation.id) else { return Ok(()) };
            // Nobody is ever taken off the list of all recipients.
            let added = invitation.recipients.len().saturating_sub(before.recipients.len());
            (i64::try_from(added).unwrap_or(i64::MAX), before.as_ref())
        }
        Some(Change::Create(_)) | None => return Ok(()),
    };
    if net > 0 {
        let key = inviter_key(command.account(), &inviting.details, &command.actor);
        let period = day_of(loaded.now);
        let wait = period.later(DAY).since(loaded.now);
        check(PER_INVITER, limit, (loaded.quota(&key, period).used, net), Some(wait))?;
        quotas.additions.push(Addition { key, period, net, by_holds: false, most: limit.into() });
    }
    Ok(())
}

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
