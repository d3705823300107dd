//! The first sync of an Application in a recovery, which leaves out what the commit has been through before.
//!
//! Before Argo CD applies an object it downloads and reads OpenAPI documents to learn whether the server can check its fields (kubectl's
//! `queryParamVerifierV3`), again for each object; that is most of what its application controller computes while a cluster comes up. The sync option
//! `Validate=false` leaves that out. It is given to one sync and never written into a `spec`, so whenever the recovery ends, every object is as Git has it.
//!
//! Little is lost: where the server can (since Kubernetes 1.25), Argo CD checks nothing itself, and does not ask the server to either (3.5.7 sets no
//! `ValidationDirective` in gitops-engine's resource_ops.go). Only older servers would have refused a field that the kind does not have, by client-side
//! apply; server-side apply refuses it always. Either way it is seen: Argo CD compares what it has applied with Git, and says OutOfSync.

use serde_json::{Value, json};

use crate::domain::application::{
    Application, CREATE_NAMESPACE, SERVER_SIDE_APPLY, SyncStatus, THIS_CLUSTER, is_same_option, sync_options,
};
use crate::domain::glob::name_fits;
use crate::domain::{Commit, Object};

/// The sync option that leaves out the validation.
const WITHOUT_VALIDATION: &str = "Validate=false";

/// The sync option by which Argo CD applies only what differs from Git (docs/user-guide/sync-options.md of Argo CD). Of its own objects that leaves out what
/// this tool has applied from the same commit, the definitions above all: an API server computes for most of a second to apply the largest of them unchanged.
///
/// Only beside server-side apply, as which this tool applies too: client-side apply leaves a note at each object, without which it later does not see what
/// was taken out of Git.
const ONLY_DIFFERENT: &str = "ApplyOutOfSyncOnly=true";

/// Who Argo CD is told has asked.
const WHO: &str = "gitops-bootstrap";

/// How often Argo CD repeats a sync that it starts itself, where the Application does not say (`autoSync` in its appcontroller.go).
const RETRIES: u8 = 5;

/// The merge patch that asks for the first sync of an Application to `commit`, in place of the one that Argo CD is about to start itself. It is like that one,
/// also towards sync windows, but for the two options. It holds for the version of the Application that was read: if Argo CD is faster, that is as well.
///
/// None where Argo CD would start none, where one was started, where a sync window has a say, and where the objects are not those of `commit`, which
/// alone is known to have been validated. `application` is `object`, with its windows and found to be at the fleet's branch.
pub fn first_sync(application: &Application, object: &Object, commit: &Commit) -> Option<Value> {
    let is_new = application.is_automated()
        && application.operation().is_none()
        && !application.sync_is_requested
        && !application.is_being_deleted
        && !application.is_skipped
        && application.windows.is_empty()
        && application.errors().next().is_none()
        && application.sync() != SyncStatus::Synced;
    let is_of_commit = application.spec.source.is_some() && application.spec.sources.is_empty();
    let options = sync_options(object);
    if !is_new || !is_of_commit || is_set(&options, WITHOUT_VALIDATION) {
        return None;
    }
    let automated = application.spec.sync_policy.automated.as_ref()?;
    let only_different = (options.contains(&SERVER_SIDE_APPLY) && !is_set(&options, ONLY_DIFFERENT)).then_some(ONLY_DIFFERENT);
    let options: Vec<&str> = options.into_iter().chain([WITHOUT_VALIDATION]).chain(only_different).collect();
    let retry = object.at("/spec/syncPolicy/retry").cloned().unwrap_or_else(|| json!({"limit": RETRIES}));
    Some(json!({
        "metadata": {"resourceVersion": object.resource_version()?},
        "operation": {
            "initiatedBy": {"automated": true, "username": WHO},
            "retry": retry,
            "sync": {"prune": automated.prune, "revision": commit.as_str(), "syncOptions": options},
        },
    }))
}

/// The merge patch by which the retries of such a sync are ordinary ones, once its first try has failed: they have the
/// options that Git gives them, and take the newest commit, which may have the correction. None for any other sync, and while it does anything but wait for its next try.
pub fn hand_back(application: &Application, object: &Object) -> Option<Value> {
    let operation = application.operation()?;
    let asked = object.at("/status/operationState/operation")?;
    let is_ours = asked.pointer("/initiatedBy/username").and_then(Value::as_str) == Some(WHO);
    let unvalidated = asked.pointer("/sync/syncOptions")?.as_array()?.iter().any(|option| option == WITHOUT_VALIDATION);
    if !operation.is_running() || operation.finished_at.is_none() || !application.sync_is_requested || !is_ours || !unvalidated {
        return None;
    }
    let ordinary = json!({"sync": {"revision": null, "syncOptions": object.at("/spec/syncPolicy/syncOptions")}});
    Some(json!({
        "metadata": {"resourceVersion": object.resource_version()?},
        "operation": ordinary,
        "status": {"operationState": {"operation": ordinary}},
    }))
}

