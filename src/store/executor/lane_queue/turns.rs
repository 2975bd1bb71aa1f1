//! The turns of a lane: which submissions make the next group.
//!
//! Accounts share groups, each with as many rows as its share. A submission that is too much for that runs alone. After it,
//! no other such submission runs for twice as long as it took, in any lane, if other accounts have work. In the same way an account rests that
//! had more than half of a shared group, for as long as it took more than the others: they may answer and ask again meanwhile.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::all_lanes::AllLanes;
use super::{Load, MAX_ROWS, MAX_SHARED_ROWS, Taken};
use crate::domain::value::text::AccountId;
use crate::store::executor::lane_pace::LanePace;
use crate::store::executor::submission::Submission;
use crate::telemetry::metrics::count_to_f64;
use crate::telemetry::metrics::table::GROUP_ROWS;

/// The rest after a submission that ran alone, as a multiple of the time that it took.
const REST: u32 = 2;
/// The shortest rest of an account in a shared group: less is what any account takes.
const MIN_REST: Duration = Duration::from_millis(10);

/// The waiting submissions, and the turns.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) accounts: HashMap<AccountId, Waiting>,
    /// The accounts that have submissions which share groups, in the order of their turns.
    turns: VecDeque<AccountId>,
    /// The accounts that have submissions which run alone, in the order of their turns.
    turns_alone: VecDeque<AccountId>,
    pub(super) waiting: Load,
    /// The time that a row takes at present.
    pace: LanePace,
    running: Option<Running>,
    /// Whether the last group was a submission that ran alone: then the others have their turn first.
    was_alone: bool,
    /// The moments until which accounts rest.
    resting: HashMap<AccountId, Instant>,
    pub(super) all_lanes: Arc<AllLanes>,
    pub(super) is_closed: bool,
}

/// The waiting submissions of one account, each with its load. The last submission of a call carries the call.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    shared: VecDeque<(Submission, Load)>,
    alone: VecDeque<(Submission, Load)>,
    pub(super) load: Load,
}

/// The group under way.
#[derive(Debug)]
struct Running {
    begin: Instant,
    rows: HashMap<AccountId, usize>,
    is_alone: bool,
}

impl State {
    /// Creates the state of an empty queue.
    pub(super) fn new(all_lanes: Arc<AllLanes>) -> Self {
        Self { all_lanes, ..Self::default() }
    }

    /// Returns whether another account has work, or had some shortly before a moment.
    fn has_others(&self, account: &AccountId, since: Instant) -> bool {
        self.all_lanes.has_others(account, since) || self.accounts.keys().any(|other| other != account)
    }

