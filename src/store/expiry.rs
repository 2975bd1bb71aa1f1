//! Tells that invitations have expired. Their state needs nobody to say so; those who follow events do.
//!
//! Walks along the moments of expiry, each invitation told of by a command like any other, so that the event is there
//! exactly once for each moment: see `domain::decide::expire_invitation`.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Store;
use super::events::cursor::{Begin, Follower};
use super::executor::ExecuteError;
use super::periodic_task::{PeriodicTask, TickResult};
use super::sql::error::StoreError;
use crate::domain::command::{Action, Command, ExpireInvitation};
use crate::domain::group::BatchMode;
use crate::domain::value::id::{IdSeed, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::entropy::Entropy;

/// Who is named as the one that caused it.
const ACTOR: &str = "expiry";
/// How many invitations are told of in one group.
const CHUNK: i64 = 200;
/// How far back it looks again, in microseconds: a commit may be late, and may have set an expiry that has just passed.
const LATE: i64 = 60_000_000;

/// How long after its expiry an invitation is tried again that could not be told of, in microseconds.
const TRIED_FOR: i64 = 86_400_000_000;
/// The first and the longest wait before it is tried again, in microseconds.
const TRY_AGAIN: (i64, i64) = (10_000_000, 3_600_000_000);

/// What expired behind the row ($1, $2, $3) and up to $4, is not told of and has not ended otherwise: `Facts::state_at` in SQL.
const EXPIRED: &str = "SELECT expire_at, account_id, id FROM invitation
    WHERE (expire_at, account_id, id) > ($1, $2, $3) AND expire_at <= $4
        AND (expiry_told_at IS NULL OR expiry_told_at <> expire_at)
        AND revoked_at IS NULL AND declined_at IS NULL AND accepted_elsewhere_at IS NULL AND emptied_at IS NULL
        AND (max_uses IS NULL OR use_count < max_uses)
    ORDER BY expire_at, account_id, id LIMIT $5";

/// A place on the walk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    expire_at: i64,
    account_id: String,
    id: Uuid,
}

/// An invitation that could not be told of.
#[derive(Clone, Copy, Debug)]
struct SetAside {
    tries: u32,
    again_at: i64,
}

/// Walks along the moments of expiry for one holder of the lease.
///
/// An invitation that cannot be told of, because its command stays in conflict or its row cannot be read, holds up no other:
/// the walk steps over it and tries it again later. Until then the position that the database keeps stays in front of it,
/// so that the next holder of the lease finds it too.
#[derive(Debug)]
pub struct ExpiryWalk {
    store: Store,
    holder: Uuid,
    /// Up to where this holder has walked; `None` before its first walk with the present lease.
    walked: Option<i64>,
    aside: BTreeMap<Place, SetAside>,
}

impl ExpiryWalk {
    /// Creates a walk that begins where the last holder of the lease came to.
    pub fn new(store: Store, holder: Uuid) -> Self {
        Self { store, holder, walked: None, aside: BTreeMap::new() }
    }

    /// Tells of all invitations that have expired by now and returns of how many; `None` while another replica does. Walks
    /// over all accounts: time passes for all of them.
    pub async fn tell_expired(&mut self) -> Result<Option<usize>, StoreError> {
        let Some(leased) = self.store.lease(Follower::Expiry, self.holder, Begin::First).await? else {
            (self.walked, self.aside) = (None, BTreeMap::new());
            return Ok(None);
        };
        let now = leased.now.micros();
        self.give_up(now);
        let due = self.aside.iter().filter(|(_, aside)| aside.again_at <= now).map(|(place, _)| place.clone());
        let due: Vec<Place> = due.collect();
        let mut told = 0;
        for chunk in due.chunks(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
            told += self.tell(chunk, now).await?;
        }
        let from = leased.position.max(self.walked.unwrap_or_default()).min(now).saturating_sub(LATE);
        let mut place = Place { expire_at: from, account_id: String::new(), id: Uuid::nil() };
        loop {
            let expired = self.store.expired(&place, now).await?;
            let is_last = expired.len() < usize::try_from(CHUNK).unwrap_or_default();
            if let Some(last) = expired.last() {
                place = last.clone();
            }
            let new: Vec<Place> = expired.into_iter().filter(|place| !self.aside.contains_key(place)).collect();
            told += self.tell(&new, now).await?;
            let walked = if is_last { now } else { place.expire_at };
            let first_aside = self.aside.keys().next().map_or(walked, |place| place.expire_at);
            if !self.store.advance(Follower::Expiry, self.holder, walked.min(first_aside)).await? {
                (self.walked, self.aside) = (None, BTreeMap::new());
                return Ok(None);
            }
            self.walked = Some(walked);
            if is_last {
                return Ok(Some(told));
            }
        }
    }

