//! The SeaORM repository: the only place that knows SQL. Commands go through the [`Executor`], reads straight to the pool.

mod database;
mod entity;
mod error;
mod executor;
mod growth;
mod job;
mod lane;
mod load;
mod maintenance;
mod migration;
mod organization_connections;
mod outcome;
mod read;
mod row;
mod save;
mod save_sql;
mod set;
mod sqlite_lock;

use crate::domain::command::Command;
pub use crate::domain::group::Bundle;
use crate::domain::group::Executed;
pub use database::{Database, OpenError};
pub use error::StoreError;
pub use executor::{BundleError, Decide, ExecuteError, Executor, ExecutorOptions};
pub use maintenance::Maintenance;
pub use organization_connections::{ConnectionCreated, OrganizationConnectionQuery};
pub use read::acceptances::AcceptanceQuery;
pub use read::events::EventQuery;
pub use read::invitations::ListedName;
pub use read::query::{GuestStatus, InvitationQuery, Order};
pub use read::{Cursor, Page, Read, SortKey};

/// Reads and writes invitations.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    executor: Executor,
}

impl Store {
    /// Starts the executor on a database.
    pub fn start(database: Database, options: &ExecutorOptions) -> Self {
        let executor = Executor::start(&database, options);
        Self { database, executor }
    }

    /// Runs one command; see [`Executor::execute`].
    pub async fn execute(
        &self,
        command: Command,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Executed, ExecuteError> {
        self.executor.execute(command, deadline).await
    }

    /// Runs several commands of one caller in one group; see [`Executor::execute_all`].
    pub async fn execute_all(
        &self,
        commands: Vec<Command>,
        bundle: Bundle,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Vec<Result<Executed, ExecuteError>>, BundleError> {
        self.executor.execute_all(commands, bundle, deadline).await
    }

    /// Finishes the commands that wait and closes the database.
    pub async fn close(self) {
        let Self { database, executor } = self;
        executor.finish().await;
        database.close().await;
    }
}
