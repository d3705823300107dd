//! A Kubernetes cluster, over its API server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::form_urlencoded;

use self::answer::{Answer, Subject};
use self::discovery::{Discovery, Served};
pub use self::kubeconfig::{ContextChoice, contexts, kubeconfig_files};
use self::transport::{Call, JSON, SharedTransport, Transport};
use crate::domain::{Flakiness, Identity, Object, ObjectRef, Resource};
use crate::event::Events;
use crate::ports::Cluster;
use crate::ports::cluster::{ApplyOptions, Change, ClusterError, ClusterFacts, DeleteOptions, Dependents, Right, Scope};

mod answer;
mod discovery;
mod flaky;
mod kubeconfig;
mod plugin;
mod route;
mod transport;
mod watch;

/// The field manager of changes that name no other.
const FIELD_MANAGER: &str = "gitops-bootstrap";

/// How many objects are read at a time (the page size of `kubectl`).
const PAGE: usize = 500;

/// Lists without what is in the objects (kubernetes.io, "API concepts", "Metadata-only fetches"); an extension API that does not know how answers in full.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// How often a list is begun anew because its pages ran out of time on the server.
const LIST_ATTEMPTS: usize = 3;

/// How many rights are asked for at the same time.
const RIGHTS_AT_ONCE: usize = 8;

/// How often a change is sent again because another one came in between.
const RACES: usize = 5;

/// Finds in a good answer what is wanted of it.
type Take<T> = fn(&Answer) -> Result<T, ClusterError>;

/// How to reach a cluster.
#[derive(Clone)]
pub struct ConnectOptions {
    /// The kubeconfig files, in the order in which they are merged; see [`kubeconfig_files`].
    pub kubeconfig: Vec<PathBuf>,
    /// The context. Without one, the kubeconfig must have no more than one: there is no default for changing things.
    pub context: Option<String>,
    /// Whether to connect although the kubeconfig turns the check of the certificate off.
    pub allow_insecure_tls: bool,
    /// The person's environment, for proxies and for the plugin that gives credentials. Tokens of forges are kept from the plugin.
    pub environment: BTreeMap<String, String>,
    /// How long passing faults of one request are borne.
    pub patience: Duration,
    /// The end of the run.
    pub deadline: Option<Instant>,
    /// Where to say that the server does not answer, and what a plugin says.
    pub events: Option<Events>,
    /// How unreliable the server is made, for the drill.
    pub flakiness: Option<Flakiness>,
}

impl Default for ConnectOptions {
    /// No kubeconfig, no deadline, and the patience that an API server's restart needs.
    fn default() -> Self {
        Self {
            kubeconfig: Vec::new(),
            context: None,
            allow_insecure_tls: false,
            environment: BTreeMap::new(),
            patience: Duration::from_secs(45),
            deadline: None,
            events: None,
            flakiness: None,
        }
    }
}

/// One cluster, pinned when it was connected to. Cheap to clone.
#[derive(Clone)]
pub struct KubernetesCluster {
    transport: SharedTransport,
    discovery: Arc<Discovery>,
}

