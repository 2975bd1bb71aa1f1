//! The facts that the lanes of a process share: which accounts have work, and whether a submission runs alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::value::text::AccountId;

/// The time for which an account counts as one that has work after its last call.
const COMPANY_TTL: Duration = Duration::from_millis(250);
/// The time after which a lane looks again whether a submission of another one still runs alone.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The shared facts.
#[derive(Debug, Default)]
pub(in crate::store) struct AllLanes(Mutex<Facts>);

#[derive(Debug, Default)]
struct Facts {
    /// The accounts with the latest calls: the last one, and the last one of any other.
    callers: [Option<(AccountId, Instant)>; 2],
    /// The number of submissions of each account that wait to run alone.
    waiting: HashMap<AccountId, usize>,
    /// Whether a submission runs alone.
    is_alone: bool,
    /// The moment from which the next submission may run alone.
    rest_until: Option<Instant>,
}

impl AllLanes {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an account has work.
    pub(super) fn note_call(&self, account: &AccountId, now: Instant) {
        let mut facts = self.facts();
        if facts.callers[0].as_ref().is_some_and(|(last, _)| last != account) {
            facts.callers.swap(0, 1);
        }
        facts.callers[0] = Some((account.clone(), now));
    }

    /// Returns whether another account has had work since a moment, or shortly before.
    pub(super) fn has_others(&self, account: &AccountId, since: Instant) -> bool {
        let facts = self.facts();
        let mut others = facts.callers.iter().flatten().filter(|(caller, _)| caller != account);
        others.any(|(_, at)| *at + COMPANY_TTL >= since) || facts.waiting.keys().any(|waiting| waiting != account)
    }

    /// Begins to run a submission alone. Returns `false` if another one runs, or if it is too early after the last one.
    pub(super) fn begin_alone(&self, now: Instant) -> bool {
        let mut facts = self.facts();
        let may_run = !facts.is_alone && facts.rest_until.is_none_or(|until| until <= now);
        facts.is_alone |= may_run;
        may_run
    }

    /// Ends the run of a submission, with the moment until which no other one runs alone.
    pub(super) fn end_alone(&self, rest_until: Option<Instant>) {
        let mut facts = self.facts();
        facts.is_alone = false;
        facts.rest_until = facts.rest_until.max(rest_until);
    }

    /// Notes that a submission of an account waits to run alone, in any lane.
    pub(super) fn note_waiting(&self, account: &AccountId) {
        *self.facts().waiting.entry(account.clone()).or_default() += 1;
    }

    /// Notes that a submission of an account no longer waits to run alone.
    pub(super) fn note_taken(&self, account: &AccountId) {
        let mut facts = self.facts();
        let left = facts.waiting.get(account).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            facts.waiting.remove(account);
        } else {
            facts.waiting.insert(account.clone(), left);
        }
    }

    /// Returns the moment at which it is worth another look whether a submission may run alone. It is never past: the submission of
    /// another lane may have ended since the last look, and nothing tells this lane.
    pub(super) fn next_alone(&self, now: Instant) -> Instant {
        let facts = self.facts();
        let until = facts.rest_until.max(facts.is_alone.then_some(now + POLL_INTERVAL));
        until.filter(|until| *until > now).unwrap_or(now + POLL_INTERVAL)
    }
}
