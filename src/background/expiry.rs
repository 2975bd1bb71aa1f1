//! Records that invitations have expired, and that the time of acceptances is over. Their state needs no record; those who follow
//! events do.
//!
//! Walks along the moments of expiry and runs a command for each invitation and acceptance, like any other, so that the event is there
//! exactly once for each moment: see `domain::command::expire` and `domain::command::acceptance::expire`.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::domain::command::{Action, Command, ExpireGrant, ExpireInvitation};
use crate::domain::reach::Reach;
use crate::domain::value::grantable_roles::GrantableRoles;
use crate::domain::value::id::{AcceptanceId, IdSeed, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::entropy::Entropy;
use crate::store::expiry::ExpiryPlace;
use crate::store::{BatchMode, Begin, ExecuteError, Follower, Store, StoreError};

/// The actor in the events.
const ACTOR: &str = "system/expiry";
/// The number of invitations in one group of commands.
const CHUNK: i64 = 200;
/// The time before the last walk that is walked again, in microseconds: a commit may be late, and may have set an expiry that
/// has just passed.
const MARGIN: i64 = 60_000_000;

/// The time after its expiry for which an invitation is tried again that could not be recorded, in microseconds.
const RETRY_FOR: i64 = 86_400_000_000;
/// The first and the longest wait before it is tried again, in microseconds.
const RETRY_WAIT: (i64, i64) = (10_000_000, 3_600_000_000);

/// An expiry that could not be recorded.
#[derive(Clone, Copy, Debug)]
struct SetAside {
    tries: u32,
    again_at: i64,
}

/// Walks along the moments of expiry for one holder of the lease.
///
/// An invitation whose expiry cannot be recorded, because its command stays in conflict or its row cannot be read, holds up no
/// other: the walk steps over it and tries it again later. Until then the position that the database keeps stays in front of it,
/// so that the next holder of the lease finds it too.
#[derive(Debug)]
pub struct ExpiryWalk {
    store: Store,
    holder: Uuid,
    /// Up to where this holder has walked; `None` before its first walk with the present lease.
    walked: Option<i64>,
    aside: BTreeMap<ExpiryPlace, SetAside>,
}

impl ExpiryWalk {
    /// Creates a walk that begins where the last holder of the lease came to.
    pub fn new(store: Store, holder: Uuid) -> Self {
        Self { store, holder, walked: None, aside: BTreeMap::new() }
    }

    /// Records all expiries up to now and returns how many; `None` while another replica does.
    pub async fn record_expiries(&mut self) -> Result<Option<usize>, StoreError> {
        let Some(leased) = self.store.lease(Follower::Expiry, self.holder, Begin::First).await? else {
            (self.walked, self.aside) = (None, BTreeMap::new());
            return Ok(None);
        };
        let now = leased.now.micros();
        self.give_up(now);
        let due = self.aside.iter().filter(|(_, aside)| aside.again_at <= now).map(|(place, _)| place.clone());
        let due: Vec<ExpiryPlace> = due.collect();
        let mut recorded = 0;
        for chunk in due.chunks(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
            recorded += self.record(chunk, now).await?;
        }
        let from = leased.position.max(self.walked.unwrap_or_default()).min(now).saturating_sub(MARGIN);
        let mut place = ExpiryPlace::before(from);
        loop {
            let expired = self.store.expired(&place, now, CHUNK).await?;
            let is_last = expired.len() < usize::try_from(CHUNK).unwrap_or_default();
            if let Some(last) = expired.last() {
                place = last.clone();
            }
            let new: Vec<ExpiryPlace> = expired.into_iter().filter(|place| !self.aside.contains_key(place)).collect();
            recorded += self.record(&new, now).await?;
            let walked = if is_last { now } else { place.expire_at };
            let first_aside = self.aside.keys().next().map_or(walked, |place| place.expire_at);
            if !self.store.advance(Follower::Expiry, self.holder, walked.min(first_aside)).await? {
                (self.walked, self.aside) = (None, BTreeMap::new());
                return Ok(None);
            }
            self.walked = Some(walked);
            if is_last {
                return Ok(Some(recorded));
            }
        }
    }

    /// Runs a command for each of some invitations. A command that is refused has nothing to record.
    async fn record(&mut self, expired: &[ExpiryPlace], now: i64) -> Result<usize, StoreError> {
        let commands = expired.iter().filter_map(|place| Some((place, expire(place)?)));
        let (places, commands): (Vec<_>, Vec<_>) = commands.unzip();
        let failed = |_| StoreError::Unavailable("the executor does not take commands".to_owned());
        let results =
            self.store.executor().execute_all(commands, BatchMode::Independent, None).await.map_err(failed)?;
        let mut recorded = 0;
        for (place, result) in places.into_iter().zip(results) {
            match result {
                Ok(executed) => recorded += usize::from(executed.happened),
                Err(ExecuteError::Refused(_)) => {}
                Err(error @ (ExecuteError::Conflict | ExecuteError::Internal(_))) => {
                    self.set_aside(place, now, &error);
                    continue;
                }
                Err(ExecuteError::Unavailable | ExecuteError::DeadlineExceeded) => {
                    return Err(StoreError::Unavailable("some commands were not run".to_owned()));
                }
            }
            self.aside.remove(place);
        }
        Ok(recorded)
    }

    fn set_aside(&mut self, place: &ExpiryPlace, now: i64, error: &ExecuteError) {
        let tries = self.aside.get(place).map_or(0, |aside| aside.tries);
        if tries == 0 {
            log_event!(warn, EXPIRY_RETRIED, invitation = %place.id, ?error, "an expiry is not recorded yet; it is tried again later");
        }
        let (first, longest) = RETRY_WAIT;
        let wait = first.saturating_mul(1 << tries.min(16)).min(longest);
        self.aside.insert(place.clone(), SetAside { tries: tries + 1, again_at: now.saturating_add(wait) });
    }

    /// Forgets the invitations that were tried for so long that they never will be recorded.
    fn give_up(&mut self, now: i64) {
        let first = ExpiryPlace::before(now.saturating_sub(RETRY_FOR));
        let kept = self.aside.split_off(&first);
        for place in std::mem::replace(&mut self.aside, kept).into_keys() {
            log_event!(error, EXPIRY_NOT_RECORDED, invitation = %place.id, "an expiry is not recorded; it was tried for a day");
        }
    }
}

/// Returns the command that records an expiry; `None` for an account that no command can have.
fn expire(place: &ExpiryPlace) -> Option<Command> {
    let id = InvitationId(place.id);
    let (seed, action) = if place.acceptance.is_nil() {
        (place.id, Action::Expire(ExpireInvitation { id }))
    } else {
        let grant = ExpireGrant { invitation: id, id: AcceptanceId(place.acceptance) };
        (place.acceptance, Action::ExpireGrant(grant))
    };
    Some(Command {
        reach: Reach::of_account(AccountId::parse(&place.account_id).ok()?),
        actor: ACTOR.to_owned(),
        grantable_roles: GrantableRoles::default(),
        request: None,
        seed: IdSeed::new(Timestamp::from_micros(place.expire_at), *seed.as_bytes()),
        action,
    })
}

/// Records expiries every `interval` until stopped. Every replica runs this, and one of them at a time records.
pub async fn run(store: Store, interval: Duration, stop: CancellationToken) {
    let holder = Uuid::from_bytes(Entropy::system().bytes());
    let task = PeriodicTask { name: "expiry", notified: None, gather: Duration::ZERO, interval, stop: stop.clone() };
    tokio::select! {
        () = tokio::time::sleep(interval) => {}
        () = stop.cancelled() => return,
    }
    // One tick runs at a time.
    let walk = Mutex::new(ExpiryWalk::new(store.clone(), holder));
    task.run(|| async { walk.lock().await.record_expiries().await.map(|_| TickResult::Done) }).await;
    // Others wait for the end of the lease otherwise, which is soon enough.
    drop(store.release(Follower::Expiry, holder).await);
}
