//! Makes a new repository from a folder and pushes it, for `new` and for the sandbox's demonstration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::ssh::{KeyOnly, explain, outside_of_clones, private_folder};
use super::{as_person, complaint, failed, require_git, run, sealed};
use crate::adapters::process::Program;
use crate::domain::{Commit, HostKeys, RepositoryUrl};
use crate::ports::git::GitError;

/// How long a push may take.
const PUSH_LIMIT: Duration = Duration::from_secs(300);

/// Who a commit is by.
#[derive(Clone, Debug)]
pub struct Author {
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
}

/// Who the person with this environment is, as `git` knows them; none if it does not.
pub async fn person(environment: &BTreeMap<String, String>) -> Result<Option<Author>, GitError> {
    // Outside of any clone: it is the person's own configuration that counts.
    let folder = private_folder()?;
    let configured = async |name: &str| {
        let program = outside_of_clones(as_person(folder.path(), environment), folder.path()).args(["config", "--get", name]);
        let output = program.run().await.map_err(|error| failed(&error))?;
        let value = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok::<_, GitError>(Some(value).filter(|value| output.is_success() && !value.is_empty()))
    };
    let name = match environment.get("GIT_AUTHOR_NAME") {
        Some(name) => Some(name.clone()),
        None => configured("user.name").await?,
    };
    let email = match environment.get("GIT_AUTHOR_EMAIL") {
        Some(email) => Some(email.clone()),
        None => configured("user.email").await?,
    };
    Ok(name.zip(email).map(|(name, email)| Author { name, email }))
}

/// With what a repository is pushed.
#[derive(Clone, Copy)]
pub enum Access<'a> {
    /// With whatever the person with this environment has; nothing is asked.
    Person(&'a BTreeMap<String, String>),
    /// With one key and pinned host keys alone.
    Key(&'a SecretString, &'a HostKeys),
}

/// A repository that was made here.
#[derive(Clone, Debug)]
pub struct NewRepository {
    folder: PathBuf,
}

impl NewRepository {
    /// Makes `folder` a repository whose first branch is `branch`; what is in it stays. Harmless on a repository.
    pub async fn init(folder: &Path, branch: &str) -> Result<Self, GitError> {
        require_git().await?;
        // A push runs in another folder.
        let folder = std::path::absolute(folder).map_err(|error| GitError::Other(format!("{}: {error}", folder.display())))?;
        let repository = Self { folder };
        repository.git(&["init", "--quiet", "--template=", "--initial-branch", branch, "--", "."]).await?;
        Ok(repository)
    }

    /// Commits everything in the folder that is not ignored, and returns the commit.
    pub async fn commit_all(&self, author: &Author, message: &str) -> Result<Commit, GitError> {
        self.git(&["add", "--all", "--", "."]).await?;
        let program = self.sealed().args(["commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--message", message]);
        let program = program.envs([("GIT_AUTHOR_NAME", &author.name), ("GIT_COMMITTER_NAME", &author.name)]);
        let program = program.envs([("GIT_AUTHOR_EMAIL", &author.email), ("GIT_COMMITTER_EMAIL", &author.email)]);
        run(program, |output| GitError::Other(complaint(output))).await?;
        let head = self.git(&["rev-parse", "--verify", "HEAD"]).await?;
        String::from_utf8_lossy(&head).trim().parse().map_err(|error| GitError::Other(format!("after a commit: {error}")))
    }

    /// The commit that is checked out; none if there is none yet.
    pub async fn head(&self) -> Result<Option<Commit>, GitError> {
        let output = self.sealed().args(["rev-parse", "--verify", "--quiet", "HEAD"]).run().await.map_err(|error| failed(&error))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.is_success()))
    }

    /// Whether the history of what is checked out has `commit`. There need not be a repository.
    pub async fn has(&self, commit: &Commit) -> Result<bool, GitError> {
        let git_folder = self.folder.join(".git");
        if !git_folder.exists() {
            return Ok(false);
        }
        let program = self.sealed().args(["--git-dir".as_ref(), git_folder.as_os_str()]);
        let output = program.args(["merge-base", "--is-ancestor", commit.as_str(), "HEAD"]).run().await.map_err(|error| failed(&error))?;
        Ok(output.is_success())
    }

    /// The repository in `folder`, as it is.
    pub fn open(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Sets `name` in the configuration of this repository alone.
    pub async fn configure(&self, name: &str, value: &str) -> Result<(), GitError> {
        self.git(&["config", "--local", name, value]).await.map(|_| ())
    }

    /// What the configuration of this repository alone says, with names in lower case as `git` lists them; nothing if there is no repository.
    pub async fn configuration(&self) -> Result<BTreeMap<String, String>, GitError> {
        let git_folder = self.folder.join(".git");
        let program = self.sealed().args(["--git-dir".as_ref(), git_folder.as_os_str()]).args(["config", "--local", "--null", "--list"]);
        let output = program.run().await.map_err(|error| failed(&error))?;
        if !output.is_success() {
            return Ok(BTreeMap::new());
        }
        let listed = String::from_utf8_lossy(&output.stdout);
        let settings = listed.split('\0').filter_map(|setting| setting.split_once('\n'));
        Ok(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Names the remote `origin`, whatever it was before.
    pub async fn set_origin(&self, url: &RepositoryUrl) -> Result<(), GitError> {
        self.git(&["config", "remote.origin.url", url.as_str()]).await?;
        self.git(&["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"]).await?;
        Ok(())
    }

    /// Pushes `branch` to `url`, and lets it follow `origin` from then on. Never overwrites what is there.
    pub async fn push(&self, url: &RepositoryUrl, branch: &str, access: Access<'_>) -> Result<(), GitError> {
        let reference = format!("refs/heads/{branch}");
        let refspec = format!("{reference}:{reference}");
        let git_folder = self.folder.join(".git");
        let push = |program: Program<'static>| {
            let program = program.args(["--git-dir".as_ref(), git_folder.as_os_str()]);
            program.args(["push", "--quiet", "--no-verify", "--", url.as_str(), &refspec]).within(PUSH_LIMIT)
        };
        match access {
            Access::Key(key, hosts) => {
                let connection = KeyOnly::prepare("ssh", key, hosts)?;
                let program = sealed(connection.folder(), [("protocol.ssh.allow".to_owned(), "always".to_owned())]);
                run(push(connection.applied_to(program)), |output| explain(url, output)).await?;
            }
            Access::Person(environment) => {
                let folder = private_folder()?;
                let program = outside_of_clones(as_person(folder.path(), environment), folder.path());
                run(push(program), |output| explain(url, output)).await?;
            }
        }
        self.git(&["config", &format!("branch.{branch}.remote"), "origin"]).await?;
        self.git(&["config", &format!("branch.{branch}.merge"), &reference]).await?;
        // A push to an address, as against one to a remote by its name, does not note what is there now.
        self.git(&["update-ref", &format!("refs/remotes/origin/{branch}"), &reference]).await?;
        Ok(())
    }

    fn sealed<'a>(&self) -> Program<'a> {
        sealed(&self.folder, [])
    }

    async fn git(&self, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        run(self.sealed().args(arguments), |output| GitError::Other(complaint(output))).await
    }
}
