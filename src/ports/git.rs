//! Git, as a clone on this machine and as a server that is asked with one key.

use std::path::PathBuf;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::{Commit, HostKeys, RepositoryPath, RepositoryUrl};

/// A clone of the fleet repository on this machine. Files are read from a commit, never from the working tree, so that what is
/// applied is what was checked; nothing in the clone (hooks, filters, `core.fsmonitor`, submodules) is ever run.
#[async_trait]
pub trait Worktree: Send + Sync {
    /// The folder of the clone.
    fn folder(&self) -> PathBuf;

    /// The clone's state.
    async fn facts(&self) -> Result<WorktreeFacts, GitError>;

    /// All regular files of a commit below any of `folders`, with their content. Symbolic links and submodules are an error.
    async fn files(&self, commit: &Commit, folders: &[RepositoryPath]) -> Result<Vec<File>, GitError>;

    /// The names of the files below `folders` that differ between two commits.
    async fn changed(&self, from: &Commit, to: &Commit, folders: &[RepositoryPath]) -> Result<Vec<RepositoryPath>, GitError>;
}

/// The state of a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorktreeFacts {
    /// The commit that is checked out.
    pub head: Commit,
    /// The branch that is checked out; none on a detached HEAD.
    pub branch: Option<String>,
    /// Files that are not as the commit has them, untracked ones included.
    pub dirty: Vec<String>,
    /// The address of the remote `origin`, if there is one that is understood.
    pub origin: Option<RepositoryUrl>,
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: RepositoryPath,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Makes commits that nobody has yet, out of files alone.
#[async_trait]
pub trait Packer: Send + Sync {
    /// Makes one commit without a parent out of `files`, on `branch`, and packs it. The same files and the same message give the same commit, whenever and
    /// wherever it is made. No pack with its index is larger than `largest` bytes; a file that is larger alone is an error that names it.
    async fn pack(&self, files: &[File], branch: &str, message: &str, largest: usize) -> Result<PackedCommit, GitError>;
}

/// A commit as packs (gitformat-pack(5)), each of which can be read without the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedCommit {
    /// The commit.
    pub commit: Commit,
    /// All of its objects.
    pub packs: Vec<Pack>,
}

/// A pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Its name, as in `pack-NAME.pack`.
    pub name: String,
    /// What is in `pack-NAME.pack`.
    pub content: Vec<u8>,
    /// What is in `pack-NAME.idx`.
    pub index: Vec<u8>,
}

/// A Git server, asked with one credential alone: no agent, no configuration of the person's. Over SSH only the pinned host keys are trusted.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Asks for the commit of `branch` with the private key `key` (`git ls-remote`); none if the branch is not there.
    async fn branch_head(
        &self,
        url: &RepositoryUrl,
        branch: &str,
        key: &SecretString,
        hosts: &HostKeys,
    ) -> Result<Option<Commit>, GitError>;

    /// The same over https with the token of a GitHub App's installation; the server's certificate must be one that this machine trusts.
    async fn branch_head_by_token(&self, url: &RepositoryUrl, branch: &str, token: &SecretString) -> Result<Option<Commit>, GitError>;

    /// The same with whatever access the person has (agent, credential helper, configuration), for the check that the clone is what the
    /// remote serves. Nothing is asked, and the clone's own configuration, which may name programs, plays no part.
    async fn branch_head_as_person(&self, url: &RepositoryUrl, branch: &str) -> Result<Option<Commit>, GitError>;
}

/// Why Git failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// `git` or `ssh` is not installed, or too old.
    #[error("{0}")]
    Program(String),
    /// The folder is not a clone.
    #[error("{0} is not a Git repository")]
    NotARepository(String),
    /// The server showed a host key that is not pinned, or none is pinned for it.
    #[error("the host key of {host} is not one that is pinned")]
    HostKey {
        /// The host as a known-hosts file names it.
        host: String,
        /// The fingerprint that the server showed, if it is known.
        shown: Option<String>,
    },
    /// The server does not let the key in.
    #[error("{0} does not accept the key")]
    Denied(String),
    /// The repository is not there, for this key.
    #[error("{0} is not there, or the key may not see it")]
    NotFound(String),
    /// The server cannot be reached.
    #[error("{host} cannot be reached: {message}")]
    Unreachable {
        /// The host.
        host: String,
        /// What `ssh` said.
        message: String,
    },
    /// A file that is not taken.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Anything else that `git` said.
    #[error("git: {0}")]
    Other(String),
}
