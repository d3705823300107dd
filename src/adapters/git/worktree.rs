//! A clone on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::{complaint, failed, require_git, run, sealed};
use crate::adapters::process::{Output, Program};
use crate::domain::{Commit, RepositoryPath, RepositoryUrl};
use crate::ports::Worktree;
use crate::ports::git::{File, GitError, WorktreeFacts};

/// How many files are read from a commit.
const MOST_FILES: usize = 100_000;

/// The largest file that is read.
const LARGEST_FILE: usize = 16 << 20;

/// How much is read from a commit.
const LARGEST_TREE: usize = 256 << 20;

/// The first line of what Git LFS leaves in the place of a file (git-lfs/docs/spec.md).
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// A clone on this machine, read by the `git` program.
#[derive(Debug)]
pub struct GitWorktree {
    folder: PathBuf,
    /// What is in the clone's configuration, once it is known.
    configuration: OnceCell<Configuration>,
}

/// What is of interest in the configuration of a clone.
#[derive(Debug, Default, PartialEq, Eq)]
struct Configuration {
    /// The settings that turn the clone's filters off, which `git status` would run to compare files.
    filters_off: Vec<(String, String)>,
    /// The address of the remote `origin`.
    origin: Option<RepositoryUrl>,
}

/// An entry of a commit's tree.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: RepositoryPath,
    object: String,
    size: usize,
}

impl GitWorktree {
    /// The clone in `folder`, or around it. Whether there is one is seen when it is first asked.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), configuration: OnceCell::new() }
    }

    /// `git` in the clone, with nothing of the clone's own that would start a program.
    async fn git(&self) -> Result<Program<'_>, GitError> {
        Ok(sealed(&self.folder, self.configuration().await?.filters_off.clone()))
    }

    async fn configuration(&self) -> Result<&Configuration, GitError> {
        self.configuration.get_or_try_init(|| read_configuration(&self.folder)).await
    }

    /// The files below the folder, as Git sees them: those that are committed or staged, and those that are new and not ignored. Names that are not
    /// safe are left out.
    pub async fn listed(&self) -> Result<Vec<RepositoryPath>, GitError> {
        let program = self.git().await?.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
        let listed = run(program.at_most(LARGEST_TREE), |output| self.explain(output)).await?;
        let names = listed.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        Ok(names.filter_map(|name| path(name).ok()).collect())
    }

    fn explain(&self, output: &Output) -> GitError {
        if output.stderr.contains("not a git repository") {
            GitError::NotARepository(self.folder.display().to_string())
        } else {
            GitError::Other(complaint(output))
        }
    }

    async fn entries(&self, commit: &Commit, folders: &[RepositoryPath]) -> Result<Vec<Entry>, GitError> {
        let program = self.git().await?.args(["ls-tree", "-r", "-z", "-l", "--full-tree", commit.as_str(), "--"]).args(below(folders));
        let listed = run(program.at_most(LARGEST_TREE), |output| self.explain_commit(commit, output)).await?;
        let mut entries = BTreeMap::new();
        for line in listed.split(|&byte| byte == 0).filter(|line| !line.is_empty()) {
            let entry = entry(line)?;
            entries.insert(entry.path.clone(), entry);
        }
        let size: usize = entries.values().map(|entry| entry.size).sum();
        if entries.len() > MOST_FILES || size > LARGEST_TREE {
            let limits = format!("at most {MOST_FILES} files and {} MiB are read", LARGEST_TREE >> 20);
            let found = format!("{} files with {} MiB", entries.len(), size >> 20);
            return Err(GitError::File { path: commit.short().to_owned(), reason: format!("{found} are too many: {limits}") });
        }
        Ok(entries.into_values().collect())
    }

    fn explain_commit(&self, commit: &Commit, output: &Output) -> GitError {
        let unknown = ["not a tree object", "bad object", "Not a valid object name", "unable to read tree"];
        if unknown.iter().any(|words| output.stderr.contains(words)) {
            return GitError::Other(format!("the clone has no commit {}: run `git fetch`", commit.short()));
        }
        self.explain(output)
    }
}

#[async_trait]
impl Worktree for GitWorktree {
    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    async fn facts(&self) -> Result<WorktreeFacts, GitError> {
        let status = ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--ignore-submodules=all", "--no-renames"];
        let status = run(self.git().await?.args(status), |output| self.explain(output)).await?;
        facts(&status, self.configuration().await?.origin.clone())
    }

    async fn files(&self, commit: &Commit, folders: &[RepositoryPath]) -> Result<Vec<File>, GitError> {
        let entries = self.entries(commit, folders).await?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let request: String = entries.iter().map(|entry| format!("{}\n", entry.object)).collect();
        let program = self.git().await?.args(["cat-file", "--batch"]).input(request.into_bytes());
        // Each content comes with a line before it and a line's end after it.
        let output = run(program.at_most(LARGEST_TREE + MOST_FILES * 128), |output| self.explain(output)).await?;
        contents(entries, &output)
    }

    async fn changed(&self, from: &Commit, to: &Commit, folders: &[RepositoryPath]) -> Result<Vec<RepositoryPath>, GitError> {
        let options =
            ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"];
        let program = self.git().await?.args(options).args([from.as_str(), to.as_str(), "--"]).args(below(folders));
        let listed = run(program, |output| self.explain_commit(to, output)).await?;
        listed.split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(path).collect()
    }
}

