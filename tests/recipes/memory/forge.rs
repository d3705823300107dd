//! The forge and its GitHub App.

use std::num::NonZeroU64;
use std::sync::Arc;

use async_trait::async_trait;
use gitops_bootstrap::domain::{Commit, GitHubApp, PublicKey, RepositoryUrl, WebhookUrl};
use gitops_bootstrap::ports::forge::{DeployKey, ForgeError, RepositoryFacts, Webhook};
use gitops_bootstrap::ports::{AppTokens, Forge};
use secrecy::{ExposeSecret as _, SecretString};

use super::Outside;
use crate::fleet;

/// The forge.
pub(crate) struct MemoryForge(pub(crate) Arc<Outside>);

#[async_trait]
impl Forge for MemoryForge {
    fn name(&self) -> String {
        "github.com/acme/fleet".to_owned()
    }

    async fn repository(&self) -> Result<RepositoryFacts, ForgeError> {
        Ok(RepositoryFacts {
            full_name: "acme/fleet".to_owned(),
            default_branch: "main".to_owned(),
            may_administer: true,
            deploy_keys_allowed: None,
            ssh_url: fleet::REPOSITORY.to_owned(),
            web_url: "https://github.com/acme/fleet".to_owned(),
            warnings: Vec::new(),
        })
    }

    async fn branch_head(&self, _branch: &str) -> Result<Option<Commit>, ForgeError> {
        Ok(Some(self.0.with(|state| state.head.clone())))
    }

    async fn deploy_keys(&self) -> Result<Vec<DeployKey>, ForgeError> {
        Ok(self.0.keys())
    }

    async fn register_key(&self, title: &str, key: &PublicKey) -> Result<DeployKey, ForgeError> {
        self.0.with(|state| {
            state.forge_writes += 1;
            if state.deploy_keys_disabled {
                return Err(ForgeError::DeployKeysDisabled("github.com/acme/fleet".to_owned()));
            }
            if state.keys.iter().any(|registered| registered.key == *key) {
                return Err(ForgeError::KeyInUse);
            }
            let id = 100 + state.forge_writes as u64;
            let key =
                DeployKey { id, title: title.to_owned(), key: key.clone(), read_only: true, enabled: true, created: None, last_used: None };
            state.keys.push(key.clone());
            state.note_access();
            Ok(key)
        })
    }

    async fn delete_key(&self, id: u64) -> Result<(), ForgeError> {
        self.0.with(|state| {
            state.forge_writes += 1;
            state.keys.retain(|key| key.id != id);
            state.note_access();
        });
        Ok(())
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, ForgeError> {
        Ok(self.0.webhooks().into_iter().map(|(webhook, _)| webhook).collect())
    }

    async fn register_webhook(&self, url: &WebhookUrl, secret: &SecretString) -> Result<Webhook, ForgeError> {
        self.0.with(|state| {
            state.forge_writes += 1;
            let there = state.webhooks.iter().position(|(webhook, _)| webhook.url == url.as_str());
            let id = there.map_or(700 + state.forge_writes as u64, |at| state.webhooks[at].0.id);
            let webhook = Webhook { id, url: url.to_string(), is_as_wanted: true };
            state.webhooks.retain(|(webhook, _)| webhook.id != id);
            state.webhooks.push((webhook.clone(), secret.expose_secret().to_owned()));
            Ok(webhook)
        })
    }

    async fn delete_webhook(&self, id: u64) -> Result<(), ForgeError> {
        self.0.with(|state| {
            state.forge_writes += 1;
            state.webhooks.retain(|(webhook, _)| webhook.id != id);
        });
        Ok(())
    }

    async fn create_repository(&self) -> Result<RepositoryFacts, ForgeError> {
        Err(ForgeError::RepositoryExists(self.name()))
    }
}

/// The token that the GitHub App gets.
pub(super) const APP_TOKEN: &str = "ghs_memory";

/// The GitHub App.
pub(crate) struct MemoryApps(pub(crate) Arc<Outside>);

#[async_trait]
impl AppTokens for MemoryApps {
    async fn token(&self, app: &GitHubApp, _repository: &RepositoryUrl) -> Result<SecretString, ForgeError> {
        match self.0.with(|state| state.app_keys.iter().any(|key| key == app.private_key.expose_secret())) {
            true => Ok(APP_TOKEN.into()),
            false => Err(ForgeError::AppRefused { forge: "github.com".to_owned(), app: app.id, message: "another key".to_owned() }),
        }
    }

    async fn installation(&self, _id: NonZeroU64, _key: &SecretString, _repository: &RepositoryUrl) -> Result<NonZeroU64, ForgeError> {
        Ok(NonZeroU64::new(34).unwrap())
    }
}
