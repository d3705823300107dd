//! Sends requests to one API server: within the deadline, again after passing faults, and with fresh credentials when they ran out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::{SignedDuration, Timestamp};
use kube::client::{Body, ClientBuilder};
use tokio::sync::RwLock;
use tokio::time::Instant;

use super::answer::Answer;
use super::flaky::{Dice, Flaky};
use super::kubeconfig::Access;
use super::{ConnectOptions, plugin};
use crate::adapters::connection::{self, Fault};
use crate::event::Events;
use crate::ports::cluster::ClusterError;

/// The form of the answer that every server gives.
pub(super) const JSON: &str = "application/json";

/// The longest time for one request, from sending it to the last byte of the answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// The largest answer that is taken. Etcd's own limit for one object is 1.5 MiB; a page has up to 500 of them.
const ANSWER_LIMIT: usize = 64 << 20;

/// Credentials are renewed this long before they end.
const RENEWAL_MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// How long a server that has never answered is tried, if it refuses connections: most likely it is not there.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// How long faults pass unmentioned.
const SILENCE: Duration = Duration::from_secs(2);

/// A request to the API server.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: Method,
    path: String,
    accept: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
}

/// Why one attempt failed.
#[derive(Debug)]
enum Failed {
    /// It may go better the next time.
    Passing { message: String, retry_after: Option<Duration>, reached: bool },
    /// 401.
    Unauthorized { message: String, generation: u64 },
    /// It will not.
    Lasting(ClusterError),
}

/// A connection with the credentials of one moment.
#[derive(Clone)]
struct Session {
    client: kube::Client,
    expires: Option<Timestamp>,
    generation: u64,
}

/// The way to one API server.
pub(super) struct Transport {
    pub(super) server: String,
    access: Option<Access>,
    environment: BTreeMap<String, String>,
    events: Option<Events>,
    patience: Duration,
    deadline: Option<Instant>,
    /// Which requests fail on request.
    dice: Option<Dice>,
    session: RwLock<Session>,
    /// Whether the server has ever answered.
    answered: AtomicBool,
    /// Whether the person was told that the server does not answer.
    told: AtomicBool,
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Self { method: Method::GET, path, accept: JSON, content_type: "", body: Vec::new() }
    }

    /// The same, with another form of the answer.
    #[must_use]
    pub(super) fn accepting(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    pub(super) fn with_body(method: Method, path: String, content_type: &'static str, body: &serde_json::Value) -> Self {
        Self { method, path, accept: JSON, content_type, body: body.to_string().into_bytes() }
    }

    fn request(&self) -> Result<Request<Body>, http::Error> {
        let mut request = Request::builder().method(&self.method).uri(&self.path).header(header::ACCEPT, self.accept);
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, self.content_type);
        }
        request.body(Body::from(self.body.clone()))
    }
}

impl Transport {
    /// Opens the way that `access` describes. Runs its plugin, but does not yet talk to the server.
    pub(super) async fn open(access: Access, options: ConnectOptions) -> Result<Self, ClusterError> {
        let dice = options.flakiness.map(Dice::new);
        let session = open_session(&access, &options.environment, options.events.as_ref(), dice.as_ref(), 0).await?;
        Ok(Self {
            server: access.server.clone(),
            access: Some(access),
            environment: options.environment,
            events: options.events,
            patience: options.patience,
            deadline: options.deadline,
            dice,
            session: RwLock::new(session),
            answered: AtomicBool::new(false),
            told: AtomicBool::new(false),
        })
    }

    /// The way that a given client knows.
    pub(super) fn over(client: kube::Client, server: &str, patience: Duration, deadline: Option<Instant>) -> Self {
        Self {
            server: server.to_owned(),
            access: None,
            environment: BTreeMap::new(),
            events: None,
            patience,
            deadline,
            dice: None,
            session: RwLock::new(Session { client, expires: None, generation: 0 }),
            answered: AtomicBool::new(false),
            told: AtomicBool::new(false),
        }
    }