/// Paths as `git` takes them: none for the whole tree.
fn below(folders: &[RepositoryPath]) -> Vec<String> {
    if folders.iter().any(|folder| folder.as_str() == ".") {
        return Vec::new();
    }
    folders.iter().map(|folder| folder.as_str().to_owned()).collect()
}

async fn read_configuration(folder: &Path) -> Result<Configuration, GitError> {
    if !folder.is_dir() {
        require_git().await?;
        return Err(GitError::NotARepository(folder.display().to_string()));
    }
    let names = r"^(filter\..*|remote\.origin\.url)$";
    let program = sealed(folder, []).args(["config", "--null", "--get-regexp", names]);
    let (_, output) = tokio::try_join!(require_git(), async { program.run().await.map_err(|error| failed(&error)) })?;
    // Exit status 1 says that there is none of it.
    Ok(configuration(&output.stdout))
}

/// Reads `git config --null --get-regexp`: for each setting its name, a line's end and its value; the last value counts.
fn configuration(listed: &[u8]) -> Configuration {
    let mut found = Configuration::default();
    for setting in String::from_utf8_lossy(listed).split('\0').filter(|setting| !setting.is_empty()) {
        let (name, value) = setting.split_once('\n').unwrap_or((setting, ""));
        if name == "remote.origin.url" {
            found.origin = value.trim().parse().ok();
        } else if let Some((driver, _)) = name.rsplit_once('.') {
            let off = [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")];
            found.filters_off.extend(off.map(|(key, value)| (format!("{driver}.{key}"), value.to_owned())));
        }
    }
    found
}

/// Reads `git status --porcelain=v2 --branch -z` (git-status(1)).
fn facts(status: &[u8], origin: Option<RepositoryUrl>) -> Result<WorktreeFacts, GitError> {
    let mut head = None;
    let mut branch = None;
    let mut dirty = Vec::new();
    for line in status.split(|&byte| byte == 0) {
        let line = String::from_utf8_lossy(line);
        // Before the path of a changed file stand 7 fields, before that of an unmerged one 9.
        let path = match line.split_at_checked(2) {
            Some(("# ", header)) => {
                match header.split_once(' ') {
                    Some(("branch.oid", commit)) => head = commit.parse::<Commit>().ok(),
                    Some(("branch.head", name)) if name != "(detached)" => branch = Some(name.to_owned()),
                    _ => {}
                }
                None
            }
            Some(("1 ", fields)) => fields.splitn(8, ' ').nth(7),
            Some(("u ", fields)) => fields.splitn(10, ' ').nth(9),
            Some(("? ", path)) => Some(path),
            _ => None,
        };
        dirty.extend(path.map(str::to_owned));
    }
    let head = head.ok_or_else(|| GitError::Other("the clone has no commit yet: commit first".to_owned()))?;
    Ok(WorktreeFacts { head, branch, dirty, origin })
}

/// Reads one line of `git ls-tree -l`: `mode type object size<TAB>path`.
fn entry(line: &[u8]) -> Result<Entry, GitError> {
    let malformed = || GitError::Other("`git ls-tree` printed what is not understood".to_owned());
    let tab = line.iter().position(|&byte| byte == b'\t').ok_or_else(malformed)?;
    let (fields, name) = line.split_at(tab);
    let name = name.get(1..).unwrap_or_default();
    let fields = String::from_utf8_lossy(fields);
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    let [mode, _, object, size] = fields.as_slice() else { return Err(malformed()) };
    let refuse = |reason: &str| Err(GitError::File { path: String::from_utf8_lossy(name).into_owned(), reason: reason.to_owned() });
    match *mode {
        "120000" => return refuse("it is a symbolic link; put the file itself here"),
        "160000" => return refuse("it is a submodule; put its files here, or let Argo CD take them from their own repository"),
        _ => {}
    }
    let size: usize = size.parse().map_err(|_| malformed())?;
    if size > LARGEST_FILE {
        return refuse(&format!("it has {} MiB; at most {} are read", size >> 20, LARGEST_FILE >> 20));
    }
    Ok(Entry { path: path(name)?, object: (*object).to_owned(), size })
}

fn path(name: &[u8]) -> Result<RepositoryPath, GitError> {
    let refuse = |reason: String| GitError::File { path: String::from_utf8_lossy(name).into_owned(), reason };
    let text = std::str::from_utf8(name).map_err(|_| refuse("its name is not UTF-8".to_owned()))?;
    text.parse().map_err(|error| refuse(format!("{error}")))
}

/// Reads `git cat-file --batch`: for each object a line `object type size`, the content and a line's end.
fn contents(entries: Vec<Entry>, mut output: &[u8]) -> Result<Vec<File>, GitError> {
    let malformed = || GitError::Other("`git cat-file` printed what is not understood".to_owned());
    let mut files = Vec::with_capacity(entries.len());
    for Entry { path, object, size } in entries {
        let header = format!("{object} blob {size}\n");
        let rest = output.strip_prefix(header.as_bytes()).ok_or_else(malformed)?;
        let (content, rest) = rest.split_at_checked(size).ok_or_else(malformed)?;
        output = rest.strip_prefix(b"\n").ok_or_else(malformed)?;
        if content.starts_with(LFS_POINTER) {
            let reason = "it is a Git LFS pointer, whose content Argo CD does not get; commit the file itself".to_owned();
            return Err(GitError::File { path: path.to_string(), reason });
        }
        files.push(File { path, content: content.to_vec() });
    }
    Ok(files)
}
