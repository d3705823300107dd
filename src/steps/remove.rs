//! `remove`: the objects of Argo CD, gone; each only if it is the one that was found when the run began.

use super::{Step, World, deletion};
use crate::domain::ObjectRef;
use crate::error::Result;
use crate::plan::inventory::Mark;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::Dependents;
use crate::steps::apply::count;

/// Removes Argo CD's objects.
pub struct Remove;

impl Step for Remove {
    type Seen = Vec<(ObjectRef, String)>;

    fn id(&self) -> StepId {
        StepId::Remove
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        let inventory = world.detachment().inventory;
        let mut there = Vec::new();
        for (object, mark) in &inventory.goes {
            let live = world.cluster.get(object).await?;
            if live.as_ref().and_then(Mark::of).is_some_and(|live| live.uid == mark.uid) {
                there.push((object.clone(), mark.uid.clone()));
            }
        }
        Ok(there)
    }

    fn decide(&self, _world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(if seen.is_empty() {
            Verdict::satisfied("there are none")
        } else {
            Verdict::Needed { because: count(seen.len(), "object"), changes: seen.iter().map(|(object, _)| object.to_string()).collect() }
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        // Workloads first: nothing that they need goes while they might still run.
        let (workloads, others): (Vec<_>, Vec<_>) = seen
            .into_iter()
            .partition(|(object, _)| matches!(object.resource.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "Job"));
        deletion::delete(world, self.id(), workloads, Dependents::Deleted).await?;
        deletion::delete(world, self.id(), others, Dependents::Deleted).await
    }
}
