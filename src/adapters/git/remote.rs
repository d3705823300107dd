//! A Git server.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::ssh::{KeyOnly, explain, outside_of_clones, private_folder};
use super::token::TokenOnly;
use super::{as_person, require_git, run, sealed};
use crate::adapters::process::Program;
use crate::domain::repository_url::Transport;
use crate::domain::{Commit, HostKeys, RepositoryUrl};
use crate::ports::Remote;
use crate::ports::git::GitError;

/// How long a server may take for the list of its branches.
const TIME_LIMIT: Duration = Duration::from_secs(45);

/// Asks Git servers by `git ls-remote`.
#[derive(Clone, Debug)]
pub struct GitRemote {
    environment: BTreeMap<String, String>,
    ssh: String,
}

impl GitRemote {
    /// Asks servers as themselves with a key, or with the access that a person with this environment has.
    pub fn new(environment: BTreeMap<String, String>) -> Self {
        Self { environment, ssh: "ssh".to_owned() }
    }

    /// The same with another program than `ssh`.
    #[must_use]
    pub fn with_ssh(mut self, ssh: impl Into<String>) -> Self {
        self.ssh = ssh.into();
        self
    }
}

#[async_trait]
impl Remote for GitRemote {
    async fn branch_head(
        &self,
        url: &RepositoryUrl,
        branch: &str,
        key: &SecretString,
        hosts: &HostKeys,
    ) -> Result<Option<Commit>, GitError> {
        if url.transport() != Transport::Ssh {
            return Err(GitError::Other(format!("{url} is not reached over SSH, and a deploy key opens nothing else")));
        }
        require_git().await?;
        let connection = KeyOnly::prepare(&self.ssh, key, hosts)?;
        let program = sealed(connection.folder(), [("protocol.ssh.allow".to_owned(), "always".to_owned())]);
        list(connection.applied_to(program), url, branch).await
    }

    async fn branch_head_by_token(&self, url: &RepositoryUrl, branch: &str, token: &SecretString) -> Result<Option<Commit>, GitError> {
        if url.transport() != Transport::Http || url.is_in_clear() {
            return Err(GitError::Other(format!("{url} is not reached over https, and a token is sent nowhere else")));
        }
        require_git().await?;
        let connection = TokenOnly::prepare(url, token)?;
        let program = sealed(connection.folder(), TokenOnly::settings(url));
        list(connection.applied_to(program, &self.environment), url, branch).await
    }

    async fn branch_head_as_person(&self, url: &RepositoryUrl, branch: &str) -> Result<Option<Commit>, GitError> {
        // A folder that is no clone: the configuration of a clone may name programs, and is not asked.
        let folder = private_folder()?;
        list(outside_of_clones(as_person(folder.path(), &self.environment), folder.path()), url, branch).await
    }
}

async fn list(program: Program<'_>, url: &RepositoryUrl, branch: &str) -> Result<Option<Commit>, GitError> {
    let name = format!("refs/heads/{branch}");
    let program = program.args(["ls-remote", "--", url.as_str(), &name]).within(TIME_LIMIT);
    let listed = run(program, |output| explain(url, output)).await?;
    Ok(head(&String::from_utf8_lossy(&listed), &name))
}

/// The commit of the reference with this whole name; `git` also lists those that end in it.
fn head(listed: &str, name: &str) -> Option<Commit> {
    listed.lines().filter_map(|line| line.split_once('\t')).find(|(_, found)| *found == name).and_then(|(commit, _)| commit.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_name_is_the_branch() {
        let listed = format!("{}\trefs/heads/x/refs/heads/main\n{}\trefs/heads/main\n", "1".repeat(40), "2".repeat(40));
        assert_eq!(head(&listed, "refs/heads/main").unwrap().as_str(), "2".repeat(40));
        assert_eq!(head(&listed, "refs/heads/other"), None);
    }
}