    /// Runs a command for each of some invitations. A command that is refused has nothing to tell.
    async fn tell(&mut self, expired: &[Place], now: i64) -> Result<usize, StoreError> {
        let commands = expired.iter().filter_map(|place| Some((place, expire(place)?)));
        let (places, commands): (Vec<_>, Vec<_>) = commands.unzip();
        let failed = |_| StoreError::Unavailable("the executor does not take commands".to_owned());
        let results =
            self.store.executor().execute_all(commands, BatchMode::Independent, None).await.map_err(failed)?;
        let mut told = 0;
        for (place, result) in places.into_iter().zip(results) {
            match result {
                Ok(executed) => told += usize::from(executed.happened),
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
        Ok(told)
    }

    fn set_aside(&mut self, place: &Place, now: i64, error: &ExecuteError) {
        let tries = self.aside.get(place).map_or(0, |aside| aside.tries);
        if tries == 0 {
            tracing::warn!(invitation = %place.id, ?error, "an expiry is not recorded yet; it is tried again later");
        }
        let (first, longest) = TRY_AGAIN;
        let wait = first.saturating_mul(1 << tries.min(16)).min(longest);
        self.aside.insert(place.clone(), SetAside { tries: tries + 1, again_at: now.saturating_add(wait) });
    }

    /// Forgets what could not be told of for so long that it never will be.
    fn give_up(&mut self, now: i64) {
        let first = Place { expire_at: now.saturating_sub(TRIED_FOR), account_id: String::new(), id: Uuid::nil() };
        let kept = self.aside.split_off(&first);
        for place in std::mem::replace(&mut self.aside, kept).into_keys() {
            tracing::error!(invitation = %place.id, "an expiry is not recorded; it was tried for a day");
        }
    }
}

/// Returns the command that tells of an expiry; `None` for an account that no command can have.
fn expire(place: &Place) -> Option<Command> {
    Some(Command {
        account: AccountId::parse(&place.account_id).ok()?,
        actor: ACTOR.to_owned(),
        hosts: None,
        request: None,
        seed: IdSeed::new(Timestamp::from_micros(place.expire_at), *place.id.as_bytes()),
        action: Action::Expire(ExpireInvitation { id: InvitationId(place.id) }),
    })
}

impl Store {
    async fn expired(&self, behind: &Place, until: i64) -> Result<Vec<Place>, StoreError> {
        let Place { expire_at, account_id, id } = behind.clone();
        let values = [expire_at.into(), account_id.into(), id.into(), until.into(), CHUNK.into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), EXPIRED, values);
        let rows = self.database.read.query_all_raw(statement).await?;
        let place = |row: &sea_orm::QueryResult| {
            let (expire_at, account_id) = (row.try_get("", "expire_at")?, row.try_get("", "account_id")?);
            Ok(Place { expire_at, account_id, id: row.try_get("", "id")? })
        };
        rows.iter().map(place).collect()
    }
}

/// Tells of what has expired every `interval`, until stopped. Every replica does, and one of them at a time gets to it.
pub async fn run(store: Store, interval: Duration, stop: CancellationToken) {
    let holder = Uuid::from_bytes(Entropy::system().bytes());
    let rounds = PeriodicTask { name: "expiry", heard: None, gather: Duration::ZERO, interval, stop: stop.clone() };
    tokio::select! {
        () = tokio::time::sleep(interval) => {}
        () = stop.cancelled() => return,
    }
    // PeriodicTask are made one after another.
    let walk = Mutex::new(ExpiryWalk::new(store.clone(), holder));
    rounds.run(|| async { walk.lock().await.tell_expired().await.map(|_| TickResult::Done) }).await;
    // Others wait for the end of the lease otherwise, which is soon enough.
    drop(store.release(Follower::Expiry, holder).await);
}