    /// Returns whether the group under way is a submission that runs alone.
    pub(super) fn runs_alone(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.is_alone)
    }

    /// Adds a submission to those of its account.
    pub(super) fn put(&mut self, account: &AccountId, submission: Submission, load: Load, alone: bool) {
        let waiting = self.accounts.entry(account.clone()).or_default();
        let (submissions, turns) = match alone {
            true => (&mut waiting.alone, &mut self.turns_alone),
            false => (&mut waiting.shared, &mut self.turns),
        };
        if submissions.is_empty() {
            turns.push_back(account.clone());
        }
        submissions.push_back((submission, load));
        if alone {
            self.all_lanes.note_waiting(account);
        }
        waiting.load = waiting.load.plus(load);
        self.waiting = self.waiting.plus(load);
    }

    /// Takes all submissions.
    pub(super) fn drain(&mut self) -> Vec<Submission> {
        let accounts = std::mem::take(&mut self.accounts);
        let alone = accounts.iter().flat_map(|(account, waiting)| waiting.alone.iter().map(move |_| account));
        alone.for_each(|account| self.all_lanes.note_taken(account));
        self.turns.clear();
        self.turns_alone.clear();
        self.waiting = Load::default();
        let submissions = accounts.into_values().flat_map(|waiting| waiting.shared.into_iter().chain(waiting.alone));
        submissions.map(|(submission, _)| submission).collect()
    }

    /// Returns the least time that some rows will take.
    pub(super) fn time_for(&self, rows: usize) -> Duration {
        self.pace.time_for(rows)
    }

    /// Measures the group that has ended, and has whoever took more than the others rest.
    pub(super) fn group_ended(&mut self, now: Instant) {
        let Some(Running { begin, rows, is_alone }) = self.running.take() else { return };
        let all: usize = rows.values().sum();
        let took = now.duration_since(begin);
        self.pace.group_ended(took, all);
        self.resting.retain(|_, until| *until > now);
        if is_alone {
            let others = rows.keys().any(|account| self.has_others(account, begin));
            // The work of the others costs the database and this process something too: they get the greater part of the time.
            return self.all_lanes.end_alone(others.then(|| now + REST * took));
        }
        for (account, own) in rows {
            if !self.has_others(&account, begin) {
                continue;
            }
            let rows = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
            let rest = took * rows((2 * own).saturating_sub(all)) / rows(all.max(1));
            if rest >= MIN_REST {
                self.resting.insert(account, now + rest);
            }
        }
    }

    /// Returns the next moment at which a rest ends.
    pub(super) fn rest_end(&self, now: Instant) -> Option<Instant> {
        let alone = (!self.turns_alone.is_empty()).then(|| self.all_lanes.next_alone(now));
        let waits = |account: &&AccountId| self.turns.contains(account);
        let resting = self.resting.iter().filter(|(account, _)| waits(account)).map(|(_, until)| *until);
        resting.chain(alone).filter(|until| *until > now).min()
    }

    /// Takes the next group, if there is one that may run now.
    pub(super) fn take(&mut self, now: Instant) -> Option<Taken> {
        let was_alone = std::mem::take(&mut self.was_alone);
        let shared = if was_alone { self.take_shared(now) } else { None };
        let (taken, rows) = shared.or_else(|| self.take_alone(now)).or_else(|| self.take_shared(now))?;
        self.was_alone = taken.is_alone;
        GROUP_ROWS.note(count_to_f64(rows.values().sum()), []);
        self.running = Some(Running { begin: now, rows, is_alone: taken.is_alone });
        Some(taken)
    }

    /// Takes the next submission that runs alone.
    fn take_alone(&mut self, now: Instant) -> Option<(Taken, HashMap<AccountId, usize>)> {
        // The end of the service keeps nobody waiting.
        let may_run = !self.turns_alone.is_empty() && (self.all_lanes.begin_alone(now) || self.is_closed);
        let account = self.turns_alone.pop_front_if(|_| may_run)?;
        let waiting = self.accounts.get_mut(&account)?;
        let (submission, load) = waiting.alone.pop_front()?;
        self.all_lanes.note_taken(&account);
        waiting.load = waiting.load.minus(load);
        self.waiting = self.waiting.minus(load);
        if !waiting.alone.is_empty() {
            self.turns_alone.push_back(account.clone());
        }
        self.forget_if_empty(&account);
        Some((Taken { submissions: vec![submission], is_alone: true }, HashMap::from([(account, load.rows)])))
    }

    fn forget_if_empty(&mut self, account: &AccountId) {
        let is_empty = |waiting: &Waiting| waiting.shared.is_empty() && waiting.alone.is_empty();
        if self.accounts.get(account).is_some_and(is_empty) {
            self.accounts.remove(account);
        }
    }

    /// Takes submissions of one account after another, of each as many rows as its share of a group. Returns them with the
    /// rows of each account.
    fn take_shared(&mut self, now: Instant) -> Option<(Taken, HashMap<AccountId, usize>)> {
        let rests =
            |account: &AccountId| !self.is_closed && self.resting.get(account).is_some_and(|until| *until > now);
        let (mut resting, mut turns): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.turns).into_iter().partition(rests);
        let mut share = MAX_ROWS / turns.len().max(1);
        if turns.front().is_some_and(|account| self.has_others(account, now)) {
            share = share.min(MAX_SHARED_ROWS);
        }
        let (mut group, mut rows, mut all) = (Vec::new(), HashMap::new(), 0);
        while let Some(account) = turns.pop_front() {
            let Some(waiting) = self.accounts.get_mut(&account) else { continue };
            let mut taken = 0;
            while taken < share.max(1)
                && let Some((_, next)) = waiting.shared.front()
                && (group.is_empty() || all + taken + next.rows <= MAX_ROWS)
                && let Some((submission, load)) = waiting.shared.pop_front()
            {
                taken += load.rows;
                waiting.load = waiting.load.minus(load);
                self.waiting = self.waiting.minus(load);
                group.push(submission);
            }
            all += taken;
            let is_left = !waiting.shared.is_empty();
            if taken == 0 {
                // The account begins the next group.
                turns.push_front(account);
                break;
            }
            self.forget_if_empty(&account);
            rows.insert(account.clone(), taken);
            if is_left {
                resting.push_back(account);
            }
            if all >= MAX_ROWS {
                break;
            }
        }
        turns.extend(resting);
        self.turns = turns;
        let taken = Taken { submissions: group, is_alone: false };
        Some((taken, rows)).filter(|(taken, _)| !taken.submissions.is_empty())
    }
}