/// The namespace that Argo CD would make for an Application in a phase of its own before everything else. After each phase and each wave but the last it
/// pauses for two seconds (`delayBetweenSyncWaves` in its sync.go), in which one of its few processors of syncs does nothing; if the namespace is there,
/// that phase is left out (`syncNamespace` in its sync_namespace.go).
///
/// None where Argo CD makes none, or may not, and where it gives the namespace labels or annotations. `projects` are the declared ones.
pub fn namespace_ahead(application: &Application, object: &Object, projects: &[Object]) -> Option<Object> {
    let name = application.spec.destination.namespace.as_str();
    let is_made = sync_options(object).contains(&CREATE_NAMESPACE)
        && object.at("/spec/syncPolicy/managedNamespaceMetadata").is_none()
        && application.is_in_cluster()
        && !name.is_empty();
    let project = projects.iter().find(|project| project.name() == application.spec.project)?;
    if !is_made || !permits(project, name) {
        return None;
    }
    Object::new(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).ok()
}

/// Whether a project surely lets Applications into a namespace of its own cluster.
fn permits(project: &Object, namespace: &str) -> bool {
    let destinations = project.at("/spec/destinations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |destination: &Value, key: &str| destination.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_this_cluster = |destination: &Value| {
        matches!(text(destination, "server").as_str(), "*" | THIS_CLUSTER)
            || matches!(text(destination, "name").as_str(), "*" | "in-cluster")
    };
    let is_denied = destinations.iter().any(|destination| {
        let denies = |key: &str| text(destination, key).starts_with('!');
        ["server", "name"].into_iter().any(denies)
            || text(destination, "namespace").strip_prefix('!').is_some_and(|pattern| name_fits(pattern, namespace))
    });
    let fits = |destination: &Value| is_this_cluster(destination) && name_fits(&text(destination, "namespace"), namespace);
    !is_denied && destinations.iter().any(fits)
}

