//! The room that calls have in memory: how many may be under way, and how many bytes the large ones may take, in the process,
//! for each account, so that no account takes all of it, and for people who call as themselves, each and all of an account, so that
//! neither one nor many take what the account's services need. A call beyond the number is refused at once; a large one waits for its bytes as long as its deadline lets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::status;
use crate::auth::caller::Caller;
use crate::domain::invitation::acceptance::Subject;
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
/// A person lists one thing at a time, or sends one large request.
const PERSON: Size = Size { calls: 8, bytes: 4 * 1024 * 1024, waiting: 8 };

/// Many people of an account may stall at once: half of the account's room is its services' alone.
const PEOPLE: Size = Size { calls: 1_024, bytes: 8 * 1024 * 1024, waiting: 32 };

/// The number of people from which on those who hold nothing are forgotten. Those who do are no more than calls.
const MAX_PERSONS: usize = 10_000;

/// The time after which a refused call may be tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Bytes are counted in units of this size.
const UNIT: usize = 1024;

/// The room of the process.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    process: Share,
    accounts: Arc<Mutex<HashMap<AccountId, Share>>>,
    people: Arc<Mutex<HashMap<AccountId, Share>>>,
    persons: Arc<Mutex<HashMap<(AccountId, Subject), Share>>>,
}

/// The holder of the room of a call: an account, and the person in it who calls as themselves.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    account: AccountId,
    person: Option<Subject>,
}

#[derive(Clone, Debug)]
struct Share {
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// The most units that one call takes.
    most: usize,
}

/// The room of one call, which is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct CallPlace {
    _permits: Vec<OwnedSemaphorePermit>,
}

/// The room of the bytes of one call.
#[derive(Debug)]
pub(crate) struct BytesPlace(Vec<OwnedSemaphorePermit>);

impl Holder {
    /// Returns the holder of what a caller takes.
    pub(crate) fn of(caller: &Caller) -> Self {
        Self { account: caller.account.clone(), person: caller.person().map(|person| person.subject.clone()) }
    }

    /// Returns whether a person calls as themselves.
    pub(crate) fn is_person(&self) -> bool {
        self.person.is_some()
    }
}

impl Share {
    fn of(Size { calls, bytes, waiting }: Size) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let most = bytes / UNIT;
        Self { calls: semaphore(calls), bytes: semaphore(most), waiting: semaphore(waiting), most }
    }

    /// Returns whether a call holds, or waits for, a part of it: each permit has a clone of its semaphore.
    fn is_used(&self) -> bool {
        [&self.calls, &self.bytes, &self.waiting].into_iter().any(|part| Arc::strong_count(part) > 1)
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { process: Share::of(PROCESS), accounts: Arc::default(), people: Arc::default(), persons: Arc::default() }
    }
}

impl Room {
    /// Takes the room of a call; refuses one beyond the number. The holder's room comes first, so that an account that has used up
    /// its own keeps none of the process's, and a person none of the account's.
    pub(crate) fn call(&self, holder: &Holder) -> Result<CallPlace, Status> {
        self.place(holder, ["concurrent_calls_per_person", "concurrent_calls"], |share| &share.calls)
    }

    /// Takes the place of a large request that waits for its bytes; refuses one beyond the number.
    pub(crate) fn waiting(&self, holder: &Holder) -> Result<CallPlace, Status> {
        self.place(holder, ["concurrent_large_requests"; 2], |share| &share.waiting)
    }

    fn place(
        &self,
        holder: &Holder,
        [of_person, of_all]: [&str; 2],
        part: impl Fn(&Share) -> &Arc<Semaphore>,
    ) -> Result<CallPlace, Status> {
        let take = |share: &Share, limit| {
            let taken = Arc::clone(part(share)).try_acquire_owned();
            taken.map_err(|_| status::rate_limited(limit, RETRY_DELAY))
        };
        let own = self.share_of_person(holder).map(|share| take(&share, of_person)).transpose()?;
        let shared = self.shares_of_all(holder).into_iter().map(|share| take(&share, of_all));
        Ok(CallPlace { _permits: own.into_iter().map(Ok).chain(shared).collect::<Result<_, _>>()? })
    }