    pub(super) fn access(&self) -> Option<&Access> {
        self.access.as_ref()
    }

    /// Sends a request until there is an answer that is not a passing fault, or patience or the deadline ends.
    ///
    /// A request whose answer was lost is sent again, so a change may have been made by an earlier attempt.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, ClusterError> {
        let begun = Instant::now();
        let mut renewed = false;
        loop {
            match self.send_patiently(call, begun).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Lasting(error)) => return Err(error),
                Err(Failed::Passing { message, retry_after, .. }) => {
                    return Err(ClusterError::Transient { server: self.server.clone(), message, retry_after });
                }
                Err(Failed::Unauthorized { message, generation }) => {
                    if renewed || !self.renew(generation).await? {
                        return Err(ClusterError::Unauthorized(message));
                    }
                    renewed = true;
                }
            }
        }
    }

    async fn send_patiently(&self, call: &Call, begun: Instant) -> Result<Answer, Failed> {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(5))
            .with_jitter()
            .without_max_times();
        let attempt = || self.attempt(call);
        attempt
            .retry(delays)
            .when(|failed| matches!(failed, Failed::Passing { .. }))
            .adjust(|failed, delay| {
                let Failed::Passing { retry_after, reached, .. } = failed else { return None };
                let delay = delay?.max(retry_after.unwrap_or_default());
                let patience =
                    if *reached || self.answered.load(Ordering::Relaxed) { self.patience } else { self.patience.min(FIRST_PATIENCE) };
                let wakes = Instant::now() + delay;
                let too_late = wakes > begun + patience || self.deadline.is_some_and(|deadline| wakes > deadline);
                (!too_late).then_some(delay)
            })
            .notify(|failed, delay| {
                if let Failed::Passing { message, .. } = failed
                    && begun.elapsed() + delay > SILENCE
                {
                    self.tell(message);
                }
            })
            .await
    }

    /// Tells the person once in each spell of faults.
    fn tell(&self, message: &str) {
        if !self.told.swap(true, Ordering::Relaxed)
            && let Some(events) = &self.events
        {
            let seconds = self.patience.as_secs();
            events.warn(format!("no usable answer from {}: {message}; trying again for up to {seconds} s", self.server), None);
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Failed> {
        let session = self.session().await.map_err(Failed::Lasting)?;
        let begun = Instant::now();
        let limit = self.deadline.map_or(REQUEST_LIMIT, |deadline| REQUEST_LIMIT.min(deadline.saturating_duration_since(begun)));
        let outcome = match tokio::time::timeout(limit, self.exchange(&session, call)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                let limit = REQUEST_LIMIT.as_secs();
                let message = if over { "the time of the run is over".to_owned() } else { format!("no whole answer within {limit} s") };
                Err(Failed::Passing { message, retry_after: None, reached: false })
            }
        };
        let status = outcome.as_ref().map_or(0, |answer| answer.status.as_u16());
        tracing::debug!(method = %call.method, path = call.path, status, milliseconds = begun.elapsed().as_millis() as u64, "kubernetes");
        if outcome.is_ok() {
            self.answered.store(true, Ordering::Relaxed);
            self.told.store(false, Ordering::Relaxed);
        }
        outcome
    }

    async fn exchange(&self, session: &Session, call: &Call) -> Result<Answer, Failed> {
        let unintelligible = |message: String| Failed::Lasting(ClusterError::Unintelligible { server: self.server.clone(), message });
        let request = call.request().map_err(|_| unintelligible("a name in the request cannot be part of an address".to_owned()))?;
        let response = session.client.send(request).await.map_err(|error| self.failed(&error))?;
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, ANSWER_LIMIT).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(unintelligible(format!("more than {} MiB", ANSWER_LIMIT >> 20)));
            }
            Err(error) => return Err(self.broken(error.as_ref())),
        };
        let date = head.headers.get(header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let answer = Answer { server: self.server.clone(), status: head.status, body, date };
        match head.status {
            StatusCode::UNAUTHORIZED => Err(Failed::Unauthorized { message: answer.message(), generation: session.generation }),
            _ if answer.is_schema_error() => Ok(answer),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let message = answer.message();
                Err(Failed::Passing { message, retry_after: retry_after.map(Duration::from_secs), reached: true })
            }
            status if status.is_redirection() => Err(unintelligible(format!("{status}, and an API server redirects nobody"))),
            _ => Ok(answer),
        }
    }

    fn failed(&self, error: &kube::Error) -> Failed {
        match error {
            kube::Error::Auth(_) => Failed::Lasting(ClusterError::Kubeconfig(
                "the credentials of the kubeconfig could not be renewed; log in again with the tool that made them".to_owned(),
            )),
            other => self.broken(other),
        }
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Failed {
        let server = self.server.clone();
        match connection::diagnose(error) {
            Fault::Untrusted(message) => Failed::Lasting(ClusterError::Untrusted { server, message }),
            Fault::ClientRefused(message) => Failed::Lasting(ClusterError::Unauthorized(message)),
            Fault::NotTls(message) => Failed::Lasting(ClusterError::Unintelligible { server, message }),
            Fault::Broken(message) => Failed::Passing { message, retry_after: None, reached: false },
        }
    }

    /// The client with credentials that are still good.
    pub(super) async fn client(&self) -> Result<(kube::Client, u64), ClusterError> {
        let session = self.session().await?;
        Ok((session.client, session.generation))
    }

    async fn session(&self) -> Result<Session, ClusterError> {
        let session = self.session.read().await.clone();
        if session.expires.is_some_and(|expires| expires - RENEWAL_MARGIN < Timestamp::now()) {
            self.renew(session.generation).await?;
            return Ok(self.session.read().await.clone());
        }
        Ok(session)
    }

    /// Gets fresh credentials unless somebody did since `generation`; says whether there are any others to be had.
    pub(super) async fn renew(&self, generation: u64) -> Result<bool, ClusterError> {
        let Some(access) = self.access.as_ref().filter(|access| access.renewable) else { return Ok(false) };
        let mut session = self.session.write().await;
        if session.generation == generation {
            *session = open_session(access, &self.environment, self.events.as_ref(), self.dice.as_ref(), generation + 1).await?;
        }
        Ok(true)
    }

    /// An answer that no API server gives.
    pub(super) fn unintelligible(&self, message: impl Into<String>) -> ClusterError {
        ClusterError::Unintelligible { server: self.server.clone(), message: message.into() }
    }

    /// What an error of the `kube` crate means.
    pub(super) fn error_of(&self, error: &kube::Error) -> ClusterError {
        match self.failed(error) {
            Failed::Passing { message, retry_after, .. } => ClusterError::Transient { server: self.server.clone(), message, retry_after },
            Failed::Unauthorized { message, .. } => ClusterError::Unauthorized(message),
            Failed::Lasting(error) => error,
        }
    }
}

async fn open_session(
    access: &Access,
    environment: &BTreeMap<String, String>,
    events: Option<&Events>,
    dice: Option<&Dice>,
    generation: u64,
) -> Result<Session, ClusterError> {
    let mut config = access.config.clone();
    let mut expires = None;
    if let Some(plugin) = &access.plugin {
        expires = plugin::add_credentials(plugin, environment, events, &mut config.auth_info).await?;
    }
    let builder = ClientBuilder::try_from(config).map_err(|_| {
        ClusterError::Kubeconfig(format!(
            "the credentials or the proxy of the context `{}` cannot be used: a certificate, key or token file is missing or broken",
            access.context
        ))
    })?;
    let client = match dice {
        None => builder.build(),
        Some(dice) => builder.with_layer(&tower::layer::layer_fn(|inner| Flaky { inner, dice: dice.clone() })).build(),
    };
    Ok(Session { client, expires, generation })
}

/// Shared by the port's methods and by watches that outlive them.
pub(super) type SharedTransport = Arc<Transport>;
