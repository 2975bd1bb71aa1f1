//! The room that calls have in memory: how many may be under way, and how many bytes the large ones may take, in the process
//! and for each account, so that no account takes all of it. A call beyond the number is refused at once; a large one waits for
//! its bytes as long as its deadline lets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::status;
use crate::domain::value::text::AccountId;

/// The size up to which a request or an answer takes no room in bytes, so that small calls wait for no large ones.
pub(crate) const SMALL: usize = 16 * 1024;

/// The calls and the bytes that there is room for.
#[derive(Clone, Copy, Debug)]
struct Size {
    calls: usize,
    bytes: usize,
    /// The large requests that may wait: the part of each that was sent is in memory.
    waiting: usize,
}

/// A small call takes some ten kilobytes, with its request and its answer: 4,096 of them take about as much as the large ones.
const PROCESS: Size = Size { calls: 4_096, bytes: 64 * 1024 * 1024, waiting: 256 };
const ACCOUNT: Size = Size { calls: 2_048, bytes: 16 * 1024 * 1024, waiting: 64 };

/// The time after which a refused call may be tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Bytes are counted in units of this size.
const UNIT: usize = 1024;

/// The room of the process.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    process: Share,
    accounts: Arc<Mutex<HashMap<AccountId, Share>>>,
}

#[derive(Clone, Debug)]
struct Share {
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// The room of one call, which is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct CallPlace {
    _permits: [OwnedSemaphorePermit; 2],
}

/// The room of the bytes of one call.
#[derive(Debug)]
pub(crate) struct BytesPlace([Option<OwnedSemaphorePermit>; 2]);

impl Share {
    fn of(Size { calls, bytes, waiting }: Size) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { calls: semaphore(calls), bytes: semaphore(bytes / UNIT), waiting: semaphore(waiting) }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { process: Share::of(PROCESS), accounts: Arc::default() }
    }
}

impl Room {
    /// Takes the room of a call; refuses one beyond the number. The account's room comes first, so that an account that has used up
    /// its own keeps none of the process's.
    pub(crate) fn call(&self, account: &AccountId) -> Result<CallPlace, Status> {
        let refused = || status::rate_limited("concurrent_calls", RETRY_DELAY);
        Ok(CallPlace { _permits: both(&self.share_of(account).calls, &self.process.calls).ok_or_else(refused)? })
    }

    /// Takes the place of a large request that waits for its bytes; refuses one beyond the number.
    pub(crate) fn waiting(&self, account: &AccountId) -> Result<CallPlace, Status> {
        let refused = || status::rate_limited("concurrent_large_requests", RETRY_DELAY);
        Ok(CallPlace { _permits: both(&self.share_of(account).waiting, &self.process.waiting).ok_or_else(refused)? })
    }

    /// Waits for the room of some bytes; none is needed for few. A call asks for it once, while it has none: calls that waited for
    /// more while they have some would wait for each other. Nothing closes the room, so nobody waits for ever.
    pub(crate) async fn bytes(&self, account: &AccountId, bytes: usize) -> Option<BytesPlace> {
        if bytes <= SMALL {
            return None;
        }
        let units = units(bytes);
        let own = self.share_of(account).bytes;
        let own = own.acquire_many_owned(units).await.ok();
        Some(BytesPlace([own, Arc::clone(&self.process.bytes).acquire_many_owned(units).await.ok()]))
    }

    fn share_of(&self, account: &AccountId) -> Share {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // There are as many as there are accounts with credentials.
        accounts.entry(account.clone()).or_insert_with(|| Share::of(ACCOUNT)).clone()
    }
}

impl BytesPlace {
    /// Gives back what is beyond a number of bytes.
    pub(crate) fn shrink(mut self, bytes: usize) -> Option<Self> {
        if bytes <= SMALL {
            return None;
        }
        for permit in self.0.iter_mut().flatten() {
            let beyond = permit.num_permits().saturating_sub(units(bytes) as usize);
            drop(permit.split(beyond));
        }
        Some(self)
    }
}

/// Takes a permit of both; `None` if there is none.
fn both(own: &Arc<Semaphore>, all: &Arc<Semaphore>) -> Option<[OwnedSemaphorePermit; 2]> {
    let take = |of: &Arc<Semaphore>| Arc::clone(of).try_acquire_owned().ok();
    Some([take(own)?, take(all)?])
}

/// Returns a number of units that an account can have at all.
fn units(bytes: usize) -> u32 {
    let most = ACCOUNT.bytes / UNIT;
    u32::try_from(bytes.div_ceil(UNIT).min(most)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).unwrap()
    }

    async fn is_there<T>(place: impl Future<Output = T>) -> Option<T> {
        timeout(Duration::from_millis(1), place).await.ok()
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn account_takes_no_more_than_its_share_of_the_bytes() {
        let (room, evil, other) = (Room::default(), account("evil"), account("other"));
        let mut places = Vec::new();
        while let Some(place) = is_there(room.bytes(&evil, 2 * MIB)).await {
            places.push(place.unwrap());
        }
        assert_eq!(places.len(), 8);
        assert!(is_there(room.bytes(&evil, SMALL)).await.unwrap().is_none(), "small ones do not wait");
        assert!(is_there(room.bytes(&other, 2 * MIB)).await.is_some());
        let shrunk = places.pop().unwrap().shrink(MIB);
        assert!(is_there(room.bytes(&evil, 2 * MIB)).await.is_none(), "one is free");
        assert!(is_there(room.bytes(&evil, MIB)).await.is_some());
        drop(shrunk);
        assert!(is_there(room.bytes(&evil, 2 * MIB)).await.is_some());
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn accounts_together_take_no_more_than_the_process_has() {
        let room = Room::default();
        let mut places = Vec::new();
        for number in 0..6 {
            while let Some(place) = is_there(room.bytes(&account(&number.to_string()), 4 * MIB)).await {
                places.push(place.unwrap());
            }
        }
        assert_eq!(places.len(), PROCESS.bytes / 4 / MIB);
        assert!(
            is_there(room.bytes(&account("0"), usize::MAX)).await.is_none(),
            "more than there is waits, and never panics"
        );
    }

    #[tokio::test(crate = "crate::limit")]
    async fn calls_of_one_account_leave_room_for_others() {
        let (room, evil) = (Room::default(), account("evil"));
        let mut places: Vec<_> = std::iter::from_fn(|| room.call(&evil).ok()).collect();
        assert_eq!(places.len(), ACCOUNT.calls);
        assert_eq!(room.call(&evil).unwrap_err().code(), tonic::Code::ResourceExhausted);
        assert!(room.call(&account("other")).is_ok());
        places.pop();
        assert!(room.call(&evil).is_ok());
        let waiting: Vec<_> = std::iter::from_fn(|| room.waiting(&evil).ok()).collect();
        assert_eq!(waiting.len(), ACCOUNT.waiting);
        assert!(room.waiting(&account("other")).is_ok());
    }
}