impl KubernetesCluster {
    /// Reads the kubeconfig, pins the context and gets credentials. The server is not asked yet.
    ///
    /// # Errors
    /// [`ClusterError::Kubeconfig`] if there is no kubeconfig, if it or its plugin is at fault, or if the context is not clear;
    /// [`ClusterError::Untrusted`] for plain HTTP to another machine, and for a check of the certificate that is turned off.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ClusterError> {
        super::install_tls_provider();
        let access = kubeconfig::pin(&options)?;
        Ok(Self::new(Transport::open(access, options).await?))
    }

    /// The cluster that a given client talks to; `server` is its name for people.
    pub fn over(client: kube::Client, server: &str, patience: Duration, deadline: Option<Instant>) -> Self {
        Self::new(Transport::over(client, server, patience, deadline))
    }

    fn new(transport: Transport) -> Self {
        Self { transport: Arc::new(transport), discovery: Arc::default() }
    }

    /// How the kind is served; an error if it is not.
    async fn kind(&self, resource: &Resource) -> Result<Served, ClusterError> {
        let served = self.discovery.find(&self.transport, resource).await?;
        served.ok_or_else(|| ClusterError::NotServed(resource.clone()))
    }

    /// Sends a change of `object` and returns the object as it is then.
    async fn change(&self, call: Call, object: &ObjectRef, sent: &Value) -> Result<Object, ClusterError> {
        self.change_and_take(&call, object, sent, Answer::object).await
    }

    /// Sends a change of `object` and returns what `take` finds in the answer.
    async fn change_and_take<T>(&self, call: &Call, object: &ObjectRef, sent: &Value, take: Take<T>) -> Result<T, ClusterError> {
        let answer = self.transport.send(call).await?;
        if answer.is_success() {
            return take(&answer);
        }
        let error = answer.refusal(Subject::Sent(object, sent));
        if let ClusterError::NotServed(resource) = &error {
            self.discovery.forget(resource);
        }
        Err(error)
    }

    /// Sends a change that does not depend on what was read; another change in between is no reason to give up.
    async fn change_despite_races<T>(&self, call: &Call, object: &ObjectRef, sent: &Value, take: Take<T>) -> Result<T, ClusterError> {
        let mut races = 0;
        loop {
            match self.change_and_take(call, object, sent, take).await {
                Err(ClusterError::Stale(_)) if races < RACES => races += 1,
                outcome => return outcome,
            }
        }
    }

    async fn send_apply<T>(
        &self,
        object: &Object,
        options: ApplyOptions<'_>,
        how: &[(&str, &str)],
        take: Take<T>,
    ) -> Result<T, ClusterError> {
        let reference = object.reference();
        let served = self.kind(&reference.resource).await?;
        let force = options.force.then_some(("force", "true"));
        let query: Vec<_> = [("fieldManager", options.manager), ("fieldValidation", "Strict")]
            .into_iter()
            .chain(force)
            .chain(how.iter().copied())
            .collect();
        let path = with_query(&object_path(&reference, &served)?, &query);
        // JSON is YAML too, and this content type is the one that every supported server knows.
        let call = Call::with_body(Method::PATCH, path, "application/apply-patch+yaml", object.value());
        self.change_despite_races(&call, &reference, object.value(), take).await
    }

    async fn may(&self, right: &Right) -> Result<bool, ClusterError> {
        let (resource, subresource) = match right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (right.resource.as_str(), None),
        };
        let kind = Resource::new("authorization.k8s.io/v1", "SelfSubjectAccessReview");
        let review = json!({
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "spec": { "resourceAttributes": {
                "verb": right.verb,
                "group": right.group,
                "resource": resource,
                "subresource": subresource,
                "namespace": right.namespace,
                "name": right.name,
            } },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned();
        let answer = self.transport.send(&Call::with_body(Method::POST, path, "application/json", &review)).await?;
        if !answer.is_success() {
            return Err(answer.refusal(Subject::Kind(&kind)));
        }
        let allowed = answer.json()?.pointer("/status/allowed").and_then(Value::as_bool);
        allowed.ok_or_else(|| answer.unintelligible("an access review without a verdict"))
    }

    /// Reads all objects of a kind in a form, from the beginning again where the server forgot a list in between.
    async fn whole_list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: Option<&str>,
        accept: &'static str,
    ) -> Result<Vec<Object>, ClusterError> {
        let served = self.kind(resource).await?;
        let namespace = namespace.filter(|_| served.scope == Scope::Namespaced);
        let path = collection_path(resource, &served, namespace);
        for _ in 0..LIST_ATTEMPTS {
            match self.pages(&path, labels, resource, accept).await {
                Ok(Some(objects)) => return Ok(objects),
                Ok(None) => {}
                Err(error) => {
                    if let ClusterError::NotServed(resource) = &error {
                        self.discovery.forget(resource);
                    }
                    return Err(error);
                }
            }
        }
        Err(ClusterError::Transient {
            server: self.transport.server.clone(),
            message: format!("the pages of the list of {} ran out of time {LIST_ATTEMPTS} times", served.plural),
            retry_after: None,
        })
    }

    /// Reads all pages of a list; none if the server forgot where it was in between.
    async fn pages(
        &self,
        path: &str,
        labels: Option<&str>,
        resource: &Resource,
        accept: &'static str,
    ) -> Result<Option<Vec<Object>>, ClusterError> {
        let mut objects = Vec::new();
        let mut next = String::new();
        loop {
            let limit = PAGE.to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(labels.map(|labels| ("labelSelector", labels)));
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            let answer = self.transport.send(&Call::get(with_query(path, &query)).accepting(accept)).await?;
            if answer.status == http::StatusCode::GONE {
                return Ok(None);
            }
            if !answer.is_success() {
                return Err(answer.refusal(Subject::Kind(resource)));
            }
            let mut list = answer.json()?;
            let items = list.get_mut("items").map(Value::take);
            for mut item in items.and_then(|items| if let Value::Array(items) = items { Some(items) } else { None }).into_iter().flatten() {
                if let Value::Object(fields) = &mut item {
                    // The items of a list do not say what they are.
                    fields.insert("apiVersion".to_owned(), Value::from(resource.api_version.as_str()));
                    fields.insert("kind".to_owned(), Value::from(resource.kind.as_str()));
                }
                let object = Object::new(item);
                objects.push(object.map_err(|error| answer.unintelligible(format!("a list with what is no object: {error}")))?);
            }
            next = list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            if next.is_empty() {
                return Ok(Some(objects));
            }
        }
    }
}

