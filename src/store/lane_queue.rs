//! What waits for a lane: bounded by calls and by rows, and handed out in turns by account.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::job::Job;
use crate::domain::reminder::Schedules;
use crate::domain::text::AccountId;

/// The most rows that one group may write, so that it does not hold its locks for long.
const MAX_ROWS: usize = 5_000;
/// The number of rows that may wait in one lane for each call that may: some seconds of work in all, and some hundred
/// bytes of memory for each row.
const ROWS_PER_CALL: usize = 32;

/// The queue of one lane.
#[derive(Debug)]
pub(super) struct LaneQueue {
    state: Mutex<State>,
    changed: Notify,
    calls: usize,
    reminders: Schedules,
}

#[derive(Debug, Default)]
struct State {
    accounts: HashMap<AccountId, Waiting>,
    /// The accounts that have jobs, in the order of their turns.
    turns: VecDeque<AccountId>,
    waiting: Load,
    is_closed: bool,
}

/// The calls and rows that wait.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    calls: usize,
    rows: usize,
}

/// The waiting jobs of one account, each with its rows and whether it is the last one of its call.
#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<(Job, usize, bool)>,
    load: Load,
}

impl LaneQueue {
    /// Creates a queue for so many calls.
    pub(super) fn new(calls: usize, reminders: Schedules) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), calls, reminders }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the jobs of one call, or hands them back if there is no room. A full queue has room for an account that has less
    /// than its share in it, so that no account can shut out the others.
    pub(super) fn push(&self, account: &AccountId, jobs: Vec<Job>) -> Result<(), Vec<Job>> {
        let weights: Vec<usize> = jobs.iter().map(|job| job.weight(&self.reminders)).collect();
        let rows: usize = weights.iter().sum();
        let mut state = self.state();
        let own = state.accounts.get(account).map(|waiting| waiting.load);
        let shares = state.accounts.len() + usize::from(own.is_none());
        let own = own.unwrap_or_default();
        let (calls_limit, rows_limit) = (self.calls, self.calls.saturating_mul(ROWS_PER_CALL).max(MAX_ROWS));
        let fits = |waiting: Load, shares: usize| {
            waiting.calls < calls_limit.div_ceil(shares)
                && (waiting.rows == 0 || waiting.rows + rows <= rows_limit / shares)
        };
        if state.is_closed || !(fits(state.waiting, 1) || shares > 1 && fits(own, shares)) {
            return Err(jobs);
        }
        let waiting = state.accounts.entry(account.clone()).or_default();
        let is_new = waiting.jobs.is_empty();
        waiting.load.add(1, rows);
        let last = jobs.len().saturating_sub(1);
        let jobs = jobs.into_iter().zip(weights).enumerate();
        waiting.jobs.extend(jobs.map(|(number, (job, rows))| (job, rows, number == last)));
        if is_new {
            state.turns.push_back(account.clone());
        }
        state.waiting.add(1, rows);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for jobs and takes the next group; `None` once the queue is closed and empty.
    pub(super) async fn next(&self) -> Option<Vec<Job>> {
        loop {
            {
                let mut state = self.state();
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

    /// Takes everything that waits.
    pub(super) fn drain(&self) -> Vec<Job> {
        let mut state = self.state();
        let accounts = std::mem::take(&mut state.accounts);
        (state.turns, state.waiting) = (VecDeque::new(), Load::default());
        accounts.into_values().flat_map(|waiting| waiting.jobs).map(|(job, _, _)| job).collect()
    }

    /// Takes no more jobs.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }
}

impl Load {
    fn add(&mut self, calls: usize, rows: usize) {
        self.calls += calls;
        self.rows += rows;
    }

    fn remove(&mut self, calls: usize, rows: usize) {
        self.calls -= calls;
        self.rows -= rows;
    }
}

impl State {
    /// Takes jobs of one account after another, of each as many rows as its share of a group.
    fn take_group(&mut self) -> Vec<Job> {
        let share = MAX_ROWS / self.turns.len().max(1);
        let (mut group, mut rows) = (Vec::new(), 0);
        while let Some(account) = self.turns.pop_front() {
            let Some(waiting) = self.accounts.get_mut(&account) else { continue };
            let mut taken = 0;
            while taken < share.max(1)
                && let Some((_, next, _)) = waiting.jobs.front()
                && (group.is_empty() || rows + taken + next <= MAX_ROWS)
                && let Some((job, weight, is_last)) = waiting.jobs.pop_front()
            {
                taken += weight;
                waiting.load.remove(usize::from(is_last), weight);
                self.waiting.remove(usize::from(is_last), weight);
                group.push(job);
            }
            rows += taken;
            if waiting.jobs.is_empty() {
                self.accounts.remove(&account);
            } else if taken == 0 {
                // It begins the next group.
                self.turns.push_front(account);
                break;
            } else {
                self.turns.push_back(account);
            }
            if rows >= MAX_ROWS {
                break;
            }
        }
        group
    }
}
