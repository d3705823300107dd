//! `crds` and `install`: the objects of Argo CD, as the commit has them.

use std::time::Duration;

use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::Instant;

use super::apply::{self, Comparisons};
use super::{Step, World, redis_password};
use crate::domain::{Object, Resource};
use crate::error::Result;
use crate::plan::preview::Preview;
use crate::plan::tracking::Tracking;
use crate::plan::{StepId, Verdict};

const CRD: &str = "CustomResourceDefinition";

/// Kinds that other objects need, which therefore go first: a pod whose ServiceAccount is not there yet is tried again only after a while.
const FIRST: [&str; 9] =
    ["Namespace", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "Service"];

/// Annotations by which Argo CD and Helm mark what they run before or after a sync: such objects come and go, and are left to them.
const HOOKS: [&str; 2] = ["argocd.argoproj.io/hook", "helm.sh/hook"];

/// How long is waited at least before the server is asked again whether it serves a kind: a hundredth of what it takes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// And at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Applies the custom resource definitions. It takes the server a moment to serve their kinds: [`Install`] waits for that, since no other object
/// of Argo CD has to.
pub struct Crds;

/// Applies everything else, and waits until the kinds of the definitions are served.
pub struct Install;

/// What looking at Argo CD's other objects brings.
pub struct Seen {
    comparisons: Comparisons,
    /// The kinds of the definitions that the server does not serve yet.
    unserved: Vec<Resource>,
    /// Whether pods are going to wait for the password of Redis.
    lacks_password: bool,
}

impl Step for Crds {
    type Seen = Comparisons;

    fn id(&self) -> StepId {
        StepId::Crds
    }

    async fn look(&self, world: &World) -> Result<Comparisons> {
        apply::look(world, definitions(world).collect()).await
    }

    fn decide(&self, world: &World, seen: &Comparisons) -> Result<Verdict> {
        seen.verdict(world, "Argo CD's resource definitions")
    }

    async fn preview(&self, world: &World, seen: Comparisons) -> Result<Preview> {
        apply::preview(world, self.id(), seen).await
    }

    async fn apply(&self, world: &World, seen: Comparisons) -> Result<()> {
        apply::apply(world, self.id(), seen.changes).await
    }
}

impl Step for Install {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Install
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let mut objects: Vec<&Object> = lasting(world).collect();
        objects.sort_by_key(|object| FIRST.iter().position(|kind| *kind == object.kind()).unwrap_or(FIRST.len()));
        let comparisons = compared(world, objects).await?;
        let lacks_password = redis_password::is_missing(world, comparisons.missing()).await?;
        let kinds: Vec<Resource> = definitions(world).filter_map(defined).collect();
        let served = try_join_all(kinds.iter().map(|kind| world.cluster.served(kind))).await?;
        let unserved: Vec<Resource> = kinds.into_iter().zip(served).filter(|(_, served)| served.is_none()).map(|(kind, _)| kind).collect();
        let skipped = comparisons.not_served.iter().filter(|object| !unserved.contains(&object.resource));
        let skipped = skipped.map(|object| format!("{object}: the cluster does not serve {}", object.resource.api_version));
        world.note_skipped(skipped.collect());
        Ok(Seen { comparisons, unserved, lacks_password })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        Ok(match seen.comparisons.verdict(world, "Argo CD")? {
            Verdict::Satisfied { .. } if !seen.unserved.is_empty() => {
                Verdict::needed(format!("{} of Argo CD's kinds are not served yet", seen.unserved.len()))
            }
            Verdict::Needed { because, changes } if seen.lacks_password => {
                let changes = changes.into_iter().chain([redis_password::reference().to_string()]).collect();
                Verdict::Needed { because, changes }
            }
            verdict => verdict,
        })
    }

    async fn preview(&self, world: &World, seen: Seen) -> Result<Preview> {
        let Seen { mut comparisons, unserved, lacks_password } = seen;
        // The others are left to Argo CD.
        comparisons.not_served.retain(|object| unserved.contains(&object.resource));
        let objects = apply::preview(world, self.id(), comparisons).await?;
        Ok(Preview::all(lacks_password.then(|| redis_password::preview(self.id())).into_iter().chain([objects])))
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        for left in world.skipped() {
            world.events.warn(format!("left to Argo CD: {left}"), None);
        }
        if seen.lacks_password {
            redis_password::make(world, self.id()).await?;
        }
        let changes = seen.comparisons.changes;
        tokio::try_join!(apply::apply(world, self.id(), changes), until_served(world, &seen.unserved))?;
        // What is of those kinds could not be sent before.
        let late = lasting(world).filter(|object| seen.unserved.contains(&object.resource()));
        let late = compared(world, late.collect()).await?;
        if late.changes.is_empty() { Ok(()) } else { apply::apply(world, self.id(), late.changes).await }
    }
}

/// Argo CD's custom resource definitions, as the commit has them.
pub(super) fn definitions(world: &World) -> impl Iterator<Item = &Object> {
    world.wanted.tree.argocd.iter().map(|rendered| &rendered.object).filter(|object| object.kind() == CRD)
}

/// The other objects of Argo CD, as the commit has them.
pub(super) fn others(world: &World) -> impl Iterator<Item = &Object> {
    world.wanted.tree.argocd.iter().map(|rendered| &rendered.object).filter(|object| object.kind() != CRD)
}

/// Those of them that are applied.
fn lasting(world: &World) -> impl Iterator<Item = &Object> {
    others(world).filter(|object| !is_hook(object))
}

/// How they compare. What is sent has Argo CD's mark: Argo CD then finds it as Git has it, and need not apply it once more.
async fn compared(world: &World, objects: Vec<&Object>) -> Result<Comparisons> {
    let mut comparisons = apply::look(world, objects).await?;
    if let Some(tracking) = Tracking::of_argocd(&world.wanted.tree) {
        comparisons.mark(&tracking);
    }
    Ok(comparisons)
}

fn is_hook(object: &Object) -> bool {
    HOOKS.iter().any(|hook| object.annotation(hook).is_some())
}

/// Waits until the server lists `kinds`, which it does once their definitions are Established (`customresource_discovery_controller.go` of
/// Kubernetes). The list is asked for, since it cannot be watched; to watch the definitions themselves would bring each of them, half a megabyte
/// and more, at every change of its conditions.
async fn until_served(world: &World, kinds: &[Resource]) -> Result<()> {
    let begin = Instant::now();
    for kind in kinds {
        let for_what = || format!("the server to serve {}", kind.kind);
        world.waiting(StepId::Install, for_what());
        while world.cluster.served(kind).await?.is_none() {
            world.pause((begin.elapsed() / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE), for_what).await?;
        }
    }
    Ok(())
}

/// The kind that a definition defines.
pub(super) fn defined(definition: &Object) -> Option<Resource> {
    let group = definition.text("/spec/group")?;
    let kind = definition.text("/spec/names/kind")?;
    let versions = definition.at("/spec/versions")?.as_array()?;
    let served = versions.iter().find(|version| version.get("served").and_then(Value::as_bool) == Some(true))?;
    let version = served.get("name")?.as_str()?;
    Some(Resource::new(&format!("{group}/{version}"), kind))
}
