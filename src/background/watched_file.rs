//! Files that are read again when they change, such as the mount of a Secret.
//!
//! Their paths are followed anew at each look: Kubernetes replaces what a link in the path leads to. Contents are handed out once two
//! looks in a row have found them, so that nobody works with half of what is being written. Files that belong together, such as a
//! certificate and its key, are looked at together. SIGHUP, or a server that refuses a login, makes everybody look at once.

pub(crate) mod file_use;

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use file_use::FileUse;

use crate::input_file;

/// The interval between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The pause between the two looks that find the same, where looks are asked for.
const ASKED_INTERVAL: Duration = Duration::from_millis(100);

/// The end of a task that follows files, and the requests to look at them at once.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    pub(crate) stop: CancellationToken,
    /// Changes when the files have to be looked at at once. With a higher number, what they have counts as a change.
    pub(crate) asked: watch::Receiver<u32>,
}

/// Files, and what was found at the looks before.
struct WatchedFiles {
    paths: Vec<PathBuf>,
    /// The metadata of the last contents that were read.
    stamps: Option<Vec<Stamp>>,
    /// The finding of the last look, unless it has been handed out.
    pending: Option<Found>,
    /// The finding that was handed out last.
    known: Option<Found>,
}

/// The metadata that change with the content: device, inode, size, and the moment of the last change.
type Stamp = (u64, u64, u64, (i64, i64));

/// The digests of the contents, or the reason why there are none.
type Found = Result<Vec<[u8; 32]>, String>;

/// A content, and the start of its digest in hexadecimal digits, by which logs name it.
pub(crate) struct Content {
    pub(crate) text: String,
    pub(crate) fingerprint: String,
}

impl WatchedFiles {
    /// Watches paths. What they have at present counts as a change.
    fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, stamps: None, pending: None, known: None }
    }

    /// Reads the files at the next look, whatever their metadata are. If `anew`, what they have counts as a change.
    fn ask(&mut self, anew: bool) {
        // A look that is asked for may come right behind another, and what both find may be half of what is being written.
        (self.stamps, self.pending) = (None, None);
        if anew {
            self.known = None;
        }
    }

    /// Returns the contents if one of them has changed, or the reason why they cannot be read, once.
    fn look(&mut self) -> Option<Result<Vec<Content>, String>> {
        let bytes = match self.read() {
            Ok(None) => return None,
            Ok(Some(bytes)) => Ok(bytes),
            Err(problem) => {
                self.stamps = None;
                Err(problem)
            }
        };
        let digests = |bytes: &Vec<Vec<u8>>| bytes.iter().map(|bytes| Sha256::digest(bytes).into()).collect();
        let found: Found = bytes.as_ref().map(digests).map_err(Clone::clone);
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
        let contents = |(bytes, digest): (Vec<u8>, [u8; 32])| {
            let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
            Ok(Content { text, fingerprint: HEXLOWER.encode(&digest[..8]) })
        };
        Some(bytes.and_then(|bytes| bytes.into_iter().zip(found.unwrap_or_default()).map(contents).collect()))
    }

    /// Reads the files, unless they have the metadata of what is known. A content that is new has to be found twice. A pipe can be
    /// read only once, so it never changes.
    fn read(&mut self) -> Result<Option<Vec<Vec<u8>>>, String> {
        let metadata = self.each(|path| std::fs::metadata(path))?;
        let stamps: Vec<_> = metadata.iter().map(stamp).collect();
        let is_known = self.stamps.as_ref() == Some(&stamps) && self.pending.is_none();
        if is_known || !metadata.iter().all(Metadata::is_file) {
            return Ok(None);
        }
        let bytes = self.each(|path| input_file::read(path))?;
        self.stamps = Some(stamps);
        Ok(Some(bytes))
    }

    /// Does the same with each path. The error names the path where there are several.
    fn each<T>(&self, read: impl Fn(&PathBuf) -> io::Result<T>) -> Result<Vec<T>, String> {
        let one = |path: &PathBuf| {
            read(path).map_err(|error| match self.paths.len() {
                1 => error.to_string(),
                _ => format!("{}: {error}", path.display()),
            })
        };
        self.paths.iter().map(one).collect()
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.len(), (metadata.ctime(), metadata.ctime_nsec()))
}

/// The use of a content that was handed out.
pub(crate) enum Used {
    /// It is in use from now on.
    Now,
    /// It is in use, or refused, later: whoever takes it notes which.
    Later,
}

/// Hands each new content of a file to `apply` until stopped. One that cannot be used is logged once, and the one before stays
/// in use. `setting` is one of [`FILES`](crate::telemetry::metrics::files::FILES).
pub(crate) async fn run(
    setting: &'static str,
    path: PathBuf,
    follow: Follow,
    apply: impl Fn(&Content) -> Result<(), String> + Send + Sync,
) {
    run_together(setting, vec![path], follow, |contents| contents.iter().try_for_each(&apply)).await;
}

/// Hands the contents of files that belong together to `apply`, in the order of the paths, when one of them has changed.
pub(crate) async fn run_together(
    setting: &'static str,
    paths: Vec<PathBuf>,
    follow: Follow,
    apply: impl Fn(&[Content]) -> Result<(), String> + Send + Sync,
) {
    run_noted(&FileUse::new(setting), paths, follow, |contents| apply(contents).map(|()| Used::Now)).await;
}

