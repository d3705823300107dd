//! The deepest cause of an Application that is not well, from what its objects show: from the workload to its Pods, to their containers.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::application::{Application, HealthStatus, ManagedObject, Phase};
use crate::domain::{Object, Resource};

use super::diagnosis::State;
use super::plain_words::tidy;
use super::pod;

/// The most lists that are read for one Application.
pub const MOST_LISTS: usize = 10;

/// The most namespaces that are looked into for one Application.
const MOST_NAMESPACES: usize = 2;

/// A list of objects: of one kind in one namespace, or of a cluster-scoped kind.
pub type List = (Resource, Option<String>);

/// The lists that were read. Those that could not be are absent, and what they would have shown stays unknown.
pub type Evidence = BTreeMap<List, Vec<Object>>;

/// The lists that tell why `application` is in `state`: none where Argo CD's own words are the cause already.
pub fn lists(application: &Application, state: &State) -> BTreeSet<List> {
    if !is_in_its_objects(application, state) {
        return BTreeSet::new();
    }
    let mut namespaces = BTreeSet::new();
    let mut wanted = Vec::new();
    for object in suspects(application) {
        let namespace = Some(object.namespace.clone()).filter(|namespace| !namespace.is_empty());
        if let Some(namespace) = &namespace {
            if !namespaces.contains(namespace) && namespaces.len() == MOST_NAMESPACES {
                continue;
            }
            namespaces.insert(namespace.clone());
        }
        let helpers: &[(&str, &str)] = match object.kind.as_str() {
            "Deployment" => &[("v1", "Pod"), ("apps/v1", "ReplicaSet"), ("v1", "Event")],
            "StatefulSet" => &[("v1", "Pod"), ("v1", "Event"), ("v1", "PersistentVolumeClaim")],
            "DaemonSet" | "ReplicaSet" | "Job" => &[("v1", "Pod"), ("v1", "Event")],
            "Pod" | "PersistentVolumeClaim" => &[("v1", "Event")],
            _ => &[],
        };
        wanted.push((object.resource(), namespace.clone()));
        wanted.extend(helpers.iter().map(|(api_version, kind)| (Resource::new(api_version, kind), namespace.clone())));
    }
    let mut lists = BTreeSet::new();
    for list in wanted {
        if lists.len() < MOST_LISTS {
            lists.insert(list);
        }
    }
    lists
}

/// The deepest cause that `evidence` shows, in a sentence.
pub fn deepest(application: &Application, state: &State, evidence: &Evidence) -> Option<String> {
    culprit(application, state, evidence).map(|(_, cause)| cause)
}

/// The object of the Application at which the deepest cause shows, and that cause.
pub fn culprit(application: &Application, state: &State, evidence: &Evidence) -> Option<(ManagedObject, String)> {
    if !is_in_its_objects(application, state) {
        return None;
    }
    suspects(application).find_map(|managed| {
        let live = Live::beside(&managed, evidence);
        let cause = live.cause(live.find(&managed)?)?;
        Some((managed, cause))
    })
}

/// The custom resources of an Application that is not well on which nobody has acted: they have no status at all.
pub fn ignored(application: &Application, state: &State, evidence: &Evidence) -> Vec<ManagedObject> {
    if !is_in_its_objects(application, state) {
        return Vec::new();
    }
    let is_ignored = |managed: &ManagedObject| {
        // Argo CD's own programs run wherever it does, and an AppProject never has a status.
        is_custom(managed)
            && managed.group != "argoproj.io"
            && Live::beside(managed, evidence).find(managed).is_some_and(|object| object.at("/status").is_none())
    };
    suspects(application).filter(is_ignored).collect()
}

/// Whether the cause lies in the objects: they were applied, and are not well.
fn is_in_its_objects(application: &Application, state: &State) -> bool {
    let hook_failed = application
        .operation()
        .and_then(|operation| operation.sync_result.as_ref())
        .is_some_and(|result| result.resources.iter().any(|result| matches!(result.hook_phase, Some(Phase::Failed | Phase::Error))));
    match state {
        State::Progressing { .. } => !matches!(application.health(), HealthStatus::Healthy | HealthStatus::Suspended),
        State::Failed { .. } => application.errors().next().is_none(),
        State::Stalled { .. } => hook_failed,
        State::Converged | State::Waiting { .. } | State::Deleting | State::Unknown => false,
    }
}

