//! Sends requests to the API: one at a time, to one host, within the deadline, obeying its limits.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::answer::Answer;
use crate::adapters::connection::{self, Fault};
use crate::ports::forge::ForgeError;

/// The version of the API that is spoken (docs.github.com, "API versions").
const API_VERSION: &str = "2022-11-28";

/// The longest time for one request. GitHub itself gives up after 10 s.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// The longest time to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The largest answer that is taken.
const ANSWER_LIMIT: usize = 5 << 20;

/// The time between two changes that GitHub asks for.
const BETWEEN_WRITES: Duration = Duration::from_secs(1);

/// How often a limit without a time is waited for.
const UNNAMED_PAUSES: u32 = 3;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The answer was lost, or is a passing fault: what was asked for may or may not have been done.
    Lost(String),
    /// The forge said no, or must not be asked.
    Refused(ForgeError),
}

/// The way to one repository's API.
pub(super) struct Exchange {
    client: reqwest::Client,
    pub(super) api: Url,
    pub(super) web_host: String,
    /// `owner/name`.
    pub(super) repository: String,
    /// Until when it may answer.
    pub(super) deadline: Instant,
    /// Held while a request is under way, so that there is one at a time; when the last change was sent.
    turn: Mutex<Option<Instant>>,
}

impl Exchange {
    pub(super) fn new(api: Url, web_host: String, repository: String, token: &SecretString, deadline: Instant) -> Result<Self, ForgeError> {
        let invalid = |message: &str| ForgeError::Invalid { forge: web_host.clone(), message: message.to_owned() };
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| invalid("the token has characters that no token has; was a whole file pasted?"))?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, authorization),
            (header::ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (header::HeaderName::from_static("x-github-api-version"), HeaderValue::from_static(API_VERSION)),
        ]);
        crate::adapters::install_tls_provider();
        let plain = api.scheme() == "http";
        let client = reqwest::Client::builder()
            .user_agent(concat!("gitops-bootstrap/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // A redirect would carry a change elsewhere, or turn it into a read that looks like success.
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!plain)
            .timeout(REQUEST_LIMIT)
            .connect_timeout(CONNECT_LIMIT);
        // Plain HTTP is for this machine only, where no proxy stands between and no certificate is looked at; reading all of the system's takes 7 ms.
        let client = if plain { client.no_proxy().tls_certs_only([]) } else { client };
        let client = client.build().map_err(|_| invalid("no HTTP client could be made; is the proxy of the environment an address?"))?;
        Ok(Self { client, api, web_host, repository, deadline, turn: Mutex::new(None) })
    }

    /// The address of a resource. The parts are escaped.
    pub(super) fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.api.clone();
        // An address with a host always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// Whether an address that the forge named is its API's own.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.api.origin()
    }

    /// Reads, again after passing faults.
    pub(super) async fn read(&self, url: Url) -> Result<Answer, ForgeError> {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(8))
            .with_max_times(5)
            .with_jitter();
        let attempt = || self.request(Method::GET, url.clone(), None);
        let outcome = attempt
            .retry(delays)
            .when(|failed| matches!(failed, Failed::Lost(_)))
            .adjust(|_, delay| delay.filter(|delay| Instant::now() + *delay < self.deadline))
            .await;
        outcome.map_err(|failed| self.error(failed))
    }

    /// Changes something, once. Whoever gets [`Failed::Lost`] has to read before sending it again.
    pub(super) async fn write(&self, method: Method, url: Url, body: Option<&serde_json::Value>) -> Result<Answer, Failed> {
        self.request(method, url, body).await
    }

    /// Waits before a change is sent again; says whether there is time left for it.
    pub(super) async fn wait(&self, time: Duration) -> bool {
        let left = Instant::now() + time < self.deadline;
        if left {
            tokio::time::sleep(time).await;
        }
        left
    }

    /// The error for a request that failed for good.
    pub(super) fn error(&self, failed: Failed) -> ForgeError {
        match failed {
            Failed::Lost(message) => ForgeError::Transient { forge: self.web_host.clone(), message },
            Failed::Refused(error) => error,
        }
    }

    /// An answer that GitHub does not give.
    pub(super) fn unintelligible(&self, answer: &Answer, what: &str) -> ForgeError {
        let size = answer.body.len();
        ForgeError::Transient {
            forge: self.web_host.clone(),
            message: format!("it answered {} and {size} bytes that are no {what}", answer.status),
        }
    }

    /// Sends a request, and again after a limit, at which the forge does nothing.
    async fn request(&self, method: Method, url: Url, body: Option<&serde_json::Value>) -> Result<Answer, Failed> {
        let mut turn = self.turn.lock().await;
        let is_change = method != Method::GET;
        let mut pauses = 0;
        loop {
            if let Some(last) = turn.filter(|_| is_change) {
                tokio::time::sleep_until(last + BETWEEN_WRITES).await;
            }
            if is_change {
                *turn = Some(Instant::now());
            }
            let answer = self.send(method.clone(), url.clone(), body).await?;
            let Some(pause) = answer.pause(pauses) else { return self.judge(answer) };
            let wakes = Instant::now().checked_add(pause.time);
            if wakes.is_none_or(|wakes| wakes > self.deadline) || (!pause.named && pauses >= UNNAMED_PAUSES) {
                let until = pause.until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                return Err(Failed::Refused(ForgeError::RateLimited { forge: self.web_host.clone(), until }));
            }
            pauses += 1;
            tracing::info!(seconds = pause.time.as_secs(), "the forge asks to be left alone");
            tokio::time::sleep(pause.time).await;
        }
    }

    fn judge(&self, answer: Answer) -> Result<Answer, Failed> {
        match answer.status.as_u16() {
            401 => Err(Failed::Refused(ForgeError::Unauthorized { forge: self.web_host.clone() })),
            403 => Err(Failed::Refused(answer.forbidden(&self.web_host, &self.repository, &self.web_host))),
            408 | 500 | 502 | 503 | 504 => Err(Failed::Lost(format!("it answered {}", answer.status))),
            _ => Ok(answer),
        }
    }

    async fn send(&self, method: Method, url: Url, body: Option<&serde_json::Value>) -> Result<Answer, Failed> {
        let begun = Instant::now();
        let path = url.path().to_owned();
        let mut request = self.client.request(method.clone(), url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let outcome = match tokio::time::timeout_at(self.deadline, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failed::Lost("the time of the run is over".to_owned())),
        };
        let status = outcome.as_ref().map_or(0, |answer| answer.status.as_u16());
        tracing::debug!(%method, path, status, milliseconds = begun.elapsed().as_millis() as u64, "forge");
        outcome
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Answer, Failed> {
        let mut response = request.send().await.map_err(|error| self.failed(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                let message = format!("it answered {} with more than {} MiB", response.status(), ANSWER_LIMIT >> 20);
                return Err(Failed::Refused(ForgeError::Transient { forge: self.web_host.clone(), message }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), headers: std::mem::take(response.headers_mut()), body })
    }

    fn failed(&self, error: &reqwest::Error) -> Failed {
        if error.is_timeout() {
            return Failed::Lost(format!("no whole answer within {} s", REQUEST_LIMIT.as_secs()));
        }
        match connection::diagnose(error) {
            Fault::Untrusted(message) | Fault::ClientRefused(message) | Fault::NotTls(message) => {
                Failed::Refused(ForgeError::Untrusted { forge: self.web_host.clone(), message })
            }
            Fault::Broken(message) => Failed::Lost(message),
        }
    }
}
