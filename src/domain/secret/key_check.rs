//! The comparison of a key ring with the keys that a database knows. With a wrong ring a replica would answer that
//! links do not exist which people have in their mail, and the other replicas would answer otherwise.

use std::fmt;
use std::time::Duration;

use crate::domain::command::REMEMBERED_FOR;
use crate::domain::value::time::Timestamp;

/// The time for which a key stays in use after it was the first of a running process: as long as requests are
/// remembered that it digested.
pub const IN_USE_FOR: Duration = REMEMBERED_FOR;

/// The part of a key that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFingerprint {
    /// The key's id.
    pub key_id: u8,
    /// 16 hexadecimal digits that differ for different keys and do not lead to the key.
    pub text: String,
}

/// A key that was in the ring of some process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key, as it was then.
    pub fingerprint: KeyFingerprint,
    /// The moment at which it was last the first key of a running process; `None` if it never was, so that nothing depends on it.
    pub signed_at: Option<Timestamp>,
    /// The moment at which it was retired.
    pub retired_at: Option<Timestamp>,
}

/// The reasons for which a ring does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// A key has other bytes than the key of its id had.
    Differs {
        /// The key of the ring.
        configured: KeyFingerprint,
        /// The fingerprint that the database knows.
        known: String,
    },
    /// A key is missing that links, requests or secrets depend on.
    Missing(KeyFingerprint),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { configured: KeyFingerprint { key_id, text }, known } => write!(
                f,
                "key {key_id} has the fingerprint {text}, but the database knows key {key_id} by the fingerprint {known}: \
                 restore that key, and give a new key an id that was never used"
            ),
            Self::Missing(KeyFingerprint { key_id, text }) => write!(
                f,
                "key {key_id}, fingerprint {text}, is missing and still in use: put it back behind the first key, or give up \
                 every link it signed with `invitation-service retire-key --id {key_id}`"
            ),
        }
    }
}

/// A ring that does not fit, with all reasons.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token.keys does not fit this database: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct RingRefused(pub Vec<Misfit>);

/// The comparison of a ring with the keys that a database knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The reasons for which the ring does not fit.
    pub misfits: Vec<Misfit>,
    /// Keys that are missing and have not signed for so long that only rows that they signed show whether they are in use.
    pub idle: Vec<KeyFingerprint>,
}

/// Compares a ring with the keys that a database knows.
pub fn compare(ring: &[KeyFingerprint], known: &[KnownKey], now: Timestamp) -> Comparison {
    let mut comparison = Comparison::default();
    for KnownKey { fingerprint, signed_at, retired_at } in known {
        let configured = ring.iter().find(|key| key.key_id == fingerprint.key_id);
        match (configured, signed_at) {
            (Some(configured), _) if configured.text == fingerprint.text => {}
            (Some(configured), _) => {
                let (configured, known) = (configured.clone(), fingerprint.text.clone());
                comparison.misfits.push(Misfit::Differs { configured, known });
            }
            (None, Some(signed_at)) if retired_at.is_none() => {
                if *signed_at > now.earlier(IN_USE_FOR) {
                    comparison.misfits.push(Misfit::Missing(fingerprint.clone()));
                } else {
                    comparison.idle.push(fingerprint.clone());
                }
            }
            (None, _) => {}
        }
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key_id: u8, text: &str) -> KeyFingerprint {
        KeyFingerprint { key_id, text: text.to_owned() }
    }

    #[test]
    fn ring_fits_unless_a_key_differs_or_is_missing_in_use() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let (recently, long_ago) = (now.earlier(IN_USE_FOR / 2), now.earlier(IN_USE_FOR));
        let known = |signed_at, retired_at| [KnownKey { fingerprint: key(1, "a"), signed_at, retired_at }];
        let fits = Comparison::default();
        let missing = Comparison { misfits: vec![Misfit::Missing(key(1, "a"))], idle: Vec::new() };
        let idle = Comparison { misfits: Vec::new(), idle: vec![key(1, "a")] };
        for (known, wanted) in [
            (known(None, None), &fits),
            (known(Some(recently), None), &missing),
            (known(Some(long_ago), None), &idle),
            (known(Some(recently), Some(now)), &fits),
        ] {
            assert_eq!(&compare(&[key(2, "b")], &known, now), wanted, "{known:?}");
            assert_eq!(compare(&[key(2, "b"), key(1, "a")], &known, now), fits, "{known:?}");
            let differs = compare(&[key(1, "c")], &known, now).misfits;
            assert_eq!(differs, [Misfit::Differs { configured: key(1, "c"), known: "a".to_owned() }], "{known:?}");
        }
    }
}
