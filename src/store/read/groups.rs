//! Reads that run in groups: whoever finds a place free reads at once and alone, and what comes meanwhile is read together.
//!
//! A group has one call of each account in turn, so that an account with many calls makes the others wait for one group at
//! most. Nothing is added to a call that meets no other: it runs in its own task.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::domain::value::text::AccountId;
use crate::store::sql::error::StoreError;

/// The most reads of one group.
pub(super) const MOST_READS: usize = 64;
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

    /// Reads the row of one key; `None` if there is none.
    fn one(&self, key: &Self::Key) -> impl Future<Output = Result<Option<Self::Row>, StoreError>> + Send;

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

impl<R: ReadGroup> Groups<R> {
    /// Creates places of which none is taken.
    pub(super) fn new(reader: R, places: usize) -> Self {
        let state = State { taken: 0, waiting: HashMap::new(), turns: VecDeque::new() };
        Self(Arc::new(Shared { reader, places, state: Mutex::new(state) }))
    }

    /// Reads the row of a key. It is refused at once if as many calls of the account wait as may.
    pub(super) async fn read(&self, key: R::Key) -> Result<Option<R::Row>, StoreError> {
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
            Some(answer) => answer.await.map_err(|_| StoreError::Busy)?,
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
                self.state().wait_again(left);
                for (waiting, row) in group.into_iter().zip(rows) {
                    drop(waiting.answer.send(Ok(row)));
                }
            }
            Err(error) if error.is_transient() || group.len() == 1 => {
                for waiting in group {
                    drop(waiting.answer.send(Err(error.clone())));
                }
            }
            // A row that fails its statement fails alone.
            Err(_) => {
                for waiting in group {
                    let row = self.reader.one(&waiting.key).await;
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
        // The process ends, or a read has panicked: nobody would read for those that wait.
        let Some(shared) = self.0.take() else { return };
        let mut state = shared.state();
        state.taken -= 1;
        state.turns.clear();
        state.waiting.clear();
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
        while group.len() < MOST_READS {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{Semaphore, mpsc};
    use tokio::task::JoinSet;
    use tokio::time::sleep;

    use super::*;

    type Key = (AccountId, u32);

    /// Answers with the number of the key once it may, and tells what it reads.
    struct Numbers {
        may: Arc<Semaphore>,
        reads: mpsc::UnboundedSender<Vec<u32>>,
        /// The most keys of one group.
        room: usize,
        /// The error of a group.
        error: Option<StoreError>,
    }

    impl ReadGroup for Numbers {
        type Key = Key;
        type Row = u32;

        fn account(key: &Key) -> &AccountId {
            &key.0
        }

        async fn one(&self, key: &Key) -> Result<Option<u32>, StoreError> {
            self.reads.send(vec![key.1]).unwrap();
            self.may.acquire().await.unwrap().forget();
            Ok(Some(key.1))
        }

        async fn several(&self, keys: &[Key]) -> Result<Vec<Option<u32>>, StoreError> {
            self.reads.send(keys.iter().map(|key| key.1).collect()).unwrap();
            self.may.acquire().await.unwrap().forget();
            match &self.error {
                Some(error) => Err(error.clone()),
                None => Ok(keys.iter().take(self.room).map(|key| Some(key.1)).collect()),
            }
        }
    }

    struct Desk {
        groups: Groups<Numbers>,
        may: Arc<Semaphore>,
        reads: mpsc::UnboundedReceiver<Vec<u32>>,
        calls: JoinSet<Result<Option<u32>, StoreError>>,
    }

    impl Desk {
        /// Has one place, which is taken by a first call.
        async fn new(room: usize, error: Option<StoreError>) -> Self {
            let (may, (sender, reads)) = (Arc::new(Semaphore::new(0)), mpsc::unbounded_channel());
            let reader = Numbers { may: Arc::clone(&may), reads: sender, room, error };
            let mut desk = Self { groups: Groups::new(reader, 1), may, reads, calls: JoinSet::new() };
            desk.call("first", 0).await;
            assert_eq!(desk.reads.recv().await.unwrap(), [0]);
            desk
        }

        async fn call(&mut self, account: &str, number: u32) {
            let (groups, account) = (self.groups.clone(), AccountId::parse(account).unwrap());
            self.calls.spawn(async move { groups.read((account, number)).await });
            sleep(Duration::from_millis(1)).await;
        }

        /// Lets one statement end, and returns what the next one reads.
        async fn next(&mut self) -> Vec<u32> {
            self.may.add_permits(1);
            self.reads.recv().await.unwrap()
        }

        /// Lets all end, and returns the answers in the order of their numbers.
        async fn answers(mut self) -> Vec<Result<u32, StoreError>> {
            self.may.add_permits(1_000);
            let mut answers: Vec<_> =
                std::mem::take(&mut self.calls).join_all().await.into_iter().map(|it| it.map(Option::unwrap)).collect();
            answers.sort_by_key(|answer| *answer.as_ref().unwrap_or(&u32::MAX));
            assert_eq!(self.groups.0.state().taken, 0);
            answers
        }
    }

    fn numbers(answers: Vec<Result<u32, StoreError>>) -> Vec<u32> {
        answers.into_iter().map(Result::unwrap).collect()
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn what_comes_meanwhile_is_read_together_in_turns() {
        let mut desk = Desk::new(MOST_READS, None).await;
        for number in 1..=100 {
            desk.call("much", number).await;
        }
        desk.call("little", 101).await;
        let group = desk.next().await;
        assert_eq!((group.len(), &group[..4]), (MOST_READS, &[1, 101, 2, 3][..]));
        assert_eq!(desk.next().await.len(), 101 - MOST_READS);
        assert_eq!(numbers(desk.answers().await), (0..=101).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn what_finds_no_room_comes_first_in_the_next_group() {
        let mut desk = Desk::new(2, None).await;
        for (account, number) in [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5)] {
            desk.call(account, number).await;
        }
        assert_eq!(desk.next().await, [1, 2, 3, 4, 5]);
        assert_eq!(desk.next().await, [3, 4, 5]);
        assert_eq!(desk.next().await, [5]);
        assert_eq!(numbers(desk.answers().await), [0, 1, 2, 3, 4, 5]);
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn call_that_is_given_up_leaves_its_place_and_is_not_read() {
        let mut desk = Desk::new(MOST_READS, None).await;
        desk.call("a", 1).await;
        desk.calls.abort_all();
        while desk.calls.join_next().await.is_some() {}
        desk.call("a", 2).await;
        assert_eq!(desk.reads.recv().await.unwrap(), [2], "neither the first, which held the place, nor the second");
        assert_eq!(numbers(desk.answers().await), [2]);
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn outage_fails_the_group_and_other_errors_only_their_rows() {
        for (error, read) in [(StoreError::Slow, vec![0]), (StoreError::Refused(String::new()), vec![0, 1, 2])] {
            let mut desk = Desk::new(MOST_READS, Some(error)).await;
            desk.call("a", 1).await;
            desk.call("a", 2).await;
            let answers = desk.answers().await;
            assert_eq!(answers.len(), 3);
            assert_eq!(answers.into_iter().filter_map(Result::ok).collect::<Vec<_>>(), read);
        }
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn calls_of_one_account_wait_up_to_a_number() {
        let mut desk = Desk::new(MOST_READS, None).await;
        for number in 0..WAITING as u32 {
            desk.call("a", number).await;
        }
        let refused = desk.groups.read((AccountId::parse("a").unwrap(), 0)).await;
        assert!(matches!(refused, Err(StoreError::Busy)));
        desk.call("b", 7).await;
        assert_eq!(desk.next().await[1], 7, "another account waits for one group at most");
    }
}
