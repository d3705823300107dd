//! How Argo CD gets into the fleet repository: what the cluster has for that, and what was asked for.

use std::num::NonZeroU64;

use secrecy::SecretString;

use crate::domain::{GitHubApp, PublicKey};

/// How Argo CD gets into the fleet repository.
#[derive(Clone, Debug)]
pub enum Credential {
    /// By an SSH key.
    DeployKey {
        /// The public half.
        public: PublicKey,
        /// The private half.
        private: SecretString,
    },
    /// By a GitHub App.
    GitHubApp(GitHubApp),
    /// By something else that somebody has put into the repository Secret: a password.
    Other(String),
}

/// How Argo CD is to get into the fleet repository, as far as it was said.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// By a deploy key, or by whatever the repository Secret has already.
    #[default]
    DeployKey,
    /// By a GitHub App.
    GitHubApp(WantedApp),
    /// By any password: a forge that stands in for the repository's own takes them all.
    AnyPassword,
}

/// The GitHub App by which Argo CD is to get in, as far as it was said. What was not is taken from the repository Secret.
#[derive(Clone, Debug)]
pub struct WantedApp {
    /// Its number.
    pub id: NonZeroU64,
    /// The number of its installation.
    pub installation: Option<NonZeroU64>,
    /// Its private key.
    pub private_key: Option<SecretString>,
    /// The base address of the forge's REST API; none for github.com.
    pub api: Option<String>,
}

impl WantedApp {
    /// The App, if all of it was said.
    pub fn complete(&self) -> Option<GitHubApp> {
        Some(GitHubApp { id: self.id, installation: self.installation?, private_key: self.private_key.clone()?, api: self.api.clone() })
    }

    /// The App with what was not said as `stored` has it.
    #[must_use]
    pub fn or(&self, stored: &GitHubApp) -> GitHubApp {
        GitHubApp {
            id: self.id,
            installation: self.installation.unwrap_or(stored.installation),
            private_key: self.private_key.clone().unwrap_or_else(|| stored.private_key.clone()),
            api: self.api.clone(),
        }
    }
}
