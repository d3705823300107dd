//! The deepest cause of an Application that is not well, from what its objects show: from the workload to its Pods, to their containers, to a
//! Secret that is not there, and to whatever should have made it.

mod evidence;
mod live;
mod origin;
#[cfg(test)]
mod origin_tests;

use std::collections::BTreeSet;

use crate::domain::application::{Application, HealthStatus, ManagedObject, Phase};

use self::evidence::Reader;
pub use self::evidence::{Evidence, Question};
use self::live::Live;
use super::diagnosis::State;
use super::plain_words;

/// The most kinds of its objects that are looked into for one Application, each namespace counted for itself.
pub const MOST_KINDS: usize = 10;

/// The most namespaces that are looked into for one Application.
const MOST_NAMESPACES: usize = 2;

/// What has to be asked of the cluster to tell why `application` is in `state`: what to begin with if `evidence` is empty, and then, with the
/// answers in it, what lies deeper. None where Argo CD's own words are the cause already, and once the cause is known.
pub fn questions(application: &Application, state: &State, evidence: &Evidence) -> Vec<Question> {
    let reader = Reader::of(evidence);
    let _cause = find(application, state, &reader);
    reader.into_open()
}

/// The deepest cause that `evidence` shows, in a sentence that names the object.
pub fn deepest(application: &Application, state: &State, evidence: &Evidence) -> Option<String> {
    culprit(application, state, evidence).map(|(_, cause)| cause)
}

/// The object of the Application at which the deepest cause shows, and that cause.
pub fn culprit(application: &Application, state: &State, evidence: &Evidence) -> Option<(ManagedObject, String)> {
    find(application, state, &Reader::of(evidence))
}

fn find(application: &Application, state: &State, reader: &Reader<'_>) -> Option<(ManagedObject, String)> {
    if !is_in_its_objects(application, state) {
        return None;
    }
    suspects(application).into_iter().find_map(|managed| {
        let live = Live::beside(&managed, reader);
        let cause = live.cause(live.find(&managed)?)?;
        Some((managed, cause))
    })
}

/// The custom resources of an Application that is not well on which nobody has acted: they have no status at all.
pub fn ignored(application: &Application, state: &State, evidence: &Evidence) -> Vec<ManagedObject> {
    if !is_in_its_objects(application, state) {
        return Vec::new();
    }
    let reader = Reader::of(evidence);
    let is_ignored = |managed: &ManagedObject| {
        // Argo CD's own programs run wherever it does, and an AppProject never has a status.
        is_custom(managed)
            && managed.group != "argoproj.io"
            && Live::beside(managed, &reader).find(managed).is_some_and(|object| object.at("/status").is_none())
    };
    suspects(application).into_iter().filter(is_ignored).collect()
}

/// Whether `application` is not well only because of the Applications that it has made.
pub fn is_below(application: &Application, state: &State) -> bool {
    let is_repeating = application.operation().is_some_and(|operation| operation.is_running() && plain_words::waits_to_retry(operation));
    !is_repeating && is_in_its_objects(application, state) && application.objects().iter().any(ManagedObject::is_application)
}

/// Whether the cause lies in the objects: they were applied, and are not well.
fn is_in_its_objects(application: &Application, state: &State) -> bool {
    match state {
        State::Progressing { .. } => {
            !matches!(application.health(), HealthStatus::Healthy | HealthStatus::Suspended) || hooks(application).next().is_some()
        }
        State::Failed { .. } => application.errors().next().is_none(),
        State::Stalled { .. } => hooks(application).any(|(phase, _)| matches!(phase, Phase::Failed | Phase::Error)),
        State::Converged | State::Waiting { .. } | State::Deleting | State::Unknown => false,
    }
}

/// The Jobs that are hooks of the last sync and have not succeeded, each with how far it is.
fn hooks(application: &Application) -> impl Iterator<Item = (Phase, ManagedObject)> {
    let results =
        application.operation().and_then(|operation| operation.sync_result.as_ref()).into_iter().flat_map(|result| &result.resources);
    results.filter(|result| result.kind == "Job").filter_map(|result| {
        let phase = result.hook_phase.filter(|phase| *phase != Phase::Succeeded && result.status.is_empty())?;
        let job = ManagedObject {
            group: "batch".to_owned(),
            version: "v1".to_owned(),
            kind: result.kind.clone(),
            namespace: result.namespace.clone(),
            name: result.name.clone(),
            ..ManagedObject::default()
        };
        Some((phase, job))
    })
}

