//! Keeps PostgreSQL's statistics of the tables true while they grow from nothing.
//!
//! Statements are planned once per connection ([`crate::store::sql::database`]) and again when a table's statistics
//! change. On an empty table every index looks as good as any other, and a plan from that time may read all rows of an
//! account to find one. Autovacuum analyses a table after a minute at the soonest, which is many thousand rows later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::sync::Mutex;

use crate::store::sql::database::Database;
use crate::store::sql::error::StoreError;

/// The number of commands before the first look at the tables; fewer rows are found fast by any plan.
const MIN_COMMANDS: u64 = 256;

/// The time after which commands make the next look, whatever their number: a table may be filled for the first time after years.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// The time that the analysis of one table may take. It reads a sample, however large the table is.
const ANALYZE_LIMIT: Duration = Duration::from_secs(30);

/// The time for which another process's analysis of a table is waited for.
const LOCK_LIMIT: Duration = Duration::from_millis(100);

/// Selects the tables of this role (autovacuum has to analyse others) that have at least twice as many pages as at the last analysis. A few pages count as none: an
/// empty page costs nothing to read.
const SELECT_GROWN_TABLES: &str = "SELECT c.relname::text FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND pg_has_role(c.relowner, 'USAGE')
        AND c.relname IN ('invitation', 'recipient', 'label', 'acceptance', 'engagement', 'event', 'request', 'outbox',
            'slot', 'invitation_group', 'autojoin_domain', 'organization_grant', 'api_key', 'webhook_message',
            'webhook_attempt', 'suppression', 'scope_settings', 'seat', 'seat_hold')
        AND pg_relation_size(c.oid) / current_setting('block_size')::bigint >= 2 * greatest(c.relpages, 2)";

/// Counts written commands and analyses the tables that have grown. Clones count together.
#[derive(Clone, Debug)]
pub(in crate::store) struct TableAnalyzer {
    database: Database,
    commands: Arc<AtomicU64>,
    started: Instant,
    /// The time of the last look, in milliseconds since the start.
    looked: Arc<AtomicU64>,
    analysis: Arc<Mutex<()>>,
}

impl TableAnalyzer {
    pub(in crate::store) fn new(database: Database) -> Self {
        let (commands, looked) = (Arc::default(), Arc::default());
        Self { database, commands, started: Instant::now(), looked, analysis: Arc::default() }
    }

    /// Counts commands, and looks at the tables whenever their number has doubled or the last look was long ago. Does not wait for
    /// the look.
    pub(in crate::store) fn count(&self, commands: usize) {
        let before = self.commands.fetch_add(commands as u64, Ordering::Relaxed);
        let after = before + commands as u64;
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let since_look = Duration::from_millis(now.saturating_sub(self.looked.load(Ordering::Relaxed)));
        if !is_due(before, after, since_look) || self.database.backend() != DbBackend::Postgres {
            return;
        }
        // A look is already under way; one of the next groups looks again.
        let Ok(analysis) = Arc::clone(&self.analysis).try_lock_owned() else { return };
        self.looked.store(now, Ordering::Relaxed);
        let database = self.database.clone();
        tokio::spawn(async move {
            if let Err(error) = analyze(&database).await {
                log_event!(debug, TABLES_NOT_ANALYZED, %error, "grown tables not analyzed; autovacuum has to do it");
            }
            drop(analysis);
        });
    }
}

/// Returns whether the tables are looked at now that the number of commands has grown.
fn is_due(before: u64, after: u64, since_look: Duration) -> bool {
    let has_doubled = after.ilog2() > before.max(1).ilog2();
    after >= MIN_COMMANDS && (has_doubled || since_look >= LOOK_INTERVAL)
}

/// Analyses the grown tables. PostgreSQL then also plans every statement that reads them again.
async fn analyze(database: &Database) -> Result<(), StoreError> {
    let grown = database.write.query_all_raw(Statement::from_string(DbBackend::Postgres, SELECT_GROWN_TABLES)).await?;
    for row in grown {
        let table: String = row.try_get_by_index(0)?;
        let transaction = database.begin_write().await?;
        transaction.set_limits(ANALYZE_LIMIT, LOCK_LIMIT).await?;
        transaction.execute_unprepared(&format!("ANALYZE {table}")).await?;
        transaction.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_looked_at_when_commands_double_and_after_a_while() {
        for (before, after, seconds, due) in [
            (0, 255, 60, false),
            (255, 256, 0, true),
            (256, 257, 9, false),
            (256, 257, 10, true),
            (500, 600, 0, true),
            (1_000_000, 1_000_001, 9, false),
            (1_000_000, 1_000_001, 10, true),
        ] {
            assert_eq!(is_due(before, after, Duration::from_secs(seconds)), due, "{before} {after} {seconds}");
        }
    }
}