    /// Waits for the room of some bytes; none is needed for few. A call asks for it once, while it has none: calls that waited for
    /// more while they have some would wait for each other. Nothing closes the room, so nobody waits for ever.
    pub(crate) async fn bytes(&self, holder: &Holder, bytes: usize) -> Option<BytesPlace> {
        if bytes <= SMALL {
            return None;
        }
        let shares = self.share_of_person(holder).into_iter().chain(self.shares_of_all(holder));
        let (mut permits, mut units) = (Vec::with_capacity(4), bytes.div_ceil(UNIT));
        for share in shares {
            // No call takes more than its holder can have at all.
            units = units.min(share.most);
            let taken = share.bytes.acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX)).await;
            permits.extend(taken);
        }
        Some(BytesPlace(permits))
    }

    /// Returns the shares that a holder has together with others, the smallest first.
    fn shares_of_all(&self, Holder { account, person }: &Holder) -> Vec<Share> {
        // There are as many as there are accounts with credentials.
        let of_account = |shares: &Mutex<HashMap<_, _>>, size| {
            let mut shares = shares.lock().unwrap_or_else(PoisonError::into_inner);
            shares.entry(account.clone()).or_insert_with(|| Share::of(size)).clone()
        };
        let people = person.as_ref().map(|_| of_account(&self.people, PEOPLE));
        people.into_iter().chain([of_account(&self.accounts, ACCOUNT), self.process.clone()]).collect()
    }

    fn share_of_person(&self, Holder { account, person }: &Holder) -> Option<Share> {
        let key = (account.clone(), person.clone()?);
        let mut persons = self.persons.lock().unwrap_or_else(PoisonError::into_inner);
        if persons.len() >= MAX_PERSONS && !persons.contains_key(&key) {
            persons.retain(|_, share| share.is_used());
        }
        Some(persons.entry(key).or_insert_with(|| Share::of(PERSON)).clone())
    }
}

impl BytesPlace {
    /// Gives back what is beyond a number of bytes.
    pub(crate) fn shrink(mut self, bytes: usize) -> Option<Self> {
        if bytes <= SMALL {
            return None;
        }
        for permit in &mut self.0 {
            let beyond = permit.num_permits().saturating_sub(bytes.div_ceil(UNIT));
            drop(permit.split(beyond));
        }
        Some(self)
    }
}

#[cfg(test)]
impl Holder {
    pub(crate) fn service(account: &str) -> Self {
        Self { account: AccountId::parse(account).unwrap(), person: None }
    }

    pub(crate) fn person(account: &str, subject: &str) -> Self {
        Self { person: Some(Subject(subject.to_owned())), ..Self::service(account) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn account(id: &str) -> Holder {
        Holder::service(id)
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

    /// Returns the limit that refuses a call.
    fn refused_by(result: Result<CallPlace, Status>) -> String {
        use tonic_types::StatusExt as _;
        result.unwrap_err().get_error_details().error_info().unwrap().metadata["limit"].clone()
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn person_leaves_room_for_their_account() {
        let (room, ann) = (Room::default(), Holder::person("acme", "ann"));
        let places: Vec<_> = std::iter::from_fn(|| room.call(&ann).ok()).collect();
        assert_eq!((places.len(), refused_by(room.call(&ann)).as_str()), (PERSON.calls, "concurrent_calls_per_person"));
        let taken = is_there(room.bytes(&ann, usize::MAX)).await.unwrap();
        assert!(is_there(room.bytes(&ann, SMALL + 1)).await.is_none());
        for other in [Holder::person("acme", "bob"), Holder::person("other", "ann"), account("acme")] {
            room.call(&other).unwrap();
            assert!(is_there(room.bytes(&other, 4 * MIB)).await.is_some());
        }
        // The rest of the account's is for others.
        assert!(is_there(room.bytes(&account("acme"), ACCOUNT.bytes - PERSON.bytes)).await.is_some());
        drop((places, taken));
        assert!(room.call(&ann).is_ok() && is_there(room.bytes(&ann, 4 * MIB)).await.is_some());
    }

    /// Each of them announces as much as a person may, and sends nothing.
    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn people_together_leave_room_for_their_account() {
        let (room, mut places, mut stalling) = (Room::default(), Vec::new(), JoinSet::new());
        for number in 0..20 {
            let (room, person) = (room.clone(), Holder::person("acme", &number.to_string()));
            places.push(room.call(&person).unwrap());
            stalling.spawn(async move {
                let _place = room.bytes(&person, PERSON.bytes).await;
                std::future::pending::<()>().await;
            });
        }
        tokio::task::yield_now().await;
        assert!(is_there(room.bytes(&account("acme"), ACCOUNT.bytes - PEOPLE.bytes)).await.is_some());
        assert!(is_there(room.bytes(&Holder::person("other", "ann"), PERSON.bytes)).await.is_some());
        while let Ok(place) = room.call(&Holder::person("acme", &places.len().to_string())) {
            places.push(place);
        }
        assert_eq!(places.len(), PEOPLE.calls);
        assert!(room.call(&account("acme")).is_ok());
    }

    #[tokio::test(crate = "crate::limit")]
    async fn people_who_hold_nothing_are_forgotten() {
        let (room, busy) = (Room::default(), Holder::person("acme", "busy"));
        let places: Vec<_> = std::iter::from_fn(|| room.call(&busy).ok()).collect();
        for number in 0..3 * MAX_PERSONS {
            room.call(&Holder::person("acme", &number.to_string())).unwrap();
            assert!(room.persons.lock().unwrap().len() <= MAX_PERSONS);
        }
        assert_eq!(places.len(), PERSON.calls);
        room.call(&busy).unwrap_err();
    }
}
