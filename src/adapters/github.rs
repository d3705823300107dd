//! GitHub, by its REST API.
//!
//! Plain HTTP requests rather than the `octocrab` crate: it follows redirects and sends changes again by itself, and its typed calls drop
//! the headers on which limits, single sign-on and the end of a token stand.

use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

pub use self::access::Access;
use self::answer::Answer;
use self::exchange::{Exchange, Failed};
use crate::domain::{Commit, PublicKey, RepositoryUrl, WebhookUrl};
use crate::ports::Forge;
use crate::ports::forge::{DeployKey, ForgeError, RepositoryFacts, Webhook};

mod access;
mod address;
mod answer;
mod app;
mod device;
mod exchange;
mod hooks;
mod pull_requests;

pub use self::app::{GitHubAppTokens, InvalidAppKey, app_api, check_app_key};
pub use self::device::DeviceFlow;

/// The most pages of deploy keys that are read, of 100 keys each.
const MOST_PAGES: usize = 100;

/// How often a change is sent, if a read shows each time that it did not take effect.
const WRITE_ATTEMPTS: u32 = 3;

/// How many redirects lead to the new name of a repository.
const MOST_REDIRECTS: usize = 3;

/// How to reach a repository on GitHub.
#[derive(Clone)]
pub struct GitHubOptions {
    /// The repository.
    pub repository: RepositoryUrl,
    /// The base address of the API; that of the repository's host if none.
    pub api: Option<String>,
    /// The token.
    pub token: SecretString,
    /// The end of the run.
    pub deadline: Instant,
}

/// A repository on GitHub, seen with one token.
pub struct GitHub {
    exchange: Exchange,
    owner: String,
    name: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

/// Whose a repository is.
#[derive(Deserialize)]
struct Owned {
    owner: Owner,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(rename = "type")]
    kind: String,
}

/// An organisation's policy (docs.github.com, REST, "Get an organization").
#[derive(Deserialize)]
struct Organisation {
    deploy_keys_enabled_for_repositories: Option<bool>,
}

impl GitHub {
    /// The repository of `options`. GitHub is not asked yet.
    ///
    /// # Errors
    /// [`ForgeError::Invalid`] if the addresses or the token are no such things, [`ForgeError::Untrusted`] if the token would travel in clear.
    pub fn connect(options: GitHubOptions) -> Result<Self, ForgeError> {
        let api = address::api(&options.repository, options.api.as_deref())?;
        let web_host = address::web_host(&api);
        let Some((owner, name)) = options.repository.owner_and_name() else {
            let message = format!("{} names no repository of the form OWNER/NAME", options.repository);
            return Err(ForgeError::Invalid { forge: web_host, message });
        };
        let exchange = Exchange::new(api, web_host, options.repository.path().to_owned(), &options.token, options.deadline)?;
        Ok(Self { exchange, owner: owner.to_owned(), name: name.to_owned() })
    }

    /// Gives the forge until `deadline` to answer, in the place of the deadline before.
    pub const fn extend(&mut self, deadline: Instant) {
        self.exchange.deadline = deadline;
    }

    /// The host by whose name people know the forge that serves `repository`, as `gh` wants it too.
    ///
    /// # Errors
    /// Those of [`GitHub::connect`] about addresses.
    pub fn host(repository: &RepositoryUrl, api: Option<&str>) -> Result<String, ForgeError> {
        address::api(repository, api).map(|api| address::web_host(&api))
    }

    /// Makes the organisation that the repository's owner is, unless there is an account of that name: for an administrator of a GitHub
    /// Enterprise Server (docs.github.com, REST, "Create an organization"), and of the sandbox's forge.
    pub async fn ensure_organisation(&self) -> Result<(), ForgeError> {
        let user = self.exchange.read(self.exchange.url(&["user"])).await?;
        let administrator = user.json::<User>().ok_or_else(|| self.exchange.unintelligible(&user, "user"))?.login;
        if administrator.eq_ignore_ascii_case(&self.owner) {
            return Ok(());
        }
        let body = json!({"login": self.owner, "admin": administrator});
        let answer = self.exchange.write(Method::POST, self.exchange.url(&["admin", "organizations"]), Some(&body)).await;
        match answer.map_err(|error| self.exchange.error(error))? {
            answer if matches!(answer.status, StatusCode::CREATED | StatusCode::UNPROCESSABLE_ENTITY) => Ok(()),
            answer => Err(self.refusal(&answer).await),
        }
    }

    fn url(&self, parts: &[&str]) -> Url {
        self.exchange.url(&[&["repos", self.owner.as_str(), self.name.as_str()], parts].concat())
    }

    fn full_name(&self) -> &str {
        &self.exchange.repository
    }

