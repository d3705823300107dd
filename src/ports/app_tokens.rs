//! Where the tokens of a GitHub App's installation come from.

use std::num::NonZeroU64;

use async_trait::async_trait;
use secrecy::SecretString;

use super::forge::ForgeError;
use crate::domain::{GitHubApp, RepositoryUrl};

/// The part of a forge's API that a GitHub App uses as itself.
#[async_trait]
pub trait AppTokens: Send + Sync {
    /// A token by which the installation reads `repository` and no other, for an hour at most.
    async fn token(&self, app: &GitHubApp, repository: &RepositoryUrl) -> Result<SecretString, ForgeError>;

    /// The number of the App's installation that sees `repository`; [`ForgeError::NotFound`] if none does.
    async fn installation(&self, id: NonZeroU64, private_key: &SecretString, repository: &RepositoryUrl) -> Result<NonZeroU64, ForgeError>;
}
