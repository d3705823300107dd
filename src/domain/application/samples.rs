//! Applications as the API server gives them, for tests.

use serde_json::{Value, json};

use super::Application;
use crate::domain::Object;

/// The commit that the samples are at.
pub(crate) const COMMIT: &str = "4f2c9d1e0a7b3c5d6e8f90123456789abcdef012";

/// The commit before it.
pub(crate) const OLD_COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// An Application that is Synced and Healthy, as Argo CD 3.5 reports it.
pub(crate) fn healthy(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": name, "namespace": "argocd", "uid": "5b0b6a5e-41a5-4f58-a0a5-0a4a6c7e1d11", "generation": 14,
            "annotations": {"argocd.argoproj.io/tracking-id": format!("services:argoproj.io/Application:argocd/{name}")},
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": "services",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
            "source": {"repoURL": "git@github.com:acme/fleet.git", "targetRevision": "main", "path": format!("rendered/staging/services/{name}")},
            "syncPolicy": {
                "automated": {"prune": true, "selfHeal": true},
                "retry": {"limit": -1, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}},
                "syncOptions": ["ServerSideApply=true", "CreateNamespace=true"],
            },
        },
        "status": {
            "sync": {
                "status": "Synced", "revision": COMMIT,
                "comparedTo": {
                    "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
                    "source": {"repoURL": "git@github.com:acme/fleet.git", "targetRevision": "main"},
                },
            },
            "health": {"status": "Healthy", "lastTransitionTime": "2026-11-21T10:01:12Z"},
            "operationState": {
                "phase": "Succeeded", "message": "successfully synced (all tasks run)",
                "startedAt": "2026-11-21T10:01:02Z", "finishedAt": "2026-11-21T10:01:04Z",
                "operation": {"initiatedBy": {"automated": true}, "retry": {"limit": -1}, "sync": {"revision": COMMIT, "prune": true}},
                "syncResult": {
                    "revision": COMMIT,
                    "source": {"repoURL": "git@github.com:acme/fleet.git", "targetRevision": "main"},
                    "resources": [{
                        "group": "apps", "version": "v1", "kind": "Deployment", "namespace": name, "name": name,
                        "status": "Synced", "message": format!("deployment.apps/{name} serverside-applied"), "syncPhase": "Sync", "hookPhase": "Running",
                    }],
                },
            },
            "reconciledAt": "2026-11-21T10:01:12Z",
            "resourceHealthSource": "appTree",
            "resources": [
                {"version": "v1", "kind": "Service", "namespace": name, "name": name, "status": "Synced"},
                {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": name, "name": name, "status": "Synced"},
            ],
            "sourceType": "Directory",
            "summary": {"images": ["nginx:1.29.3"]},
        },
    })
}

/// A healthy Application that makes others.
pub(crate) fn parent(name: &str, children: &[&str]) -> Value {
    let resources: Vec<Value> = children
        .iter()
        .map(|child| {
            json!({"group": "argoproj.io", "version": "v1alpha1", "kind": "Application", "namespace": "argocd", "name": child, "status": "Synced"})
        })
        .collect();
    let mut application = healthy(name);
    application["metadata"]["annotations"] = json!({});
    application["spec"]["project"] = json!("argocd");
    application["status"]["resources"] = Value::from(resources);
    application
}

/// `application` with `patch` on it (RFC 7396).
pub(crate) fn patched(mut application: Value, patch: &Value) -> Value {
    merge(&mut application, patch);
    application
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

/// The Application that a document is.
pub(crate) fn read(document: Value) -> Application {
    Application::read(&Object::new(document).unwrap()).unwrap()
}
