//! A folder that goes with its test.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::{Builder, TempDir};

/// The file system in memory on Linux.
const MEMORY: &str = "/dev/shm";
/// The least size of that file system: containers often have much less, and all tests together need some 100 MiB.
const LEAST_KIB: u64 = 1 << 20;

/// Makes an empty folder, in memory where there is room: nothing in it has to outlive the machine, and a commit that waits for
/// a disk is what most tests on SQLite would wait for. What a killed process has written stays there as it does on a disk.
pub(crate) fn folder() -> TempDir {
    folder_called("test-")
}

/// Makes such a folder with a name that begins so.
pub(crate) fn folder_called(prefix: &str) -> TempDir {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let in_memory = has_room(&mounts) && tempfile::tempdir_in(MEMORY).is_ok();
        if in_memory { PathBuf::from(MEMORY) } else { env::temp_dir() }
    });
    Builder::new().prefix(prefix).tempdir_in(place).expect("a folder for the files of a test")
}

/// Returns whether a list of mounts has a file system in memory of the least size. Without a size it is half of the memory.
fn has_room(mounts: &str) -> bool {
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let options = fields.find_map(|fields| match fields[..] {
        [_, place, "tmpfs", options, ..] if Path::new(place) == Path::new(MEMORY) => Some(options),
        _ => None,
    });
    let size = |options: &str| {
        let size = options.split(',').find_map(|option| option.strip_prefix("size="))?;
        size.strip_suffix('k')?.parse::<u64>().ok()
    };
    options.is_some_and(|options| size(options).is_none_or(|kib| kib >= LEAST_KIB))
}

#[test]
fn small_or_missing_memory_file_system_is_not_used() {
    let mount = |options: &str| format!("proc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs {options} 0 0\n");
    for (options, wanted) in [
        ("rw,nosuid,nodev", true),
        ("rw,size=65536k", false),
        ("rw,nosuid,size=1048575k,inode64", false),
        ("rw,size=1048576k", true),
    ] {
        assert_eq!(has_room(&mount(options)), wanted, "{options}");
    }
    assert!(!has_room("tmpfs /run tmpfs rw 0 0\ndisk /dev/shm ext4 rw 0 0\n"));
}
