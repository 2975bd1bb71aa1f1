//! The errors of the database, by the reaction that they need. Driver errors end here.

use std::io;

use sea_orm::{DbErr, RuntimeErr, SqlxError};

use super::migration::views::RoleProblem;

/// A failure of the database, or of a row in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another transaction was faster: load, decide and save again.
    #[error("a concurrent transaction changed the same rows; try again")]
    Conflict,
    /// The database cannot be reached, or takes no writes: a whole sentence. A write may or may not have happened.
    #[error("{0}")]
    Unavailable(String),
    /// A statement took too long and was given up. A write may or may not have happened.
    #[error("the database does not answer in time")]
    Slow,
    /// Another transaction holds a lock for too long; nothing has changed.
    #[error("another transaction of the database holds a lock for too long")]
    Locked,
    /// As many reads of one account wait as may.
    #[error("as many reads of the account wait as may; try again")]
    Busy,
    /// A command of a shared group needs more than such a group is loaded with: it runs alone.
    #[error("a command needs more rows than a shared group is loaded with")]
    Crowded,
    /// The database was created with an encoding that lacks characters of names and addresses.
    #[error(
        "the encoding of the database is {0}, which lacks characters of names and addresses: create one with \
         ENCODING 'UTF8'"
    )]
    Encoding(String),
    /// The role that logs in lacks a permission. The text is the sentence of the server.
    #[error("the database denies permission: {0}")]
    Forbidden(String),
    /// The role for reads of calls cannot be used.
    #[error("store.reader_role: {0}")]
    Role(RoleProblem),
    /// The database refuses a statement: a defect of this program, or a constraint that caught one.
    #[error("the database refuses a statement: {0}")]
    Refused(String),
    /// A row that this program would not write.
    #[error("table {table}, column {column}, row {row}: {problem}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id.
        row: String,
        /// The problem; never the value.
        problem: &'static str,
    },
}

/// The SQLSTATEs of `lock_timeout` and of `statement_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";
const QUERY_CANCELED: &str = "57014";
/// The SQLSTATE of a statement for which the role has no permission.
const FORBIDDEN: &str = "42501";
/// The SQLSTATE of a write on a server that takes none.
const READ_ONLY: &str = "25006";

const NO_CONNECTION: &str = "no connection to the database was free in time; \
    `invitation-service doctor` compares store.max_connections with the limits of the server";

/// The class of the SQLSTATEs with which a server refuses a login.
const LOGIN_REFUSED: &str = "28";

/// The SQLSTATE with which a pooler answers what it cannot do.
const PROTOCOL_VIOLATION: &str = "08P01";

/// SQLSTATEs after which the same commands may succeed: a failed guard (division by zero, see `save`), a key that was
/// taken meanwhile, a serialisation failure, a deadlock.
const CONFLICTS: [&str; 4] = ["22012", "23505", "40001", "40P01"];

impl StoreError {
    /// Returns whether there is no answer from the database.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Slow)
    }

    /// Returns whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Conflict | Self::Unavailable(_) | Self::Slow | Self::Locked | Self::Busy)
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(_) => Self::Unavailable(NO_CONNECTION.to_owned()),
            DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => from_runtime(runtime),
            // Every other error is between this program and SeaORM, whatever the database.
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
            } else if code == LOCK_NOT_AVAILABLE {
                StoreError::Locked
            } else if code == QUERY_CANCELED {
                StoreError::Slow
            } else if is_outage_code_of_file(&code) {
                // These messages of SQLite are fixed texts, such as "database or disk is full".
                let said = database.message();
                StoreError::Unavailable(format!("the file of the database cannot be used: {said} (SQLite code {code})"))
            } else if code == PROTOCOL_VIOLATION && database.message().contains("startup parameter") {
                StoreError::Unavailable(format!("{}: set store.pooler = \"transaction\"", database.message()))
            } else if is_outage(&code) {
                StoreError::Unavailable(format!("the database cannot serve: {} (SQLSTATE {code})", database.message()))
            } else if code == FORBIDDEN {
                StoreError::Forbidden(format!("{} (SQLSTATE {code})", database.message()))
            } else {
                StoreError::Refused(refusal(&code, database.message(), database.constraint()))
            }
        }
        SqlxError::Io(error) if error.kind() == io::ErrorKind::TimedOut => StoreError::Slow,
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => StoreError::Unavailable(format!("the connection to the database broke: {error}")),
        // The failure of a login, or the pool's own check of a connection.
        SqlxError::Configuration(reason) => StoreError::Unavailable(reason.to_string()),
        other => StoreError::Refused(other.to_string()),
    }
}

