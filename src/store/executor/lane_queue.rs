//! The queue of a lane: bounded by calls, rows and bytes, and handed out in turns by account.
//!
//! Much work runs alone, and for twice as long as it took, the lane is left to accounts with less to do: so nothing that one account
//! asks for costs the others more than half of a lane.

pub(super) mod all_lanes;
mod turns;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::submission::Submission;
use crate::domain::delivery::reminder::Schedules;
use crate::domain::value::text::AccountId;
use all_lanes::AllLanes;
use turns::State;

/// The most rows that one group may write, so that it does not hold its locks for long.
const MAX_ROWS: usize = 5_000;
/// The most rows of one account in a group that it shares with others, and of a submission that may share one.
const MAX_SHARED_ROWS: usize = 500;
/// The number of rows that may wait in one lane for each call that may wait: some seconds of work in total.
const ROWS_PER_CALL: usize = 32;
/// The number of bytes that may wait in one lane for each call that may wait.
const BYTES_PER_CALL: usize = 8 * 1024;
/// The number of bytes that may always wait in one lane, as much as two of the largest requests.
const MIN_BYTES: usize = 8 * 1024 * 1024;

/// The queue of one lane.
#[derive(Debug)]
pub(in crate::store) struct LaneQueue {
    state: Mutex<State>,
    changed: Notify,
    limits: Load,
    reminders: Schedules,
}

/// A group of submissions that was taken from the queue.
#[derive(Debug)]
pub(in crate::store) struct Taken {
    pub(in crate::store) submissions: Vec<Submission>,
    /// Whether it is one submission, which is much work.
    pub(in crate::store) is_alone: bool,
}

/// The calls that wait, their commands, the rows that they write, and their bytes in memory.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    calls: usize,
    /// Without a limit of their own: rows bound them.
    commands: usize,
    rows: usize,
    bytes: usize,
}

impl LaneQueue {
    /// Creates a queue for a number of calls.
    pub(in crate::store) fn new(calls: usize, reminders: Schedules, all_lanes: Arc<AllLanes>) -> Self {
        let rows = calls.saturating_mul(ROWS_PER_CALL).max(MAX_ROWS);
        let bytes = calls.saturating_mul(BYTES_PER_CALL).max(MIN_BYTES);
        let state = Mutex::new(State::new(all_lanes));
        Self { state, changed: Notify::new(), limits: Load { calls, commands: usize::MAX, rows, bytes }, reminders }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the submissions of one call, or returns them if there is no room, or no time before their deadline. A full
    /// queue has room for an account that has less than its share in it, so that no account can shut out the others.
    pub(in crate::store) fn push(
        &self,
        account: &AccountId,
        submissions: Vec<Submission>,
    ) -> Result<(), Vec<Submission>> {
        let mut loads: Vec<Load> = submissions.iter().map(|submission| Load::of(submission, &self.reminders)).collect();
        let Some(last) = loads.last_mut() else { return Ok(()) };
        last.calls = 1;
        let call = loads.iter().copied().fold(Load::default(), Load::plus);
        let mut state = self.state();
        let own = state.accounts.get(account).map(|waiting| waiting.load);
        let shares = state.accounts.len() + usize::from(own.is_none());
        let own = own.unwrap_or_default();
        let fits = state.waiting.has_room_for(call, self.limits, 1)
            || shares > 1 && own.has_room_for(call, self.limits, shares);
        // The accounts take turns, so the others get as much done as the account itself.
        let before = state.waiting.rows.min(own.rows.saturating_mul(shares));
        let time = state.time_for(before);
        let is_hopeless =
            !time.is_zero() && submissions.iter().any(|submission| submission.is_late(Instant::now() + time));
        if state.is_closed || !fits || is_hopeless {
            return Err(submissions);
        }
        state.all_lanes.note_call(account, Instant::now());
        for (submission, load) in submissions.into_iter().zip(loads) {
            state.put(account, submission, load, load.rows > MAX_SHARED_ROWS);
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Returns whether a submission runs alone, so that another lane may have time sooner.
    pub(in crate::store) fn runs_alone(&self) -> bool {
        self.state().runs_alone()
    }

    /// Takes submissions back that were found to be too much work for a shared group: each will run alone.
    pub(in crate::store) fn put_back(&self, submissions: Vec<Submission>) {
        let mut state = self.state();
        for submission in submissions {
            let load = Load::of(&submission, &self.reminders);
            let account = submission.commands.first().map(|command| command.account().clone());
            if let Some(account) = account {
                state.put(&account, submission, load, true);
            }
        }
    }

    /// Waits for submissions and takes the next group; `None` once the queue is closed and empty.
    pub(in crate::store) async fn next(&self) -> Option<Taken> {
        loop {
            let rest_end = {
                let mut state = self.state();
                let now = Instant::now();
                state.group_ended(now);
                if let Some(taken) = state.take(now) {
                    return Some(taken);
                }
                if state.is_closed {
                    return None;
                }
                state.rest_end(now)
            };
            match rest_end {
                Some(end) => drop(timeout_at(end, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    /// Returns the number of commands that wait.
    pub(in crate::store) fn waiting(&self) -> usize {
        self.state().waiting.commands
    }

    /// Takes all waiting submissions.
    pub(in crate::store) fn drain(&self) -> Vec<Submission> {
        self.state().drain()
    }

    /// Accepts no more submissions.
    pub(in crate::store) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }
}

impl Load {
    /// Returns the load of a submission without its call.
    fn of(submission: &Submission, reminders: &Schedules) -> Self {
        let (commands, rows) = (submission.commands.len(), submission.weight(reminders));
        Self { calls: 0, commands, rows, bytes: submission.bytes() }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            commands: self.commands + other.commands,
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            calls: self.calls - other.calls,
            commands: self.commands - other.commands,
            rows: self.rows - other.rows,
            bytes: self.bytes - other.bytes,
        }
    }

    /// Returns whether a call fits into one of some equal shares of the limits beside this load. A call always fits
    /// into an empty share, however large it is.
    fn has_room_for(self, call: Self, limits: Self, shares: usize) -> bool {
        let fits = |present: usize, more: usize, limit: usize| present == 0 || present + more <= limit / shares;
        self.calls < limits.calls.div_ceil(shares)
            && fits(self.rows, call.rows, limits.rows)
            && fits(self.bytes, call.bytes, limits.bytes)
    }
}
