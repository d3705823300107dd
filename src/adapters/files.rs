//! Files of the fleet repository on this machine: read without following a link, written whole or not at all.

use std::fs::{self, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::domain::RepositoryPath;
use crate::error::{Failure, Result};
use crate::ports::git::File;

/// The most files, and the most bytes in one, that are read from a folder.
const MOST_FILES: usize = 100_000;
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// Reads all files below `folder` of the repository at `root`, sorted by path; none if there is no such folder.
///
/// Symbolic links, pipes, sockets and devices are refused without being opened, and so are names that a repository cannot hold safely:
/// [`crate::error::Kind::InvalidRepository`].
pub fn read_folder(root: &Path, folder: &RepositoryPath) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(folder) = folders.pop() {
        let path = absolute(root, &folder);
        let entries = match checked(root, &folder)? {
            Some(metadata) if metadata.is_dir() => fs::read_dir(&path).map_err(|error| unreadable(&folder, &error))?,
            Some(_) => return Err(Failure::repository(format!("`{folder}` is not a folder"))),
            None => continue,
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                Failure::repository(format!("`{folder}` holds a file whose name is not UTF-8: `{}`", name.to_string_lossy().escape_debug()))
            })?;
            let path = folder.join(name).map_err(|error| Failure::repository(error.to_string()))?;
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                if files.len() == MOST_FILES {
                    return Err(Failure::repository(format!("there are more than {MOST_FILES} files; that is more than is read")));
                }
                files.push(File { content: read(root, &path)?, path });
            } else {
                return Err(special(&path, kind.is_symlink()));
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// Reads one file; none if it is not there.
pub fn read_file(root: &Path, path: &RepositoryPath) -> Result<Option<Vec<u8>>> {
    match checked(root, path)? {
        Some(metadata) if metadata.is_file() => read(root, path).map(Some),
        Some(_) => Err(Failure::repository(format!("`{path}` is not a file"))),
        None => Ok(None),
    }
}

/// Writes a file unless it has this content already, and says whether it wrote: into a temporary file in the same folder, which then takes
/// its name. Folders are made as needed. It is on the disk then.
pub fn write_file(root: &Path, path: &RepositoryPath, content: &[u8]) -> Result<bool> {
    write(root, path, content, 0o644, true)
}

/// Writes a file as [`write_file`] does, for its owner's eyes alone.
pub fn write_own_file(root: &Path, path: &RepositoryPath, content: &[u8]) -> Result<bool> {
    write(root, path, content, 0o600, true)
}

/// Writes one of many files that are made from others, as [`write_file`] does, but without waiting for the disk: what a power failure spoils is
/// made again by the next run.
pub fn write_generated_file(root: &Path, path: &RepositoryPath, content: &[u8]) -> Result<bool> {
    write(root, path, content, 0o644, false)
}

#[cfg_attr(not(unix), expect(unused_variables, reason = "only Unix has modes"))]
fn write(root: &Path, path: &RepositoryPath, content: &[u8], mode: u32, on_disk: bool) -> Result<bool> {
    if read_file(root, path)?.as_deref() == Some(content) {
        return Ok(false);
    }
    let cannot = |error: io::Error| unwritable(path, &error);
    let folder = path.parent().map_or_else(|| root.to_owned(), |folder| absolute(root, &folder));
    fs::create_dir_all(&folder).map_err(cannot)?;
    let mut file = tempfile::Builder::new().prefix(".gitops-bootstrap-").tempfile_in(&folder).map_err(cannot)?;
    file.write_all(content).map_err(cannot)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // A temporary file is for its owner alone; most of what goes to Git is for everyone.
        file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(cannot)?;
    }
    if on_disk {
        file.as_file().sync_data().map_err(cannot)?;
    }
    file.persist(absolute(root, path)).map_err(|error| cannot(error.error))?;
    Ok(true)
}

/// Removes a file, and the folders above it that are empty then, up to `within`.
pub fn remove_file(root: &Path, path: &RepositoryPath, within: &RepositoryPath) -> Result<()> {
    checked(root, path)?;
    fs::remove_file(absolute(root, path)).map_err(|error| unwritable(path, &error))?;
    let mut folder = path.parent();
    while let Some(empty) = folder.filter(|folder| folder.is_within(within)) {
        if fs::remove_dir(absolute(root, &empty)).is_err() {
            break;
        }
        folder = empty.parent();
    }
    Ok(())
}

