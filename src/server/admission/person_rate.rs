//! The rate of the calls of each person who calls as themselves: an account trusts its services, and lets anybody sign up.

use tonic::Status;

use super::keyed_rate::KeyedRate;
use crate::auth::caller::Caller;
use crate::clock::Clock;
use crate::config::Rate;

/// The calls of one person.
const PER_PERSON: &str = "calls_per_person";

/// The rate; `None` is no limit.
#[derive(Debug)]
pub(crate) struct PersonRate(Option<KeyedRate>);

impl PersonRate {
    /// Creates the rate, of which nobody has used anything.
    pub(crate) fn new(rate: Option<Rate>, clock: &Clock) -> Self {
        Self(rate.and_then(|rate| KeyedRate::new(PER_PERSON, rate, clock)))
    }

    /// Counts a call of a person, or refuses it. Others are not counted.
    pub(crate) fn count(&self, caller: &Caller) -> Result<(), Status> {
        let Some((rate, person)) = self.0.as_ref().zip(caller.person()) else { return Ok(()) };
        // No account has a line feed in it.
        rate.take(&format!("{}\n{}", caller.account.as_str(), person.subject.0), 1)
    }
}
