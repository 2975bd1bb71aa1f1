//! A copy of a SQLite file, made while the service writes to it: a second process reads the file as it is at one moment.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, ConnectOptions as _, Connection as _};

use crate::private_file;

/// The reason why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file that would be overwritten.
    #[error("{0} is there already: a backup overwrites nothing; name another file")]
    Exists(String),
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// The database cannot be copied.
    #[error("{0} cannot be copied: {1}")]
    Database(String, sqlx::Error),
    /// The copy is damaged.
    #[error("the copy of {0} is damaged, and was deleted: {1}")]
    Damaged(String, String),
}

/// Copies a database into a new file, for its owner alone, and the file of its keys, if there is one, beside it. A process that is killed
/// meanwhile leaves a file with `.partial` behind its name. Returns the size of the copy.
pub async fn back_up(database: &Path, target: &Path, keys: Option<(&Path, &Path)>) -> Result<u64, BackupError> {
    for new in [Some(target), keys.map(|(_, new)| new)].into_iter().flatten() {
        if fs::symlink_metadata(new).is_ok() {
            return Err(BackupError::Exists(new.display().to_string()));
        }
    }
    let keys = keys.map(|(keys, new)| Ok::<_, BackupError>((fs::read(keys).map_err(of(keys))?, new))).transpose()?;
    let partial = with_suffix(target, ".partial");
    let copied = copy(database, &partial).await;
    let finished = copied.and_then(|()| {
        if let Some((keys, new)) = &keys {
            write_new(new, keys)?;
        }
        // A name that came to be meanwhile is not taken away from its file.
        fs::hard_link(&partial, target).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => BackupError::Exists(target.display().to_string()),
            _ => BackupError::File(target.display().to_string(), error),
        })?;
        sync_folder(target)?;
        Ok(fs::metadata(target).map_err(of(target))?.len())
    });
    // Whatever came of it, the name is not needed any more.
    drop(fs::remove_file(&partial));
    finished
}

/// Copies a database into a file, and checks the copy.
async fn copy(database: &Path, partial: &Path) -> Result<(), BackupError> {
    // SQLite writes into an empty file, which keeps its mode.
    drop(fs::remove_file(partial));
    private_file::options().write(true).create_new(true).open(partial).map_err(of(partial))?;
    let failed = |error| BackupError::Database(database.display().to_string(), error);
    let mut source = open(database).await.map_err(failed)?;
    let sql = "VACUUM INTO ?1";
    let copied = sqlx::query(sql).bind(partial.to_string_lossy().into_owned()).execute(&mut source).await;
    drop(source.close().await);
    copied.map_err(failed)?;
    File::open(partial).and_then(|file| file.sync_all()).map_err(of(partial))?;
    let damaged = |text: String| BackupError::Damaged(database.display().to_string(), text);
    let mut copy = open(partial).await.map_err(|error| damaged(error.to_string()))?;
    let checked = sqlx::query_scalar::<_, String>("PRAGMA integrity_check(1)").fetch_one(&mut copy).await;
    drop(copy.close().await);
    match checked {
        Ok(text) if text == "ok" => Ok(()),
        Ok(text) => Err(damaged(text)),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Opens a file to read it, beside the process that may be writing to it.
async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false).read_only(true);
    options.disable_statement_logging().connect().await
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let write = || {
        let mut file = private_file::options().write(true).create_new(true).open(path)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    };
    write().map_err(of(path))
}

fn sync_folder(path: &Path) -> Result<(), BackupError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(of(folder))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn of(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.display().to_string();
    |error| BackupError::File(path, error)
}
