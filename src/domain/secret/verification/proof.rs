//! The proof of an address, which a code is exchanged for. It is good for one subject: the first that accepts with it.

use std::borrow::Cow;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::command::{AcceptInvitation, RequestKey};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::invitation::recipient::Recipient;
use crate::domain::secret::key_ring::{KeyRing, Sealed};
use crate::domain::value::email::Email;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The time for which a proof is valid.
const PROOF_TTL: Duration = Duration::from_secs(30 * 60);
/// The name that takes the place of a method in the key of a used proof; no RPC has it.
const USE: &str = "email_proof";

/// An address that a code has verified, for one invitation and a limited time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailProof {
    /// The id of the code. Whoever uses the code again gets the same proof.
    pub id: Uuid,
    /// The address.
    pub email: Email,
    /// The moment at which it expires.
    pub expire_at: Timestamp,
}

impl EmailProof {
    /// Creates the proof of an address that was verified just now.
    pub fn new(id: Uuid, email: Email, now: Timestamp) -> Self {
        Self { id, email, expire_at: now.later(PROOF_TTL) }
    }

    /// Seals the proof for one invitation. The nonce has to be random.
    pub fn seal(
        &self,
        ring: &KeyRing,
        account: &AccountId,
        invitation: InvitationId,
        nonce: [u8; 24],
    ) -> Option<String> {
        let expire_at = self.expire_at.micros().to_be_bytes();
        let content = [expire_at.as_slice(), self.id.as_bytes(), self.email.key().as_bytes()].concat();
        ring.seal_as(Sealed::EmailProof, &context(account, invitation), &content, nonce)
    }

    /// Reverses [`EmailProof::seal`]. Returns `None` for a proof of another invitation or account.
    pub fn open(ring: &KeyRing, account: &AccountId, invitation: InvitationId, sealed: &str) -> Option<Self> {
        let content = ring.open_as(Sealed::EmailProof, &context(account, invitation), sealed)?;
        let (expire_at, rest) = content.split_first_chunk()?;
        let (id, address) = rest.split_first_chunk()?;
        let email = Email::parse(std::str::from_utf8(address).ok()?).ok()?;
        let expire_at = Timestamp::from_micros(i64::from_be_bytes(*expire_at));
        Some(Self { id: Uuid::from_bytes(*id), email, expire_at })
    }

    /// Returns the key under which the acceptance that used the proof is remembered. It stands among the request_ids, since
    /// these too are looked up with the first load, and of two saves that add the same one only the first takes effect.
    pub fn use_key(&self, account: &AccountId) -> RequestKey {
        RequestKey { account: account.clone(), method: USE.to_owned(), id: self.id.to_string() }
    }

    /// Returns whether it proves the address of an acceptor, or replaces a missing one.
    fn proves(&self, meant: Option<&Email>, now: Timestamp) -> bool {
        self.expire_at > now && meant.is_none_or(|email| email.key() == self.email.key())
    }
}

fn context(account: &AccountId, invitation: InvitationId) -> Vec<u8> {
    [invitation.0.as_bytes().as_slice(), account.as_str().as_bytes()].concat()
}

impl AcceptInvitation {
    /// Returns the proof, if it counts for the address that the acceptor means: their own, else that which their link was
    /// mailed to. A proof replaces the address only if there is none.
    pub fn counting_proof(&self, invitation: &Invitation, now: Timestamp) -> Option<&EmailProof> {
        let mailed_to = invitation.recipient(self.access.recipient()).and_then(Recipient::email);
        let given = self.acceptor.email.as_ref();
        let meant = given.map_or(mailed_to, GivenEmail::comparable);
        // No proof is of an address that cannot be compared.
        let can_prove = given.is_none() || meant.is_some();
        self.proof.as_ref().filter(|proof| can_prove && proof.proves(meant, now))
    }

    /// Returns the acceptor with the address of a proof that counts.
    pub fn proven_acceptor(&self, invitation: &Invitation, now: Timestamp) -> Cow<'_, Acceptor> {
        match self.counting_proof(invitation, now) {
            None => Cow::Borrowed(&self.acceptor),
            Some(proof) => {
                let email = self.acceptor.email.clone().unwrap_or_else(|| proof.email.clone().into());
                Cow::Owned(Acceptor { email: Some(email), email_verified: true, ..self.acceptor.clone() })
            }
        }
    }
}
