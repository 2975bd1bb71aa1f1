//! Messages as files, for looking at them and for programs that collect them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{SendError, SendFailure, TransportError};
use crate::private_file;

/// A folder that messages are written to, as `{id}.eml`.
#[derive(Clone, Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Creates the folder if it does not exist. Messages hold links, so it is the owner's alone.
    pub(crate) fn new(path: &Path) -> Result<Self, TransportError> {
        private_file::make_folder(path)
            .map_err(|error| TransportError::Directory(path.display().to_string(), error))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes a message; a file with its name is a whole message at any moment.
    pub(crate) async fn write(&self, id: Uuid, message: Vec<u8>) -> Result<(), SendError> {
        let path = self.0.join(format!("{id}.eml"));
        let unfinished = self.0.join(format!(".{id}.eml.part"));
        let written = tokio::task::spawn_blocking(move || put(&path, &unfinished, &message)).await;
        // A folder that cannot be written to is no message's fault.
        let failed =
            |why: String| SendError::new(SendFailure::Misconfigured, format!("cannot write to mail.url: {why}"));
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.kind().to_string())),
            Err(_) => Err(failed("interrupted".to_owned())),
        }
    }
}

fn put(path: &Path, unfinished: &Path, message: &[u8]) -> io::Result<()> {
    let mut file = private_file::options().write(true).create(true).truncate(true).open(unfinished)?;
    file.write_all(message)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}
