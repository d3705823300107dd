//! `crds` and `install`: the objects of Argo CD, as the commit has them.

use futures::StreamExt as _;
use serde_json::Value;

use super::apply::{self, Comparisons};
use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::Result;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::Change;

const CRD: &str = "CustomResourceDefinition";

/// Kinds that other objects need, which therefore go first: a pod whose ServiceAccount is not there yet is tried again only after a while.
const FIRST: [&str; 9] =
    ["Namespace", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "Service"];

/// Annotations by which Argo CD and Helm mark what they run before or after a sync: such objects come and go.
const HOOKS: [&str; 2] = ["argocd.argoproj.io/hook", "helm.sh/hook"];

/// Applies the custom resource definitions and waits until they are served.
pub struct Crds;

/// Applies everything else.
pub struct Install;

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

    async fn apply(&self, world: &World, seen: Comparisons) -> Result<()> {
        apply::apply(world, self.id(), seen.changes).await?;
        until_served(world).await
    }
}

impl Step for Install {
    type Seen = Comparisons;

    fn id(&self) -> StepId {
        StepId::Install
    }

    async fn look(&self, world: &World) -> Result<Comparisons> {
        let with_hooks = hooks_are_needed(world).await?;
        let mut objects: Vec<&Object> = others(world).filter(|object| with_hooks || !is_hook(object)).collect();
        objects.sort_by_key(|object| FIRST.iter().position(|kind| *kind == object.kind()).unwrap_or(FIRST.len()));
        let seen = apply::look(world, objects).await?;
        let skipped = seen.not_served.iter().map(|object| format!("{object}: the cluster does not serve {}", object.resource.api_version));
        world.note_skipped(skipped.collect());
        Ok(seen)
    }

    fn decide(&self, world: &World, seen: &Comparisons) -> Result<Verdict> {
        seen.verdict(world, "Argo CD")
    }

    async fn apply(&self, world: &World, seen: Comparisons) -> Result<()> {
        for left in world.skipped() {
            world.events.warn(format!("left to Argo CD: {left}"), None);
        }
        apply::apply(world, self.id(), seen.changes).await
    }
}

fn definitions(world: &World) -> impl Iterator<Item = &Object> {
    world.wanted.tree.argocd.iter().map(|rendered| &rendered.object).filter(|object| object.kind() == CRD)
}

fn others(world: &World) -> impl Iterator<Item = &Object> {
    world.wanted.tree.argocd.iter().map(|rendered| &rendered.object).filter(|object| object.kind() != CRD)
}

fn is_hook(object: &Object) -> bool {
    HOOKS.iter().any(|hook| object.annotation(hook).is_some())
}

/// Argo CD's chart makes the password of its Redis in a hook. Argo CD cannot run it before it runs itself, so the hook's objects are applied as
/// plain ones until that Secret is there.
async fn hooks_are_needed(world: &World) -> Result<bool> {
    if !others(world).any(is_hook) {
        return Ok(false);
    }
    Ok(world.cluster.get(&ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, "argocd-redis")).await?.is_none())
}

/// Waits until each definition is Established and its kind is listed by the server.
async fn until_served(world: &World) -> Result<()> {
    let mut open: Vec<(String, Resource)> = definitions(world).filter_map(defined).collect();
    let mut changes = world.cluster.watch(&Resource::new("apiextensions.k8s.io/v1", CRD), None);
    while !open.is_empty() {
        let names = || open.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        world.waiting(StepId::Crds, format!("{} to be established", names()));
        let established: Vec<String> = match world.wait(changes.next(), || format!("{} to be established", names())).await? {
            Some(Ok(Change::Restarted(definitions))) => {
                definitions.iter().filter(|definition| is_established(definition)).map(|definition| definition.name().to_owned()).collect()
            }
            Some(Ok(Change::Applied(definition))) if is_established(&definition) => vec![definition.name().to_owned()],
            _ => continue,
        };
        let mut still_open = Vec::new();
        for (name, resource) in open {
            if !established.contains(&name) || !until_listed(world, &resource).await? {
                still_open.push((name, resource));
            }
        }
        open = still_open;
    }
    Ok(())
}

/// Discovery may lag behind the condition for a moment.
async fn until_listed(world: &World, resource: &Resource) -> Result<bool> {
    for _ in 0..100 {
        if world.cluster.served(resource).await?.is_some() {
            return Ok(true);
        }
        world.pause(std::time::Duration::from_millis(100), || format!("the server to list {}", resource.kind)).await?;
    }
    Ok(false)
}

/// The name of a definition, and the kind that it defines.
fn defined(definition: &Object) -> Option<(String, Resource)> {
    let group = definition.text("/spec/group")?;
    let kind = definition.text("/spec/names/kind")?;
    let versions = definition.at("/spec/versions")?.as_array()?;
    let served = versions.iter().find(|version| version.get("served").and_then(Value::as_bool) == Some(true))?;
    let version = served.get("name")?.as_str()?;
    Some((definition.name().to_owned(), Resource::new(&format!("{group}/{version}"), kind)))
}

fn is_established(definition: &Object) -> bool {
    let conditions = definition.at("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Established")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}
