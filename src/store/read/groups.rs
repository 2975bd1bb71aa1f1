//! Reads that run in groups: whoever finds a place free reads at once and alone, and what comes meanwhile is read together.
//!
//! A group has one call of each account in turn, so that an account with many calls makes the others wait for one group at
//! most. Nothing is added to a call that meets no other: it runs in its own task.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::domain::value::text::AccountId;
use crate::store::sql::error::StoreError;

/// The statements of one kind of reads at once: enough to keep a database busy while the rows of others are read.
pub(super) const PLACES: usize = 2;
/// The most reads of one group.
pub(super) const MOST_READS: usize = 64;
/// The time for which a call waits for its group, before it reads by itself.
const PATIENCE: Duration = Duration::from_millis(300);
/// The calls of one account that may wait.
const WAITING: usize = 1_024;

/// Reads what several keys lead to.
pub(super) trait ReadGroup: Send + Sync + 'static {
    /// A key.
    type Key: Clone + Send + Sync;
    /// A row.
    type Row: Send;

    /// Returns the account of a key.
    fn account(key: &Self::Key) -> &AccountId;

    /// Returns whether the row of a key is read by itself: a group sees what each of its callers may see.
    fn stands_alone(&self, _key: &Self::Key) -> bool {
        false
    }

    /// Reads the row of one key; `None` if there is none.
    fn one(&self, key: &Self::Key) -> impl Future<Output = Result<Option<Self::Row>, StoreError>> + Send;

    /// Reads the row of a key in no group: it has none, or its group is late.
    fn late(&self, key: &Self::Key) -> impl Future<Output = Result<Option<Self::Row>, StoreError>> + Send;

    /// Reads the rows of keys, in their order. The last ones may be left for another group: they are missing in the answer.
    fn several(&self, keys: &[Self::Key]) -> impl Future<Output = Result<Vec<Option<Self::Row>>, StoreError>> + Send;
}

/// The reads of one kind. Clones share them.
pub(super) struct Groups<R: ReadGroup>(Arc<Shared<R>>);

struct Shared<R: ReadGroup> {
    reader: R,
    /// The most statements at once.
    places: usize,
    state: Mutex<State<R>>,
}

struct State<R: ReadGroup> {
    /// The places that are taken.
    taken: usize,
    /// The most reads of the next group: fewer while rows are large or the database is slow.
    most: usize,
    waiting: HashMap<AccountId, VecDeque<Waiting<R>>>,
    /// The accounts that have calls waiting, in the order of their turns.
    turns: VecDeque<AccountId>,
}

type Answer<R> = Result<Option<<R as ReadGroup>::Row>, StoreError>;

struct Waiting<R: ReadGroup> {
    key: R::Key,
    answer: oneshot::Sender<Answer<R>>,
}

/// The place of a call that reads alone, which is left to those that wait when it is dropped.
struct Place<R: ReadGroup>(Arc<Shared<R>>);

/// One group after another on a place, until nobody waits; `None` once the place is left.
struct Rounds<R: ReadGroup>(Option<Arc<Shared<R>>>);

impl<R: ReadGroup> Clone for Groups<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: ReadGroup> fmt::Debug for Groups<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Groups")
    }
}

/// The keys of a group, each of them once: many may ask for one row, which is read once.
pub(super) struct Distinct<'k, K> {
    /// The place of each key, in the order in which they came.
    places: BTreeMap<&'k K, usize>,
    /// The place of each call's key.
    calls: Vec<usize>,
}

impl<'k, K: Ord> Distinct<'k, K> {
    pub(super) fn of(keys: &'k [K]) -> Self {
        let mut places = BTreeMap::new();
        let place = |key| {
            let next = places.len();
            *places.entry(key).or_insert(next)
        };
        let calls = keys.iter().map(place).collect();
        Self { places, calls }
    }

    /// Returns the keys with their places.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&'k K, i32)> {
        self.places.iter().map(|(key, place)| (*key, i32::try_from(*place).unwrap_or(i32::MAX)))
    }

    /// Returns the row of each call, up to the first whose row was not read. `rows` has the rows by their places.
    pub(super) fn answers<R: Clone>(&self, rows: &[Option<R>]) -> Vec<Option<R>> {
        self.calls.iter().map_while(|place| rows.get(*place).cloned()).collect()
    }
}

impl<R: ReadGroup> Groups<R> {
    /// Creates places of which none is taken.
    pub(super) fn new(reader: R, places: usize) -> Self {
        let state = State { taken: 0, most: MOST_READS, waiting: HashMap::new(), turns: VecDeque::new() };
        Self(Arc::new(Shared { reader, places, state: Mutex::new(state) }))
    }

