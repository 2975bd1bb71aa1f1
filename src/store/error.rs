//! What can go wrong with the database, sorted by what is to be done about it. Driver errors end here.

use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// A failure of the database, or of what lies in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster: load, decide and save again.
    #[error("a concurrent change got in the way")]
    Conflict,
    /// The database cannot be reached, or does not answer in time. A write may or may not have happened.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// The database refuses a statement: a defect, or a wall that held.
    #[error("the database refuses: {0}")]
    Refused(String),
    /// A row is not what this program writes.
    #[error("table {table}, column {column}, row {row}: {problem}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id.
        row: String,
        /// What is wrong; never the value.
        problem: &'static str,
    },
}

/// SQLSTATEs after which the same commands may well succeed: a failed guard (division by zero, see `save`), a key that was
/// taken meanwhile, a serialisation failure, a deadlock.
const CONFLICTS: [&str; 4] = ["22012", "23505", "40001", "40P01"];

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(_) => Self::Unavailable("no connection in time".to_owned()),
            DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => from_runtime(runtime),
            // Everything else is between this program and SeaORM, whatever the database.
            other => Self::Refused(other.to_string()),
        }
    }
}

fn from_runtime(error: &RuntimeErr) -> StoreError {
    let RuntimeErr::SqlxError(error) = error else { return StoreError::Refused(error.to_string()) };
    match error.as_ref() {
        SqlxError::Database(database) => {
            let code = database.code().unwrap_or_default();
            let sqlite_conflict = database.is_unique_violation();
            if sqlite_conflict || CONFLICTS.contains(&code.as_ref()) {
                StoreError::Conflict
            } else if is_outage(&code) {
                StoreError::Unavailable(format!("code {code}"))
            } else {
                // The message may quote a row's values, so only the code and the constraint leave this module.
                StoreError::Refused(format!("code {code}, constraint {}", database.constraint().unwrap_or("-")))
            }
        }
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => StoreError::Unavailable(error.to_string()),
        other => StoreError::Refused(other.to_string()),
    }
}

/// Whether a code says that the server, or the disk under it, is in no state to serve: connection exceptions (08),
/// operator intervention, statement_timeout included (57), insufficient resources (53), system errors (58), authorisation
/// (28), a lock that is not to be had (55P03), a server that became a standby (25006), a completion that is unknown
/// (40003), no such database (3D) or table (42P01: nobody has migrated yet), and SQLite's BUSY, LOCKED, NOMEM, READONLY,
/// IOERR, FULL, CANTOPEN.
fn is_outage(code: &str) -> bool {
    ["08", "53", "57", "58", "28", "3D", "55P03", "25006", "40003", "42P01"]
        .iter()
        .any(|class| code.len() == 5 && code.starts_with(class))
        || code.parse::<u32>().is_ok_and(|code| code < 10_000 && matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14))
}

/// Returns whether no statement may be sent any more over the connection that met an error: it is broken, its server is
/// going away or takes no writes, or the state of its transaction is unknown.
pub(super) fn condemns_session(error: &SqlxError) -> bool {
    let SqlxError::Database(database) = error else { return true };
    let code = database.code().unwrap_or_default();
    match code.parse::<u32>() {
        // Result codes of SQLite, which rolls back by itself after some: https://www.sqlite.org/lang_transaction.html. A plain
        // error, a lock, a constraint and a value of the wrong size or type leave the connection as it was.
        Ok(code) if code < 10_000 => !matches!(code & 0xff, 1 | 5 | 6 | 18 | 19 | 20 | 25),
        // SQLSTATEs: a broken connection, a standby, a transaction that was idle for too long, a server that shuts down, errors of
        // the system.
        Ok(_) | Err(_) => {
            ["08", "25006", "25P0", "57P", "58", "XX"].iter().any(|class| code.starts_with(class)) || code.is_empty()
        }
    }
}
