//! A Git server that answers for another one.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::{Commit, HostKeys, RepositoryUrl};
use crate::ports::Remote;
use crate::ports::git::GitError;

/// Asks for one repository at another address, which shows other host keys; every other repository where it is.
pub struct StandIn<R> {
    /// The way to servers.
    pub remote: R,
    /// The repository that is stood in for.
    pub stood_in_for: RepositoryUrl,
    /// Where it is instead.
    pub address: RepositoryUrl,
    /// The host keys of that address.
    pub hosts: HostKeys,
}

impl<R> StandIn<R> {
    fn redirect<'a>(&'a self, url: &'a RepositoryUrl, hosts: &'a HostKeys) -> (&'a RepositoryUrl, &'a HostKeys) {
        if url.is_same_repository(&self.stood_in_for) { (&self.address, &self.hosts) } else { (url, hosts) }
    }
}

#[async_trait]
impl<R: Remote> Remote for StandIn<R> {
    async fn branch_head(
        &self,
        url: &RepositoryUrl,
        branch: &str,
        key: &SecretString,
        hosts: &HostKeys,
    ) -> Result<Option<Commit>, GitError> {
        let (url, hosts) = self.redirect(url, hosts);
        self.remote.branch_head(url, branch, key, hosts).await
    }

    async fn branch_head_by_token(&self, url: &RepositoryUrl, branch: &str, token: &SecretString) -> Result<Option<Commit>, GitError> {
        // No token is good for both: whoever is stood in for is not asked.
        if url.is_same_repository(&self.stood_in_for) { Ok(None) } else { self.remote.branch_head_by_token(url, branch, token).await }
    }

    async fn branch_head_as_person(&self, url: &RepositoryUrl, branch: &str) -> Result<Option<Commit>, GitError> {
        // Whoever is stood in for is not asked.
        if url.is_same_repository(&self.stood_in_for) { Ok(None) } else { self.remote.branch_head_as_person(url, branch).await }
    }
}
