//! What the cluster shows of one object, and of what belongs to it.

use serde_json::Value;

use crate::domain::application::ManagedObject;
use crate::domain::{Object, Resource};
use crate::plan::plain_words::{explain, tidy};
use crate::plan::pod;

use super::evidence::Reader;

/// What the cluster shows in one namespace, or of objects that are in none.
#[derive(Clone, Copy)]
pub(super) struct Live<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) namespace: Option<&'a str>,
}

impl<'a> Live<'a> {
    /// What is where `managed` is.
    pub(super) fn beside(managed: &'a ManagedObject, reader: &'a Reader<'a>) -> Self {
        Self { reader, namespace: Some(managed.namespace.as_str()).filter(|namespace| !namespace.is_empty()) }
    }

    /// The object itself, if it is known and there.
    pub(super) fn find(&self, managed: &ManagedObject) -> Option<&'a Object> {
        self.list(&managed.resource()).iter().find(|object| object.name() == managed.name)
    }

    fn list(&self, resource: &Resource) -> &'a [Object] {
        self.reader.list(resource, self.namespace)
    }

    pub(super) fn events(&self) -> &'a [Object] {
        self.list(&Resource::new("v1", "Event"))
    }

    /// Why `object` is not well, in a sentence that names the object at the root of it.
    pub(super) fn cause(&self, object: &Object) -> Option<String> {
        if let Some(cause) = self.origin(object) {
            return Some(cause);
        }
        match object.kind() {
            "Pod" => self.pod(object),
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => self.workload(object),
            "PersistentVolumeClaim" => self.claim(object),
            "Service" => service(object).map(|cause| self.of(object, cause)),
            _ => condition(object).map(|cause| self.of(object, &cause)),
        }
    }

    /// What an object is called: its kind, its namespace and its name.
    pub(super) fn named(&self, object: &Object) -> String {
        self.called(object.kind(), object.name())
    }

    pub(super) fn called(&self, kind: &str, name: &str) -> String {
        self.namespace.map_or_else(|| format!("{kind} {name}"), |namespace| format!("{kind} {namespace}/{name}"))
    }

    fn of(&self, object: &Object, cause: &str) -> String {
        format!("{}: {cause}", self.named(object))
    }

    fn pod(&self, pod: &Object) -> Option<String> {
        pod::judge(pod, self.events()).map(|judgement| self.judged(pod, pod, &judgement))
    }

    /// What a judgement on a Pod comes to, said of `subject`: the Pod, or the Job that made it.
    fn judged(&self, subject: &Object, pod: &Object, judgement: &pod::Judgement) -> String {
        if let Some(secret) = &judgement.missing_secret {
            return format!("{} waits for {}", self.named(pod), self.missing_secret(secret));
        }
        let claim = Some(()).filter(|()| judgement.waits_for_a_claim).and_then(|()| self.unbound_claim());
        claim.unwrap_or_else(|| self.of(subject, &judgement.cause))
    }

    fn owned_by(&self, resource: &Resource, owner: &Object) -> impl Iterator<Item = &'a Object> {
        let uid = owner.uid().unwrap_or_default().to_owned();
        self.list(resource).iter().filter(move |object| !uid.is_empty() && owners(object).any(|owner| owner == uid))
    }

    fn workload(&self, workload: &Object) -> Option<String> {
        let pods = Resource::new("v1", "Pod");
        let middle: Vec<&Object> = match workload.kind() {
            "Deployment" => self.owned_by(&Resource::new("apps/v1", "ReplicaSet"), workload).collect(),
            _ => Vec::new(),
        };
        let owners = || std::iter::once(workload).chain(middle.iter().copied());
        let events = self.events();
        let worst = owners()
            .flat_map(|owner| self.owned_by(&pods, owner))
            .filter_map(|pod| pod::judge(pod, events).map(|judgement| (judgement, pod)))
            .max_by(|(left, left_pod), (right, right_pod)| {
                left.weight.cmp(&right.weight).then_with(|| right_pod.name().cmp(left_pod.name()))
            });
        if let Some((judgement, pod)) = worst {
            let subject = if workload.kind() == "Job" { workload } else { pod };
            return Some(self.judged(subject, pod, &judgement));
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
        let said = pod::last_event(self.events(), claim, &["ProvisioningFailed", "FailedBinding", "WaitForFirstConsumer"]);
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
    let owners = object.at("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().filter_map(|owner| owner.get("uid")?.as_str())
}

/// Why a workload has no Pods: a quota, a policy, or a missing ServiceAccount.
fn not_created(workload: &Object, events: &[Object]) -> Option<String> {
    let failure = conditions(workload).find(|condition| condition.name == "ReplicaFailure" && condition.status == "True");
    let message = failure.map(|condition| condition.message).or_else(|| pod::last_event(events, workload, &["FailedCreate"]))?;
    Some(format!("its Pods cannot be made: {}", explain(message)))
}

/// What a false condition of an object says; the words are the kind's own.
pub(super) fn condition(object: &Object) -> Option<String> {
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
        (_, message) => explain(message),
    })
}

pub(super) struct Condition<'a> {
    pub(super) name: &'a str,
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

pub(super) fn conditions(object: &Object) -> impl Iterator<Item = Condition<'_>> {
    let all = object.at("/status/conditions").and_then(Value::as_array);
    all.into_iter().flatten().map(|condition| {
        let text = |name| condition.get(name).and_then(Value::as_str).unwrap_or_default();
        Condition { name: text("type"), status: text("status"), reason: text("reason"), message: text("message") }
    })
}

fn service(service: &Object) -> Option<&'static str> {
    let has_address = service.at("/status/loadBalancer/ingress").and_then(Value::as_array).is_some_and(|addresses| !addresses.is_empty());
    (service.text("/spec/type") == Some("LoadBalancer") && !has_address).then_some(
        "it has no address yet: nothing in the cluster gives addresses to Services of type LoadBalancer, or it has not come to it",
    )
}
