//! Faults on request, for the drill and for the tests: at a named step the process dies, as by `kill -9`.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::SecretString;

use crate::domain::{Commit, Object, ObjectRef, PublicKey, Resource, WebhookUrl};
use crate::error::{Failure, Kind, Result};
use crate::plan::StepId;
use crate::ports::cluster::{ApplyOptions, Change, ClusterError, ClusterFacts, DeleteOptions, Right, Scope};
use crate::ports::forge::{DeployKey, ForgeError, RepositoryFacts, Webhook};
use crate::ports::{Cluster, Forge};

/// Where in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// Before its first request.
    Before,
    /// When a request that changes something was sent and done, and the answer is lost.
    Sent,
    /// After it, before the next step.
    After,
}

/// A step and a position in it, written as `key-register.sent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultPoint {
    /// The step.
    pub step: StepId,
    /// Where in it.
    pub position: Position,
}

/// A text that is no fault point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault point: write STEP.before, STEP.sent or STEP.after, with a step such as `key-register`")]
pub struct InvalidFaultPoint(String);

impl FromStr for FaultPoint {
    type Err = InvalidFaultPoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (step, position) = text.split_once('.').unwrap_or((text, "after"));
        let position = match position {
            "before" => Position::Before,
            "sent" => Position::Sent,
            "after" => Position::After,
            _ => return Err(InvalidFaultPoint(text.escape_default().to_string())),
        };
        // Every step of `init` is one of `recover`.
        let added = [StepId::ServeClone, StepId::ServeEnd, StepId::Webhook];
        let mut steps = StepId::RECOVER.into_iter().chain(added).chain(StepId::ROTATE).chain(StepId::FINISH_MOVE).chain(StepId::DETACH);
        let step = steps.find(|id| id.name() == step);
        step.map(|step| Self { step, position }).ok_or_else(|| InvalidFaultPoint(text.escape_default().to_string()))
    }
}

impl fmt::Display for FaultPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let position = match self.position {
            Position::Before => "before",
            Position::Sent => "sent",
            Position::After => "after",
        };
        write!(formatter, "{}.{position}", self.step)
    }
}

/// What happens at the fault point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process is killed (SIGKILL): nothing is cleaned up.
    Kill,
    /// The run ends with a failure that nothing handles; for runs in memory.
    Unwind,
}

/// Kills the run at one point, or never.
#[derive(Debug, Default)]
pub struct Faults {
    point: Option<(FaultPoint, Death)>,
    step: Mutex<Option<StepId>>,
    dead: AtomicBool,
}

impl Faults {
    /// The run dies at `point`.
    pub fn at(point: FaultPoint, death: Death) -> Self {
        Self { point: Some((point, death)), ..Self::default() }
    }

    /// Notes that `step` begins.
    pub fn enter(&self, step: StepId) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }

    /// Dies if this is the point.
    pub fn hit(&self, step: StepId, position: Position) -> Result<()> {
        let Some((point, death)) = self.point else { return Ok(()) };
        if point != (FaultPoint { step, position }) {
            return Ok(());
        }
        match death {
            Death::Unwind => {
                self.dead.store(true, Ordering::Relaxed);
                Err(Failure::new(Kind::Bug, format!("killed at {point}")))
            }
            Death::Kill => {
                // A failing kill can only mean that there is no such signal here; aborting cleans up as little.
                #[cfg(unix)]
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                std::process::abort()
            }
        }
    }

    /// Whether the run has died: nothing more may reach the world.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether the answer to a request that changed something is lost now.
    fn loses_answer(&self) -> bool {
        let step = *self.step.lock().unwrap_or_else(PoisonError::into_inner);
        step.is_some_and(|step| self.hit(step, Position::Sent).is_err())
    }
}

/// A port whose answers are lost at the fault point.
pub struct Watched<P: ?Sized> {
    port: Arc<P>,
    faults: Arc<Faults>,
}

impl<P: ?Sized> Watched<P> {
    /// The port `port`, dying as `faults` says.
    pub fn new(port: Arc<P>, faults: Arc<Faults>) -> Self {
        Self { port, faults }
    }
}

impl Watched<dyn Cluster> {
    fn dead(&self) -> ClusterError {
        ClusterError::Transient { server: "the API server".to_owned(), message: "killed here".to_owned(), retry_after: None }
    }

    fn alive(&self) -> Result<(), ClusterError> {
        if self.faults.is_dead() { Err(self.dead()) } else { Ok(()) }
    }

