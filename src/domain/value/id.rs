//! Ids of invitations, events and acceptances: UUIDs version 7, so that they sort by age.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::time::Timestamp;

/// The id of an invitation of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InvitationId(pub Uuid);

/// The id of an acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AcceptanceId(pub Uuid);

/// Derives the ids of everything that one command creates.
///
/// The same seed gives the same ids, so a command that is decided again (a lost race, an unknown commit) names its rows
/// as before. Ids are names, not secrets: the token's MAC protects a link.
#[derive(Clone, Copy, Debug)]
pub struct IdSeed {
    millis: u64,
    seed: [u8; 16],
}

impl IdSeed {
    /// Creates a seed from the present moment and 16 random bytes.
    pub fn new(now: Timestamp, seed: [u8; 16]) -> Self {
        Self { millis: u64::try_from(now.micros() / 1_000).unwrap_or_default(), seed }
    }

    /// Returns the `n`th id.
    pub fn nth(&self, n: u32) -> Uuid {
        let hash = Sha256::new().chain_update(self.seed).chain_update(n.to_be_bytes()).finalize();
        let mut random = [0; 10];
        random.copy_from_slice(&hash[..10]);
        uuid::Builder::from_unix_timestamp_millis(self.millis, &random).into_uuid()
    }
}

/// Returns the id before all that begin with the millisecond of a moment, or with a later one.
pub fn least_id(moment: Timestamp) -> Uuid {
    Uuid::from_u128(u128::try_from(moment.micros() / 1_000).unwrap_or_default() << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_id_of_a_moment_is_before_its_ids_alone() {
        let at = |millis: i64| IdSeed::new(Timestamp::from_micros(millis * 1_000), [7; 16]).nth(0);
        let least = least_id(Timestamp::from_micros(1_700_000_000_000_999));
        assert!(at(1_699_999_999_999) < least && least < at(1_700_000_000_000));
        assert_eq!(least_id(Timestamp::from_micros(-1_000)), Uuid::nil());
    }

    #[test]
    fn ids_are_version_7_distinct_and_the_same_again() {
        let seed = IdSeed::new(Timestamp::from_micros(1_700_000_000_000_000), [7; 16]);
        assert_eq!(seed.nth(0).get_version_num(), 7);
        assert_eq!(seed.nth(3), seed.nth(3));
        assert_ne!(seed.nth(0), seed.nth(1));
    }
}