/// The objects that may be the cause, the likeliest first: where Argo CD keeps their health, those that are not healthy. Few namespaces and
/// kinds are looked into: the objects of one Application most often fail for one reason.
fn suspects(application: &Application) -> Vec<ManagedObject> {
    let objects = application.objects().iter().filter(|object| rank(object).is_some());
    let mut suspects: Vec<ManagedObject> = objects
        .filter(|object| object.health.as_ref().is_none_or(|health| health.status != HealthStatus::Healthy))
        .cloned()
        .chain(hooks(application).map(|(_, job)| job))
        .collect();
    suspects.sort_by_key(rank);
    let (mut namespaces, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    suspects.retain(|suspect| {
        let is_within = |namespaces: &BTreeSet<String>| {
            suspect.namespace.is_empty() || namespaces.len() < MOST_NAMESPACES || namespaces.contains(&suspect.namespace)
        };
        let kind = (suspect.resource(), suspect.namespace.clone());
        if !is_within(&namespaces) || (kinds.len() == MOST_KINDS && !kinds.contains(&kind)) {
            return false;
        }
        namespaces.extend(Some(suspect.namespace.clone()).filter(|namespace| !namespace.is_empty()));
        kinds.insert(kind);
        true
    });
    suspects
}

/// How likely an object of this kind is the cause: none for kinds that are well as soon as they are there.
fn rank(object: &ManagedObject) -> Option<u8> {
    match (object.group.as_str(), object.kind.as_str()) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") | ("", "Pod") => Some(0),
        ("", "PersistentVolumeClaim") => Some(1),
        _ if is_custom(object) => Some(2),
        ("", "Service") => Some(3),
        _ => None,
    }
}

/// Whether it is of a kind that somebody defined, and not an Application.
fn is_custom(object: &ManagedObject) -> bool {
    object.group.contains('.') && !object.group.ends_with(".k8s.io") && !object.is_application()
}

/// Evidence for tests.
#[cfg(test)]
pub(crate) mod samples {
    use serde_json::Value;

    use super::{Evidence, Question, questions};
    use crate::domain::{Application, Object};
    use crate::plan::diagnosis::State;

