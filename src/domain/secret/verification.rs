//! Verification codes: six digits, mailed to an address, that verify it, and the proof that they are exchanged for.
//!
//! A code is derived whenever it is needed, as a token is, and a proof is sealed: neither is stored. The rows store
//! only that a code was requested and how often it was tried, under a keyed hash of the address.

mod proof;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use data_encoding::HEXLOWER;
use uuid::Uuid;

use super::key_ring::KeyRing;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::{Binding, binding, by_email};
use crate::domain::invitation::refusal::{RateLimited, Refusal};
use crate::domain::value::email::Email;
use crate::domain::value::id::InvitationId;
use crate::domain::value::rule::Invalid;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
pub use proof::EmailProof;

/// The number of times that a code may be tried.
pub const MAX_TRIES: u32 = 5;
/// The time for which a code can be used.
pub const CODE_TTL: Duration = Duration::from_secs(10 * 60);
/// The time by which a code precedes the other messages of its account, since a person waits for it.
pub const CODE_PRIORITY: Duration = Duration::from_secs(86_400);
/// The time for which requests for codes are counted.
pub const COUNT_WINDOW: Duration = Duration::from_secs(3_600);
/// The time until another code may be requested.
const MIN_INTERVAL: Duration = Duration::from_secs(60);
/// The number of codes that may be requested for one address of one invitation in a [`COUNT_WINDOW`].
const MAX_CODES: u32 = 5;
/// The number of addresses of one invitation that codes may be requested for in a [`COUNT_WINDOW`].
const MAX_ADDRESSES: u32 = 20;

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
            let recipient = by_email(invitation, rule, email).filter(|recipient| recipient.is_open());
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
}

impl Verification {
    /// Derives the code for an address. Returns `None` if the ring no longer has the key.
    pub fn code(&self, ring: &KeyRing, email: &Email) -> Option<Code> {
        let address = bytes(&self.account, self.invitation, email);
        let mac = ring.code_mac(self.key_id, &[self.id.as_bytes().as_slice(), &address].concat())?;
        let (head, _) = mac.split_first_chunk()?;
        // 2^64 is so much larger than a million that all codes are practically equally likely.
        u32::try_from(u64::from_be_bytes(*head) % u64::from(Code::ALL)).ok().map(Code)
    }
}

/// Returns the keyed hashes under which an address is kept, for one invitation alone, by every key of the ring. The
/// signing key's comes first; new rows use it.
pub fn address_keys(ring: &KeyRing, account: &AccountId, invitation: InvitationId, email: &Email) -> Vec<String> {
    let macs = ring.address_macs(&bytes(account, invitation, email));
    macs.iter().map(|mac| HEXLOWER.encode(mac)).collect()
}

/// No account contains a control character, so different parts never form the same bytes.
fn bytes(account: &AccountId, invitation: InvitationId, email: &Email) -> Vec<u8> {
    let parts: [&[u8]; 4] = [invitation.0.as_bytes(), account.as_str().as_bytes(), b"\0", email.key().as_bytes()];
    parts.concat()
}

/// A code of six digits. Never printed by `{:?}`.
///
/// Comparing two codes compares two numbers, which takes the same time whichever digit differs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(u32);

impl Code {
    /// The number of codes.
    const ALL: u32 = 1_000_000;

    /// Parses six digits.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let digits = Some(text).filter(|text| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or(Invalid::format("must be six digits"))
    }

    /// Returns the six digits, for a mail.
    pub fn reveal(self) -> String {
        format!("{:06}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code([redacted])")
    }
}

/// Returns whether a code that was requested at a moment can no longer be used.
pub fn is_too_old(requested_at: Timestamp, now: Timestamp) -> bool {
    requested_at <= now.earlier(CODE_TTL)
}

/// The requests for codes with one invitation's links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The moment at which this address's last code was requested; `None` once that code is used, so that the next one
    /// may be requested at once.
    pub last: Option<Timestamp>,
    /// The number of codes for this address since `since`.
    pub codes: u32,
    /// The moment of the first of those requests; after a [`COUNT_WINDOW`] the count starts again.
    pub since: Option<Timestamp>,
    /// The number of other addresses with a request in the last [`COUNT_WINDOW`].
    pub others: u32,
    /// The moment of the oldest of those requests.
    pub oldest: Option<Timestamp>,
}

impl Asked {
    /// Checks that one more code may be requested. The result does not depend on whether the address is allowed.
    pub fn check(&self, now: Timestamp) -> Result<(), RateLimited> {
        let until = |from: Timestamp, span: Duration| from.later(span).since(now);
        let pause = self.last.filter(|last| *last > now.earlier(MIN_INTERVAL)).map(|last| until(last, MIN_INTERVAL));
        let counted = self.since.filter(|since| self.codes >= MAX_CODES && *since > now.earlier(COUNT_WINDOW));
        if let Some(retry_after) = pause.max(counted.map(|since| until(since, COUNT_WINDOW))) {
            return Err(RateLimited { limit: "codes_per_email", retry_after });
        }
        let known = self.last.max(self.since).is_some_and(|last| last > now.earlier(COUNT_WINDOW));
        if !known && self.others >= MAX_ADDRESSES {
            let oldest = self.oldest.unwrap_or(now);
            return Err(RateLimited { limit: "emails_per_invitation", retry_after: until(oldest, COUNT_WINDOW) });
        }
        Ok(())
    }

    /// Returns the time until another code may be requested for the address, if one was requested just now.
    pub fn pause_after(&self, now: Timestamp) -> Duration {
        let counted = self.since.filter(|since| *since > now.earlier(COUNT_WINDOW));
        let codes = if counted.is_some() { self.codes + 1 } else { 1 };
        let next = Self { last: Some(now), codes, since: counted.or(Some(now)), ..*self };
        next.check(now).map_or_else(|limited| limited.retry_after, |()| Duration::ZERO)
    }
}
