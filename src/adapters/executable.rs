//! Programs that are files on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The file that `path`, a list of folders as `PATH` holds it, finds for `name`; none if the name is a path itself. Folders that are not absolute are
/// passed over: what they mean depends on where one stands, and one may stand in somebody else's repository.
pub fn find(name: impl AsRef<Path>, path: &OsStr) -> Option<PathBuf> {
    if name.as_ref().components().count() > 1 {
        return None;
    }
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_absolute_folder_that_has_a_program_of_that_name_counts() {
        let folder = tempfile::tempdir().unwrap();
        let make = |place: &str, mode: u32| {
            let file = folder.path().join(place).join("tool");
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            file
        };
        let (_text, program, _later) = (make("text", 0o644), make("program", 0o755), make("later", 0o755));
        let absolute = |place: &str| folder.path().join(place);
        let path = std::env::join_paths([absolute("none"), absolute("text"), absolute("program"), absolute("later")]).unwrap();
        assert_eq!(find("tool", &path), Some(program));
        assert_eq!(find("no-such-tool", &path), None);
        assert_eq!(find("program/tool", folder.path().as_os_str()), None);
    }

    #[test]
    fn what_a_folder_means_that_is_not_absolute_is_not_asked() {
        // `cargo test` stands in the folder of the package, whose `.ci/run` is a program.
        assert!(is_executable(Path::new(".ci/run")));
        assert_eq!(find("run", OsStr::new(".ci:./.ci")), None);
    }
}