/// The objects that may be the cause, the likeliest first: where Argo CD keeps their health, those that are not healthy.
fn suspects(application: &Application) -> impl Iterator<Item = ManagedObject> {
    let hooks = application.operation().and_then(|operation| operation.sync_result.as_ref()).into_iter().flat_map(|result| {
        result.resources.iter().filter(|result| result.hook_phase.is_some() && result.kind == "Job").map(|result| ManagedObject {
            group: "batch".to_owned(),
            version: "v1".to_owned(),
            kind: result.kind.clone(),
            namespace: result.namespace.clone(),
            name: result.name.clone(),
            ..ManagedObject::default()
        })
    });
    let objects = application.objects().iter();
    let mut suspects: Vec<ManagedObject> = objects
        .filter(|object| rank(object).is_some())
        .filter(|object| object.health.as_ref().is_none_or(|health| health.status != HealthStatus::Healthy))
        .cloned()
        .chain(hooks)
        .collect();
    suspects.sort_by_key(rank);
    suspects.into_iter()
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

/// What the cluster shows in one namespace.
struct Live<'a> {
    evidence: &'a Evidence,
    namespace: Option<&'a str>,
}

impl<'a> Live<'a> {
    /// What is where `managed` is.
    fn beside(managed: &'a ManagedObject, evidence: &'a Evidence) -> Self {
        Self { evidence, namespace: Some(managed.namespace.as_str()).filter(|namespace| !namespace.is_empty()) }
    }

    fn find(&self, managed: &ManagedObject) -> Option<&'a Object> {
        self.list(&managed.resource()).iter().find(|object| object.name() == managed.name)
    }

    fn list(&self, resource: &Resource) -> &'a [Object] {
        self.evidence.get(&(resource.clone(), self.namespace.map(str::to_owned))).map_or(&[], Vec::as_slice)
    }

    fn cause(&self, object: &Object) -> Option<String> {
        match object.kind() {
            "Pod" => pod::cause(object, self.list(&Resource::new("v1", "Event"))).map(|cause| self.of(object, &cause)),
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => self.workload(object),
            "PersistentVolumeClaim" => self.claim(object),
            "Service" => service(object).map(|cause| self.of(object, cause)),
            _ => condition(object).map(|cause| self.of(object, &cause)),
        }
    }

    fn of(&self, object: &Object, cause: &str) -> String {
        match self.namespace {
            Some(namespace) => format!("{} {namespace}/{}: {cause}", object.kind(), object.name()),
            None => format!("{} {}: {cause}", object.kind(), object.name()),
        }
    }

    fn owned_by(&self, resource: &Resource, owner: &Object) -> impl Iterator<Item = &'a Object> {
        let uid = owner.uid().unwrap_or_default().to_owned();
        self.list(resource).iter().filter(move |object| !uid.is_empty() && owners(object).any(|owner| owner == uid))
    }

    fn workload(&self, workload: &Object) -> Option<String> {
        let pods = Resource::new("v1", "Pod");
        let middle: Vec<&Object> = self.owned_by(&Resource::new("apps/v1", "ReplicaSet"), workload).collect();
        let owners = || std::iter::once(workload).chain(middle.iter().copied());
        let events = self.list(&Resource::new("v1", "Event"));
        let worst = owners()
            .flat_map(|owner| self.owned_by(&pods, owner))
            .filter_map(|pod| pod::judge(pod, events).map(|judgement| (judgement, pod)))
            .max_by(|(left, left_pod), (right, right_pod)| {
                left.weight.cmp(&right.weight).then_with(|| right_pod.name().cmp(left_pod.name()))
            });
        if let Some((judgement, pod)) = worst {
            let claim = Some(()).filter(|()| judgement.waits_for_a_claim).and_then(|()| self.unbound_claim());
            return Some(claim.unwrap_or_else(|| self.of(pod, &judgement.cause)));
        }
        owners().find_map(|owner| not_created(owner, events)).or_else(|| condition(workload)).map(|cause| self.of(workload, &cause))
    }

    fn unbound_claim(&self) -> Option<String> {
        self.list(&Resource::new("v1", "PersistentVolumeClaim")).iter().find_map(|claim| self.claim(claim))
    }

    fn claim(&self, claim: &Object) -> Option<String> {
        if claim.text("/status/phase") == Some("Bound") {
            return None;
        }
        let said = pod::last_event(
            self.list(&Resource::new("v1", "Event")),
            claim,
            &["ProvisioningFailed", "FailedBinding", "WaitForFirstConsumer"],
        );
        let why = said.map_or_else(|| "no volume was made for it yet".to_owned(), |message| plain_claim(message, claim));
        Some(self.of(claim, &format!("the claim is not bound: {why}")))
    }
}

