//! A branch of a remote in a folder of its own, to commit to and to push another branch from. No clone of the person's is touched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::publish::{Access, Author, NewRepository};
use super::ssh::{KeyOnly, explain, outside_of_clones, private_folder};
use super::{GitRemote, as_person, complaint, failed, require_git, run, sealed};
use crate::adapters::process::Program;
use crate::domain::{Commit, RepositoryUrl};
use crate::ports::Remote as _;
use crate::ports::git::GitError;

/// How long a fetch may take.
const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// Where the branch of the remote is kept.
const BASE: &str = "refs/remotes/origin/base";

/// Where another branch of the remote is kept.
const OTHER: &str = "refs/remotes/origin/other";

/// A checkout of a branch of a remote. Gone when it is dropped.
pub struct BranchCopy<'a> {
    folder: TempDir,
    url: &'a RepositoryUrl,
    access: Access<'a>,
    repository: NewRepository,
}

/// Whether a remote would take `name` for a branch (git-check-ref-format(1)).
pub async fn is_branch_name(name: &str) -> Result<bool, GitError> {
    require_git().await?;
    let folder = private_folder()?;
    let program = sealed(folder.path(), []).args(["check-ref-format", &format!("refs/heads/{name}")]);
    let output = program.run().await.map_err(|error| failed(&error))?;
    Ok(output.is_success() && !name.starts_with('-'))
}

impl<'a> BranchCopy<'a> {
    /// Fetches the newest commit of `branch` and checks it out; none if the remote has no such branch.
    pub async fn fetch(url: &'a RepositoryUrl, branch: &str, access: Access<'a>) -> Result<Option<Self>, GitError> {
        let folder = private_folder()?;
        let place = folder.path().join("copy");
        std::fs::create_dir(&place).map_err(|error| GitError::Other(format!("{}: {error}", place.display())))?;
        let repository = NewRepository::init(&place, branch).await?;
        let copy = Self { folder, url, access, repository };
        if copy.head_of(branch).await?.is_none() {
            return Ok(None);
        }
        copy.get(branch, BASE).await?;
        copy.git(&["checkout", "--quiet", "--detach", BASE, "--"]).await?;
        Ok(Some(copy))
    }

    /// Where it is.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    /// The commit that a branch of the remote is at; none if there is no such branch.
    pub async fn head_of(&self, branch: &str) -> Result<Option<Commit>, GitError> {
        match self.access {
            Access::Person(environment) => GitRemote::new(environment.clone()).branch_head_as_person(self.url, branch).await,
            Access::Key(key, hosts) => GitRemote::new(std::collections::BTreeMap::new()).branch_head(self.url, branch, key, hosts).await,
        }
    }

    /// Commits all that is different in the folder to the new branch `name`, and returns the commit.
    pub async fn commit(&self, name: &str, author: &Author, message: &str) -> Result<Commit, GitError> {
        self.git(&["checkout", "--quiet", "-b", name, "--"]).await?;
        self.repository.commit_all(author, message).await
    }

    /// Whether a branch of the remote, which is there, has the very files that are committed here.
    pub async fn is_same_as(&self, branch: &str) -> Result<bool, GitError> {
        self.get(branch, OTHER).await?;
        let tree = async |name: &str| self.git(&["rev-parse", "--verify", &format!("{name}^{{tree}}")]).await;
        Ok(tree(OTHER).await? == tree("HEAD").await?)
    }

    /// Pushes the new branch `name`. What is there is never overwritten.
    pub async fn push(&self, name: &str) -> Result<(), GitError> {
        self.repository.push(self.url, name, self.access).await
    }

    /// Fetches the newest commit of a branch of the remote, which is there, without what was before it.
    async fn get(&self, branch: &str, to: &str) -> Result<(), GitError> {
        let refspec = format!("+refs/heads/{branch}:{to}");
        let git_folder = self.folder().join(".git");
        let fetch = |program: Program<'static>| {
            let program = program.args(["--git-dir".as_ref(), git_folder.as_os_str()]);
            let program =
                program.args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth", "1", "--", self.url.as_str(), &refspec]);
            program.within(FETCH_LIMIT)
        };
        let fetched = match self.access {
            Access::Key(key, hosts) => {
                let connection = KeyOnly::prepare("ssh", key, hosts)?;
                let program = sealed(connection.folder(), [("protocol.ssh.allow".to_owned(), "always".to_owned())]);
                run(fetch(connection.applied_to(program)), |output| explain(self.url, output)).await
            }
            Access::Person(environment) => {
                let outside: &Path = self.folder.path();
                run(fetch(outside_of_clones(as_person(outside, environment), outside)), |output| explain(self.url, output)).await
            }
        };
        fetched.map(drop)
    }

    async fn git(&self, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        run(sealed(&self.folder(), []).args(arguments), |output| GitError::Other(complaint(output))).await
    }
}
