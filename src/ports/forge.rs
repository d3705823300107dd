//! The REST API of the forge that hosts the fleet repository.

use std::num::NonZeroU64;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::{Commit, PublicKey, WebhookUrl};

/// The REST API of a forge for one repository, with one token.
///
/// Reads are retried on passing faults; a write is sent again only after a read has shown that it did not take effect. Rate limits are obeyed.
#[async_trait]
pub trait Forge: Send + Sync {
    /// Where the API is and what the repository is called there, for people: `github.com/acme/fleet`.
    fn name(&self) -> String;

    /// The repository, and what the token may do with it.
    async fn repository(&self) -> Result<RepositoryFacts, ForgeError>;

    /// The commit that `branch` is at; none if the repository has no such branch.
    async fn branch_head(&self, branch: &str) -> Result<Option<Commit>, ForgeError>;

    /// All deploy keys, from all pages.
    async fn deploy_keys(&self) -> Result<Vec<DeployKey>, ForgeError>;

    /// Registers a key that may only read.
    async fn register_key(&self, title: &str, key: &PublicKey) -> Result<DeployKey, ForgeError>;

    /// Removes a deploy key; one that is gone already is no error.
    async fn delete_key(&self, id: u64) -> Result<(), ForgeError>;

    /// All webhooks of the repository, from all pages.
    async fn webhooks(&self) -> Result<Vec<Webhook>, ForgeError>;

    /// Registers a webhook that is told of pushes, as JSON signed with `secret`; one for this address that is there is changed to that instead.
    async fn register_webhook(&self, url: &WebhookUrl, secret: &SecretString) -> Result<Webhook, ForgeError>;

    /// Removes a webhook; one that is gone already is no error.
    async fn delete_webhook(&self, id: u64) -> Result<(), ForgeError>;

    /// Creates the repository, private and empty; [`ForgeError::RepositoryExists`] if it is there.
    async fn create_repository(&self) -> Result<RepositoryFacts, ForgeError>;
}

/// A repository on a forge.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryFacts {
    /// `owner/name` as the forge writes it; differs from what was asked for if the repository was renamed.
    pub full_name: String,
    /// The branch that a clone checks out.
    pub default_branch: String,
    /// Whether the token may manage deploy keys: administrator rights on the repository.
    pub may_administer: bool,
    /// Whether the owner allows deploy keys (`deploy_keys_enabled_for_repositories` of an organisation); none if the forge does not say.
    pub deploy_keys_allowed: Option<bool>,
    /// The address for SSH.
    pub ssh_url: String,
    /// The page for people.
    pub web_url: String,
    /// What a person should know of the token: broad scopes, near expiry. Full sentences.
    pub warnings: Vec<String>,
}

/// A deploy key as the forge has it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployKey {
    /// Its number at the forge.
    pub id: u64,
    /// Its title. Titles are not identity.
    pub title: String,
    /// The key.
    pub key: PublicKey,
    /// Whether it may only read.
    pub read_only: bool,
    /// Whether the forge lets it in; a policy may have disabled it.
    pub enabled: bool,
    /// When it was registered (RFC 3339), if the forge says so.
    pub created: Option<String>,
    /// When it was last used (RFC 3339), if the forge says so.
    pub last_used: Option<String>,
}

/// A webhook as the forge has it. Its secret is never told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its number at the forge.
    pub id: u64,
    /// The address that is told.
    pub url: String,
    /// Whether it is told of every push, as JSON, with a signature, and with the receiver's certificate checked.
    pub is_as_wanted: bool,
}

/// Why a request to the forge failed. Texts of the forge are kept as they came; the reporter makes them safe to print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// 401. Never retried: repeated failures lock the account out.
    #[error("{forge} does not accept the token")]
    Unauthorized {
        /// Where.
        forge: String,
    },
    /// 403, or 404 on something that only administrators see.
    #[error("the token may not do that on {forge}: {message}")]
    Forbidden {
        /// Where.
        forge: String,
        /// What the forge says.
        message: String,
        /// What would be needed, if the forge says so (`X-Accepted-GitHub-Permissions`).
        needed: Option<String>,
    },
    /// 403 with `X-GitHub-SSO`: the token must be authorised for single sign-on first.
    #[error("the token is not authorised for single sign-on at {forge}")]
    SingleSignOn {
        /// Where.
        forge: String,
        /// The page to authorise it, only if it is on the forge's own host.
        url: Option<String>,
    },
    /// 404: there is no such repository, or the token cannot see it.
    #[error("{0} does not exist, or the token cannot see it")]
    NotFound(String),
    /// 301, 307, 308: the repository has another name now.
    #[error("{from} is now called {to}")]
    Renamed {
        /// The name that was asked for.
        from: String,
        /// The name that the forge uses.
        to: String,
    },
    /// 422: this very key is registered, here or elsewhere.
    #[error("the key is already in use")]
    KeyInUse,
    /// 422: deploy keys are forbidden by the organisation or the enterprise.
    #[error("deploy keys are disabled for {0}")]
    DeployKeysDisabled(String),
    /// 404 on creating a repository: its owner is neither the token's nor an organisation that the token sees.
    #[error("{forge} has no organisation `{owner}` in which the owner of the token may create repositories")]
    NoOwner {
        /// Where.
        forge: String,
        /// Who was to own the repository.
        owner: String,
    },
    /// 422 on creating a repository that is there.
    #[error("{0} exists already")]
    RepositoryExists(String),
    /// The App cannot act as itself, or not on this repository.
    #[error("{forge} does not let the GitHub App {app} in: {message}")]
    AppRefused {
        /// Where.
        forge: String,
        /// The App's number.
        app: NonZeroU64,
        /// Why.
        message: String,
    },
    /// Any other 4xx: the request was wrong.
    #[error("{forge} refuses the request: {message}")]
    Invalid {
        /// Where.
        forge: String,
        /// What the forge says.
        message: String,
    },
    /// Too many requests, for longer than the run may wait.
    #[error("{forge} takes no more requests until {until}")]
    RateLimited {
        /// Where.
        forge: String,
        /// When (UTC, RFC 3339).
        until: String,
    },
    /// The certificate does not verify, or the address is plain HTTP and not on this machine.
    #[error("the connection to {forge} cannot be trusted: {message}")]
    Untrusted {
        /// Where.
        forge: String,
        /// What is wrong.
        message: String,
    },
    /// A passing fault that outlived its retries.
    #[error("no usable answer from {forge}: {message}")]
    Transient {
        /// Where.
        forge: String,
        /// The last fault.
        message: String,
    },
}
