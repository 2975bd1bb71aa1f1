//! The limits: how many codes may be requested, and how often wrong ones may be tried.
//!
//! A caller that tells its visitors apart by client keys has each of them limited first, so that one of them locks out no
//! other; the limits for all are larger. Nothing here depends on whether an address is allowed.

use std::time::Duration;

use super::CodeForm;
use crate::domain::invitation::refusal::RateLimited;
use crate::domain::value::time::Timestamp;

/// The number of times that a wrong code may be tried for one code that was mailed.
pub const MAX_TRIES: u32 = 5;
/// The time for which requests for codes are counted.
pub const COUNT_WINDOW: Duration = Duration::from_secs(3_600);
/// The time for which wrong codes are counted, from the first one on.
pub const WRONG_CODES_WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// The time until another code may be requested for an address by the same client.
const MIN_INTERVAL: Duration = Duration::from_secs(60);
/// The number of codes that one client may request for one address of an invitation in a [`COUNT_WINDOW`].
const MAX_CODES: u32 = 5;
/// The number of codes that all clients together may request for one address of an invitation in a [`COUNT_WINDOW`].
const MAX_CODES_OF_ADDRESS: u32 = 15;
/// The number of codes that one client may request for all addresses of an invitation in a [`COUNT_WINDOW`].
const MAX_CODES_OF_CLIENT: u32 = 10;
/// The number of addresses without an invitation of their own that codes may be mailed to for one invitation in a
/// [`COUNT_WINDOW`].
const MAX_OTHER_ADDRESSES: u32 = 100;
/// The number of wrong codes of one client without a pause in a [`WRONG_CODES_WINDOW`].
const FREE_OF_CLIENT: u32 = 10;
/// The same number for six digits, for all calls of an invitation: more than one client can use up in a day.
const FREE_OF_DIGITS: u32 = 60;
/// The same numbers for eight characters: for the calls without a client key together, and for all calls of an invitation.
const FREE_OF_CHARACTERS_WITHOUT_CLIENT: u32 = 100;
const FREE_OF_CHARACTERS: u32 = 300;
/// The pause after the first wrong code that is not free. Each further one doubles the pause.
pub const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(3_600);

/// Some requests that are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The number of requests since `since`.
    pub codes: u32,
    /// The moment of the first of them; after a [`COUNT_WINDOW`] the count starts again.
    pub since: Option<Timestamp>,
}

impl Counted {
    /// Returns the time to wait if there were as many as there may be.
    fn wait(&self, limit: u32, now: Timestamp) -> Option<Duration> {
        let since = self.since.filter(|since| *since > now.earlier(COUNT_WINDOW))?;
        (self.codes >= limit).then(|| since.later(COUNT_WINDOW).since(now))
    }

    /// Returns the count with one more request.
    fn and_one(&self, now: Timestamp) -> Self {
        match self.since.filter(|since| *since > now.earlier(COUNT_WINDOW)) {
            Some(since) => Self { codes: self.codes + 1, since: Some(since) },
            None => Self { codes: 1, since: Some(now) },
        }
    }
}

/// The requests for codes with one invitation's links, before another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The moment at which this client requested this address's last code; `None` once that code is used, so that the next
    /// one may be requested at once.
    pub last: Option<Timestamp>,
    /// The requests of this client for this address.
    pub own: Counted,
    /// The requests of all clients for this address.
    pub address: Counted,
    /// The requests of this client for all addresses; none for callers without a client key, who may be many.
    pub client: Counted,
    /// The other addresses that are not invited themselves, if this one is another of those; none if no such address is
    /// mailed to anyway.
    pub others: Counted,
}

impl Asked {
    /// Checks that one more code may be requested.
    pub fn check(&self, now: Timestamp) -> Result<(), RateLimited> {
        let last = self.last.filter(|last| *last > now.earlier(MIN_INTERVAL));
        let pause = last.map(|last| last.later(MIN_INTERVAL).since(now));
        let per_email = pause.max(self.own.wait(MAX_CODES, now)).max(self.address.wait(MAX_CODES_OF_ADDRESS, now));
        let known = self.address.since.is_some_and(|since| since > now.earlier(COUNT_WINDOW));
        let others = self.others.wait(MAX_OTHER_ADDRESSES, now).filter(|_| !known);
        for (limit, wait) in [
            ("codes_per_client", self.client.wait(MAX_CODES_OF_CLIENT, now)),
            ("codes_per_email", per_email),
            ("emails_per_invitation", others),
        ] {
            if let Some(retry_after) = wait {
                return Err(RateLimited { limit, retry_after });
            }
        }
        Ok(())
    }

    /// Returns the time until the client may request another code for the address, if one was requested just now.
    pub fn pause_after(&self, now: Timestamp) -> Duration {
        let [own, address, client] = [self.own, self.address, self.client].map(|counted| counted.and_one(now));
        let next = Self { last: Some(now), own, address, client, others: self.others };
        next.check(now).map_or_else(|limited| limited.retry_after, |()| Duration::ZERO)
    }
}

/// The numbers of wrong codes without a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeTries {
    /// Those of the client, or of all callers without a client key.
    pub client: u32,
    /// Those of all calls of the invitation.
    pub invitation: u32,
}

impl FreeTries {
    /// Returns the numbers for codes of a form, for a caller with a client key or without.
    pub fn of(form: CodeForm, has_client_key: bool) -> Self {
        match (form, has_client_key) {
            (CodeForm::Digits, _) => Self { client: FREE_OF_CLIENT, invitation: FREE_OF_DIGITS },
            (CodeForm::Characters, true) => Self { client: FREE_OF_CLIENT, invitation: FREE_OF_CHARACTERS },
            (CodeForm::Characters, false) => {
                Self { client: FREE_OF_CHARACTERS_WITHOUT_CLIENT, invitation: FREE_OF_CHARACTERS }
            }
        }
    }
}

/// Returns the pauses after the wrong codes that are not free, in their order; the last one is that of all further ones.
pub fn pauses() -> impl Iterator<Item = Duration> {
    let doubled = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(*pause * 2));
    doubled.take_while(|pause| *pause < MAX_PAUSE).chain([MAX_PAUSE])
}

#[cfg(test)]
mod tests;
