//! The SeaORM repository: the only place that knows SQL. Commands go through the [`Executor`], reads to the pool, in turns by account.

mod api_keys;
mod backup;
pub mod erasures;
pub mod events;
mod executor;
pub mod expiry;
pub mod maintenance;
mod organization_grants;
mod queue;
mod read;
mod requests;
mod scopes;
mod sql;
mod standby;
#[cfg(test)]
mod statements;
mod suppressions;
mod verifications;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;

pub use crate::domain::group::BatchMode;
use crate::domain::secret::key_ring::KeyRing;
use crate::telemetry::metrics::table::{COMMANDS_WAITING, CONNECTIONS, CONNECTIONS_MAX, STANDBY_IN_USE};
pub use api_keys::followed::{ChangedKeys, FollowedKey};
pub use api_keys::{ApiKeyChanged, ApiKeyCreated, ApiKeyName, ApiKeyQuery};
pub use backup::{BackupError, back_up};
pub use events::cursor::{Begin, Follower, Leased};
pub use events::notifications::{Notifications, Topic};
pub use events::resume::{KeptEvents, PositionRange};
#[doc(hidden)]
pub use executor::measured;
pub use executor::{BatchError, Decide, ExecuteError, Executor, ExecutorOptions};
pub use maintenance::{Grants, Maintenance, PruneTurn, Pruned, Retention, ServerFacts};
pub use organization_grants::{GrantCreated, GrantRefusal, OrganizationGrantQuery};
pub use queue::ClaimLimit;
pub use queue::backlog::{FollowerLag, QueueBacklog};
pub(crate) use queue::last_served;
pub use queue::outbox::{ClaimedDelivery, DeliveryQuery, RedeliveryQuery, Topicality};
use read::acceptances::HostedAcceptance;
pub use read::acceptances::{AcceptanceFilter, AcceptanceQuery};
pub use read::account::{
    AccountAcceptances, AccountDeliveries, AccountEvents, AccountPage, AccountRecipients, AccountRows, ListedDelivery,
};
pub use read::events::EventQuery;
pub use read::invitations::{Listed, ListedName};
use read::points::Points;
pub use read::positions::{CatchUpTurn, EventBatch, PositionedEvent};
pub use read::query::{GuestStatus, InvitationQuery, Order, TimeRange};
pub use read::recipients::{ListedRecipient, RecipientQuery};
use read::rows::Rows;
pub use read::{Cursor, Page, Read, SortKey};
pub use requests::{AnsweredParts, KnownCall, WriteOnce};
pub use scopes::{ScopeUpdate, ScopeUpdated, SeatQuery, SeatsWritten};
pub use sql::database::{ChangedLogins, ConnectFailure, ConnectProblem, Database, OpenError, Place, PostgresOptions};
use sql::entity::{organization_grant, suppression, webhook_endpoint};
pub use sql::error::StoreError;
pub use sql::migration::online;
use standby::Standby;
pub use suppressions::{SuppressionCreated, SuppressionQuery, SuppressionRefusal};
pub use verifications::tries::{CodeTry, KeptCode, Tried};
pub use verifications::{NewVerification, Requested};
pub use webhooks::{
    Attempt, AttemptOutcome, AttemptQuery, ClaimedMessage, Disabled, EndpointCreated, EndpointQuery, EndpointRefusal,
    MessageContent, TestRefusal, WantedEvents, WebhookAttempt, WebhookAttemptResult,
};

/// Reads and writes invitations.
#[derive(Clone, Debug)]
pub struct Store {
    /// The connections to the primary.
    database: Database,
    /// The reads of what is shown, asked of the primary.
    primary: Reads,
    /// The standby that reads which may lag are asked of; `None` if there is none.
    standby: Option<Standby>,
    executor: Executor,
    notifications: Notifications,
    /// The key is the same for the life of the database.
    resume_key: Arc<OnceCell<KeyRing>>,
}

