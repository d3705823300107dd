//! `stop`: Argo CD's workloads, scaled down, before anything is taken from them. A controller that runs would put finalizers on again, make
//! Applications again, or carry their deletion out on the workloads.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, Resource};
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{Change, ClusterError};

/// Stops Argo CD.
pub struct Stop;

/// The workloads that are there, and the pods in their namespace.
pub struct Seen {
    workloads: Vec<Object>,
    pods: Vec<Object>,
}

impl Seen {
    fn running(&self) -> impl Iterator<Item = &Object> {
        self.workloads.iter().filter(|workload| !is_scaled_down(workload) || self.pods.iter().any(|pod| is_pod_of(pod, workload)))
    }
}

fn is_scaled_down(workload: &Object) -> bool {
    workload.at("/spec/replicas").and_then(Value::as_i64) == Some(0)
}

/// Whether a pod has all labels by which a workload knows its pods.
fn is_pod_of(pod: &Object, workload: &Object) -> bool {
    let Some(selector) = workload.at("/spec/selector/matchLabels").and_then(Value::as_object) else { return false };
    selector.iter().all(|(name, value)| pod.label(name) == value.as_str())
}

/// The one that undoes what is changed by hand, also the scale of the others.
fn is_application_controller(workload: &Object) -> bool {
    workload.label("app.kubernetes.io/component") == Some("application-controller") || workload.name().ends_with("application-controller")
}

impl Step for Stop {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Stop
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let inventory = world.detachment().inventory;
        let mut workloads = Vec::new();
        for object in inventory.goes.keys().filter(|object| matches!(object.resource.kind.as_str(), "Deployment" | "StatefulSet")) {
            workloads.extend(world.cluster.get(object).await?);
        }
        let pods = world.cluster.list(&Resource::new("v1", "Pod"), Some(ARGOCD_NAMESPACE), None).await?;
        Ok(Seen { workloads, pods })
    }

    fn decide(&self, _world: &World, seen: &Seen) -> Result<Verdict> {
        let running: Vec<String> = seen.running().map(|workload| workload.reference().to_string()).collect();
        Ok(if running.is_empty() {
            Verdict::satisfied("nothing of Argo CD runs")
        } else {
            Verdict::Needed { because: format!("{} workloads of Argo CD run", running.len()), changes: running }
        })
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        let (first, others): (Vec<Object>, Vec<Object>) = seen.workloads.into_iter().partition(is_application_controller);
        for workloads in [first, others] {
            for workload in workloads.iter().filter(|workload| !is_scaled_down(workload)) {
                world.go_on()?;
                match world.cluster.merge_patch(&workload.reference(), &json!({"spec": {"replicas": 0}})).await {
                    Ok(_) => world.changed(self.id(), workload.reference(), How::Updated),
                    Err(ClusterError::NotFound(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            until_no_pods(world, &workloads).await?;
        }
        Ok(())
    }
}

/// Waits until the workloads have no pods, those that are ending included.
async fn until_no_pods(world: &World, workloads: &[Object]) -> Result<()> {
    let mut changes = world.cluster.watch(&Resource::new("v1", "Pod"), Some(ARGOCD_NAMESPACE));
    let mut pods: BTreeMap<String, bool> = BTreeMap::new();
    let is_theirs = |pod: &Object| workloads.iter().any(|workload| is_pod_of(pod, workload));
    loop {
        let for_what = || {
            let left: Vec<&str> = pods.iter().filter(|(_, theirs)| **theirs).map(|(name, _)| name.as_str()).collect();
            format!("the pods of Argo CD to end: {}", left.join(", "))
        };
        let change = world.wait(changes.next(), for_what).await?;
        match change {
            Some(Ok(Change::Restarted(found))) => {
                pods = found.iter().map(|pod| (pod.name().to_owned(), is_theirs(pod))).collect();
            }
            Some(Ok(Change::Applied(pod))) => {
                pods.insert(pod.name().to_owned(), is_theirs(&pod));
            }
            Some(Ok(Change::Deleted(gone))) => {
                pods.remove(&gone.name);
            }
            Some(Err(_)) => continue,
            None => return Err(Failure::bug("a watch ended")),
        }
        if !pods.values().any(|theirs| *theirs) {
            return Ok(());
        }
        world.waiting(StepId::Stop, format!("{} pods of Argo CD to end", pods.values().filter(|theirs| **theirs).count()));
    }
}
