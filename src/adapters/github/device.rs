//! The device flow: a person logs in with their browser, anywhere, and this program gets a token (docs.github.com, "Authorizing OAuth apps", "Device flow";
//! RFC 8628).

use std::time::Duration;

use http::header;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::address;
use crate::adapters::connection::{self, Fault};
use crate::domain::RepositoryUrl;
use crate::ports::forge::ForgeError;

/// What a token is to be good for: deploy keys and webhooks of private repositories. A GitHub App has permissions instead, and ignores it.
const SCOPE: &str = "repo";

/// The kind of grant that a code is redeemed as (RFC 8628, section 3.4).
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The pause between two questions if the forge names none (RFC 8628, section 3.5), and by how much one grows that is too short.
const INTERVAL: u64 = 5;

/// The longest time for one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// The largest answer that is taken.
const ANSWER_LIMIT: usize = 64 << 10;

/// A login that waits for a person.
pub struct DeviceFlow {
    client: reqwest::Client,
    web: Url,
    host: String,
    client_id: String,
    device_code: SecretString,
    interval: Duration,
    /// What the person types in.
    pub user_code: String,
    /// Where the person types it in.
    pub page: String,
    /// When the code is no longer good.
    pub expires: Instant,
}

#[derive(Deserialize)]
struct Codes {
    device_code: String,
    user_code: String,
    verification_uri: String,
    expires_in: u64,
    interval: Option<u64>,
}

/// What is said of a code: a token, or an error, both with the status 200.
#[derive(Deserialize)]
struct Said {
    access_token: Option<String>,
    error: Option<String>,
    interval: Option<u64>,
}

/// What is said where there is no such login.
#[derive(Deserialize)]
struct Refused {
    error: Option<String>,
    error_description: Option<String>,
}

impl DeviceFlow {
    /// Asks the forge of `repository` for a code, for the app with this client id.
    ///
    /// # Errors
    /// Those of [`GitHub::connect`](super::GitHub::connect) about addresses; [`ForgeError::Invalid`] if the forge knows no such app, or the app has no
    /// device flow.
    pub async fn begin(repository: &RepositoryUrl, api: Option<&str>, client_id: &str) -> Result<Self, ForgeError> {
        let api = address::api(repository, api)?;
        let (web, host) = (address::web(&api), address::web_host(&api));
        crate::adapters::install_tls_provider();
        let plain = web.scheme() == "http";
        let client = reqwest::Client::builder()
            .user_agent(concat!("gitops-bootstrap/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!plain)
            .timeout(REQUEST_LIMIT);
        let client = if plain { client.no_proxy() } else { client };
        let invalid = |message: String| ForgeError::Invalid { forge: host.clone(), message };
        let client =
            client.build().map_err(|_| invalid("no HTTP client could be made; is the proxy of the environment an address?".to_owned()))?;
        let (status, body) =
            post(&client, &web, &["login", "device", "code"], &[("client_id", client_id), ("scope", SCOPE)], &host).await?;
        let Ok(codes) = serde_json::from_slice::<Codes>(&body) else {
            let refused: Option<Refused> = serde_json::from_slice(&body).ok();
            let why =
                refused.and_then(|refused| refused.error_description.or(refused.error)).unwrap_or_else(|| format!("it answered {status}"));
            return Err(invalid(format!("there is no login with a browser for the client id `{client_id}`: {why}")));
        };
        // The person types a code in there, and a password perhaps.
        let is_own = Url::parse(&codes.verification_uri).is_ok_and(|page| page.origin() == web.origin());
        if !is_own {
            return Err(ForgeError::Untrusted { forge: host, message: "it sends people to another host to log in".to_owned() });
        }
        Ok(Self {
            client,
            web,
            client_id: client_id.to_owned(),
            device_code: codes.device_code.into(),
            interval: Duration::from_secs(codes.interval.unwrap_or(INTERVAL)),
            user_code: codes.user_code,
            page: codes.verification_uri,
            expires: Instant::now() + Duration::from_secs(codes.expires_in.min(24 * 60 * 60)),
            host,
        })
    }

    /// Waits until the person has logged in, and returns the token; none if they said no, or let the code run out.
    ///
    /// # Errors
    /// The forge's, if it says anything else. What passes is waited out.
    pub async fn token(mut self) -> Result<Option<SecretString>, ForgeError> {
        use secrecy::ExposeSecret as _;
        loop {
            if Instant::now() + self.interval > self.expires {
                return Ok(None);
            }
            tokio::time::sleep(self.interval).await;
            let code = self.device_code.clone();
            let form = [("client_id", self.client_id.as_str()), ("device_code", code.expose_secret()), ("grant_type", GRANT)];
            let (status, body) = match post(&self.client, &self.web, &["login", "oauth", "access_token"], &form, &self.host).await {
                Ok(answer) => answer,
                Err(ForgeError::Transient { .. }) => continue,
                Err(error) => return Err(error),
            };
            if status >= 500 || status == 429 {
                continue;
            }
            let Ok(said) = serde_json::from_slice::<Said>(&body) else {
                return Err(self.invalid(format!("it answered {status} to a login")));
            };
            if let Some(token) = said.access_token {
                return Ok(Some(token.into()));
            }
            match said.error.as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => {
                    let longer = self.interval + Duration::from_secs(INTERVAL);
                    self.interval = said.interval.map_or(longer, Duration::from_secs).max(self.interval);
                }
                Some("access_denied" | "expired_token") => return Ok(None),
                other => return Err(self.invalid(format!("the login ended with `{}`", other.unwrap_or("nothing").escape_debug()))),
            }
        }
    }

    fn invalid(&self, message: String) -> ForgeError {
        ForgeError::Invalid { forge: self.host.clone(), message }
    }
}

/// Sends a form, and returns the status and the body of the answer.
async fn post(client: &reqwest::Client, web: &Url, path: &[&str], form: &[(&str, &str)], host: &str) -> Result<(u16, Vec<u8>), ForgeError> {
    let mut url = web.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().extend(path);
    }
    let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = client
        .post(url)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body);
    let failed = |error: reqwest::Error| match connection::diagnose(&error) {
        Fault::Untrusted(message) | Fault::ClientRefused(message) | Fault::NotTls(message) => {
            ForgeError::Untrusted { forge: host.to_owned(), message }
        }
        Fault::Broken(message) => ForgeError::Transient { forge: host.to_owned(), message },
    };
    let mut response = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(ForgeError::Invalid { forge: host.to_owned(), message: "it answered more than a login needs".to_owned() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), body))
}
