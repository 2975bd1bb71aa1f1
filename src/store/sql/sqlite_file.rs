//! The file of a SQLite database: whether it is still the one that was opened, and whether it takes writes.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file that was opened. Clones share the state.
#[derive(Clone, Debug)]
pub(in crate::store) struct SqliteFile {
    path: Arc<PathBuf>,
    /// The device and the inode of the file.
    identity: (u64, u64),
    /// Whether the latest write failed because of the file or its disk.
    refuses_writes: Arc<AtomicBool>,
}

impl SqliteFile {
    /// Remembers the file that is at a path now.
    pub(in crate::store) fn at(path: &Path) -> io::Result<Self> {
        let identity = identity(path)?;
        Ok(Self { path: Arc::new(path.to_owned()), identity, refuses_writes: Arc::default() })
    }

    /// Returns an error if another file, or no file, is at the path by now: rows written to the opened file would be
    /// lost with this process.
    pub(super) fn check(&self) -> io::Result<()> {
        match identity(&self.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) => Err(io::Error::other("the database file was replaced while the service was running: restart it")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::other(
                "the database file was deleted while the service was running: restore it and restart",
            )),
            Err(error) => Err(error),
        }
    }

    pub(super) fn note_write(&self, succeeded: bool) {
        self.refuses_writes.store(!succeeded, Ordering::Relaxed);
    }

    /// Returns whether the latest write failed because of the file or its disk.
    pub(in crate::store) fn refuses_writes(&self) -> bool {
        self.refuses_writes.load(Ordering::Relaxed)
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