    /// Reads the row of a key. It is refused at once if as many calls of the account wait as may.
    pub(super) async fn read(&self, key: R::Key) -> Result<Option<R::Row>, StoreError> {
        if self.0.reader.stands_alone(&key) {
            return self.0.reader.late(&key).await;
        }
        let answer = {
            let mut state = self.0.state();
            if state.taken < self.0.places {
                state.taken += 1;
                None
            } else {
                Some(state.wait(key.clone())?)
            }
        };
        match answer {
            // The groups before it may wait for connections that do not answer.
            Some(answer) => match timeout(PATIENCE, answer).await {
                Ok(answer) => answer.map_err(|_| StoreError::Busy)?,
                Err(_) => self.0.reader.late(&key).await,
            },
            None => {
                let _place = Place(Arc::clone(&self.0));
                self.0.reader.one(&key).await
            }
        }
    }
}

impl<R: ReadGroup> Shared<R> {
    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a group and answers its calls. What was left for another group waits again, before the others.
    async fn run(&self, mut group: Vec<Waiting<R>>) {
        let keys: Vec<_> = group.iter().map(|waiting| waiting.key.clone()).collect();
        let rows = match &*keys {
            [key] => self.reader.one(key).await.map(|row| vec![row]),
            keys => self.reader.several(keys).await,
        };
        match rows {
            Ok(rows) => {
                let left = group.split_off(rows.len().clamp(1, group.len()));
                let mut state = self.state();
                state.most = if left.is_empty() { (2 * state.most).min(MOST_READS) } else { group.len() };
                state.wait_again(left);
                drop(state);
                for (waiting, row) in group.into_iter().zip(rows) {
                    drop(waiting.answer.send(Ok(row)));
                }
            }
            Err(error) if error.is_transient() || group.len() == 1 => {
                if matches!(error, StoreError::Slow) {
                    self.state().most = group.len().div_ceil(2);
                }
                for waiting in group {
                    drop(waiting.answer.send(Err(error.clone())));
                }
            }
            // A row that fails its statement fails alone.
            Err(_) => {
                let mut outage = None;
                for waiting in group.into_iter().filter(|waiting| !waiting.answer.is_closed()) {
                    let row = match &outage {
                        Some(error) => Err(StoreError::clone(error)),
                        None => self.reader.one(&waiting.key).await,
                    };
                    outage = outage.or_else(|| row.as_ref().err().filter(|error| error.is_transient()).cloned());
                    drop(waiting.answer.send(row));
                }
            }
        }
    }
}

impl<R: ReadGroup> Drop for Place<R> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        match (state.turns.is_empty(), Handle::try_current()) {
            (false, Ok(runtime)) => {
                drop(state);
                let rounds = Rounds(Some(Arc::clone(&self.0)));
                runtime.spawn(rounds.run());
            }
            (true, _) | (false, Err(_)) => state.taken -= 1,
        }
    }
}

impl<R: ReadGroup> Rounds<R> {
    async fn run(mut self) {
        while let Some(shared) = &self.0 {
            let group = {
                let mut state = shared.state();
                let group = state.next();
                state.taken -= usize::from(group.is_empty());
                group
            };
            if group.is_empty() {
                self.0 = None;
            } else {
                shared.run(group).await;
            }
        }
    }
}

impl<R: ReadGroup> Drop for Rounds<R> {
    fn drop(&mut self) {
        // The process ends, or a read has panicked: nobody would read for those that wait, unless another place is taken.
        let Some(shared) = self.0.take() else { return };
        let mut state = shared.state();
        state.taken -= 1;
        if state.taken == 0 {
            state.turns.clear();
            state.waiting.clear();
        }
    }
}

impl<R: ReadGroup> State<R> {
    /// Lets a call wait.
    fn wait(&mut self, key: R::Key) -> Result<oneshot::Receiver<Answer<R>>, StoreError> {
        let account = R::account(&key);
        if !self.waiting.contains_key(account) {
            self.turns.push_back(account.clone());
        }
        let waiting = self.waiting.entry(account.clone()).or_default();
        if waiting.len() >= WAITING {
            waiting.retain(|waiting| !waiting.answer.is_closed());
        }
        if waiting.len() >= WAITING {
            return Err(StoreError::Busy);
        }
        let (answer, receiver) = oneshot::channel();
        waiting.push_back(Waiting { key, answer });
        Ok(receiver)
    }

    /// Lets calls of a group wait again, each before the others of its account.
    fn wait_again(&mut self, group: Vec<Waiting<R>>) {
        for waiting in group.into_iter().rev() {
            let account = R::account(&waiting.key).clone();
            self.turns.retain(|turn| *turn != account);
            self.turns.push_front(account.clone());
            self.waiting.entry(account).or_default().push_front(waiting);
        }
    }

    /// Takes the next group, one call of each account in turn; empty if nobody waits.
    fn next(&mut self) -> Vec<Waiting<R>> {
        let mut group = Vec::new();
        while group.len() < self.most {
            let Some(account) = self.turns.pop_front() else { break };
            let Some(calls) = self.waiting.get_mut(&account) else { continue };
            // A call that was given up needs no answer.
            while let Some(waiting) = calls.pop_front() {
                if !waiting.answer.is_closed() {
                    group.push(waiting);
                    break;
                }
            }
            if calls.is_empty() {
                self.waiting.remove(&account);
            } else {
                self.turns.push_back(account);
            }
        }
        group
    }
}
