//! What GitHub tells of a token and of itself, beside a repository.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::GitHub;
use crate::adapters::connection::ahead_of;
use crate::domain::{PublicKey, RequestLimit};
use crate::ports::forge::ForgeError;

/// What the forge tells whoever asks with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// How far this machine's clock is ahead of the forge's, to a second.
    pub clock_ahead: Option<SignedDuration>,
    /// When the token ends; none if it does not, or if the forge does not say so.
    pub ends: Option<Timestamp>,
    /// What a person should know of what the token opens, if that is more than is needed: a full sentence.
    pub breadth: Option<String>,
    /// How many requests are taken; none if the forge counts none, as a GitHub Enterprise Server by default.
    pub requests: Option<RequestLimit>,
}

/// The limits (docs.github.com, REST, "Get rate limit status for the authenticated user").
#[derive(Deserialize)]
struct RateLimit {
    resources: Resources,
}

#[derive(Deserialize)]
struct Resources {
    core: Core,
}

#[derive(Deserialize)]
struct Core {
    limit: u64,
    remaining: u64,
    reset: i64,
}

/// What a forge tells of itself (docs.github.com, REST, "Get GitHub meta information"), as far as it is used.
#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    ssh_keys: Vec<String>,
}

impl GitHub {
    /// What the forge tells whoever asks with this token. The request does not count against the limit.
    ///
    /// # Errors
    /// [`ForgeError::Unauthorized`] if it does not take the token, and those of reads.
    pub async fn access(&self) -> Result<Access, ForgeError> {
        let answer = self.exchange.read(self.exchange.url(&["rate_limit"])).await?;
        let requests = match answer.status {
            StatusCode::OK => {
                let core = answer.json::<RateLimit>().ok_or_else(|| self.exchange.unintelligible(&answer, "rate limit"))?.resources.core;
                Some(RequestLimit { limit: core.limit, left: core.remaining, reset: Timestamp::from_second(core.reset).ok() })
            }
            // What a server says whose administrator has set no limit.
            StatusCode::NOT_FOUND => None,
            _ => return Err(self.refusal(&answer).await),
        };
        Ok(Access {
            clock_ahead: answer.header("date").and_then(|date| ahead_of(date, Timestamp::now())),
            ends: answer.expiration(),
            breadth: answer.breadth(),
            requests,
        })
    }

    /// The host keys that the forge says its SSH server shows, or will show; none if it tells none. A type that is not understood is left out.
    pub async fn host_keys(&self) -> Result<Vec<PublicKey>, ForgeError> {
        let answer = self.exchange.read(self.exchange.url(&["meta"])).await?;
        match answer.status {
            StatusCode::OK => {
                let meta = answer.json::<Meta>().ok_or_else(|| self.exchange.unintelligible(&answer, "description of the forge"))?;
                Ok(meta.ssh_keys.iter().filter_map(|key| PublicKey::from_openssh(key).ok()).collect())
            }
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            _ => Err(self.refusal(&answer).await),
        }
    }

    /// The base address of the API.
    pub fn api(&self) -> &str {
        self.exchange.api.as_str()
    }
}