/// As [`run_together`], for contents of which it is known only later whether they can be used.
pub(crate) async fn run_noted(
    file_use: &FileUse,
    paths: Vec<PathBuf>,
    follow: Follow,
    apply: impl Fn(&[Content]) -> Result<Used, String> + Send + Sync,
) {
    let Follow { stop, mut asked } = follow;
    let (name, file) = (file_use.setting(), names(&paths));
    let watched = Arc::new(Mutex::new(WatchedFiles::new(paths)));
    let times = AtomicU32::new(*asked.borrow());
    let requests = Mutex::new(asked.clone());
    let told = watch::Sender::new(());
    let notified = Some(told.subscribe());
    let task = PeriodicTask { name, notified, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    let tell = async {
        while asked.changed().await.is_ok() {
            told.send_replace(());
        }
        std::future::pending::<()>().await;
    };
    let tick = || async {
        let asked = {
            let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
            let is_asked = requests.has_changed().unwrap_or(false);
            is_asked.then(|| *requests.borrow_and_update())
        };
        if let Some(number) = asked {
            let anew = times.swap(number, Ordering::Relaxed) != number;
            // Whatever this look finds has to be found again by the next.
            let first = look(&watched, Some(anew)).await?;
            if first.is_none() {
                sleep(ASKED_INTERVAL).await;
            } else {
                use_found(file_use, &file, first, &apply);
            }
        }
        use_found(file_use, &file, look(&watched, None).await?, &apply);
        Ok::<_, JoinError>(TickResult::Done)
    };
    tokio::select! {
        () = task.run(tick) => {}
        () = tell => {}
    }
}

/// Returns the names of files for the log.
pub(crate) fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The contents of files, or the reason why they cannot be read; `None` if there is nothing new.
type Look = Option<Result<Vec<Content>, String>>;

/// Looks at the files on a thread that may wait for a disk.
async fn look(watched: &Arc<Mutex<WatchedFiles>>, ask: Option<bool>) -> Result<Look, JoinError> {
    let watched = Arc::clone(watched);
    // A look that hangs, as on a mount that is gone, must not gather others behind it.
    spawn_blocking(move || {
        let mut watched = watched.try_lock().ok()?;
        if let Some(anew) = ask {
            watched.ask(anew);
        }
        watched.look()
    })
    .await
}

fn use_found(file_use: &FileUse, file: &str, found: Look, apply: &impl Fn(&[Content]) -> Result<Used, String>) {
    let used = match found {
        None => return,
        Some(Ok(contents)) => apply(&contents),
        Some(Err(problem)) => Err(problem),
    };
    match used {
        Ok(Used::Now) => file_use.note_used(),
        Ok(Used::Later) => {}
        Err(problem) => file_use.note_refused(file, &problem),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// Looks as often as a change needs, and returns what was handed out: a text, or `!` and the reason why there is none.
    fn looks(watched: &mut WatchedFiles) -> Vec<String> {
        let texts = |contents: Vec<Content>| contents.iter().map(|content| content.text.clone()).collect::<Vec<_>>();
        let found = (0..4).filter_map(|_| watched.look());
        found.map(|found| found.map_or_else(|problem| format!("! {problem}"), |found| texts(found).join(" "))).collect()
    }

    fn watch(path: impl Into<PathBuf>) -> WatchedFiles {
        WatchedFiles::new(vec![path.into()])
    }

    #[test]
    fn content_is_handed_out_once_after_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let mut watched = watch(&file);
        for text in ["one", "three", "five", "three"] {
            fs::write(&file, text).unwrap();
            assert_eq!(looks(&mut watched), [text]);
            assert!(looks(&mut watched).is_empty());
        }
        fs::write(&file, "three").unwrap();
        assert!(looks(&mut watched).is_empty(), "only its metadata changed");
        assert!(looks(&mut watch("/dev/null")).is_empty(), "it is no file");
    }

    #[test]
    fn known_content_is_handed_out_again_if_asked_for_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, "one").unwrap();
        let mut watched = watch(&file);
        assert_eq!(looks(&mut watched), ["one"]);
        watched.ask(false);
        assert!(looks(&mut watched).is_empty(), "it is the same");
        watched.ask(true);
        assert_eq!(looks(&mut watched), ["one"]);
        fs::remove_file(&file).unwrap();
        assert_eq!(looks(&mut watched).len(), 1);
        watched.ask(false);
        assert!(looks(&mut watched).is_empty(), "it is the same problem");
        watched.ask(true);
        assert_eq!(looks(&mut watched).len(), 1, "whoever asks wants to know that it is still there");
    }

    #[test]
    fn half_of_a_content_is_never_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, "whole").unwrap();
        let mut watched = watch(&file);
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
            found.unwrap().unwrap_or_else(|problem| panic!("{problem}")).remove(0).fingerprint
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
        let mut watched = watch(at("keys"));
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

    #[test]
    fn files_that_belong_together_are_handed_out_together() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "a").unwrap();
        let mut watched = WatchedFiles::new(vec![one.clone(), two.clone()]);
        assert_eq!(looks(&mut watched), ["1 a"]);
        // While the second is still the old one, no look finds the same twice.
        fs::write(&one, "2").unwrap();
        assert!(watched.look().is_none());
        fs::write(&two, "b").unwrap();
        assert_eq!(looks(&mut watched), ["2 b"]);
        fs::remove_file(&two).unwrap();
        let gone = looks(&mut watched);
        assert!(gone.len() == 1 && gone[0].contains("two: No such file"), "{gone:?}");
        fs::write(&two, "b").unwrap();
        assert_eq!(looks(&mut watched), ["2 b"]);
    }
}