    /// What is found out about `applications` in a cluster that has `live`.
    pub(crate) fn evidence(applications: &[(Application, State)], live: Vec<Value>) -> Evidence {
        let live: Vec<Object> = live.into_iter().map(|object| Object::new(object).unwrap()).collect();
        let is_meant = |object: &Object, question: &Question| match question {
            Question::List(resource, namespace) => object.resource() == *resource && object.namespace() == namespace.as_deref(),
            Question::Object(reference) => object.reference() == *reference,
        };
        let mut evidence = Evidence::default();
        for _ in 0..20 {
            let open: Vec<Question> =
                applications.iter().flat_map(|(application, state)| questions(application, state, &evidence)).collect();
            if open.is_empty() {
                return evidence;
            }
            for question in open {
                let answer = live.iter().filter(|object| is_meant(object, &question)).cloned().collect();
                evidence.add(question, Some(answer));
            }
        }
        panic!("the questions do not end");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::application::samples::{healthy, patched, read};
    use crate::plan::diagnosis::verdict;

    /// The deepest cause of an Application with one object of `kind`, where the namespace `web` holds `live`.
    fn found(group: &str, version: &str, kind: &str, live: Vec<Value>) -> Option<String> {
        let resource = json!({"group": group, "version": version, "kind": kind, "namespace": "web", "name": "web", "status": "Synced"});
        let application = read(patched(healthy("web"), &json!({"status": {"health": {"status": "Degraded"}, "resources": [resource]}})));
        let state = verdict(&application, None);
        let applications = [(application, state)];
        let evidence = samples::evidence(&applications, live);
        deepest(&applications[0].0, &applications[0].1, &evidence)
    }

    fn object(api_version: &str, kind: &str, rest: &Value) -> Value {
        let base = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web", "namespace": "web", "uid": "o-1"}});
        patched(base, rest)
    }

    #[test]
    fn a_workload_without_pods_says_why_they_cannot_be_made() {
        let failure = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"web-6d9f-\" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=4, limited: pods=4"}]);
        assert_eq!(
            found("apps", "v1", "Deployment", vec![object("apps/v1", "Deployment", &json!({"status": {"conditions": failure}}))]).unwrap(),
            "Deployment web/web: its Pods cannot be made: the quota `compute` of its namespace is used up (requested: pods=1, used: pods=4, limited: pods=4)"
        );
        let event = json!({"involvedObject": {"uid": "o-1"}, "reason": "FailedCreate", "message": "serviceaccount \"web\" not found"});
        assert_eq!(
            found("apps", "v1", "DaemonSet", vec![object("apps/v1", "DaemonSet", &json!({})), object("v1", "Event", &event)]).unwrap(),
            "DaemonSet web/web: its Pods cannot be made: the ServiceAccount `web` is not there"
        );
    }

    #[test]
    fn the_pod_that_says_most_is_named() {
        let pod = |name: &str, state: Value| {
            object(
                "v1",
                "Pod",
                &json!({
                    "metadata": {"name": name, "uid": name, "ownerReferences": [{"uid": "o-1"}]},
                    "status": {"phase": "Running", "containerStatuses": [{"name": "app", "ready": false, "restartCount": 2, "state": state, "lastState": {"terminated": {"exitCode": 3}}}]},
                }),
            )
        };
        let pods = vec![
            object("apps/v1", "StatefulSet", &json!({})),
            pod("web-0", json!({"waiting": {"reason": "PodInitializing"}})),
            pod("web-1", json!({"waiting": {"reason": "CrashLoopBackOff"}})),
            pod("web-2", json!({"waiting": {"reason": "CrashLoopBackOff"}})),
        ];
        assert_eq!(
            found("apps", "v1", "StatefulSet", pods).unwrap(),
            "Pod web/web-1: container `app` ends with exit code 3 (restarted 2 times)"
        );
    }

    #[test]
    fn a_claim_that_is_not_bound_is_the_cause_of_a_pod_without_a_node() {
        let unschedulable = json!([{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."}]);
        let live = vec![
            object("apps/v1", "StatefulSet", &json!({})),
            object(
                "v1",
                "Pod",
                &json!({"metadata": {"uid": "p-1", "ownerReferences": [{"uid": "o-1"}]}, "status": {"phase": "Pending", "conditions": unschedulable}}),
            ),
            object(
                "v1",
                "PersistentVolumeClaim",
                &json!({"metadata": {"name": "data-web-0", "uid": "c-1"}, "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}}),
            ),
            object(
                "v1",
                "Event",
                &json!({"involvedObject": {"uid": "c-1"}, "reason": "ProvisioningFailed", "message": "storageclass.storage.k8s.io \"fast\" not found"}),
            ),
        ];
        assert_eq!(
            found("apps", "v1", "StatefulSet", live).unwrap(),
            "PersistentVolumeClaim web/data-web-0: the claim is not bound: the StorageClass `fast` is not there"
        );
    }

    #[test]
    fn a_custom_object_says_it_by_its_condition() {
        let conditions = json!({"status": {"conditions": [
            {"type": "Synced", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "NoPrimary", "message": "no primary answers"},
        ]}});
        assert_eq!(
            found("example.org", "v1", "Database", vec![object("example.org/v1", "Database", &conditions)]).unwrap(),
            "Database web/web: no primary answers"
        );
    }

    #[test]
    fn a_failed_job_and_a_service_without_an_address_are_told() {
        let failed = json!({"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}]}});
        assert_eq!(
            found("batch", "v1", "Job", vec![object("batch/v1", "Job", &failed)]).unwrap(),
            "Job web/web: Job has reached the specified backoff limit"
        );
        let service = object("v1", "Service", &json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}}));
        assert!(found("", "v1", "Service", vec![service]).unwrap().starts_with("Service web/web: it has no address yet"));
    }

    #[test]
    fn an_application_asks_for_few_lists_however_much_it_holds() {
        let resources: Vec<Value> = (0..40)
            .flat_map(|index| {
                let namespace = format!("ns-{index}");
                ["Deployment", "StatefulSet"].map(|kind| json!({"group": "apps", "version": "v1", "kind": kind, "namespace": namespace, "name": "a"}))
            })
            .chain((0..40).map(|index| json!({"group": format!("g{index}.example.org"), "version": "v1", "kind": "Thing", "namespace": "ns-0", "name": "a"})))
            .collect();
        let application = read(patched(healthy("web"), &json!({"status": {"health": {"status": "Progressing"}, "resources": resources}})));
        let questions = questions(&application, &verdict(&application, None), &Evidence::default());
        assert_eq!(questions.len(), MOST_KINDS);
        let namespace = |question: &Question| match question {
            Question::List(_, namespace) => namespace.clone(),
            Question::Object(object) => object.namespace.clone(),
        };
        let namespaces: BTreeSet<_> = questions.iter().map(namespace).collect();
        assert!(namespaces.len() <= MOST_NAMESPACES, "{namespaces:?}");
    }

    #[test]
    fn where_argo_cd_names_the_cause_nothing_is_read() {
        for patch in [
            json!({}),
            json!({"status": {"conditions": [{"type": "ComparisonError", "message": "x"}], "health": {"status": "Degraded"}}}),
            json!({"status": {"operationState": {"phase": "Failed", "message": "namespaces \"web\" not found"}, "health": {"status": "Missing"}}}),
        ] {
            let application = read(patched(healthy("web"), &patch));
            assert_eq!(questions(&application, &verdict(&application, None), &Evidence::default()), [], "{patch}");
        }
    }
}
