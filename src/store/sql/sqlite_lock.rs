//! One process per SQLite file: an advisory lock on a file beside it, which the operating system releases with the process.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use super::database::OpenError;
use crate::private_file;

/// A lock that is held as long as the database is open.
#[derive(Clone, Debug)]
pub(in crate::store) struct SqliteLock {
    _file: Arc<File>,
}

impl SqliteLock {
    /// Takes the lock, or returns an error that names the file. The file itself cannot be locked: SQLite does that in
    /// its own way.
    pub(in crate::store) fn acquire(database: &Path) -> Result<Self, OpenError> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let failed = |error| OpenError::File(name.display().to_string(), error);
        let file = private_file::options().create(true).truncate(false).write(true).open(&name).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Arc::new(file) }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(database.display().to_string())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
