//! Programs that are files on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The file that `path`, a list of folders as `PATH` holds it, finds for `name`. Folders that are not absolute are passed over: what they mean depends
/// on where one stands, and one may stand in somebody else's repository.
pub fn find(name: impl AsRef<Path>, path: &OsStr) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(&name)).find(|file| is_executable(file))
}

/// Whether `file` is a program that may be run.
pub fn is_executable(file: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(file) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    metadata.is_file()
}
