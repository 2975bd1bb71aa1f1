//! The folders that the service writes to.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use super::report::Report;
use crate::commands::Exit;

/// The bytes that are written: a page of a file, which a full disk refuses.
const BYTES: [u8; 4_096] = [0; 4_096];

/// Reports a folder that cannot be written to, by a file that is removed again. A folder that is not there yet will be made in the nearest
/// one above it that is.
pub(super) fn check(key: &'static str, folder: &Path, report: &mut Report) {
    let existing = folder.ancestors().find(|folder| folder.exists() || folder.as_os_str().is_empty());
    let existing = existing.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = write(existing) {
        let text = format!("{} cannot be written to: {error}", existing.display());
        report.problem(key, Exit::Unreachable, text);
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".invitation-service-doctor-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let written = file.write_all(&BYTES).and_then(|()| file.sync_all());
    fs::remove_file(&path).and(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_that_will_be_made_is_tried_where_it_will_be() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path()).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        let mut report = Report::default();
        check("database", &folder.path().join("not/there/yet"), &mut report);
        assert!(!report.has_problem("database"));
        check("database", Path::new("/proc/not/there"), &mut report);
        assert!(report.has_problem("database"));
    }
}
