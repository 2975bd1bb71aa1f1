//! The SeaORM repository: the only place that knows SQL. Commands go through the [`Executor`], reads straight to the pool.

mod database;
mod entity;
mod error;
mod executor;
mod growth;
mod lane;
mod load;
mod maintenance;
mod migration;
mod outcome;
mod read;
mod row;
mod save;
mod save_sql;
mod set;
mod sqlite_lock;

use crate::domain::command::Command;
use crate::domain::group::Executed;
pub use database::{Database, OpenError};
pub use error::StoreError;
pub use executor::{Decide, ExecuteError, Executor, ExecutorOptions};
pub use maintenance::Maintenance;
pub use read::events::EventQuery;
pub use read::invitations::InvitationQuery;
pub use read::{Cursor, Read};

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

    /// Finishes the commands that wait and closes the database.
    pub async fn close(self) {
        let Self { database, executor } = self;
        executor.finish().await;
        database.close().await;
    }
}
