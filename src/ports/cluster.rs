//! A Kubernetes cluster.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use crate::domain::FieldConflict;
use crate::domain::{Identity, Object, ObjectRef, Resource};

/// The API server of one cluster, pinned when it was opened: neither a changed kubeconfig nor another current context moves it.
///
/// Passing faults (429, 500, 502, 503, 504, lost connections) are retried by the implementation, with backoff, within the run's deadline,
/// and obeying `Retry-After`; what is returned as [`ClusterError::Transient`] has outlived its retries.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// What tells this cluster from others, and how it is reached.
    async fn facts(&self) -> Result<ClusterFacts, ClusterError>;

    /// How the server serves a kind; none if it does not serve it (yet). Asks again if the kind is not known from before.
    async fn served(&self, resource: &Resource) -> Result<Option<Scope>, ClusterError>;

    /// Reads an object; none if it is not there, or if its kind is not served.
    async fn get(&self, object: &ObjectRef) -> Result<Option<Object>, ClusterError>;

    /// Reads all objects of a kind, in one namespace or in all, that have all `labels` (`key=value`, or `key` for any value, with commas between).
    async fn list(&self, resource: &Resource, namespace: Option<&str>, labels: Option<&str>) -> Result<Vec<Object>, ClusterError>;

    /// Reads the metadata of all objects of a kind, in one namespace or in all: what they are called, who made them and who owns them, and nothing
    /// of what is in them. An implementation that cannot ask for less reads them whole.
    async fn list_metadata(&self, resource: &Resource, namespace: Option<&str>) -> Result<Vec<Object>, ClusterError> {
        self.list(resource, namespace, None).await
    }

    /// Creates an object; [`ClusterError::AlreadyExists`] if there is one of that name. It may be our own, if the answer to an earlier attempt
    /// was lost: whoever has to know reads it.
    async fn create(&self, object: &Object) -> Result<Object, ClusterError>;

    /// Applies an object by server-side apply with strict validation.
    async fn apply(&self, object: &Object, options: ApplyOptions<'_>) -> Result<(), ClusterError>;

    /// What [`Cluster::apply`] would make of the object, in the server's words. Changes nothing.
    async fn dry_run(&self, object: &Object, options: ApplyOptions<'_>) -> Result<Object, ClusterError>;

    /// Replaces an object; its `resourceVersion` must be the one on the server, else [`ClusterError::Stale`]. The change in between may be
    /// our own, if the answer to an earlier attempt was lost.
    async fn replace(&self, object: &Object) -> Result<Object, ClusterError>;

    /// Changes an object by a JSON merge patch (RFC 7396). If the patch has a `resourceVersion` that is not the one on the server: [`ClusterError::Stale`].
    async fn merge_patch(&self, object: &ObjectRef, patch: &serde_json::Value) -> Result<Object, ClusterError>;

    /// Deletes an object; one that is gone already is no error. [`ClusterError::Stale`] if another object has its name by now. Returns when the
    /// server has taken the request: an object with finalizers is gone only when they are.
    async fn delete(&self, object: &ObjectRef, options: DeleteOptions<'_>) -> Result<(), ClusterError>;

    /// All kinds whose objects live in namespaces and can be listed, each in the version that the server prefers. An error if any group of kinds
    /// cannot be asked for: whoever asks wants to know of everything.
    async fn namespaced_kinds(&self) -> Result<Vec<Resource>, ClusterError>;

    /// Asks which of these rights the account lacks (SelfSubjectAccessReview).
    async fn missing_rights(&self, rights: &[Right]) -> Result<Vec<Right>, ClusterError>;

    /// Watches the objects of a kind, in one namespace or in all. The stream starts with [`Change::Restarted`], lists and watches again by
    /// itself whenever the server closes it, says so when it cannot, and never ends.
    fn watch(&self, resource: &Resource, namespace: Option<&str>) -> BoxStream<'static, Result<Change, ClusterError>>;
}

/// What is known of a cluster before anything is done to it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    /// The kubeconfig's context.
    pub context: String,
    /// The address of the API server, without credentials.
    pub server: String,
    /// What tells it from other clusters.
    pub identity: Identity,
    /// The server's version: major, minor.
    pub version: (u32, u32),
    /// The server's version as it says it, as in `v1.36.1`.
    pub git_version: String,
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One for the whole cluster.
    Cluster,
    /// In a namespace.
    Namespaced,
}

/// How an object is applied.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// Whether fields are taken over from other managers.
    pub force: bool,
}