/// The reads of what is shown, asked of one server: of the primary ([`Store::primary`]), or of a standby. Reads that only decide are
/// methods of [`Store`] and cannot be asked of a standby.
#[derive(Clone, Debug)]
pub struct Reads {
    database: Database,
    points: Points,
    acceptances: Rows<HostedAcceptance, 2>,
    grants: Rows<organization_grant::Model, 1>,
    grants_by_ends: Rows<organization_grant::Model, 2>,
    endpoints: Rows<webhook_endpoint::Model, 1>,
    suppressions: Rows<suppression::Model, 1>,
}

impl Reads {
    fn of(database: Database) -> Self {
        let backend = database.backend();
        Self {
            points: Points::new(&database),
            acceptances: Rows::new(&database, HostedAcceptance::lookup(backend)),
            grants: Rows::new(&database, organization_grants::by_id(backend)),
            grants_by_ends: Rows::new(&database, organization_grants::by_ends(backend)),
            endpoints: Rows::new(&database, webhooks::by_id(backend)),
            suppressions: Rows::new(&database, suppressions::by_id(backend)),
            database,
        }
    }
}

impl Store {
    /// Starts the executor on a database.
    pub fn start(database: Database, options: &ExecutorOptions) -> Self {
        let notifications = Notifications::new();
        let executor = Executor::start(&database, options, &notifications);
        let (standby, primary) = (Standby::of(&database), Reads::of(database.clone()));
        Self { database, primary, standby, executor, notifications, resume_key: Arc::default() }
    }

    /// Returns the reads of what is shown, asked of the primary: for whatever decides, or answers a write.
    pub fn primary(&self) -> &Reads {
        &self.primary
    }

    /// Returns the notifications between tasks that write rows and tasks that wait for them.
    pub fn notifications(&self) -> &Notifications {
        &self.notifications
    }

    /// Returns the maintenance of the database.
    pub fn maintenance(&self) -> Maintenance {
        self.database.maintenance()
    }

    /// Logs in to the database with the URLs and the password of these options from now on.
    pub fn use_logins(&self, options: &PostgresOptions<'_>) -> Result<ChangedLogins, OpenError> {
        self.database.use_logins(options)
    }

    /// Returns a receiver that changes whenever a server refuses a login.
    pub fn refused_logins(&self) -> watch::Receiver<()> {
        self.database.refused_logins()
    }

    /// Signs with another key from the next group of commands on.
    pub fn sign_with(&self, key_id: u8) {
        self.executor.sign_with(key_id);
    }

    /// Returns the executor, through which every change of an invitation goes.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Sets the gauges of this process: its lanes and its connections.
    pub(crate) fn set_gauges(&self) {
        COMMANDS_WAITING.set_count(self.executor.waiting(), []);
        if let Some(standby) = &self.standby {
            STANDBY_IN_USE.set(f64::from(u8::from(standby.is_in_use())), []);
        }
        for (name, pool) in self.database.pools() {
            let (open, idle, most) = pool.connections();
            CONNECTIONS.set_count(open.saturating_sub(idle), [name, "busy"]);
            CONNECTIONS.set_count(idle, [name, "idle"]);
            CONNECTIONS_MAX.set_count(most, [name]);
        }
    }

    /// Finishes the waiting commands and closes the database.
    pub async fn close(self) {
        let Self { database, executor, primary: _, standby: _, notifications: _, resume_key: _ } = self;
        executor.finish().await;
        database.close().await;
    }
}

/// Waits for the database, but no longer than `limit`. Work that is given up is rolled back, or was committed without
/// an answer.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(limit, work).await.unwrap_or(Err(StoreError::Slow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn work_without_an_answer_is_given_up_as_slow() {
        let limit = Duration::from_secs(10);
        let silent = within(limit, std::future::pending::<Result<(), StoreError>>()).await;
        assert!(matches!(silent, Err(StoreError::Slow)), "{silent:?}");
        assert!(within(limit, async { Ok(()) }).await.is_ok());
    }
}
