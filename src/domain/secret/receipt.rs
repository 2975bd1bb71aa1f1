//! The receipt: what a person did on the page of an invitation, for the service that the page sends them to.
//!
//! It is sealed rather than signed, since it stands in a URL: nobody on the way reads an address in it. It has a key of its own, so
//! that nothing else that this service seals passes for one.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::key_ring::{KeyRing, Sealed};
use super::token::Claims;
use super::verification::EmailProof;
use crate::domain::value::email::Email;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The answer of a person, which counts until a moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The invitation.
    pub invitation: InvitationId,
    /// The answer of the person.
    pub answer: Answer,
    /// The address that they have proven, if they have.
    pub email: Option<String>,
    /// The moment from which it shows nothing any more.
    pub expire_at: Timestamp,
}

/// The answer of a person.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// They accepted.
    Accepted {
        /// Their acceptance.
        acceptance: AcceptanceId,
        /// Its subject.
        subject: String,
    },
    /// They declined.
    Declined,
    /// They want to accept, which another service does for them.
    Intended {
        /// The link that they had.
        link: Claims,
        /// The proof of their address, if a code has proven it.
        proof: Option<EmailProof>,
    },
}

/// A receipt as it is sealed, with names of one letter: a URL has to carry it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Content {
    i: Uuid,
    x: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    a: Did,
}

#[derive(Deserialize, Serialize)]
enum Did {
    /// The acceptance and its subject.
    A(Uuid, String),
    D,
    /// Key, generation and recipient of the link; id and end of the proof.
    I(u8, u16, u16, Option<(Uuid, i64)>),
}

impl Receipt {
    /// Seals the receipt for an account. The nonce has to be random.
    pub fn seal(&self, ring: &KeyRing, account: &AccountId, nonce: [u8; 24]) -> Option<String> {
        let did = match &self.answer {
            Answer::Accepted { acceptance, subject } => Did::A(acceptance.0, subject.clone()),
            Answer::Declined => Did::D,
            Answer::Intended { link, proof } => {
                let proof = proof.as_ref().map(|proof| (proof.id, proof.expire_at.micros()));
                Did::I(link.key_id, link.generation, link.recipient, proof)
            }
        };
        let content = Content { i: self.invitation.0, x: self.expire_at.micros(), e: self.email.clone(), a: did };
        let content = serde_json::to_vec(&content).ok()?;
        ring.seal_as(Sealed::Receipt, account.as_str().as_bytes(), &content, nonce)
    }

    /// Reverses [`Receipt::seal`]. Returns `None` for a receipt of another account, and for every other text.
    pub fn open(ring: &KeyRing, account: &AccountId, sealed: &str) -> Option<Self> {
        let content = ring.open_as(Sealed::Receipt, account.as_str().as_bytes(), sealed)?;
        let Content { i, x, e, a } = serde_json::from_slice(&content).ok()?;
        let invitation = InvitationId(i);
        let answer = match a {
            Did::A(acceptance, subject) => Answer::Accepted { acceptance: AcceptanceId(acceptance), subject },
            Did::D => Answer::Declined,
            Did::I(key_id, generation, recipient, proof) => {
                let address = e.as_deref().and_then(|email| Email::parse(email).ok());
                let proof = proof.zip(address).map(|((id, expire_at), email)| EmailProof {
                    id,
                    email,
                    expire_at: Timestamp::from_micros(expire_at),
                });
                Answer::Intended { link: Claims { key_id, invitation, generation, recipient }, proof }
            }
        };
        Some(Self { invitation, answer, email: e, expire_at: Timestamp::from_micros(x) })
    }
}

/// Shows nothing: it holds an address, and may hold what opens the invitation.
impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u128 = 0x0192_0000_0000_7000_8000_0000_0000_0001;

    fn ring(id: u8) -> KeyRing {
        KeyRing::parse(&KeyRing::format_key(id, [id; 32])).unwrap()
    }

    fn account(name: &str) -> AccountId {
        AccountId::parse(name).unwrap()
    }

    fn receipts() -> Vec<Receipt> {
        let invitation = InvitationId(Uuid::from_u128(ID));
        let link = Claims { key_id: 1, invitation, generation: 3, recipient: 7 };
        let email = Email::parse("Ann@example.org").unwrap();
        let proof = EmailProof { id: Uuid::from_u128(9), email, expire_at: Timestamp::from_micros(5) };
        let acceptance = AcceptanceId(Uuid::from_u128(2));
        let subject = format!("email:{}@example.org", "a".repeat(180));
        let of = |answer, email: Option<&str>| Receipt {
            invitation,
            answer,
            email: email.map(str::to_owned),
            expire_at: Timestamp::from_micros(1_767_225_600_000_000),
        };
        let longest = format!("{}@example.org", "a".repeat(242));
        vec![
            of(Answer::Accepted { acceptance, subject }, Some(&longest)),
            of(Answer::Declined, None),
            of(Answer::Intended { link, proof: None }, None),
            of(Answer::Intended { link, proof: Some(proof) }, Some("Ann@example.org")),
        ]
    }

    #[test]
    fn receipt_says_what_was_sealed_and_fits_its_field() {
        for receipt in receipts() {
            let sealed = receipt.seal(&ring(1), &account("acme"), [9; 24]).unwrap();
            assert!(sealed.len() <= 1_024, "{}", sealed.len());
            assert_eq!(Receipt::open(&ring(1), &account("acme"), &sealed), Some(receipt));
        }
    }

    #[test]
    fn receipt_of_another_account_key_or_type_is_none() {
        let receipt = receipts().remove(0);
        let sealed = receipt.seal(&ring(1), &account("acme"), [9; 24]).unwrap();
        assert_eq!(Receipt::open(&ring(1), &account("other"), &sealed), None);
        assert_eq!(Receipt::open(&ring(2), &account("acme"), &sealed), None);
        let visit = ring(1).seal_as(Sealed::Visit, b"acme", br#"{"i":"","x":1,"a":"D"}"#, [9; 24]).unwrap();
        assert_eq!(Receipt::open(&ring(1), &account("acme"), &visit), None);
        for index in 0..sealed.len() {
            let mut broken = sealed.clone().into_bytes();
            broken[index] = if broken[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(Receipt::open(&ring(1), &account("acme"), std::str::from_utf8(&broken).unwrap()), None);
        }
        assert_eq!(format!("{receipt:?}"), "Receipt([redacted])");
    }
}
