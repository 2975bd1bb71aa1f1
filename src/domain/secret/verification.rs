//! Verification codes: mailed to an address, they verify it, and are exchanged for a proof.
//!
//! A code is derived whenever it is needed, as a token is, and a proof is sealed: neither is stored. The rows store
//! only that a code was requested and how often it was tried, under keyed hashes of the address and of the client.

mod code;
mod limits;
mod proof;
#[cfg(test)]
mod tests;

use std::time::Duration;

use data_encoding::HEXLOWER;
use uuid::Uuid;

use super::key_ring::KeyRing;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::{Binding, binding, by_email};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::email::Email;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
pub use code::{Code, CodeForm};
pub use limits::{Asked, COUNT_WINDOW, Counted, FIRST_PAUSE, FreeTries, MAX_TRIES, WRONG_CODES_WINDOW, pauses};
pub use proof::EmailProof;

/// The time for which a code can be used.
pub const CODE_TTL: Duration = Duration::from_secs(10 * 60);
/// The time by which a code precedes the other messages of its account, since a person waits for it.
pub const CODE_PRIORITY: Duration = Duration::from_secs(86_400);

/// The person that a code is mailed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// A recipient, if the address is theirs.
    Recipient(u16),
    /// An address that is allowed although it was not invited itself.
    Address(Email),
}

/// Returns the addressee of a code for an address: `None` unless a verified address makes a difference and this one could
/// then accept. Refuses as an accept would in any state but ACTIVE.
pub fn addressee(invitation: &Invitation, email: &Email, now: Timestamp) -> Result<Option<Addressee>, Refusal> {
    invitation.state_at(now).require_active()?;
    Ok(match binding(invitation) {
        Binding::Open => None,
        Binding::Domains(domains) => {
            let joins = domains.iter().any(|domain| domain == email.domain());
            joins.then(|| Addressee::Address(email.clone()))
        }
        Binding::Recipients(rule) => {
            let recipient = by_email(invitation, rule, Some(email)).filter(|recipient| recipient.is_open());
            recipient.map(|recipient| match recipient.email() {
                Some(invited) if invited.key() == email.key() => Addressee::Recipient(recipient.ordinal),
                Some(_) | None => Addressee::Address(email.clone()),
            })
        }
    })
}

/// The identity of a code: its account, its invitation, and the key that derives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The account that owns it.
    pub account: AccountId,
    /// The invitation whose link the caller presented.
    pub invitation: InvitationId,
    /// The id of the code.
    pub id: Uuid,
    /// The key its code is derived with.
    pub key_id: u8,
    /// The form of its code.
    pub form: CodeForm,
}

impl Verification {
    /// Derives the code for an address. Returns `None` if the ring no longer has the key.
    pub fn code(&self, ring: &KeyRing, email: &Email) -> Option<Code> {
        let address = bytes(&self.account, self.invitation, email);
        let mac = ring.code_mac(self.key_id, &[self.id.as_bytes().as_slice(), &address].concat())?;
        let (head, _) = mac.split_first_chunk()?;
        Some(Code::of_bits(self.form, u64::from_be_bytes(*head)))
    }
}

/// Returns the keyed hashes under which an address is kept, for one invitation alone, by every key of the ring. The
/// signing key's comes first; new rows use it.
pub fn address_keys(ring: &KeyRing, account: &AccountId, invitation: InvitationId, email: &Email) -> Vec<String> {
    let macs = ring.address_macs(&bytes(account, invitation, email));
    macs.iter().map(|mac| HEXLOWER.encode(mac)).collect()
}

/// Returns the keyed hashes under which a client is kept, for one invitation alone, by every key of the ring, in the same
/// order. All callers without a client key are one client.
pub fn client_keys(
    ring: &KeyRing,
    account: &AccountId,
    invitation: InvitationId,
    client_key: Option<&str>,
) -> Vec<String> {
    let client = client_key.unwrap_or_default();
    let parts: [&[u8]; 4] = [invitation.0.as_bytes(), account.as_str().as_bytes(), b"\0", client.as_bytes()];
    ring.client_macs(&parts.concat()).iter().map(|mac| HEXLOWER.encode(mac)).collect()
}

/// Returns whether an address is that of a recipient, which is allowed unless they have answered.
pub fn is_invited(invitation: &Invitation, email: &Email) -> bool {
    let is_it = |invited: &Email| invited.key() == email.key();
    invitation.recipients.iter().any(|recipient| recipient.email().is_some_and(is_it))
}

/// No account contains a control character, so different parts never form the same bytes.
fn bytes(account: &AccountId, invitation: InvitationId, email: &Email) -> Vec<u8> {
    let parts: [&[u8]; 4] = [invitation.0.as_bytes(), account.as_str().as_bytes(), b"\0", email.key().as_bytes()];
    parts.concat()
}

/// Returns whether a code that was requested at a moment can no longer be used.
pub fn is_too_old(requested_at: Timestamp, now: Timestamp) -> bool {
    requested_at <= now.earlier(CODE_TTL)
}
