//! The webhooks of a repository (docs.github.com, REST, "Repository webhooks").

use std::time::Duration;

use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::exchange::Failed;
use super::{GitHub, MOST_PAGES, WRITE_ATTEMPTS};
use crate::domain::WebhookUrl;
use crate::ports::forge::{ForgeError, Webhook};

/// The event that is told.
const PUSH: &str = "push";

/// The right that a token needs for that.
const NEEDED: &str = "repository_hooks=write";

#[derive(Deserialize)]
struct Hook {
    id: u64,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    url: String,
    #[serde(default)]
    content_type: String,
    /// Asterisks, if there is one.
    #[serde(default)]
    secret: String,
    /// A text or a number, by the age of the server.
    #[serde(default)]
    insecure_ssl: serde_json::Value,
}

impl From<Hook> for Webhook {
    fn from(hook: Hook) -> Self {
        let config = &hook.config;
        let is_checked = matches!(config.insecure_ssl.as_str(), None | Some("0")) && config.insecure_ssl.as_u64().unwrap_or_default() == 0;
        let tells = hook.active && hook.events.iter().any(|event| event == PUSH || event == "*");
        let is_as_wanted = tells && config.content_type == "json" && !config.secret.is_empty() && is_checked;
        Self { id: hook.id, url: hook.config.url, is_as_wanted }
    }
}

impl GitHub {
    /// All webhooks of the repository, from all pages.
    pub(super) async fn list_webhooks(&self) -> Result<Vec<Webhook>, ForgeError> {
        let mut url = self.url(&["hooks"]);
        url.set_query(Some("per_page=100"));
        let mut webhooks: Vec<Webhook> = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.exchange.read(url).await?;
            match answer.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Err(self.hidden(NEEDED).await),
                _ => return Err(self.refusal(&answer).await),
            }
            let page: Vec<Hook> = answer.json().ok_or_else(|| self.exchange.unintelligible(&answer, "list of webhooks"))?;
            let known: Vec<u64> = webhooks.iter().map(|webhook| webhook.id).collect();
            // Pages may shift while they are read.
            webhooks.extend(page.into_iter().filter(|hook| !known.contains(&hook.id)).map(Webhook::from));
            match answer.next_page() {
                Some(next) if self.exchange.is_own(&next) => url = next,
                Some(_) => return Err(self.exchange.unintelligible(&answer, "list whose next page is on the same host")),
                None => return Ok(webhooks),
            }
        }
        let message = format!("it has more than {} webhooks", MOST_PAGES * 100);
        Err(ForgeError::Invalid { forge: self.exchange.web_host.clone(), message })
    }

    /// Registers a webhook, or changes the one for this address.
    pub(super) async fn put_webhook(&self, url: &WebhookUrl, secret: &SecretString) -> Result<Webhook, ForgeError> {
        let config = json!({"url": url.as_str(), "content_type": "json", "insecure_ssl": "0", "secret": secret.expose_secret()});
        let body = json!({"name": "web", "active": true, "events": [PUSH], "config": config});
        let mut attempt = 1;
        loop {
            // Looked for each time: an earlier attempt may have got through.
            let there = self.list_webhooks().await?.into_iter().find(|webhook| webhook.url == url.as_str());
            let (method, target) = match &there {
                Some(webhook) => (Method::PATCH, self.url(&["hooks", &webhook.id.to_string()])),
                None => (Method::POST, self.url(&["hooks"])),
            };
            let lost = match self.exchange.write(method, target, Some(&body)).await {
                Ok(answer) if matches!(answer.status, StatusCode::OK | StatusCode::CREATED) => {
                    let hook: Option<Hook> = answer.json();
                    return hook.map(Webhook::from).ok_or_else(|| self.exchange.unintelligible(&answer, "webhook"));
                }
                // Removed since it was listed.
                Ok(answer) if answer.status == StatusCode::NOT_FOUND && there.is_some() => "the webhook".to_owned(),
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => return Err(self.hidden(NEEDED).await),
                Ok(answer) => return Err(self.refusal(&answer).await),
                Err(Failed::Lost(message)) => message,
                Err(refused) => return Err(self.exchange.error(refused)),
            };
            if attempt >= WRITE_ATTEMPTS || !self.exchange.wait(Duration::from_secs(1 << attempt)).await {
                return Err(self.exchange.error(Failed::Lost(lost)));
            }
            attempt += 1;
        }
    }

    /// Removes a webhook; one that is gone already is no error.
    pub(super) async fn remove_webhook(&self, id: u64) -> Result<(), ForgeError> {
        let mut attempt = 1;
        loop {
            let lost = match self.exchange.write(Method::DELETE, self.url(&["hooks", &id.to_string()]), None).await {
                Ok(answer) if answer.status == StatusCode::NO_CONTENT => return Ok(()),
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => None,
                Ok(answer) => return Err(self.refusal(&answer).await),
                Err(Failed::Lost(message)) => Some(message),
                Err(refused) => return Err(self.exchange.error(refused)),
            };
            // A 404 is said to whoever may not see the webhooks, too; the list then says so.
            if !self.list_webhooks().await?.iter().any(|webhook| webhook.id == id) {
                return Ok(());
            }
            let Some(lost) = lost else { return Err(self.hidden(NEEDED).await) };
            if attempt >= WRITE_ATTEMPTS || !self.exchange.wait(Duration::from_secs(1 << attempt)).await {
                return Err(self.exchange.error(Failed::Lost(lost)));
            }
            attempt += 1;
        }
    }
}
