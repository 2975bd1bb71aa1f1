//! The time for which an invitation can be accepted: its limits for each kind, and the expiry that a command sets.

use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::time::{Timestamp, Ttl};

/// The limits of the time for which an invitation of a kind can be accepted.
#[derive(Debug)]
pub struct Lifetime {
    /// The longest time from a create or a resend on.
    pub longest: Ttl,
    /// The error for a longer time to live.
    pub ttl_rule: &'static str,
    /// The error for a moment that is past or too far ahead.
    pub time_rule: &'static str,
    /// The error for an invitation that is to last for ever; `None` if it may.
    pub never_rule: Option<&'static str>,
}

impl Lifetime {
    /// The limits of the kinds that may last for ever.
    pub const UNLIMITED: Self = Self {
        longest: Ttl::LONGEST,
        ttl_rule: "must be at most 100 years",
        time_rule: "must be in the future, at most 100 years ahead",
        never_rule: None,
    };

    /// Checks the part of an expiry that does not depend on the present moment. The error names the rule.
    pub fn check(&self, time: ExpiryTime) -> Result<(), Invalid> {
        match time {
            ExpiryTime::Never => {
                self.never_rule.map_or(Ok(()), |description| Err(Invalid::new(FieldRule::NotAllowed, description)))
            }
            ExpiryTime::After(ttl) if ttl > self.longest => Err(Invalid::new(FieldRule::OutOfRange, self.ttl_rule)),
            ExpiryTime::After(_) | ExpiryTime::At(_) => Ok(()),
        }
    }
}

/// The expiry that a command sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The moment, as far as the caller knows it.
    pub time: ExpiryTime,
    /// The path of the field that holds it.
    pub field: &'static str,
}

/// The moment of an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryTime {
    /// The invitation never expires.
    Never,
    /// A duration after the decision.
    After(Ttl),
    /// A moment, which has to be in the future at the decision.
    At(Timestamp),
}

impl Expiry {
    /// Returns the moment of expiry for a decision at `now`, `None` for never. Refuses one that the kind does not allow.
    pub fn at(self, now: Timestamp, lifetime: &Lifetime) -> Result<Option<Timestamp>, Refusal> {
        let Self { time, field } = self;
        lifetime.check(time).map_err(|invalid| Refusal::InvalidField { field, invalid })?;
        match time {
            ExpiryTime::Never => Ok(None),
            ExpiryTime::After(ttl) => Ok(Some(now.plus(ttl))),
            ExpiryTime::At(at) if at > now && at <= now.plus(lifetime.longest) => Ok(Some(at)),
            ExpiryTime::At(_) => {
                let invalid = Invalid::new(FieldRule::OutOfRange, lifetime.time_rule);
                Err(Refusal::InvalidField { field, invalid })
            }
        }
    }
}
