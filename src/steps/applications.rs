//! `finalizers` and `applications`: the ApplicationSets, Applications and AppProjects, gone without anything that they manage.
//!
//! With one of Argo CD's finalizers on it, the deletion of an Application is an order to delete its workloads, which Argo CD carries out
//! whenever it next runs. So the finalizers go first, while nothing of Argo CD runs.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::apply::CONCURRENCY;
use super::{Step, World, deletion, inventory};
use crate::domain::Object;
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{ClusterError, Dependents};

/// Takes Argo CD's finalizers off.
pub struct Finalizers;

/// Removes the objects.
pub struct Applications;

/// Whether a finalizer is one of Argo CD's: `resources-finalizer.argocd.argoproj.io`, also with `/background` or `/foreground`, and those of its hooks, as
/// `post-delete-finalizer.argocd.argoproj.io` (`pkg/apis/application/v1alpha1/application_defaults.go` of Argo CD).
fn is_argocds(finalizer: &Value) -> bool {
    let name = finalizer.as_str().unwrap_or_default();
    name.split('/').next().is_some_and(|name| name.ends_with(".argocd.argoproj.io") || name == "argocd.argoproj.io")
}

fn finalizers(object: &Object) -> impl Iterator<Item = &Value> {
    object.at("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten()
}

/// The names of objects, as `3 Applications, 1 AppProject`.
fn count(objects: &[Object]) -> String {
    let counts = inventory::KINDS.iter().map(|kind| (kind, objects.iter().filter(|object| object.kind() == *kind).count()));
    let counts = counts.filter(|(_, number)| *number > 0);
    counts.map(|(kind, number)| format!("{number} {kind}{}", if number == 1 { "" } else { "s" })).collect::<Vec<_>>().join(", ")
}

impl Step for Finalizers {
    type Seen = Vec<Object>;

    fn id(&self) -> StepId {
        StepId::Finalizers
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        let objects = inventory::applications(world).await?;
        Ok(objects.into_iter().filter(|object| finalizers(object).any(is_argocds)).collect())
    }

    fn decide(&self, _world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(if seen.is_empty() {
            Verdict::satisfied("no deletion would go on to the workloads")
        } else {
            Verdict::Needed {
                because: format!("{} would take their workloads with them", count(seen)),
                changes: seen.iter().map(|object| object.reference().to_string()).collect(),
            }
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        let patches = seen.into_iter().map(|object| async move {
            world.go_on()?;
            let kept: Vec<&Value> = finalizers(&object).filter(|finalizer| !is_argocds(finalizer)).collect();
            match world.cluster.merge_patch(&object.reference(), &json!({"metadata": {"finalizers": kept}})).await {
                Ok(_) => world.changed(self.id(), object.reference(), How::Updated),
                Err(ClusterError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
            Ok::<(), Failure>(())
        });
        stream::iter(patches.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY).try_collect().await
    }
}

impl Step for Applications {
    type Seen = Vec<Object>;

    fn id(&self) -> StepId {
        StepId::Applications
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        inventory::applications(world).await
    }

    fn decide(&self, _world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(if seen.is_empty() {
            Verdict::satisfied("there are none")
        } else {
            Verdict::Needed { because: count(seen), changes: seen.iter().map(|object| object.reference().to_string()).collect() }
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        for kind in inventory::KINDS {
            let objects = seen.iter().filter(|object| object.kind() == kind);
            let objects: Vec<_> = objects.filter_map(|object| Some((object.reference(), object.uid()?.to_owned()))).collect();
            if !objects.is_empty() {
                deletion::delete(world, self.id(), objects, Dependents::Orphaned).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argo_cds_finalizers_are_told_from_those_of_others() {
        let is = |name: &str| is_argocds(&Value::from(name));
        assert!(is("resources-finalizer.argocd.argoproj.io") && is("resources-finalizer.argocd.argoproj.io/background"));
        assert!(is("post-delete-finalizer.argocd.argoproj.io/cleanup"));
        assert!(!is("foregroundDeletion") && !is("example.com/argocd.argoproj.io") && !is("myargocd.argoproj.io"));
    }
}