/// The path on this machine.
pub fn absolute(root: &Path, path: &RepositoryPath) -> PathBuf {
    if path.as_str() == "." { root.to_owned() } else { root.join(path.as_str()) }
}

/// What is at a path, after a look that no part of it is a link that leads elsewhere; none if nothing is there.
fn checked(root: &Path, path: &RepositoryPath) -> Result<Option<Metadata>> {
    let mut parents = Vec::new();
    let mut part = Some(path.clone());
    while let Some(this) = part.filter(|part| part.as_str() != ".") {
        part = this.parent();
        parents.push(this);
    }
    let mut found = None;
    for part in parents.into_iter().rev() {
        match fs::symlink_metadata(absolute(root, &part)) {
            Ok(metadata) if metadata.is_dir() || metadata.is_file() => found = Some(metadata),
            Ok(metadata) => return Err(special(&part, metadata.is_symlink())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(unreadable(&part, &error)),
        }
    }
    match found {
        Some(metadata) => Ok(Some(metadata)),
        None => fs::metadata(root).map(Some).or(Ok(None)),
    }
}

fn read(root: &Path, path: &RepositoryPath) -> Result<Vec<u8>> {
    let cannot = |error: io::Error| unreadable(path, &error);
    let mut content = Vec::new();
    fs::File::open(absolute(root, path)).map_err(cannot)?.take(LARGEST_FILE + 1).read_to_end(&mut content).map_err(cannot)?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(Failure::repository(format!("`{path}` has more than {LARGEST_FILE} bytes; that is more than is read")));
    }
    Ok(content)
}

fn special(path: &RepositoryPath, is_link: bool) -> Failure {
    let what = if is_link { "a symbolic link" } else { "a pipe, a socket or a device" };
    Failure::repository(format!("`{path}` is {what}, which is not taken")).hint(if is_link {
        "put a copy in its place: a link may lead out of the repository"
    } else {
        "remove it"
    })
}

fn unreadable(path: &RepositoryPath, error: &io::Error) -> Failure {
    Failure::repository(format!("`{path}` cannot be read")).because(error)
}

fn unwritable(path: &RepositoryPath, error: &io::Error) -> Failure {
    Failure::usage(format!("`{path}` cannot be written"))
        .because(error)
        .hint("make room, or the folder writable, and run the same command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepositoryPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_file_with_the_same_content_is_not_touched() {
        let root = tempfile::tempdir().unwrap();
        assert!(write_file(root.path(), &path("a/b/c.yaml"), b"x").unwrap());
        let before = fs::metadata(root.path().join("a/b/c.yaml")).unwrap().modified().unwrap();
        assert!(!write_file(root.path(), &path("a/b/c.yaml"), b"x").unwrap());
        assert_eq!(fs::metadata(root.path().join("a/b/c.yaml")).unwrap().modified().unwrap(), before);
        let names: Vec<_> = read_folder(root.path(), &path(".")).unwrap().into_iter().map(|file| file.path.to_string()).collect();
        assert_eq!(names, ["a/b/c.yaml"], "no temporary file is left");
    }

    #[test]
    fn removing_the_last_file_removes_its_folder_but_nothing_above() {
        let root = tempfile::tempdir().unwrap();
        write_file(root.path(), &path("a/b/c/d.yaml"), b"x").unwrap();
        remove_file(root.path(), &path("a/b/c/d.yaml"), &path("a/b")).unwrap();
        assert!(root.path().join("a").is_dir() && !root.path().join("a/b").exists());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_refused_and_never_opened() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("a/link")).unwrap();
        for failure in [
            read_folder(root.path(), &path("a")).unwrap_err(),
            read_file(root.path(), &path("a/link/secret")).unwrap_err(),
            write_file(root.path(), &path("a/link/new"), b"x").unwrap_err(),
        ] {
            assert_eq!(failure.message, "`a/link` is a symbolic link, which is not taken");
        }
        assert!(!outside.path().join("new").exists());
        fs::remove_file(root.path().join("a/link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("a/socket")).unwrap();
        assert_eq!(
            read_folder(root.path(), &path("a")).unwrap_err().message,
            "`a/socket` is a pipe, a socket or a device, which is not taken"
        );
    }
}
