//! The pull requests of the fleet repository at its forge.

use async_trait::async_trait;

use super::forge::ForgeError;

/// The pull requests of one repository, seen with one token. Reads and writes are repeated as [`super::Forge`] says.
#[async_trait]
pub trait PullRequests: Send + Sync {
    /// Whether the token may write to the repository, as far as the forge tells: one with fine rights may be told no later.
    async fn may_write(&self) -> Result<bool, ForgeError>;

    /// Those that are open, from branches of the repository itself into `base`; the newest first.
    async fn open_pull_requests(&self, base: &str) -> Result<Vec<PullRequest>, ForgeError>;

    /// Opens one; the one that is open already if its two branches have one.
    async fn open_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest, ForgeError>;
}

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// Its number at the repository.
    pub number: u64,
    /// The page for people.
    pub url: String,
    /// The branch that it is to bring in.
    pub head: String,
}

/// A pull request that is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPullRequest {
    /// Its title.
    pub title: String,
    /// What it says, in Markdown.
    pub body: String,
    /// The branch that it is to bring in.
    pub head: String,
    /// The branch that it is for.
    pub base: String,
}
