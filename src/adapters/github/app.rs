//! A GitHub App as itself: it signs a JSON Web Token with its private key, and gets tokens of its installation for that.
//!
//! The signature is made by `ring`, which TLS brings along. The crates for JSON Web Tokens sign with `rsa`, whose timing leaks the key
//! (RUSTSEC-2023-0071), or bring a second library of cryptography in C, for the thirty lines below.

use std::num::NonZeroU64;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::address;
use super::exchange::{Exchange, Failed};
use crate::domain::{GitHubApp, RepositoryUrl};
use crate::ports::AppTokens;
use crate::ports::forge::ForgeError;

/// How far in the past a JSON Web Token begins, for a clock that is ahead (docs.github.com, "Generating a JSON Web Token for a GitHub App").
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// How long it is good for; GitHub takes ten minutes at most.
const LIFE: SignedDuration = SignedDuration::from_mins(8);

/// How often a token is asked for, if answers are lost. One more token does no harm.
const ATTEMPTS: u32 = 4;

/// The private key of an App.
struct Key(RsaKeyPair);

/// A text that is not the private key of an App.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds no unencrypted RSA private key of 2048 bits or more in PEM, as GitHub gives it")]
pub struct InvalidAppKey;

/// Gets tokens from GitHub.
#[derive(Clone, Debug)]
pub struct GitHubAppTokens {
    /// The base address of the API; that of the repository's host if none.
    pub api: Option<String>,
    /// The end of the run.
    pub deadline: Instant,
}

#[derive(Deserialize)]
struct Installation {
    id: NonZeroU64,
}

/// What a token is given as (docs.github.com, REST, "Create an installation access token for an app").
#[derive(Deserialize)]
struct Given {
    token: String,
}

impl Key {
    fn parse(text: &SecretString) -> Result<Self, InvalidAppKey> {
        let der = PrivateKeyDer::from_pem_slice(text.expose_secret().as_bytes()).map_err(|_| InvalidAppKey)?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err(InvalidAppKey),
        };
        pair.map(Self).map_err(|_| InvalidAppKey)
    }

    /// A JSON Web Token (RFC 7519) that says who the App is, signed as RS256 (RFC 7518, section 3.3).
    fn assertion(&self, id: NonZeroU64, now: Timestamp) -> Result<SecretString, InvalidAppKey> {
        let claims = json!({"iat": (now - SKEW).as_second(), "exp": (now + LIFE).as_second(), "iss": id.to_string()});
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(|_| InvalidAppKey)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

/// Checks that a text is the private key of an App.
///
/// # Errors
/// If it is not; the text is not repeated.
pub fn check_app_key(text: &SecretString) -> Result<(), InvalidAppKey> {
    Key::parse(text).map(drop)
}

/// The base address of the API that Argo CD has to be told for `repository`; none for github.com, which it knows.
///
/// # Errors
/// Those of [`GitHub::connect`](super::GitHub::connect) about addresses.
pub fn app_api(repository: &RepositoryUrl, given: Option<&str>) -> Result<Option<String>, ForgeError> {
    let api = address::api(repository, given)?;
    Ok((api.host_str() != Some("api.github.com")).then(|| api.as_str().trim_end_matches('/').to_owned()))
}

impl GitHubAppTokens {
    fn exchange(
        &self,
        api: Option<&str>,
        id: NonZeroU64,
        key: &SecretString,
        repository: &RepositoryUrl,
    ) -> Result<(Exchange, String), ForgeError> {
        let api = address::api(repository, api.or(self.api.as_deref()))?;
        let host = address::web_host(&api);
        let invalid = |message: String| ForgeError::AppRefused { forge: host.clone(), app: id, message };
        let assertion = Key::parse(key).and_then(|key| key.assertion(id, Timestamp::now()));
        let assertion = assertion.map_err(|error| invalid(format!("its private key cannot be used: {error}")))?;
        Ok((Exchange::new(api, host.clone(), repository.path().to_owned(), &assertion, self.deadline)?, host))
    }
}

/// What a refusal means for an App: a 401 is about its signature.
fn refused(error: ForgeError, host: &str, id: NonZeroU64) -> ForgeError {
    let message = match error {
        ForgeError::Unauthorized { .. } => {
            "its signature is not accepted: the number is not that of the key, the key was deleted, or this machine's clock is wrong"
        }
        error => return error,
    };
    ForgeError::AppRefused { forge: host.to_owned(), app: id, message: message.to_owned() }
}

#[async_trait]
impl AppTokens for GitHubAppTokens {
    async fn token(&self, app: &GitHubApp, repository: &RepositoryUrl) -> Result<SecretString, ForgeError> {
        let (exchange, host) = self.exchange(app.api.as_deref(), app.id, &app.private_key, repository)?;
        let url = exchange.url(&["app", "installations", &app.installation.to_string(), "access_tokens"]);
        let name = repository.owner_and_name().map_or(repository.path(), |(_, name)| name);
        let body = json!({"repositories": [name], "permissions": {"contents": "read"}});
        let mut attempt = 1;
        loop {
            let lost = match exchange.write(Method::POST, url.clone(), Some(&body)).await {
                Ok(answer) if answer.status == StatusCode::CREATED => match answer.json::<Given>() {
                    Some(given) => return Ok(given.token.into()),
                    None => "the token that it gave".to_owned(),
                },
                Ok(answer) if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY) => {
                    let message = format!("its installation {} does not see {}: {}", app.installation, repository.path(), answer.message());
                    return Err(ForgeError::AppRefused { forge: host, app: app.id, message });
                }
                Ok(answer) => return Err(answer.refusal(&host, repository.path())),
                Err(Failed::Lost(message)) => message,
                Err(other) => return Err(refused(exchange.error(other), &host, app.id)),
            };
            if attempt >= ATTEMPTS || !exchange.wait(Duration::from_secs(1 << attempt)).await {
                return Err(exchange.error(Failed::Lost(lost)));
            }
            attempt += 1;
        }
    }

    async fn installation(&self, id: NonZeroU64, private_key: &SecretString, repository: &RepositoryUrl) -> Result<NonZeroU64, ForgeError> {
        let (exchange, host) = self.exchange(None, id, private_key, repository)?;
        let Some((owner, name)) = repository.owner_and_name() else {
            let message = format!("{repository} names no repository of the form OWNER/NAME");
            return Err(ForgeError::Invalid { forge: host, message });
        };
        let answer = exchange.read(exchange.url(&["repos", owner, name, "installation"])).await;
        let answer = answer.map_err(|error| refused(error, &host, id))?;
        match answer.status {
            StatusCode::OK => {
                answer.json::<Installation>().map(|found| found.id).ok_or_else(|| exchange.unintelligible(&answer, "installation"))
            }
            StatusCode::NOT_FOUND => {
                let message = format!("it is not installed on {owner}/{name}");
                Err(ForgeError::AppRefused { forge: host, app: id, message })
            }
            _ => Err(answer.refusal(&host, repository.path())),
        }
    }
}
