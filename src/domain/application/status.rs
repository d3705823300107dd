//! What Argo CD says of an Application: how it compares with Git, how its objects are, and how the last sync went.

use serde::Deserialize;

use super::or_default;
use crate::domain::{ObjectRef, Resource};

/// What Argo CD says of an Application.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// How it compares with Git.
    #[serde(deserialize_with = "or_default")]
    pub sync: Sync,
    /// How its objects are.
    #[serde(deserialize_with = "or_default")]
    pub health: Health,
    /// The last sync, or the one that runs.
    pub operation_state: Option<Operation>,
    /// Errors and warnings.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// Its objects.
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<ManagedObject>,
    /// When it was last compared with Git.
    pub reconciled_at: Option<jiff::Timestamp>,
}

/// How an Application compares with Git.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Sync {
    /// The verdict.
    #[serde(deserialize_with = "or_default")]
    pub status: SyncStatus,
    /// The commit or chart version compared with.
    #[serde(deserialize_with = "or_default")]
    pub revision: String,
    /// The same, where there are several sources.
    #[serde(deserialize_with = "or_default")]
    pub revisions: Vec<String>,
}

/// Whether the cluster has what Git has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, Deserialize)]
pub enum SyncStatus {
    /// It has.
    Synced,
    /// It has not.
    OutOfSync,
    /// They could not be compared, or were not yet.
    #[default]
    #[serde(other)]
    Unknown,
}

/// How an object or all objects of an Application are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Health {
    /// The verdict.
    #[serde(deserialize_with = "or_default")]
    pub status: HealthStatus,
    /// What the kind's health check says.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
}

/// A health verdict, the worst last (`health.go` of Argo CD's engine).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, Deserialize)]
pub enum HealthStatus {
    /// It works.
    Healthy,
    /// It was paused.
    Suspended,
    /// It is on its way.
    Progressing,
    /// It is not there.
    Missing,
    /// It does not work.
    Degraded,
    /// It could not be found out.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A sync.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// How far it is.
    #[serde(deserialize_with = "or_default")]
    pub phase: Phase,
    /// What Argo CD says of it.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    /// How often it was tried again.
    #[serde(deserialize_with = "or_default")]
    pub retry_count: i64,
    /// When it began.
    pub started_at: Option<jiff::Timestamp>,
    /// When it ended.
    pub finished_at: Option<jiff::Timestamp>,
    /// What came of it.
    pub sync_result: Option<SyncResult>,
}

/// How far a sync is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, Deserialize)]
pub enum Phase {
    /// It is being stopped.
    Terminating,
    /// It worked.
    Succeeded,
    /// Objects could not be applied, or a hook failed.
    Failed,
    /// It could not begin.
    Error,
    /// It runs, or waits to try again.
    #[default]
    #[serde(other)]
    Running,
}

/// What came of a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SyncResult {
    /// The commit or chart version that was synced.
    #[serde(deserialize_with = "or_default")]
    pub revision: String,
    /// The same, where there are several sources.
    #[serde(deserialize_with = "or_default")]
    pub revisions: Vec<String>,
    /// What came of each object.
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<ObjectResult>,
}

/// What came of one object in a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectResult {
    /// The kind.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// The namespace; empty for cluster-scoped objects.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// The name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// `Synced`, `SyncFailed`, `Pruned` or `PruneSkipped`; empty for hooks.
    #[serde(deserialize_with = "or_default")]
    pub status: String,
    /// The phase of a hook.
    pub hook_phase: Option<Phase>,
    /// What the API server or the hook said.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
}

/// An error or a warning of an Application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Its type, as in `ComparisonError` and `SharedResourceWarning`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub name: String,
    /// What Argo CD says.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
}

/// An object of an Application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedObject {
    /// The API group; empty for the core group.
    #[serde(deserialize_with = "or_default")]
    pub group: String,
    /// The version within the group.
    #[serde(deserialize_with = "or_default")]
    pub version: String,
    /// The kind.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// The namespace; empty for cluster-scoped objects.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// The name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// How it compares with Git; none for hooks.
    pub status: Option<SyncStatus>,
    /// How it is; none where Argo CD does not keep it in the Application, which is the default since 3.0.
    pub health: Option<Health>,
    /// Whether it left Git and waits to be removed.
    #[serde(deserialize_with = "or_default")]
    pub requires_pruning: bool,
}

impl Operation {
    /// Whether it has neither ended nor been given up.
    pub const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Terminating)
    }

    /// Whether it was for what the Application is compared with now; also if Argo CD does not say what it was for.
    pub fn is_of(&self, sync: &Sync) -> bool {
        self.sync_result.as_ref().is_none_or(|result| {
            (result.revision.is_empty() && result.revisions.is_empty())
                || (result.revision == sync.revision && result.revisions == sync.revisions)
        })
    }
}

impl ObjectResult {
    /// Whether the object could not be applied, or the hook failed.
    pub fn is_failed(&self) -> bool {
        self.status == "SyncFailed" || matches!(self.hook_phase, Some(Phase::Failed | Phase::Error))
    }
}

impl ManagedObject {
    /// Which object it is.
    pub fn reference(&self) -> ObjectRef {
        let namespace = Some(self.namespace.clone()).filter(|namespace| !namespace.is_empty());
        ObjectRef { resource: self.resource(), namespace, name: self.name.clone() }
    }

    /// Whether it is an Application itself.
    pub fn is_application(&self) -> bool {
        self.kind == "Application" && self.group == "argoproj.io"
    }

    /// The kind, as a client names it.
    pub fn resource(&self) -> Resource {
        let api_version = if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) };
        Resource { api_version, kind: self.kind.clone() }
    }
}
