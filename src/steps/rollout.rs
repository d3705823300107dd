//! `rollout`: Argo CD's Deployments and StatefulSets, running.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::{Failure, Result};
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::Change;

/// Waits until each workload of Argo CD runs as declared.
pub struct Rollout;

/// The workloads by object, and for those that do not run, why.
pub type Seen = BTreeMap<ObjectRef, Option<String>>;

impl Step for Rollout {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Rollout
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let mut seen = wanted(world);
        for kind in ["Deployment", "StatefulSet"] {
            for workload in world.cluster.list(&Resource::new("apps/v1", kind), Some(ARGOCD_NAMESPACE), None).await? {
                note(&mut seen, &workload);
            }
        }
        Ok(seen)
    }

    fn decide(&self, _world: &World, seen: &Seen) -> Result<Verdict> {
        let open = seen.values().filter(|why| why.is_some()).count();
        Ok(if open == 0 {
            Verdict::satisfied(format!("{} workloads", seen.len()))
        } else {
            Verdict::needed(format!("{open} of {} workloads do not run yet", seen.len()))
        })
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        until_running(world, self.id(), seen).await
    }
}

/// Waits until all of these workloads run, and says what holds them.
pub(super) async fn until_running(world: &World, step: StepId, seen: Seen) -> Result<()> {
    let mut seen = seen;
    let mut pods: BTreeMap<String, String> = BTreeMap::new();
    let watch = |api_version, kind| world.cluster.watch(&Resource::new(api_version, kind), Some(ARGOCD_NAMESPACE));
    let mut changes = stream::select_all([watch("apps/v1", "Deployment"), watch("apps/v1", "StatefulSet"), watch("v1", "Pod")]);
    loop {
        let open: Vec<(&ObjectRef, &String)> = seen.iter().filter_map(|(workload, why)| Some((workload, why.as_ref()?))).collect();
        if open.is_empty() {
            return Ok(());
        }
        let text = describe(&open, &pods);
        world.waiting(step, text.clone());
        let change = world.wait(changes.next(), || text.clone()).await.map_err(|failure| blame(failure, &pods))?;
        match change {
            Some(Ok(Change::Restarted(objects))) => objects.iter().for_each(|object| note_change(&mut seen, &mut pods, object)),
            Some(Ok(Change::Applied(object))) => note_change(&mut seen, &mut pods, &object),
            Some(Ok(Change::Deleted(gone))) => {
                pods.remove(&gone.name);
                if let Some(why) = seen.get_mut(&gone) {
                    *why = Some("is gone".to_owned());
                }
            }
            // The watch lists and watches again by itself.
            Some(Err(_)) => {}
            None => return Err(Failure::bug("a watch ended")),
        }
    }
}

fn wanted(world: &World) -> Seen {
    let objects = world.wanted.tree.argocd.iter().map(|rendered| &rendered.object);
    let workloads = objects.filter(|object| matches!(object.kind(), "Deployment" | "StatefulSet"));
    workloads
        .map(|object| (ObjectRef::namespaced("apps/v1", object.kind(), ARGOCD_NAMESPACE, object.name()), Some("is not there".to_owned())))
        .collect()
}

/// Takes what is known of one workload.
pub(super) fn note(seen: &mut Seen, workload: &Object) {
    if let Some(why) = seen.get_mut(&workload.reference()) {
        *why = not_rolled_out(workload);
    }
}

fn note_change(seen: &mut Seen, pods: &mut BTreeMap<String, String>, object: &Object) {
    if object.kind() == "Pod" {
        match waiting_reason(object) {
            Some(reason) => pods.insert(object.name().to_owned(), reason),
            None => pods.remove(object.name()),
        };
    } else {
        note(seen, object);
    }
}

fn number(object: &Object, pointer: &str) -> i64 {
    object.at(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// Why a workload does not run as declared; none if it does. A status that is older than the declaration counts for nothing.
fn not_rolled_out(workload: &Object) -> Option<String> {
    if number(workload, "/status/observedGeneration") < number(workload, "/metadata/generation") {
        return Some("is new".to_owned());
    }
    let replicas = workload.at("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let updated = number(workload, "/status/updatedReplicas");
    let available = if workload.kind() == "Deployment" {
        number(workload, "/status/availableReplicas")
    } else {
        number(workload, "/status/readyReplicas")
    };
    let total = number(workload, "/status/replicas");
    if updated < replicas {
        Some(format!("{updated} of {replicas} pods are made"))
    } else if total > updated {
        Some(format!("{} old pods are still there", total - updated))
    } else if available < replicas {
        Some(format!("{available} of {replicas} pods are ready"))
    } else {
        None
    }
}

/// Why a pod does not run, in Kubernetes' own words.
fn waiting_reason(pod: &Object) -> Option<String> {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|pointer| pod.at(pointer)?.as_array())
        .flatten();
    for status in statuses {
        let Some(waiting) = status.pointer("/state/waiting") else { continue };
        let reason = waiting.get("reason").and_then(Value::as_str).unwrap_or_default();
        if matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
            continue;
        }
        let message = waiting.get("message").and_then(Value::as_str).unwrap_or_default();
        return Some(format!("{reason} {message}").trim().to_owned());
    }
    let conditions = pod.at("/status/conditions").and_then(Value::as_array);
    let unscheduled = conditions.into_iter().flatten().find(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("PodScheduled")
            && condition.get("status").and_then(Value::as_str) == Some("False")
    });
    unscheduled.and_then(|condition| condition.get("message")?.as_str()).map(str::to_owned)
}

fn describe(open: &[(&ObjectRef, &String)], pods: &BTreeMap<String, String>) -> String {
    let workloads: Vec<String> = open
        .iter()
        .map(|(workload, why)| match pods.iter().find(|(pod, _)| pod.starts_with(&workload.name)) {
            Some((_, reason)) => format!("{}: {reason}", workload.name),
            None => format!("{} ({why})", workload.name),
        })
        .collect();
    workloads.join(", ")
}

fn blame(failure: Failure, pods: &BTreeMap<String, String>) -> Failure {
    pods.iter()
        .fold(failure, |failure, (pod, reason)| failure.because(format!("pod {pod}: {reason}")))
        .hint(format!("kubectl -n {ARGOCD_NAMESPACE} get pods; kubectl -n {ARGOCD_NAMESPACE} describe pod NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(generation: i64, observed: i64, status: Value) -> Object {
        let mut status = status;
        status["observedGeneration"] = observed.into();
        Object::new(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "generation": generation}, "spec": {"replicas": 2}, "status": status})).unwrap()
    }

    #[test]
    fn a_status_older_than_the_declaration_is_no_readiness() {
        let ready = json!({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(not_rolled_out(&deployment(1, 1, ready.clone())), None);
        assert!(not_rolled_out(&deployment(2, 1, ready)).is_some());
    }

    #[test]
    fn old_pods_and_pods_that_are_not_available_count() {
        assert!(not_rolled_out(&deployment(1, 1, json!({"replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}))).is_some());
        assert!(not_rolled_out(&deployment(1, 1, json!({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}))).is_some());
    }
}