    /// What an answer that is not the wished one means.
    async fn refusal(&self, answer: &Answer) -> ForgeError {
        if !answer.is_redirect() {
            return answer.refusal(&self.exchange.web_host, self.full_name());
        }
        match self.new_name(answer).await {
            Ok(to) => ForgeError::Renamed { from: self.full_name().to_owned(), to },
            Err(error) => error,
        }
    }

    /// Asks for the name of a repository that was renamed, by reads, and only from the API's own host.
    async fn new_name(&self, redirect: &Answer) -> Result<String, ForgeError> {
        let mut url = self.own_target(redirect, &self.url(&[]))?;
        // Whatever was asked for, the repository itself says what it is called.
        if !redirect_is_of_repository(&url) {
            url = self.url(&[]);
        }
        for _ in 0..MOST_REDIRECTS {
            let answer = self.exchange.read(url.clone()).await?;
            if answer.is_redirect() {
                url = self.own_target(&answer, &url)?;
                continue;
            }
            return match answer.repository() {
                Some(repository) if answer.status == StatusCode::OK => Ok(repository.full_name),
                _ => Err(answer.refusal(&self.exchange.web_host, self.full_name())),
            };
        }
        Err(ForgeError::NotFound(self.full_name().to_owned()))
    }

    /// Where a redirect leads, if that is on the API's own host. The token is for no other.
    fn own_target(&self, redirect: &Answer, from: &Url) -> Result<Url, ForgeError> {
        let target = redirect.header("location").and_then(|location| from.join(location).ok());
        target.filter(|target| self.exchange.is_own(target)).ok_or_else(|| ForgeError::Untrusted {
            forge: self.exchange.web_host.clone(),
            message: "it sends us to another host, to which the token is not sent".to_owned(),
        })
    }

    /// What a 404 for something that only administrators see means.
    async fn hidden(&self, needed: &str) -> ForgeError {
        match self.repository().await {
            Ok(_) => ForgeError::Forbidden {
                forge: self.name(),
                message: "only administrators of the repository see its deploy keys and webhooks".to_owned(),
                needed: Some(needed.to_owned()),
            },
            Err(error) => error,
        }
    }

    /// Whether the organisation allows deploy keys; none if it does not say, as to a token that is not an owner's.
    async fn deploy_keys_allowed(&self) -> Option<bool> {
        let answer = self.exchange.read(self.exchange.url(&["orgs", &self.owner])).await.ok()?;
        answer.json::<Organisation>()?.deploy_keys_enabled_for_repositories
    }

    async fn find(&self, key: &PublicKey) -> Result<Option<DeployKey>, ForgeError> {
        Ok(self.deploy_keys().await?.into_iter().find(|registered| &registered.key == key))
    }

    async fn create(&self, url: Url) -> Result<Answer, Failed> {
        let body = json!({ "name": self.name, "private": true, "auto_init": false });
        self.exchange.write(Method::POST, url, Some(&body)).await
    }
}

/// Whether an address is that of a repository and not of something below it.
fn redirect_is_of_repository(url: &Url) -> bool {
    let parts: Vec<_> = url.path_segments().into_iter().flatten().collect();
    matches!(parts.as_slice(), [.., "repositories", _] | [.., "repos", _, _])
}

#[async_trait]
impl Forge for GitHub {
    fn name(&self) -> String {
        format!("{}/{}", self.exchange.web_host, self.full_name())
    }

