//! Tells that invitations have expired. Their state needs nobody to say so; those who follow events do.
//!
//! Walks along the moments of expiry, each invitation told of by a command like any other, so that the event is there
//! exactly once for each moment: see `domain::decide::expire_invitation`.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Store;
use super::error::StoreError;
use super::executor::ExecuteError;
use super::follower::{Begin, Follower};
use super::rounds::{Round, Rounds};
use crate::domain::command::{Action, Command, ExpireInvitation};
use crate::domain::group::Bundle;
use crate::domain::id::{IdSeed, InvitationId};
use crate::domain::text::AccountId;
use crate::domain::time::Timestamp;
use crate::entropy::Entropy;

/// Who is named as the one that caused it.
const ACTOR: &str = "expiry";
/// How many invitations are told of in one group.
const CHUNK: i64 = 200;
/// How far back it looks again, in microseconds: a commit may be late, and may have set an expiry that has just passed.
const LATE: i64 = 60_000_000;

/// What expired behind the row ($1, $2, $3) and up to $4, is not told of and has not ended otherwise: `Facts::state_at` in SQL.
const EXPIRED: &str = "SELECT expire_at, account_id, id FROM invitation
    WHERE (expire_at, account_id, id) > ($1, $2, $3) AND expire_at <= $4
        AND (expiry_told_at IS NULL OR expiry_told_at <> expire_at)
        AND revoked_at IS NULL AND declined_at IS NULL AND accepted_elsewhere_at IS NULL AND emptied_at IS NULL
        AND (max_uses IS NULL OR use_count < max_uses)
    ORDER BY expire_at, account_id, id LIMIT $5";

/// A place on the walk.
#[derive(Clone, Debug)]
struct Place {
    expire_at: i64,
    account_id: String,
    id: Uuid,
}

impl Store {
    /// Tells of all invitations that have expired by now and returns of how many; none while another replica does. Walks over
    /// all accounts: time passes for all of them.
    pub async fn tell_expired(&self, holder: Uuid) -> Result<Option<usize>, StoreError> {
        let Some(leased) = self.lease(Follower::Expiry, holder, Begin::First).await? else { return Ok(None) };
        let now = leased.now.micros();
        let from = leased.position.min(now).saturating_sub(LATE);
        let mut place = Place { expire_at: from, account_id: String::new(), id: Uuid::nil() };
        let mut told = 0;
        loop {
            let expired = self.expired(&place, now).await?;
            let is_last = expired.len() < usize::try_from(CHUNK).unwrap_or_default();
            told += self.tell(&expired).await?;
            if let Some(last) = expired.into_iter().next_back() {
                place = last;
            }
            let position = if is_last { now } else { place.expire_at };
            if !self.advance(Follower::Expiry, holder, position).await? {
                return Ok(None);
            }
            if is_last {
                return Ok(Some(told));
            }
        }
    }

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

    /// Runs a command for each of some invitations. What one of them is refused is its own affair, as is a defect.
    async fn tell(&self, expired: &[Place]) -> Result<usize, StoreError> {
        let commands = expired.iter().filter_map(|place| {
            Some(Command {
                account: AccountId::parse(&place.account_id).ok()?,
                actor: ACTOR.to_owned(),
                request: None,
                seed: IdSeed::new(Timestamp::from_micros(place.expire_at), *place.id.as_bytes()),
                action: Action::Expire(ExpireInvitation { id: InvitationId(place.id) }),
            })
        });
        let failed = |_| StoreError::Unavailable("the executor does not take commands".to_owned());
        let results = self.execute_all(commands.collect(), Bundle::Each, None).await.map_err(failed)?;
        let mut told = 0;
        for result in results {
            match result {
                Ok(executed) => told += usize::from(executed.happened),
                Err(ExecuteError::Refused(_) | ExecuteError::Internal(_)) => {}
                Err(ExecuteError::Unavailable | ExecuteError::DeadlineExceeded) => {
                    return Err(StoreError::Unavailable("some commands were not run".to_owned()));
                }
                Err(ExecuteError::Conflict) => return Err(StoreError::Conflict),
            }
        }
        Ok(told)
    }
}

/// Tells of what has expired every `interval`, until stopped. Every replica does, and one of them at a time gets to it.
pub async fn run(store: Store, interval: Duration, stop: CancellationToken) {
    let holder = Uuid::from_bytes(Entropy::system().bytes());
    let rounds = Rounds { name: "expiry", heard: None, gather: Duration::ZERO, interval, stop: stop.clone() };
    tokio::select! {
        () = tokio::time::sleep(interval) => {}
        () = stop.cancelled() => return,
    }
    let round = || async { store.tell_expired(holder).await.map(|_| Round::Done) };
    rounds.run(round).await;
    // Others wait for the end of the lease otherwise, which is soon enough.
    drop(store.release(Follower::Expiry, holder).await);
}