fn plain_claim(message: &str, claim: &Object) -> String {
    if message.contains("storageclass") && message.contains("not found") {
        return format!("the StorageClass `{}` is not there", claim.text("/spec/storageClassName").unwrap_or_default());
    }
    if message.contains("no persistent volumes available for this claim and no storage class is set") {
        return "there is no default StorageClass, and the claim names none".to_owned();
    }
    tidy(message)
}

fn owners(object: &Object) -> impl Iterator<Item = &str> {
    let owners = object.at("/metadata/ownerReferences").and_then(serde_json::Value::as_array);
    owners.into_iter().flatten().filter_map(|owner| owner.get("uid")?.as_str())
}

/// Why a workload has no Pods: a quota, a policy, or a missing ServiceAccount.
fn not_created(workload: &Object, events: &[Object]) -> Option<String> {
    let failure = conditions(workload).find(|condition| condition.name == "ReplicaFailure" && condition.status == "True");
    let message = failure.map(|condition| condition.message).or_else(|| pod::last_event(events, workload, &["FailedCreate"]))?;
    Some(format!("its Pods cannot be made: {}", super::plain_words::explain(message)))
}

/// What a false condition of an object says; the words are the kind's own.
fn condition(object: &Object) -> Option<String> {
    let found = conditions(object).find(|condition| match condition.name {
        "Failed" | "Stalled" | "Degraded" => condition.status == "True",
        "Ready" | "Available" | "Progressing" | "Synced" | "Established" | "Healthy" | "Reconciled" | "Programmed" | "Accepted" => {
            condition.status == "False"
        }
        _ => false,
    })?;
    Some(match (found.reason, found.message) {
        ("ProgressDeadlineExceeded", _) => "it did not become ready within its deadline".to_owned(),
        ("", "") => format!("its condition {} is {}", found.name, found.status),
        (reason, "") => format!("its condition {} is {}: {reason}", found.name, found.status),
        (_, message) => super::plain_words::explain(message),
    })
}

struct Condition<'a> {
    name: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

fn conditions(object: &Object) -> impl Iterator<Item = Condition<'_>> {
    let all = object.at("/status/conditions").and_then(serde_json::Value::as_array);
    all.into_iter().flatten().map(|condition| {
        let text = |name| condition.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        Condition { name: text("type"), status: text("status"), reason: text("reason"), message: text("message") }
    })
}

fn service(service: &Object) -> Option<&'static str> {
    let has_address =
        service.at("/status/loadBalancer/ingress").and_then(serde_json::Value::as_array).is_some_and(|addresses| !addresses.is_empty());
    (service.text("/spec/type") == Some("LoadBalancer") && !has_address).then_some(
        "it has no address yet: nothing in the cluster gives addresses to Services of type LoadBalancer, or it has not come to it",
    )
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
        let mut evidence: Evidence = lists(&application, &state).into_iter().map(|list| (list, Vec::new())).collect();
        for object in live.into_iter().map(|object| Object::new(object).unwrap()) {
            let list = (object.resource(), object.namespace().map(str::to_owned));
            evidence.get_mut(&list).unwrap_or_else(|| panic!("{list:?} is not read")).push(object);
        }
        deepest(&application, &state, &evidence)
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
            "DaemonSet web/web: its Pods cannot be made: serviceaccount \"web\" not found"
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
            {"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "could not get secret data from provider"},
        ]}});
        assert_eq!(
            found("external-secrets.io", "v1", "ExternalSecret", vec![object("external-secrets.io/v1", "ExternalSecret", &conditions)])
                .unwrap(),
            "ExternalSecret web/web: could not get secret data from provider"
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
        let lists = lists(&application, &verdict(&application, None));
        assert_eq!(lists.len(), MOST_LISTS);
        let namespaces: BTreeSet<_> = lists.iter().map(|(_, namespace)| namespace).collect();
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
            assert!(lists(&application, &verdict(&application, None)).is_empty(), "{patch}");
        }
    }
}