/// How an object is deleted.
#[derive(Clone, Copy, Debug)]
pub struct DeleteOptions<'a> {
    /// The one that is meant; any of that name if it is not said.
    pub uid: Option<&'a str>,
    /// What becomes of the objects that it owns.
    pub dependents: Dependents,
}

/// What becomes of the objects that a deleted one owns (`propagationPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependents {
    /// They are deleted after it.
    Deleted,
    /// They stay, without an owner.
    Orphaned,
}

/// A right in Kubernetes' RBAC.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Right {
    /// The verb, as in `create`.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource in the plural, as in `secrets`.
    pub resource: String,
    /// The namespace; none for cluster-scoped resources and for all namespaces.
    pub namespace: Option<String>,
    /// The one name; none for all.
    pub name: Option<String>,
}

impl Right {
    /// The right to do everything to everything.
    pub fn everything() -> Self {
        Self { verb: "*", group: "*".to_owned(), resource: "*".to_owned(), namespace: None, name: None }
    }
}

/// A change that a watch saw.
#[derive(Clone, Debug)]
pub enum Change {
    /// Everything there is now; what was known before is void.
    Restarted(Vec<Arc<Object>>),
    /// An object is new or different.
    Applied(Arc<Object>),
    /// An object is gone.
    Deleted(ObjectRef),
}

/// Why a request to the API server failed. Texts of the server are kept as they came; the reporter makes them safe to print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// 409 on create.
    #[error("{0} exists already")]
    AlreadyExists(ObjectRef),
    /// 409 on replace: somebody changed the object since it was read.
    #[error("{0} was changed by somebody else in the meantime")]
    Stale(ObjectRef),
    /// 409 on apply: other managers own fields with other values.
    #[error("fields of {object} belong to other managers")]
    FieldConflict {
        /// The object.
        object: ObjectRef,
        /// Each field with its owner.
        fields: Vec<FieldConflict>,
    },
    /// 404 where an object had to be.
    #[error("{0} is not there")]
    NotFound(ObjectRef),
    /// The kind is not served.
    #[error("the server does not serve {} {}", .0.api_version, .0.kind)]
    NotServed(Resource),
    /// 401.
    #[error("the API server does not accept the credentials of the kubeconfig: {0}")]
    Unauthorized(String),
    /// 403, by RBAC or by an admission policy.
    #[error("the API server forbids it: {0}")]
    Forbidden(String),
    /// 403 because the namespace is being deleted.
    #[error("the namespace {0} is being deleted")]
    Terminating(String),
    /// 400 or 422: the object is not valid.
    #[error("the API server refuses {object}: {message}")]
    Invalid {
        /// The object.
        object: ObjectRef,
        /// What the server says.
        message: String,
    },
    /// The certificate of the server does not verify, or a check of it is turned off.
    #[error("the connection to {server} cannot be trusted: {message}")]
    Untrusted {
        /// The address of the server.
        server: String,
        /// What is wrong.
        message: String,
    },
    /// The kubeconfig, or the program that it names for credentials, is at fault.
    #[error("{0}")]
    Kubeconfig(String),
    /// A passing fault that outlived its retries.
    #[error("no usable answer from the API server {server}: {message}")]
    Transient {
        /// The address of the server.
        server: String,
        /// The last fault.
        message: String,
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// An answer that no API server gives.
    #[error("the API server {server} answered what cannot be understood: {message}")]
    Unintelligible {
        /// The address of the server.
        server: String,
        /// What was wrong with it.
        message: String,
    },
}
