//! Rates, which each process counts for itself: invitees by credential and by account, and look-ups of tokens that find nothing
//! by credential. What holds over all replicas is a quota (`domain::quota`). The calls of a person have a rate as well, which counts
//! before the call is read (`server::admission::person_rate`).

#[cfg(test)]
mod tests;

use tonic::{Code, Status};

use crate::auth::caller::{Caller, Credential};
use crate::clock::Clock;
use crate::config::{LimitsConfig, Rate};
use crate::domain::command::Action;
use crate::domain::quota::invitees;
use crate::server::admission::keyed_rate::{KeyedRate, RateLeft};

/// The invitees of one credential.
pub(crate) const PER_KEY: &str = "invitations_per_key";
/// The invitees of one account.
pub(crate) const PER_ACCOUNT: &str = "invitations_per_account";
/// The tokens of one credential that led nowhere.
pub(crate) const FAILED_LOOKUPS: &str = "failed_lookups_per_key";

/// The rates of a process; `None` is no limit.
#[derive(Debug)]
pub struct Rates {
    per_key: Option<KeyedRate>,
    per_account: Option<KeyedRate>,
    failed_lookups: Option<KeyedRate>,
}

impl Rates {
    /// Creates the rates that are configured, of which nothing is used.
    pub fn new(config: &LimitsConfig, clock: &Clock) -> Self {
        let rate = |name, rate: Option<Rate>| rate.and_then(|rate| KeyedRate::new(name, rate, clock));
        Self {
            per_key: rate(PER_KEY, config.invitations_per_key),
            per_account: rate(PER_ACCOUNT, config.invitations_per_account),
            failed_lookups: rate(FAILED_LOOKUPS, config.failed_lookups_per_key),
        }
    }

    /// Counts invitees for a caller and their account, or refuses them. Those that are not invited after all are given back.
    pub(crate) fn invite(&self, caller: &Caller, number: u32) -> Result<Invited<'_>, Status> {
        let mut invited = Invited { counted: Vec::new() };
        for (rate, key) in self.of_invitees(caller) {
            // The first rate gets back its count if the second one refuses.
            if let Err(refused) = rate.take(&key, number) {
                invited.give_back(number);
                return Err(refused);
            }
            invited.counted.push((rate, key));
        }
        Ok(invited)
    }

    /// Runs a look-up by token. One that finds nothing is counted, and none is made while there were too many of those.
    pub(crate) async fn look_up<T>(
        &self,
        caller: &Caller,
        look_up: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let limited = self.failed_lookups.as_ref().zip(credential(caller));
        if let Some((rate, key)) = &limited {
            rate.check(key)?;
        }
        let found = look_up.await;
        if let (Some((rate, key)), Err(refused)) = (&limited, &found)
            && refused.code() == Code::NotFound
        {
            // It has taken place, so it counts even if others have used up the rate meanwhile.
            drop(rate.take(key, 1));
        }
        found
    }

    /// Returns what is left of each rate for a caller.
    pub(crate) fn left(&self, caller: &Caller) -> Vec<RateLeft> {
        let lookups = self.failed_lookups.as_ref().zip(credential(caller));
        self.of_invitees(caller).chain(lookups).map(|(rate, key)| rate.left(&key)).collect()
    }

    fn of_invitees(&self, caller: &Caller) -> impl Iterator<Item = (&KeyedRate, String)> {
        let per_key = self.per_key.as_ref().zip(credential(caller));
        let per_account = self.per_account.as_ref().map(|rate| (rate, caller.account.as_str().to_owned()));
        per_key.into_iter().chain(per_account)
    }
}

/// Returns the key of a credential; `None` where callers show none, so that all of them are one.
fn credential(caller: &Caller) -> Option<String> {
    match caller.credential {
        Credential::None => None,
        // No name has a line feed in it.
        Credential::ApiKey | Credential::ClientCertificate | Credential::Jwt | Credential::Person(_) => {
            Some(format!("{}\n{}", caller.account.as_str(), caller.name))
        }
    }
}

/// Returns the number of people that an action invites: 0 unless it creates an invitation.
pub(crate) fn invitees_of(action: &Action) -> u32 {
    match action {
        Action::Create(create) => invitees(create.recipients.len()),
        Action::Update(update) => u32::try_from(update.added.len()).unwrap_or(u32::MAX),
        _ => 0,
    }
}

/// Invitees that were counted.
#[derive(Debug)]
pub(crate) struct Invited<'a> {
    counted: Vec<(&'a KeyedRate, String)>,
}

impl Invited<'_> {
    /// Gives back those who were not invited after all.
    pub(crate) fn give_back(&self, number: u32) {
        for (rate, key) in &self.counted {
            rate.give_back(key, number);
        }
    }
}
