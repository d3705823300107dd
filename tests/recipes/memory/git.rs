//! The forge's Git server, and a clone.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use gitops_bootstrap::domain::{Commit, HostKeys, RepositoryPath, RepositoryUrl};
use gitops_bootstrap::ports::git::{File, GitError, WorktreeFacts};
use gitops_bootstrap::ports::{Remote, Worktree};
use secrecy::{ExposeSecret as _, SecretString};

use super::Outside;
use super::forge::APP_TOKEN;
use super::keys::public_half;
use crate::fleet;

/// The forge's Git server.
pub(crate) struct MemoryRemote(pub(crate) Arc<Outside>);

#[async_trait]
impl Remote for MemoryRemote {
    async fn branch_head(
        &self,
        _url: &RepositoryUrl,
        _branch: &str,
        key: &SecretString,
        _hosts: &HostKeys,
    ) -> Result<Option<Commit>, GitError> {
        if self.0.with(|state| state.git_is_down) {
            return Err(GitError::Unreachable { host: "github.com".to_owned(), message: "connection refused".to_owned() });
        }
        let key = public_half(key.expose_secret()).ok_or_else(|| GitError::Denied("github.com".to_owned()))?;
        self.0.with(|state| match state.keys.iter().any(|registered| registered.key == key) {
            true => Ok(Some(state.head.clone())),
            false => Err(GitError::Denied("github.com".to_owned())),
        })
    }

    async fn branch_head_by_token(&self, _url: &RepositoryUrl, _branch: &str, token: &SecretString) -> Result<Option<Commit>, GitError> {
        assert_eq!(token.expose_secret(), APP_TOKEN);
        Ok(Some(self.0.with(|state| state.head.clone())))
    }

    async fn branch_head_as_person(&self, _url: &RepositoryUrl, _branch: &str) -> Result<Option<Commit>, GitError> {
        Ok(Some(self.0.with(|state| state.head.clone())))
    }
}

/// A clone that is only asked what differs from another commit.
pub(crate) struct MemoryClone {
    pub(crate) differing: &'static [&'static str],
}

#[async_trait]
impl Worktree for MemoryClone {
    fn folder(&self) -> PathBuf {
        PathBuf::from("fleet")
    }

    async fn facts(&self) -> Result<WorktreeFacts, GitError> {
        Ok(WorktreeFacts { head: fleet::commit('a'), branch: None, dirty: Vec::new(), origin: None })
    }

    async fn files(&self, _commit: &Commit, _folders: &[RepositoryPath]) -> Result<Vec<File>, GitError> {
        Ok(Vec::new())
    }

    async fn changed(&self, _from: &Commit, _to: &Commit, _folders: &[RepositoryPath]) -> Result<Vec<RepositoryPath>, GitError> {
        Ok(self.differing.iter().map(|path| path.parse().unwrap()).collect())
    }
}
