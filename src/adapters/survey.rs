//! Everything in a folder that would be committed, as far as it can be read. What cannot be is named and left out, so that one strange file
//! does not keep the others from being looked at.

use std::collections::BTreeMap;
use std::path::Path;

use super::files;
use super::git::GitWorktree;
use crate::domain::RepositoryPath;
use crate::error::{Failure, Result};
use crate::ports::git::{File, GitError};

/// The most files, the most bytes in one, and the most in all of them.
const MOST_FILES: usize = 100_000;
const LARGEST_FILE: u64 = 16 << 20;
const LARGEST_FOLDER: u64 = 512 << 20;

/// The files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Those that could be read, by path.
    pub files: Vec<File>,
    /// Those that could not, each with the reason: `a symbolic link`.
    pub left_out: BTreeMap<RepositoryPath, &'static str>,
}

/// Reads the files below `root`. In a clone these are the committed ones and the new ones that are not ignored, as they are on disk; elsewhere
/// all that are there, without `.git`.
///
/// No link is followed, and nothing but a regular file is opened. Fails with [`crate::error::Kind::InvalidRepository`] on more files or more
/// bytes than are read.
pub async fn survey(root: &Path) -> Result<Survey> {
    let listed = match GitWorktree::new(root).listed().await {
        Ok(listed) => Some(listed),
        Err(GitError::NotARepository(_) | GitError::Program(_)) => None,
        Err(error) => return Err(Failure::repository(error.to_string())),
    };
    let paths = match listed {
        Some(listed) => listed,
        None => walk(root)?,
    };
    if paths.len() > MOST_FILES {
        return Err(Failure::repository(format!("there are {} files; {MOST_FILES} is the most that is read", paths.len())));
    }
    let mut survey = Survey::default();
    let mut total = 0;
    for path in paths {
        let Ok(metadata) = std::fs::symlink_metadata(files::absolute(root, &path)) else { continue };
        let reason = match metadata.file_type() {
            kind if kind.is_symlink() => Some("a symbolic link"),
            kind if kind.is_dir() => Some("a repository of its own"),
            kind if !kind.is_file() => Some("a pipe, a socket or a device"),
            _ if metadata.len() > LARGEST_FILE => Some("larger than 16 MiB"),
            _ => None,
        };
        if let Some(reason) = reason {
            survey.left_out.insert(path, reason);
            continue;
        }
        total += metadata.len();
        if total > LARGEST_FOLDER {
            return Err(Failure::repository(format!(
                "the files have more than {} MiB together; that is more than is read",
                LARGEST_FOLDER >> 20
            )));
        }
        match files::read_file(root, &path) {
            Ok(Some(content)) => survey.files.push(File { path, content }),
            Ok(None) => {}
            Err(_) => {
                survey.left_out.insert(path, "not readable");
            }
        }
    }
    survey.files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(survey)
}

/// All paths below a folder that is no clone.
fn walk(root: &Path) -> Result<Vec<RepositoryPath>> {
    let top: RepositoryPath = ".".parse().map_err(|_| Failure::bug("a constant path"))?;
    let mut paths = Vec::new();
    let mut folders = vec![top];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(files::absolute(root, &folder));
        for entry in entries.map_err(|error| Failure::repository(format!("`{folder}` cannot be read")).because(error))? {
            let entry = entry.map_err(|error| Failure::repository(format!("`{folder}` cannot be read")).because(error))?;
            // A name that no repository can hold, `.git` among them.
            let Some(path) = entry.file_name().to_str().and_then(|name| folder.join(name).ok()) else { continue };
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder {
                folders.push(path)
            } else {
                paths.push(path)
            }
            if paths.len() > MOST_FILES {
                return Ok(paths);
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(survey: &Survey) -> Vec<&str> {
        survey.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_strange_is_named_and_left_out() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        write("a/b.yaml");
        write(".git/config");
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("a/link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        std::fs::File::create(root.path().join("large")).unwrap().set_len(LARGEST_FILE + 1).unwrap();
        let survey = survey(root.path()).await.unwrap();
        assert_eq!(names(&survey), ["a/b.yaml"]);
        let left_out: Vec<_> = survey.left_out.iter().map(|(path, reason)| (path.as_str(), *reason)).collect();
        assert_eq!(left_out, [("a/link", "a symbolic link"), ("large", "larger than 16 MiB"), ("socket", "a pipe, a socket or a device")]);
    }
}