    fn after<T>(&self, answer: Result<T, ClusterError>) -> Result<T, ClusterError> {
        if answer.is_ok() && self.faults.loses_answer() {
            return Err(self.dead());
        }
        answer
    }
}

impl Watched<dyn Forge> {
    fn dead(&self) -> ForgeError {
        ForgeError::Transient { forge: self.port.name(), message: "killed here".to_owned() }
    }

    fn alive(&self) -> Result<(), ForgeError> {
        if self.faults.is_dead() { Err(self.dead()) } else { Ok(()) }
    }

    fn after<T>(&self, answer: Result<T, ForgeError>) -> Result<T, ForgeError> {
        if answer.is_ok() && self.faults.loses_answer() {
            return Err(self.dead());
        }
        answer
    }
}

#[async_trait]
impl Cluster for Watched<dyn Cluster> {
    async fn facts(&self) -> Result<ClusterFacts, ClusterError> {
        self.port.facts().await
    }

    async fn served(&self, resource: &Resource) -> Result<Option<Scope>, ClusterError> {
        self.port.served(resource).await
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Object>, ClusterError> {
        self.port.get(object).await
    }

    async fn list(&self, resource: &Resource, namespace: Option<&str>, labels: Option<&str>) -> Result<Vec<Object>, ClusterError> {
        self.port.list(resource, namespace, labels).await
    }

    async fn list_metadata(&self, resource: &Resource, namespace: Option<&str>) -> Result<Vec<Object>, ClusterError> {
        self.port.list_metadata(resource, namespace).await
    }

    async fn create(&self, object: &Object) -> Result<Object, ClusterError> {
        self.alive()?;
        self.after(self.port.create(object).await)
    }

    async fn apply(&self, object: &Object, options: ApplyOptions<'_>) -> Result<(), ClusterError> {
        self.alive()?;
        self.after(self.port.apply(object, options).await)
    }

    async fn dry_run(&self, object: &Object, options: ApplyOptions<'_>) -> Result<Object, ClusterError> {
        self.alive()?;
        self.port.dry_run(object, options).await
    }

    async fn replace(&self, object: &Object) -> Result<Object, ClusterError> {
        self.alive()?;
        self.after(self.port.replace(object).await)
    }

    async fn merge_patch(&self, object: &ObjectRef, patch: &serde_json::Value) -> Result<Object, ClusterError> {
        self.alive()?;
        self.after(self.port.merge_patch(object, patch).await)
    }

    async fn delete(&self, object: &ObjectRef, options: DeleteOptions<'_>) -> Result<(), ClusterError> {
        self.alive()?;
        self.after(self.port.delete(object, options).await)
    }

    async fn namespaced_kinds(&self) -> Result<Vec<Resource>, ClusterError> {
        self.port.namespaced_kinds().await
    }

    async fn missing_rights(&self, rights: &[Right]) -> Result<Vec<Right>, ClusterError> {
        self.port.missing_rights(rights).await
    }

    fn watch(&self, resource: &Resource, namespace: Option<&str>) -> BoxStream<'static, Result<Change, ClusterError>> {
        self.port.watch(resource, namespace)
    }
}

#[async_trait]
impl Forge for Watched<dyn Forge> {
    fn name(&self) -> String {
        self.port.name()
    }

    async fn repository(&self) -> Result<RepositoryFacts, ForgeError> {
        self.port.repository().await
    }

    async fn branch_head(&self, branch: &str) -> Result<Option<Commit>, ForgeError> {
        self.port.branch_head(branch).await
    }

    async fn deploy_keys(&self) -> Result<Vec<DeployKey>, ForgeError> {
        self.port.deploy_keys().await
    }

    async fn register_key(&self, title: &str, key: &PublicKey) -> Result<DeployKey, ForgeError> {
        self.alive()?;
        self.after(self.port.register_key(title, key).await)
    }

    async fn delete_key(&self, id: u64) -> Result<(), ForgeError> {
        self.alive()?;
        self.after(self.port.delete_key(id).await)
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, ForgeError> {
        self.port.webhooks().await
    }

    async fn register_webhook(&self, url: &WebhookUrl, secret: &SecretString) -> Result<Webhook, ForgeError> {
        self.alive()?;
        self.after(self.port.register_webhook(url, secret).await)
    }

    async fn delete_webhook(&self, id: u64) -> Result<(), ForgeError> {
        self.alive()?;
        self.after(self.port.delete_webhook(id).await)
    }

    async fn create_repository(&self) -> Result<RepositoryFacts, ForgeError> {
        self.alive()?;
        self.after(self.port.create_repository().await)
    }
}
