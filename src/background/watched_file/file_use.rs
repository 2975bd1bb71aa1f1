//! The use of a file that is followed: it is counted, shown as a gauge, and logged if the file is refused.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::telemetry::metrics::table::{FILE_READ, FILE_USABLE, RELOADS};
use crate::telemetry::metrics::{count_to_f64, micros_to_seconds};

/// The files that are not usable, by setting: several files may have one, such as the keys of several JWT issuers.
static UNUSABLE: Mutex<BTreeMap<&'static str, usize>> = Mutex::new(BTreeMap::new());

/// The use of one file, or of several that belong together.
#[derive(Debug)]
pub(crate) struct FileUse {
    setting: &'static str,
    /// The present content is in use.
    is_usable: Mutex<bool>,
}

impl FileUse {
    /// Creates the use of the file that a setting names. It begins with the content that the start has accepted.
    pub(crate) fn new(setting: &'static str) -> Self {
        RELOADS.begin([setting, "read"]);
        RELOADS.begin([setting, "failed"]);
        let file_use = Self { setting, is_usable: Mutex::new(true) };
        set_usable(setting, 0, 0);
        file_use
    }

    /// Returns the key of the configuration that names the file.
    pub(crate) fn setting(&self) -> &'static str {
        self.setting
    }

    /// Notes that the present content is in use.
    pub(crate) fn note_used(&self) {
        self.replace(true);
        RELOADS.count([self.setting, "read"]);
        FILE_READ.set(micros_to_seconds(Clock::system().now().micros()), [self.setting]);
    }

    /// Notes and logs that the present content cannot be used.
    pub(crate) fn note_refused(&self, file: &str, problem: &str) {
        self.replace(false);
        RELOADS.count([self.setting, "failed"]);
        self.warn(file, problem);
    }

    /// Logs that the present content still cannot be used.
    pub(crate) fn warn(&self, file: &str, problem: &str) {
        log_event!(
            warn,
            FILE_REFUSED,
            setting = self.setting,
            file,
            problem,
            "a file that changed cannot be used; what it had before stays in use"
        );
    }

    fn replace(&self, is_usable: bool) {
        let before = mem::replace(&mut *self.state(), is_usable);
        set_usable(self.setting, usize::from(before && !is_usable), usize::from(!before && is_usable));
    }

    fn state(&self) -> MutexGuard<'_, bool> {
        self.is_usable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FileUse {
    /// The refusal of a file is over when nobody follows it any more.
    fn drop(&mut self) {
        let was_usable = *self.state();
        set_usable(self.setting, 0, usize::from(!was_usable));
    }
}

/// Adds and removes files that are not usable, and sets the gauge of their setting.
fn set_usable(setting: &'static str, added: usize, removed: usize) {
    let mut unusable = UNUSABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let count = unusable.entry(setting).or_default();
    *count = (*count + added).saturating_sub(removed);
    FILE_USABLE.set(count_to_f64(usize::from(*count == 0)), [setting]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unusable(setting: &str) -> usize {
        UNUSABLE.lock().unwrap().get(setting).copied().unwrap_or_default()
    }

    #[test]
    fn setting_is_usable_once_all_its_files_are() {
        const SETTING: &str = "of this test";
        let (one, two) = (FileUse::new(SETTING), FileUse::new(SETTING));
        assert_eq!(unusable(SETTING), 0, "the start has accepted both");
        one.note_refused("one", "it is broken");
        one.note_refused("one", "it is broken in another way");
        two.note_refused("two", "it is broken");
        assert_eq!(unusable(SETTING), 2);
        one.note_used();
        one.note_used();
        assert_eq!(unusable(SETTING), 1);
        drop(two);
        assert_eq!(unusable(SETTING), 0, "nobody follows the other any more");
    }
}
