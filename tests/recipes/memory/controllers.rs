//! What happens in a cluster by itself: the controllers of Kubernetes that matter here, and those of Argo CD.

use gitops_bootstrap::domain::{Object, ObjectRef};
use gitops_bootstrap::manifest::git_server;
use gitops_bootstrap::ports::cluster::Change;
use serde_json::{Value, json};

use super::{Outside, merge};

impl Outside {
    /// The controllers: definitions become established, workloads run, and Argo CD syncs what it can reach.
    pub(super) fn control(&self, object: &Object) {
        match object.kind() {
            "CustomResourceDefinition" => {
                drop(self.store(&object.reference(), |value| {
                    value["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]})
                }))
            }
            "Deployment" => drop(self.store(&object.reference(), |value| {
                value["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
            })),
            "StatefulSet" => self.keep_pod(object),
            "Application" => self.sync(object),
            _ => {}
        }
    }

    /// The pod of a StatefulSet of one replica, or of none.
    fn keep_pod(&self, workload: &Object) {
        let pod = ObjectRef::namespaced("v1", "Pod", workload.namespace().unwrap(), &format!("{}-0", workload.name()));
        let there = self.with(|state| state.objects.contains_key(&pod));
        match workload.at("/spec/replicas").and_then(Value::as_i64) {
            Some(0) if there => self.remove(&pod),
            Some(0) => {}
            _ if there => {}
            _ => drop(self.store(&pod, |value| {
                merge(
                    value,
                    &json!({
                        "apiVersion": "v1", "kind": "Pod",
                        "metadata": {
                            "name": pod.name, "namespace": pod.namespace, "labels": {"app.kubernetes.io/name": workload.name()},
                            "ownerReferences": [{"kind": "StatefulSet", "name": workload.name()}],
                        },
                        "status": {"phase": "Running", "containerStatuses": [{"restartCount": 0}]},
                    }),
                );
            })),
        }
        self.store(&workload.reference(), |value| {
            let replicas = value["spec"]["replicas"].clone();
            value["status"] =
                json!({"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas});
        });
    }

    /// The objects that an Application manages. Those of `web` are made if they are not there.
    fn managed(&self, application: &str) -> Vec<Value> {
        let entry = |object: &Object| {
            let resource = object.resource();
            json!({
                "group": resource.group(), "version": resource.version(), "kind": resource.kind, "namespace": object.namespace().unwrap_or("argocd"),
                "name": object.name(), "status": "Synced",
            })
        };
        match application {
            "argocd" => self.with(|state| state.tree.argocd.iter().map(|rendered| entry(&rendered.object)).collect()),
            "web" => {
                let workload = Object::new(json!({
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web", "namespace": "web"}, "spec": {"replicas": 1},
                }));
                let workload = workload.unwrap();
                if self.with(|state| !state.objects.contains_key(&workload.reference())) {
                    self.store(&workload.reference(), |value| merge(value, workload.value()));
                }
                vec![entry(&workload)]
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn sync(&self, application: &Object) {
        let from_server = application.text("/spec/source/repoURL") == Some(git_server::address().as_str());
        let (tree, head, reachable, running, status) = self.with(|state| {
            let running = state.objects.values().any(|object| object.name() == "argocd-application-controller-0");
            let status = state.statuses.get(application.name()).cloned();
            if let Some(served) = state.served.clone().filter(|_| from_server) {
                let server = state.objects.contains_key(&git_server::deployment());
                return (served.clone(), served.commit, server, running, status);
            }
            let reachable = state.opens(application) && !state.git_is_down && !state.fetches_break;
            (state.tree.clone(), state.head.clone(), reachable, running, status)
        });
        if !running {
            return;
        }
        if !reachable {
            self.store(&application.reference(), |value| {
                if let Some(annotations) = value["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
                    annotations.remove("argocd.argoproj.io/refresh");
                }
                value["status"]["conditions"] = json!([{"type": "ComparisonError", "message": "the repository cannot be opened"}]);
            });
            return;
        }
        let namespace = application.text("/spec/destination/namespace").filter(|_| status.is_none());
        if let Some(namespace) = namespace.map(|name| ObjectRef::cluster_wide("v1", "Namespace", name)) {
            self.store(&namespace, |value| {
                merge(value, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name}}))
            });
        }
        let managed = self.managed(application.name());
        self.store(&application.reference(), |value| {
            if let Some(annotations) = value["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove("argocd.argoproj.io/refresh");
            }
            if let Some(fields) = value.as_object_mut() {
                fields.remove("operation");
            }
            value["status"] = status.unwrap_or_else(|| {
json!({
                "sync": {"status": "Synced", "revision": head.as_str()}, "health": {"status": "Healthy"}, "reconciledAt": "2026-01-01T00:00:00Z",
                "operationState": {"phase": "Succeeded", "syncResult": {"revision": head.as_str()}}, "resources": managed,
            })
            });
        });
        let brings = self.with(|state| state.brings_projects) && application.name() == tree.root.object.name();
        for project in tree.projects.iter().filter(|_| brings) {
            if self.with(|state| state.objects.contains_key(&project.object.reference())) {
                self.store(&project.object.reference(), |value| merge(value, project.object.value()));
            }
        }
        // An app-of-apps brings the Applications whose files are in its folder.
        let folder = application.text("/spec/source/path");
        let children = tree.applications.iter().filter(|child| child.path.parent().is_some_and(|parent| Some(parent.as_str()) == folder));
        for child in children.filter(|child| child.object.name() != application.name()) {
            self.store(&child.object.reference(), |value| {
                merge(value, child.object.value());
                value["metadata"]["managedFields"] = json!([{"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {}}]);
            });
        }
    }

    /// Removes an object as the API server does: with a namespace all that is in it, with a definition all objects of its kind.
    pub(super) fn remove(&self, object: &ObjectRef) {
        let gone = self.with(|state| {
            let Some(removed) = state.objects.remove(object) else { return Vec::new() };
            let goes_with_it = |other: &ObjectRef| match removed.kind() {
                "Namespace" => other.namespace.as_deref() == Some(removed.name()),
                "CustomResourceDefinition" => Some(other.resource.kind.as_str()) == removed.text("/spec/names/kind"),
                _ => false,
            };
            let gone: Vec<ObjectRef> = state.objects.keys().filter(|other| goes_with_it(other)).cloned().collect();
            gone.iter().for_each(|gone| drop(state.objects.remove(gone)));
            state.note_access();
            gone
        });
        for gone in gone.into_iter().chain([object.clone()]) {
            let _ = self.changes.send(Change::Deleted(gone));
        }
    }
}
