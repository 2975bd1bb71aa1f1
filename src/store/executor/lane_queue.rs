//! The queue of a lane: bounded by calls, rows and bytes, and handed out in turns by account.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lane_pace::LanePace;
use super::submission::Submission;
use crate::domain::delivery::reminder::Schedules;
use crate::domain::value::text::AccountId;

/// The most rows that one group may write, so that it does not hold its locks for long.
const MAX_ROWS: usize = 5_000;
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

#[derive(Debug, Default)]
struct State {
    accounts: HashMap<AccountId, Waiting>,
    /// The accounts that have submissions, in the order of their turns.
    turns: VecDeque<AccountId>,
    waiting: Load,
    /// The time that a row takes at present.
    pace: LanePace,
    is_closed: bool,
}

/// The calls that wait, the rows that they write, and their bytes in memory.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    calls: usize,
    rows: usize,
    bytes: usize,
}

/// The waiting submissions of one account, each with its load. The last submission of a call carries the call.
#[derive(Debug, Default)]
struct Waiting {
    submissions: VecDeque<(Submission, Load)>,
    load: Load,
}

impl LaneQueue {
    /// Creates a queue for a number of calls.
    pub(in crate::store) fn new(calls: usize, reminders: Schedules) -> Self {
        let rows = calls.saturating_mul(ROWS_PER_CALL).max(MAX_ROWS);
        let bytes = calls.saturating_mul(BYTES_PER_CALL).max(MIN_BYTES);
        Self { state: Mutex::default(), changed: Notify::new(), limits: Load { calls, rows, bytes }, reminders }
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
        let time = state.pace.time_for(before);
        let is_hopeless =
            !time.is_zero() && submissions.iter().any(|submission| submission.is_late(Instant::now() + time));
        if state.is_closed || !fits || is_hopeless {
            return Err(submissions);
        }
        let waiting = state.accounts.entry(account.clone()).or_default();
        let is_new = waiting.submissions.is_empty();
        waiting.load = waiting.load.plus(call);
        waiting.submissions.extend(submissions.into_iter().zip(loads));
        if is_new {
            state.turns.push_back(account.clone());
        }
        state.waiting = state.waiting.plus(call);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for submissions and takes the next group; `None` once the queue is closed and empty.
    pub(in crate::store) async fn next(&self) -> Option<Vec<Submission>> {
        loop {
            {
                let mut state = self.state();
                state.pace.group_ended();
                let group = state.take_group();
                if !group.is_empty() {
                    return Some(group);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Takes all waiting submissions.
    pub(in crate::store) fn drain(&self) -> Vec<Submission> {
        let mut state = self.state();
        let accounts = std::mem::take(&mut state.accounts);
        (state.turns, state.waiting) = (VecDeque::new(), Load::default());
        accounts.into_values().flat_map(|waiting| waiting.submissions).map(|(submission, _)| submission).collect()
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
        Self { calls: 0, rows: submission.weight(reminders), bytes: submission.bytes() }
    }

    fn plus(self, other: Self) -> Self {
        Self { calls: self.calls + other.calls, rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Self) -> Self {
        Self { calls: self.calls - other.calls, rows: self.rows - other.rows, bytes: self.bytes - other.bytes }
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

impl State {
    /// Takes submissions of one account after another, of each as many rows as its share of a group.
    fn take_group(&mut self) -> Vec<Submission> {
        let share = MAX_ROWS / self.turns.len().max(1);
        let (mut group, mut rows) = (Vec::new(), 0);
        while let Some(account) = self.turns.pop_front() {
            let Some(waiting) = self.accounts.get_mut(&account) else { continue };
            let mut taken = 0;
            while taken < share.max(1)
                && let Some((_, next)) = waiting.submissions.front()
                && (group.is_empty() || rows + taken + next.rows <= MAX_ROWS)
                && let Some((submission, load)) = waiting.submissions.pop_front()
            {
                taken += load.rows;
                waiting.load = waiting.load.minus(load);
                self.waiting = self.waiting.minus(load);
                group.push(submission);
            }
            rows += taken;
            if waiting.submissions.is_empty() {
                self.accounts.remove(&account);
            } else if taken == 0 {
                // The account begins the next group.
                self.turns.push_front(account);
                break;
            } else {
                self.turns.push_back(account);
            }
            if rows >= MAX_ROWS {
                break;
            }
        }
        self.pace.group_begins(rows);
        group
    }
}