    async fn repository(&self) -> Result<RepositoryFacts, ForgeError> {
        let answer = self.exchange.read(self.url(&[])).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(&answer).await);
        }
        let mut facts = answer.repository().ok_or_else(|| self.exchange.unintelligible(&answer, "repository"))?;
        if facts.may_administer && answer.json::<Owned>().is_some_and(|owned| owned.owner.kind == "Organization") {
            facts.deploy_keys_allowed = self.deploy_keys_allowed().await;
        }
        Ok(facts)
    }

    async fn branch_head(&self, branch: &str) -> Result<Option<Commit>, ForgeError> {
        let answer = self.exchange.read(self.url(&["branches", branch])).await?;
        match answer.status {
            StatusCode::OK => match answer.branch_head() {
                Some(head) => Ok(Some(head)),
                None => Err(self.exchange.unintelligible(&answer, "branch")),
            },
            // Said of a branch, of a repository that the token cannot see, and of either that was renamed: the repository tells which.
            _ if answer.status == StatusCode::NOT_FOUND || answer.is_redirect() => self.repository().await.map(|_| None),
            _ => Err(self.refusal(&answer).await),
        }
    }

    async fn deploy_keys(&self) -> Result<Vec<DeployKey>, ForgeError> {
        let mut url = self.url(&["keys"]);
        url.set_query(Some("per_page=100"));
        let mut keys: Vec<DeployKey> = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.exchange.read(url).await?;
            match answer.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Err(self.hidden("administration=read").await),
                _ => return Err(self.refusal(&answer).await),
            }
            let page = answer.deploy_keys().ok_or_else(|| self.exchange.unintelligible(&answer, "list of deploy keys"))?;
            // Pages may shift while they are read.
            keys.extend(page.into_iter().filter(|key| !keys.iter().any(|known| known.id == key.id)).collect::<Vec<_>>());
            match answer.next_page() {
                Some(next) if self.exchange.is_own(&next) => url = next,
                Some(_) => return Err(self.exchange.unintelligible(&answer, "list whose next page is on the same host")),
                None => return Ok(keys),
            }
        }
        Err(ForgeError::Invalid { forge: self.name(), message: format!("it has more than {} deploy keys", MOST_PAGES * 100) })
    }

    async fn register_key(&self, title: &str, key: &PublicKey) -> Result<DeployKey, ForgeError> {
        let body = json!({ "title": title, "key": key.to_openssh(), "read_only": true });
        let mut attempt = 1;
        loop {
            let lost = match self.exchange.write(Method::POST, self.url(&["keys"]), Some(&body)).await {
                Ok(answer) => match answer.status {
                    StatusCode::CREATED => match answer.deploy_key() {
                        Some(registered) => return Ok(registered),
                        None => "the key that it registered".to_owned(),
                    },
                    StatusCode::NOT_FOUND => return Err(self.hidden("administration=write").await),
                    _ => match self.refusal(&answer).await {
                        // An earlier attempt may have got through; then the key is here, and else somewhere else.
                        ForgeError::KeyInUse => return self.find(key).await?.ok_or(ForgeError::KeyInUse),
                        error => return Err(error),
                    },
                },
                Err(Failed::Lost(message)) => message,
                Err(refused) => return Err(self.exchange.error(refused)),
            };
            if let Some(registered) = self.find(key).await? {
                return Ok(registered);
            }
            if attempt >= WRITE_ATTEMPTS || !self.exchange.wait(Duration::from_secs(1 << attempt)).await {
                return Err(self.exchange.error(Failed::Lost(lost)));
            }
            attempt += 1;
        }
    }

    async fn delete_key(&self, id: u64) -> Result<(), ForgeError> {
        let mut attempt = 1;
        loop {
            let lost = match self.exchange.write(Method::DELETE, self.url(&["keys", &id.to_string()]), None).await {
                Ok(answer) if answer.status == StatusCode::NO_CONTENT => return Ok(()),
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => None,
                Ok(answer) => return Err(self.refusal(&answer).await),
                Err(Failed::Lost(message)) => Some(message),
                Err(refused) => return Err(self.exchange.error(refused)),
            };
            // A 404 is said to whoever may not see the key, too.
            if !self.deploy_keys().await?.iter().any(|key| key.id == id) {
                return Ok(());
            }
            let Some(lost) = lost else { return Err(self.hidden("administration=write").await) };
            if attempt >= WRITE_ATTEMPTS || !self.exchange.wait(Duration::from_secs(1 << attempt)).await {
                return Err(self.exchange.error(Failed::Lost(lost)));
            }
            attempt += 1;
        }
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, ForgeError> {
        self.list_webhooks().await
    }

    async fn register_webhook(&self, url: &WebhookUrl, secret: &SecretString) -> Result<Webhook, ForgeError> {
        self.put_webhook(url, secret).await
    }

    async fn delete_webhook(&self, id: u64) -> Result<(), ForgeError> {
        self.remove_webhook(id).await
    }

    async fn create_repository(&self) -> Result<RepositoryFacts, ForgeError> {
        match self.repository().await {
            Ok(_) => return Err(ForgeError::RepositoryExists(self.full_name().to_owned())),
            Err(ForgeError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let user = self.exchange.read(self.exchange.url(&["user"])).await?;
        let own = user.json::<User>().is_some_and(|user| user.login.eq_ignore_ascii_case(&self.owner));
        let url = if own { self.exchange.url(&["user", "repos"]) } else { self.exchange.url(&["orgs", &self.owner, "repos"]) };
        let mut attempt = 1;
        loop {
            let lost = match self.create(url.clone()).await {
                Ok(answer) if answer.status == StatusCode::CREATED => {
                    return answer.repository().ok_or_else(|| self.exchange.unintelligible(&answer, "repository"));
                }
                // What is missing is the organisation, or the right to see it.
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
                    return Err(ForgeError::NoOwner { forge: self.exchange.web_host.clone(), owner: self.owner.clone() });
                }
                Ok(answer) => return Err(self.refusal(&answer).await),
                Err(Failed::Lost(message)) => message,
                Err(refused) => return Err(self.exchange.error(refused)),
            };
            // It was not there before, so what is there now is what was asked for.
            match self.repository().await {
                Err(ForgeError::NotFound(_)) => {}
                outcome => return outcome,
            }
            if attempt >= WRITE_ATTEMPTS || !self.exchange.wait(Duration::from_secs(1 << attempt)).await {
                return Err(self.exchange.error(Failed::Lost(lost)));
            }
            attempt += 1;
        }
    }
}
