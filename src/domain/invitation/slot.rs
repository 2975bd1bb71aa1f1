//! Slots: at most one ACTIVE invitation holds each.
//!
//! A slot belongs to an invitation until another takes it over, which it may as soon as the holder is not ACTIVE any
//! more. Whether the holder is ACTIVE follows from its facts, so no background task has to release the slots of expired
//! ones.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::recipient::Address;
use crate::domain::kind::{Details, Scope};
use crate::domain::value::id::InvitationId;
use crate::domain::value::time::Timestamp;

/// PostgreSQL indexes rows of up to 2,704 bytes, and the account is part of them with up to 800.
const MAX_KEY_BYTES: usize = 1_000;

/// The key of a slot within an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotKey(pub String);

/// The holder of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The invitation that took it last.
    pub invitation: InvitationId,
    /// The version of a slot that nobody held, see [`Slot::first_version`], and one more for each time that it was taken since;
    /// checked by a save.
    pub version: i64,
}

impl Slot {
    /// The binary digits of a version that count how often the slot was taken over: they fit behind the microseconds for
    /// another two centuries.
    const COUNT_DIGITS: u32 = 10;

    /// Returns the version of a slot that is taken at a moment and that nobody holds.
    ///
    /// The row of a holder that ended long ago may be deleted, so versions go on from the present moment: none occurs twice.
    /// A save takes a slot over from the version that is one less than its own. The versions of two moments are far apart, so
    /// a save that saw the slot free never takes it over from one that took it a microsecond before.
    pub fn first_version(now: Timestamp) -> i64 {
        now.micros().saturating_mul(1 << Self::COUNT_DIGITS)
    }
}

impl SlotKey {
    /// Returns the slot of the one auto-join of a scope.
    pub fn autojoin(scope: &Scope) -> Self {
        Self::bounded(format!("autojoin {} {}", measured(&scope.scope_type), measured(&scope.id)))
    }

    /// Returns the slots that an invitation with these details, to these addresses, takes.
    pub fn of<'a>(details: &Details, addresses: impl Iterator<Item = &'a Address>) -> Vec<Self> {
        let people = addresses.filter(|address| address.names_a_person());
        let people: Vec<_> =
            people.map(|address| format!("{} {}", address.address_type().code(), address.key())).collect();
        details.slots(&people)
    }

    /// Returns the part of a key for a scope, or for the lack of one.
    pub(in crate::domain) fn scope(scope: Option<&Scope>) -> String {
        let scope = scope.map(|scope| (measured(&scope.scope_type), measured(&scope.id)));
        let (scope_type, id) = scope.unwrap_or_default();
        format!("{scope_type} {id}")
    }

    /// Creates a key of a text, or of its digest if a database could not index the text.
    pub(in crate::domain) fn bounded(text: String) -> Self {
        let digest = || format!("sha256 {}", BASE64URL_NOPAD.encode(&Sha256::digest(&text)));
        if text.len() <= MAX_KEY_BYTES { Self(text) } else { Self(digest()) }
    }
}

/// Prefixes a part of a key with its length, so that two different pairs never form one key, in any version of this
/// program.
fn measured(part: &str) -> String {
    format!("{}:{part}", part.len())
}
