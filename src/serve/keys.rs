//! The keys: read from the configuration or from the file beside the embedded database, and compared with the database.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::ServeError;
use crate::config::{Config, StoreUrl, TokenConfig};
use crate::domain::secret::key_ring::KeyRing;
use crate::entropy::Entropy;
use crate::input_file;
use crate::private_file;
use crate::store::{Maintenance, StoreError};

/// The time that the start waits for the comparison of the keys with the database.
const KEY_CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Compares the keys with those that the database knows. Returns false if the database is not there yet, or has no schema:
/// then readiness waits for the comparison.
pub(super) async fn check_keys(maintenance: &Maintenance, ring: &KeyRing) -> Result<bool, ServeError> {
    let checking = async {
        if maintenance.is_ready().await? {
            maintenance.check_keys(&ring.fingerprints()).await.map(Some)
        } else {
            Ok(None)
        }
    };
    match timeout(KEY_CHECK_TIMEOUT, checking).await {
        Ok(Ok(Some(fits))) => Ok(fits.map(|()| true)?),
        // Readiness says why, and compares them when the database answers.
        Ok(Ok(None)) | Err(_) => Ok(false),
        // It stays as it was created: waiting does not help.
        Ok(Err(error @ StoreError::Encoding(_))) => Err(ServeError::Database(error)),
        Ok(Err(_)) => Ok(false),
    }
}

/// Returns the file that the keys come from, if they come from one.
pub(super) fn file(config: &Config) -> Option<PathBuf> {
    match (&config.files.token_keys, &config.token.keys, &config.store.url) {
        (Some(file), _, _) => Some(file.clone()),
        (None, None, StoreUrl::Sqlite(database)) => Some(generated(database)),
        (None, _, _) => None,
    }
}

/// Reads the file of generated keys; `None` if there is none.
///
/// # Errors
/// The file and what is wrong with it.
pub(crate) fn read_generated(path: &Path) -> Result<Option<KeyRing>, String> {
    match input_file::read_text(path) {
        Ok(text) => KeyRing::parse(text.trim()).map(Some).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Returns the path of the keys beside an embedded database.
pub(crate) fn generated(database: &Path) -> PathBuf {
    database.with_extension("keys")
}

/// Returns the configured keys; on SQLite, those in the file beside the database, created now if neither has been used.
pub(super) async fn key_ring(
    config: &TokenConfig,
    url: &StoreUrl,
    maintenance: &Maintenance,
) -> Result<KeyRing, ServeError> {
    match (&config.keys, url) {
        (Some(keys), _) => Ok(KeyRing::parse(keys.expose_secret())?),
        (None, StoreUrl::Postgres(_)) => Err(ServeError::NoKeys),
        (None, StoreUrl::Sqlite(database)) => {
            let path = generated(database);
            if let Some(ring) = read_generated(&path).map_err(ServeError::KeyFile)? {
                return Ok(ring);
            }
            if maintenance.is_used().await? {
                return Err(ServeError::KeyFileMissing(path.display().to_string()));
            }
            let failed = |error| ServeError::KeyFile(format!("{}: {error}", path.display()));
            let created = create_keys(&path).map_err(failed)?;
            Ok(KeyRing::parse(&created)?)
        }
    }
}

/// Writes a new key to a file that only its owner can read. The file gets its name once it is whole: a process that is
/// killed meanwhile leaves none that the next one would have to refuse.
fn create_keys(path: &Path) -> io::Result<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    private_file::make_folder(folder)?;
    let keys = KeyRing::format_key(1, Entropy::system().bytes());
    let unfinished = path.with_extension("keys.new");
    // A file that is there keeps its mode, so a new one is made.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = private_file::options().write(true).create_new(true).open(&unfinished)?;
    writeln!(file, "{keys}")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    // The name has to outlive the machine too, as the database does.
    std::fs::File::open(folder)?.sync_all()?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn key_file_is_whole_whatever_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("invitations.keys");
        for left in ["", "1:", "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=, and much more than a key has"] {
            std::fs::write(path.with_extension("keys.new"), left).unwrap();
            let keys = create_keys(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{keys}\n"), "after {left:?}");
            KeyRing::parse(&keys).unwrap();
            assert!(!path.with_extension("keys.new").exists());
        }
        let made = folder.path().join("first.keys");
        create_keys(&made).unwrap();
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