/// Whether Git itself gives the option that `option` sets a value.
fn is_set(options: &[&str], option: &str) -> bool {
    options.iter().any(|given| is_same_option(given, option))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::application::samples;

    fn fresh(patch: &Value) -> Value {
        let mut document = samples::healthy("web");
        document["metadata"]["resourceVersion"] = "7".into();
        document["status"] = Value::Null;
        document["operation"] = Value::Null;
        document["spec"]["syncPolicy"] =
            json!({"automated": {"prune": true}, "syncOptions": ["ServerSideApply=true"], "retry": {"limit": -1}});
        samples::patched(document, patch)
    }

    fn asked(document: Value) -> Option<Value> {
        let object = Object::new(document).unwrap();
        first_sync(&Application::read(&object).unwrap(), &object, &samples::COMMIT.parse().unwrap())
    }

    #[test]
    fn the_first_sync_is_argo_cds_own_but_for_the_options_and_for_the_version_that_was_read() {
        let patch = asked(fresh(&json!({}))).unwrap();
        assert_eq!(patch["metadata"], json!({"resourceVersion": "7"}));
        let sync = |options: &[&str]| json!({"prune": true, "revision": samples::COMMIT, "syncOptions": options});
        assert_eq!(patch["operation"]["sync"], sync(&["ServerSideApply=true", "Validate=false", "ApplyOutOfSyncOnly=true"]));
        for given in [["ServerSideApply=true", "ApplyOutOfSyncOnly=false"], ["ServerSideApply=false", "PruneLast=true"]] {
            let document = fresh(&json!({"spec": {"syncPolicy": {"syncOptions": given}}}));
            assert_eq!(asked(document).unwrap()["operation"]["sync"], sync(&[given[0], given[1], "Validate=false"]));
        }
        assert_eq!(patch["operation"]["retry"], json!({"limit": -1}));
        assert_eq!(patch["operation"]["initiatedBy"]["automated"], true, "or a sync window for manual syncs only would let it pass");
        assert!(patch.get("spec").is_none());
    }

    #[test]
    fn what_argo_cd_would_not_sync_now_or_what_is_not_of_the_commit_is_left_alone() {
        for left in [
            json!({"spec": {"syncPolicy": {"automated": null}}}),
            json!({"spec": {"syncPolicy": {"automated": {"enabled": false}}}}),
            json!({"spec": {"syncPolicy": {"syncOptions": ["Validate=true"]}}}),
            json!({"spec": {"source": null, "sources": [{"repoURL": "https://charts.example.org", "chart": "web"}]}}),
            json!({"operation": {"sync": {}}}),
            json!({"status": {"operationState": {"phase": "Running"}}}),
            json!({"status": {"sync": {"status": "Synced"}}}),
            json!({"status": {"conditions": [{"type": "ComparisonError", "message": "no such path"}]}}),
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            json!({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}}),
        ] {
            assert_eq!(asked(fresh(&left)), None, "{left}");
        }
    }

    #[test]
    fn what_a_sync_window_is_about_is_left_to_it() {
        let object = Object::new(fresh(&json!({}))).unwrap();
        let project = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "services"}, "spec": {
            "syncWindows": [{"kind": "allow", "schedule": "0 8 * * *", "duration": "1h", "applications": ["*"]}],
        }});
        let application = Application::read(&object).unwrap().with_windows(&[Object::new(project).unwrap()]);
        assert!(!application.windows.is_empty());
        assert_eq!(first_sync(&application, &object, &samples::COMMIT.parse().unwrap()), None);
    }

    #[test]
    fn a_namespace_is_made_ahead_only_where_argo_cd_would_make_the_same_and_may() {
        let ahead = |application: &Value, destinations: &Value| {
            let made = json!({"spec": {"syncPolicy": {"syncOptions": ["CreateNamespace=true"]}}});
            let object = Object::new(samples::patched(fresh(&made), application)).unwrap();
            let application = Application::read(&object).unwrap();
            let project = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
                "metadata": {"name": application.spec.project}, "spec": {"destinations": destinations}});
            namespace_ahead(&application, &object, &[Object::new(project).unwrap()]).map(|namespace| namespace.name().to_owned())
        };
        let anywhere = json!([{"server": "*", "namespace": "*"}]);
        let here = json!([{"server": "https://kubernetes.default.svc", "namespace": "we*"}, {"server": "*", "namespace": "!kube-*"}]);
        for permitted in [&anywhere, &here] {
            assert_eq!(ahead(&json!({}), permitted).as_deref(), Some("web"), "{permitted}");
        }
        for left in [
            json!({"spec": {"syncPolicy": {"syncOptions": ["ServerSideApply=true"]}}}),
            json!({"spec": {"syncPolicy": {"managedNamespaceMetadata": {"labels": {"team": "web"}}}}}),
            json!({"spec": {"destination": {"server": "https://elsewhere.example.org"}}}),
            json!({"spec": {"destination": {"namespace": ""}}}),
        ] {
            assert_eq!(ahead(&left, &anywhere), None, "{left}");
        }
        for denied in [
            json!([]),
            json!([{"server": "*", "namespace": "shop"}]),
            json!([{"server": "https://elsewhere.example.org", "namespace": "*"}]),
            json!([{"server": "*", "namespace": "*"}, {"server": "*", "namespace": "!web"}]),
        ] {
            assert_eq!(ahead(&json!({}), &denied), None, "{denied}");
        }
    }

    #[test]
    fn a_first_try_that_failed_is_repeated_with_validation_and_the_newest_commit() {
        let document = |who: &str, finished: Value| {
            let operation =
                json!({"initiatedBy": {"username": who}, "sync": {"revision": samples::COMMIT, "syncOptions": ["Validate=false"]}});
            let state = json!({"phase": "Running", "operation": operation, "finishedAt": finished, "retryCount": 1});
            fresh(&json!({"operation": operation, "status": {"operationState": state}}))
        };
        let back = |document: Value| {
            let object = Object::new(document).unwrap();
            hand_back(&Application::read(&object).unwrap(), &object)
        };
        let patch = back(document(WHO, "2026-01-01T00:00:00Z".into())).unwrap();
        let ordinary = json!({"sync": {"revision": null, "syncOptions": ["ServerSideApply=true"]}});
        assert_eq!((&patch["operation"], &patch["status"]["operationState"]["operation"]), (&ordinary, &ordinary));
        assert_eq!(back(document(WHO, Value::Null)), None, "it runs");
        assert_eq!(back(document("admin", "2026-01-01T00:00:00Z".into())), None, "somebody else's");
    }
}