/// Returns the text of a refusal. The sentences of the server about names, such as those of columns (class 42), and constraints (23)
/// quote no value of a row; all others may.
fn refusal(code: &str, said: &str, constraint: Option<&str>) -> String {
    let is_safe = code.len() == 5 && ["42", "23"].iter().any(|class| code.starts_with(class));
    match (is_safe, constraint) {
        (true, _) => format!("{said} (SQLSTATE {code})"),
        (false, Some(constraint)) => format!("it would break the constraint {constraint} (code {code})"),
        (false, None) => format!("its sentence may quote values of rows and is left out (code {code})"),
    }
}

/// Returns whether the server, or the disk under it, cannot serve: connection exceptions (08), operator intervention
/// (57), insufficient resources (53), system errors (58), authorisation (28), a server that became a standby (25006), a
/// transaction that was idle for too long (25P0), a completion that is unknown (40003), no such database (3D) or table
/// (42P01: it is not migrated yet), and SQLite's BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN.
fn is_outage(code: &str) -> bool {
    ["08", "53", "57", "58", "28", "3D", "25006", "25P0", "40003", "42P01"]
        .iter()
        .any(|class| code.len() == 5 && code.starts_with(class))
        || is_outage_code_of_file(code)
}

fn is_outage_code_of_file(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| code < 10_000 && matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14))
}

/// Returns whether SQLite met a file, or a disk, that cannot serve.
pub(in crate::store) fn is_outage_of_file(error: &SqlxError) -> bool {
    matches!(error, SqlxError::Database(database) if database.code().is_some_and(|code| is_outage_code_of_file(&code)))
}

/// Returns whether a server refused a login.
pub(in crate::store) fn is_login_refused(error: &SqlxError) -> bool {
    let SqlxError::Database(database) = error else { return false };
    database.code().is_some_and(|code| code.len() == 5 && code.starts_with(LOGIN_REFUSED))
}

/// Returns whether a connection takes no writes; those that were opened beside it take none either.
pub(in crate::store) fn is_read_only(error: &SqlxError) -> bool {
    matches!(error, SqlxError::Database(database) if database.code().is_some_and(|code| code == READ_ONLY))
}

/// The SQLSTATEs of a serialisation failure and of a deadlock: the transaction is rolled back, and may be tried again.
const SERIALIZATION_FAILURES: [&str; 2] = ["40001", "40P01"];

/// Returns whether the database refused a transaction because of other transactions.
pub(in crate::store) fn is_serialization_failure(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return false;
    };
    let SqlxError::Database(database) = error.as_ref() else { return false };
    database.code().is_some_and(|code| SERIALIZATION_FAILURES.contains(&code.as_ref()))
}

/// Returns whether no more statements may be sent over the connection that met an error: it is broken, its server is
/// going away or takes no writes, or the state of its transaction is unknown.
pub(in crate::store) fn condemns_session(error: &SqlxError) -> bool {
    let SqlxError::Database(database) = error else { return true };
    let code = database.code().unwrap_or_default();
    match code.parse::<u32>() {
        // Result codes of SQLite, which rolls back by itself after some: https://www.sqlite.org/lang_transaction.html.
        // A plain error, a lock, a constraint and a value of the wrong size or type leave the connection usable.
        Ok(code) if code < 10_000 => !matches!(code & 0xff, 1 | 5 | 6 | 18 | 19 | 20 | 25),
        // SQLSTATEs: a broken connection, a standby, a transaction that was idle for too long, a server that shuts down, errors of
        // the system.
        Ok(_) | Err(_) => {
            ["08", "25006", "25P0", "57P", "58", "XX"].iter().any(|class| code.starts_with(class)) || code.is_empty()
        }
    }
}
