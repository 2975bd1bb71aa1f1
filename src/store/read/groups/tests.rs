//! Tests of groups with a reader that answers when it may.

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio::time::advance;

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

    async fn late(&self, key: &Key) -> Result<Option<u32>, StoreError> {
        Ok(Some(1_000 + key.1))
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
        yield_now().await;
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
    assert_eq!(desk.next().await, [3, 4], "the next group is as small as there was room");
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
async fn call_whose_group_is_late_reads_by_itself() {
    let mut desk = Desk::new(MOST_READS, None).await;
    desk.call("a", 1).await;
    advance(PATIENCE).await;
    desk.call("a", 2).await;
    assert_eq!(desk.next().await, [2], "nobody waits for the first any more");
    assert_eq!(numbers(desk.answers().await), [0, 2, 1_001]);
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
