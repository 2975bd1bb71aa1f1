//! A file that is read again when it changes, such as the mount of a Secret.
//!
//! Its path is followed anew at each look: Kubernetes replaces what a link in the path leads to. A content is handed out once two
//! looks in a row have found it, so that nobody works with half of what is being written.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};

/// The interval between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A file, and what was found at the looks before.
pub(crate) struct WatchedFile {
    path: PathBuf,
    /// The metadata of the last content that was read.
    stamp: Option<Stamp>,
    /// The finding of the last look, unless it has been handed out.
    pending: Option<Found>,
    /// The finding that was handed out last.
    known: Option<Found>,
}

/// The metadata that change with the content: device, inode, size, and the moment of the last change.
type Stamp = (u64, u64, u64, (i64, i64));

/// The digest of a content, or the reason why there is none.
type Found = Result<[u8; 32], String>;

/// A content, and the start of its digest in hexadecimal digits, by which logs name it.
pub(crate) struct Content {
    pub(crate) text: String,
    pub(crate) fingerprint: String,
}

impl WatchedFile {
    /// Watches a path. What it has at present counts as a change.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, stamp: None, pending: None, known: None }
    }

    /// Returns the content if it has changed, or the reason why it cannot be read, once.
    fn look(&mut self) -> Option<Result<Content, String>> {
        let bytes = match self.read() {
            Ok(None) => return None,
            Ok(Some(bytes)) => Ok(bytes),
            Err(error) => {
                self.stamp = None;
                Err(error.to_string())
            }
        };
        let found = bytes.as_ref().map(|bytes| Sha256::digest(bytes).into()).map_err(Clone::clone);
        if self.known.as_ref() == Some(&found) {
            self.pending = None;
            return None;
        }
        if self.pending.as_ref() != Some(&found) {
            self.pending = Some(found);
            return None;
        }
        self.pending = None;
        self.known = Some(found.clone());
        Some(bytes.and_then(|bytes| {
            let fingerprint = found.map(|digest| HEXLOWER.encode(&digest[..8])).unwrap_or_default();
            let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
            Ok(Content { text, fingerprint })
        }))
    }

    /// Reads the file, unless it has the metadata of what is known. A content that is new has to be found twice. A pipe can be
    /// read only once, so it never changes.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let metadata = std::fs::metadata(&self.path)?;
        let stamp = stamp(&metadata);
        if !metadata.is_file() || self.stamp == Some(stamp) && self.pending.is_none() {
            return Ok(None);
        }
        let bytes = std::fs::read(&self.path)?;
        self.stamp = Some(stamp);
        Ok(Some(bytes))
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.len(), (metadata.ctime(), metadata.ctime_nsec()))
}

/// Hands each new content of a file to `apply` until stopped. One that cannot be used is logged once, and the one before stays
/// at work.
pub(crate) async fn run(
    name: &'static str,
    path: PathBuf,
    stop: CancellationToken,
    apply: impl Fn(&Content) -> Result<(), String> + Send + Sync,
) {
    let file = path.display().to_string();
    let watched = Arc::new(Mutex::new(WatchedFile::new(path)));
    let task = PeriodicTask { name, notified: None, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    let tick = || async {
        let watched = Arc::clone(&watched);
        // A look that hangs, as on a mount that is gone, must not gather others behind it.
        let look = spawn_blocking(move || watched.try_lock().ok().and_then(|mut watched| watched.look()));
        let used = match look.await? {
            None => Ok(()),
            Some(Ok(content)) => apply(&content),
            Some(Err(problem)) => Err(problem),
        };
        if let Err(problem) = used {
            tracing::warn!(
                task = name,
                file,
                problem,
                "a file that changed cannot be used; what it had before stays at work"
            );
        }
        Ok::<_, JoinError>(TickResult::Done)
    };
    task.run(tick).await;
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// Looks as often as a change needs, and returns what was handed out: a text, or `!` and the reason why there is none.
    fn looks(watched: &mut WatchedFile) -> Vec<String> {
        let found = (0..4).filter_map(|_| watched.look());
        found.map(|found| found.map_or_else(|problem| format!("! {problem}"), |content| content.text)).collect()
    }

    #[test]
    fn content_is_handed_out_once_after_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let mut watched = WatchedFile::new(file.clone());
        for text in ["one", "three", "five", "three"] {
            fs::write(&file, text).unwrap();
            assert_eq!(looks(&mut watched), [text]);
            assert!(looks(&mut watched).is_empty());
        }
        fs::write(&file, "three").unwrap();
        assert!(looks(&mut watched).is_empty(), "only its metadata changed");
        assert!(looks(&mut WatchedFile::new("/dev/null".into())).is_empty(), "it is no file");
    }

    #[test]
    fn half_of_a_content_is_never_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, "whole").unwrap();
        let mut watched = WatchedFile::new(file.clone());
        assert_eq!(looks(&mut watched), ["whole"]);
        for text in ["", "n", "ne"] {
            fs::write(&file, text).unwrap();
            assert!(watched.look().is_none(), "{text}");
        }
        fs::write(&file, "new").unwrap();
        assert_eq!(looks(&mut watched), ["new"]);
        let fingerprint = |text: &str| {
            fs::write(&file, text).unwrap();
            let found = (0..2).find_map(|_| watched.look());
            found.unwrap().unwrap_or_else(|problem| panic!("{problem}")).fingerprint
        };
        assert_eq!(["abc", "other"].map(fingerprint)[0], "ba7816bf8f01cfea", "the start of its SHA-256");
    }

    #[test]
    fn link_is_followed_anew_and_a_gone_file_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // As Kubernetes mounts a Secret: the file is a link into a folder, which is itself a link that is replaced.
        let publish = |version: &str, text: &str| {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("keys"), text).unwrap();
            symlink(version, at("..next")).unwrap();
            fs::rename(at("..next"), at("..data")).unwrap();
        };
        publish("..1", "one");
        symlink(Path::new("..data").join("keys"), at("keys")).unwrap();
        let mut watched = WatchedFile::new(at("keys"));
        assert_eq!(looks(&mut watched), ["one"]);
        publish("..2", "two");
        assert_eq!(looks(&mut watched), ["two"]);
        fs::remove_file(at("..data")).unwrap();
        let gone = looks(&mut watched);
        assert!(gone.len() == 1 && gone[0].starts_with("! No such file"), "{gone:?}");
        symlink("..2", at("..data")).unwrap();
        assert_eq!(looks(&mut watched), ["two"], "after trouble it is handed out again");
        fs::write(at("..2").join("keys"), [0xff]).unwrap();
        assert_eq!(looks(&mut watched), ["! is not UTF-8"]);
    }
}
