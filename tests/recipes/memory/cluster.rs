//! The API server.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use gitops_bootstrap::domain::{Identity, Object, ObjectRef, Resource};
use gitops_bootstrap::plan::compare::OWN_MANAGER;
use gitops_bootstrap::ports::Cluster;
use gitops_bootstrap::ports::cluster::{ApplyOptions, Change, ClusterError, ClusterFacts, DeleteOptions, Right, Scope};
use serde_json::{Value, json};

use super::{Outside, State, merge};

/// The API server.
pub(crate) struct MemoryCluster(pub(crate) Arc<Outside>);

impl MemoryCluster {
    /// What an object is called; none if its kind is not served.
    fn served_reference(&self, object: &Object) -> Option<ObjectRef> {
        let reference = object.reference();
        self.0.with(|state| is_served(state, &reference.resource)).map(|_| reference)
    }
}

#[async_trait]
impl Cluster for MemoryCluster {
    async fn facts(&self) -> Result<ClusterFacts, ClusterError> {
        Ok(facts())
    }

    async fn served(&self, resource: &Resource) -> Result<Option<Scope>, ClusterError> {
        Ok(self.0.with(|state| is_served(state, resource)))
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Object>, ClusterError> {
        Ok(self.0.with(|state| state.objects.get(object).cloned()))
    }

    async fn list(&self, resource: &Resource, namespace: Option<&str>, labels: Option<&str>) -> Result<Vec<Object>, ClusterError> {
        let labels: Vec<(&str, Option<&str>)> = labels
            .into_iter()
            .flat_map(|labels| labels.split(','))
            .map(|label| label.split_once('=').map_or((label, None), |(label, value)| (label, Some(value))))
            .collect();
        let has = |object: &Object, (label, value): (&str, Option<&str>)| {
            object.label(label).is_some_and(|there| value.is_none_or(|value| value == there))
        };
        let objects = self.0.of_kind(&resource.kind).into_iter();
        Ok(objects
            .filter(|object| namespace.is_none() || object.namespace() == namespace)
            .filter(|object| labels.iter().all(|label| has(object, *label)))
            .collect())
    }

    async fn create(&self, object: &Object) -> Result<Object, ClusterError> {
        let reference = object.reference();
        if self.0.with(|state| state.objects.contains_key(&reference)) {
            return Err(ClusterError::AlreadyExists(reference));
        }
        self.0.write("create", &reference);
        Ok(self.0.store(&reference, |value| merge(value, object.value())))
    }

    async fn apply(&self, object: &Object, options: ApplyOptions<'_>) -> Result<(), ClusterError> {
        let reference = self.served_reference(object).ok_or_else(|| ClusterError::NotServed(object.resource()))?;
        self.0.write("apply", &reference);
        let managers = json!([{"manager": options.manager, "operation": "Apply", "fieldsV1": {}}]);
        self.0.store(&reference, |value| {
            // What its manager no longer applies is gone.
            if let Some(fields) = value.as_object_mut().filter(|_| options.manager == OWN_MANAGER) {
                fields.remove("data");
            }
            merge(value, object.value());
            value["metadata"]["managedFields"] = managers;
        });
        Ok(())
    }

    async fn dry_run(&self, object: &Object, _options: ApplyOptions<'_>) -> Result<Object, ClusterError> {
        let reference = self.served_reference(object).ok_or_else(|| ClusterError::NotServed(object.resource()))?;
        let mut value = self.0.with(|state| state.objects.get(&reference).cloned()).map_or(json!({}), Object::into_value);
        merge(&mut value, object.value());
        Ok(Object::new(value).unwrap())
    }

    async fn replace(&self, object: &Object) -> Result<Object, ClusterError> {
        let reference = object.reference();
        let there = self.0.with(|state| state.objects.get(&reference).cloned()).ok_or_else(|| ClusterError::NotFound(reference.clone()))?;
        if there.resource_version() != object.resource_version() {
            return Err(ClusterError::Stale(reference));
        }
        self.0.write("replace", &reference);
        Ok(self.0.store(&reference, |value| *value = object.clone().into_value()))
    }

    async fn merge_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Object, ClusterError> {
        if self.0.with(|state| !state.objects.contains_key(object)) {
            return Err(ClusterError::NotFound(object.clone()));
        }
        let version = patch.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let current = self.0.with(|state| state.objects.get(object).and_then(Object::resource_version).map(str::to_owned));
        if version.is_some_and(|version| current.as_deref() != Some(version)) {
            return Err(ClusterError::Stale(object.clone()));
        }
        self.0.write("patch", object);
        Ok(self.0.store(object, |value| merge(value, patch)))
    }

    async fn delete(&self, object: &ObjectRef, options: DeleteOptions<'_>) -> Result<(), ClusterError> {
        let there = self.0.with(|state| state.objects.get(object).cloned());
        let Some(there) = there else { return Ok(()) };
        if options.uid.is_some_and(|uid| there.uid() != Some(uid)) {
            return Err(ClusterError::Stale(object.clone()));
        }
        self.0.write("delete", object);
        if there.at("/metadata/finalizers").and_then(Value::as_array).is_some_and(|finalizers| !finalizers.is_empty()) {
            self.0.store(object, |value| value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into());
        } else {
            self.0.remove(object);
        }
        Ok(())
    }

    async fn namespaced_kinds(&self) -> Result<Vec<Resource>, ClusterError> {
        let mut kinds: Vec<Resource> = self.0.with(|state| {
            let namespaced = state.objects.keys().filter(|object| object.namespace.is_some());
            namespaced.map(|object| object.resource.clone()).collect()
        });
        kinds.dedup();
        Ok(kinds)
    }

    async fn missing_rights(&self, _rights: &[Right]) -> Result<Vec<Right>, ClusterError> {
        Ok(Vec::new())
    }

    fn watch(&self, resource: &Resource, _namespace: Option<&str>) -> BoxStream<'static, Result<Change, ClusterError>> {
        let kind = resource.kind.clone();
        let receiver = self.0.changes.subscribe();
        let first = Change::Restarted(self.0.of_kind(&kind).into_iter().map(Arc::new).collect());
        let changes =
            futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.ok().map(|change| (change, receiver)) });
        let changes = changes.filter(move |change| {
            let about = match change {
                Change::Applied(object) => object.kind() == kind,
                Change::Deleted(reference) => reference.resource.kind == kind,
                Change::Restarted(_) => true,
            };
            futures::future::ready(about)
        });
        futures::stream::once(async { first }).chain(changes).map(Ok).boxed()
    }
}

pub(crate) fn facts() -> ClusterFacts {
    ClusterFacts {
        context: "memory".to_owned(),
        server: "https://memory.invalid".to_owned(),
        identity: Identity { kube_system_uid: "0c0ffee0-0000-4000-8000-000000000000".to_owned(), ca_sha256: None },
        version: (1, 36),
        git_version: "v1.36.1".to_owned(),
    }
}

fn is_served(state: &State, resource: &Resource) -> Option<Scope> {
    match (resource.group(), resource.kind.as_str()) {
        ("argoproj.io", kind) => {
            let defined = state
                .objects
                .values()
                .any(|object| object.kind() == "CustomResourceDefinition" && object.text("/spec/names/kind") == Some(kind));
            defined.then_some(Scope::Namespaced)
        }
        ("cert-manager.io", _) => None,
        (_, "Namespace" | "CustomResourceDefinition") => Some(Scope::Cluster),
        _ => Some(Scope::Namespaced),
    }
}