#[async_trait]
impl Cluster for KubernetesCluster {
    async fn facts(&self) -> Result<ClusterFacts, ClusterError> {
        let kube_system = ObjectRef::cluster_wide("v1", "Namespace", "kube-system");
        let version = Call::get("/version".to_owned());
        let (namespace, version) = futures::try_join!(self.get(&kube_system), self.transport.send(&version))?;
        let uid = namespace.as_ref().and_then(Object::uid).ok_or(ClusterError::NotFound(kube_system))?.to_owned();
        if !version.is_success() {
            return Err(version.refusal(Subject::Kind(&Resource::new("v1", "Version"))));
        }
        let version = version.json()?;
        let number = |field: &str| {
            // Some providers add a plus sign: `33+`.
            let text = version.get(field).and_then(Value::as_str)?.trim_end_matches(|character: char| !character.is_ascii_digit());
            text.parse().ok()
        };
        let (Some(major), Some(minor)) = (number("major"), number("minor")) else {
            return Err(self.transport.unintelligible("a version without numbers"));
        };
        let access = self.transport.access();
        Ok(ClusterFacts {
            context: access.map(|access| access.context.clone()).unwrap_or_default(),
            server: self.transport.server.clone(),
            identity: Identity { kube_system_uid: uid, ca_sha256: access.and_then(|access| access.ca_sha256.clone()) },
            version: (major, minor),
            git_version: version.get("gitVersion").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    }

    async fn served(&self, resource: &Resource) -> Result<Option<Scope>, ClusterError> {
        Ok(self.discovery.find(&self.transport, resource).await?.map(|served| served.scope))
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Object>, ClusterError> {
        let Some(served) = self.discovery.find(&self.transport, &object.resource).await? else { return Ok(None) };
        let answer = self.transport.send(&Call::get(object_path(object, &served)?)).await?;
        if answer.is_success() {
            return answer.object().map(Some);
        }
        match answer.refusal(Subject::Object(object)) {
            ClusterError::NotFound(_) => Ok(None),
            ClusterError::NotServed(resource) => {
                self.discovery.forget(&resource);
                Ok(None)
            }
            error => Err(error),
        }
    }

    async fn list(&self, resource: &Resource, namespace: Option<&str>, labels: Option<&str>) -> Result<Vec<Object>, ClusterError> {
        self.whole_list(resource, namespace, labels, JSON).await
    }

    async fn list_metadata(&self, resource: &Resource, namespace: Option<&str>) -> Result<Vec<Object>, ClusterError> {
        self.whole_list(resource, namespace, None, METADATA_ONLY).await
    }

    async fn create(&self, object: &Object) -> Result<Object, ClusterError> {
        let reference = object.reference();
        let served = self.kind(&reference.resource).await?;
        let path = collection_path(&reference.resource, &served, namespace_of(&reference, &served)?);
        let path = with_query(&path, &[("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]);
        self.change(Call::with_body(Method::POST, path, "application/json", object.value()), &reference, object.value()).await
    }

    async fn apply(&self, object: &Object, options: ApplyOptions<'_>) -> Result<(), ClusterError> {
        // What a definition of a kind has become is two megabytes that nobody reads.
        self.send_apply(object, options, &[], Answer::is_json).await
    }

    async fn dry_run(&self, object: &Object, options: ApplyOptions<'_>) -> Result<Object, ClusterError> {
        self.send_apply(object, options, &[("dryRun", "All")], Answer::object).await
    }

    async fn replace(&self, object: &Object) -> Result<Object, ClusterError> {
        let reference = object.reference();
        let served = self.kind(&reference.resource).await?;
        let path = with_query(&object_path(&reference, &served)?, &[("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]);
        self.change(Call::with_body(Method::PUT, path, "application/json", object.value()), &reference, object.value()).await
    }

    async fn merge_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Object, ClusterError> {
        let served = self.kind(&object.resource).await?;
        let path = with_query(&object_path(object, &served)?, &[("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]);
        let call = Call::with_body(Method::PATCH, path, "application/merge-patch+json", patch);
        match patch.pointer("/metadata/resourceVersion") {
            Some(_) => self.change(call, object, patch).await,
            None => self.change_despite_races(&call, object, patch, Answer::object).await,
        }
    }

    async fn delete(&self, object: &ObjectRef, options: DeleteOptions<'_>) -> Result<(), ClusterError> {
        let Some(served) = self.discovery.find(&self.transport, &object.resource).await? else { return Ok(()) };
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": match options.dependents {
                Dependents::Deleted => "Background",
                Dependents::Orphaned => "Orphan",
            },
            "preconditions": { "uid": options.uid },
        });
        let call = Call::with_body(Method::DELETE, object_path(object, &served)?, "application/json", &body);
        let answer = self.transport.send(&call).await?;
        if answer.is_success() {
            return Ok(());
        }
        match answer.refusal(Subject::Object(object)) {
            ClusterError::NotFound(_) => Ok(()),
            ClusterError::NotServed(resource) => {
                self.discovery.forget(&resource);
                Ok(())
            }
            error => Err(error),
        }
    }

    async fn namespaced_kinds(&self) -> Result<Vec<Resource>, ClusterError> {
        discovery::namespaced(&self.transport).await
    }

    async fn missing_rights(&self, rights: &[Right]) -> Result<Vec<Right>, ClusterError> {
        // An administrator is known by one question (`kubectl auth can-i '*' '*'`): only rules for everything allow that.
        if self.may(&Right::everything()).await? {
            return Ok(Vec::new());
        }
        let questions: Vec<_> = rights.iter().map(|right| self.may(right)).collect();
        let verdicts: Vec<bool> = stream::iter(questions).buffered(RIGHTS_AT_ONCE).try_collect().await?;
        Ok(rights.iter().zip(verdicts).filter(|(_, allowed)| !allowed).map(|(right, _)| right.clone()).collect())
    }

    fn watch(&self, resource: &Resource, namespace: Option<&str>) -> BoxStream<'static, Result<Change, ClusterError>> {
        watch::watch(self.transport.clone(), self.discovery.clone(), resource, namespace)
    }
}

/// Where the kinds of a group and version are listed.
fn group_path(resource: &Resource) -> String {
    let root = if resource.group().is_empty() { "/api" } else { "/apis" };
    let parts = resource.api_version.split('/').map(segment);
    parts.fold(root.to_owned(), |path, part| format!("{path}/{part}"))
}

fn collection_path(resource: &Resource, served: &Served, namespace: Option<&str>) -> String {
    let group = group_path(resource);
    match namespace {
        Some(namespace) => format!("{group}/namespaces/{}/{}", segment(namespace), segment(&served.plural)),
        None => format!("{group}/{}", segment(&served.plural)),
    }
}

fn object_path(object: &ObjectRef, served: &Served) -> Result<String, ClusterError> {
    let collection = collection_path(&object.resource, served, namespace_of(object, served)?);
    Ok(format!("{collection}/{}", segment(&object.name)))
}

/// The namespace in the object's path: none for cluster-scoped kinds whatever the object says, and never a guess.
fn namespace_of<'a>(object: &'a ObjectRef, served: &Served) -> Result<Option<&'a str>, ClusterError> {
    match (served.scope, object.namespace.as_deref()) {
        (Scope::Cluster, _) => Ok(None),
        (Scope::Namespaced, Some(namespace)) => Ok(Some(namespace)),
        (Scope::Namespaced, None) => Err(ClusterError::Invalid { object: object.clone(), message: "it names no namespace".to_owned() }),
    }
}

/// One part of a path, with everything escaped that is not a letter, a digit or one of `*-._`.
fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    format!("{path}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish())
}
