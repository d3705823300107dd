//! `known-hosts`: the pinned host keys where Argo CD reads them, the ConfigMap `argocd-ssh-known-hosts-cm`. All key types of a host must be there,
//! or Argo CD's Git client reports a mismatch.

use serde_json::json;

use super::preview::dry_run;
use super::{Step, World};
use crate::domain::repository_url::Transport;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{HostKey, HostKeys, Object, ObjectRef};
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::compare::{ARGOCD_MANAGER, keeping_tracking};
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::ApplyOptions;

/// The ConfigMap that Argo CD mounts.
pub const CONFIG_MAP: &str = "argocd-ssh-known-hosts-cm";

/// Makes the pinned host keys known to Argo CD.
pub struct KnownHosts;

/// The text of the ConfigMap, and the pins that it lacks.
pub struct Seen {
    there: Option<String>,
    missing: Vec<HostKey>,
}

fn reference() -> ObjectRef {
    ObjectRef::namespaced("v1", "ConfigMap", ARGOCD_NAMESPACE, CONFIG_MAP)
}

/// The host keys that a ConfigMap holds.
pub fn text(config_map: &Object) -> Option<&str> {
    config_map.text("/data/ssh_known_hosts")
}

impl Step for KnownHosts {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::KnownHosts
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let there = world.cluster.get(&reference()).await?.as_ref().and_then(text).map(str::to_owned);
        let known = HostKeys::from_known_hosts(there.as_deref().unwrap_or_default());
        let wanted = match world.wanted.tree.repository.transport() {
            Transport::Ssh => world.wanted.hosts.of(&world.wanted.tree.repository),
            Transport::Http | Transport::Git => Vec::new(),
        };
        Ok(Seen { missing: wanted.into_iter().filter(|key| !known.contains(key)).cloned().collect(), there })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let host = world.wanted.tree.repository.known_host();
        Ok(match (seen.missing.len(), world.wanted.tree.repository.transport()) {
            (_, Transport::Http | Transport::Git) => Verdict::satisfied("only SSH needs them"),
            (0, Transport::Ssh) => Verdict::satisfied(format!("Argo CD knows {host}")),
            (missing, Transport::Ssh) => {
                Verdict::Needed { because: format!("{missing} of the keys of {host} are missing"), changes: vec![reference().to_string()] }
            }
        })
    }

    async fn preview(&self, world: &World, seen: Seen) -> Result<Preview> {
        if !self.decide(world, &seen)?.is_needed() {
            return Ok(Preview::default());
        }
        let live = world.cluster.get(&reference()).await?;
        let action = if live.is_some() { Action::Change } else { Action::Create };
        let planned = PlannedObject::new(self.id(), reference(), action);
        dry_run(world, planned, &wanted(world, &seen, live.as_ref())?, live.as_ref(), OPTIONS).await
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        let live = world.cluster.get(&reference()).await?;
        world.cluster.apply(&wanted(world, &seen, live.as_ref())?, OPTIONS).await?;
        world.changed(self.id(), reference(), How::Updated);
        if declared(world).is_none_or(|declared| text_lacks(declared, &seen.missing)) {
            world.events.warn(
                format!(
                    "{CONFIG_MAP} in Git lacks host keys of {}: Argo CD takes them out again when it syncs itself",
                    world.wanted.tree.repository.known_host()
                ),
                Some("add them to `repository.knownHosts` in gitops.yaml, render, commit and push".to_owned()),
            );
        }
        Ok(())
    }
}

/// How the ConfigMap is written.
const OPTIONS: ApplyOptions<'static> = ApplyOptions { manager: ARGOCD_MANAGER, force: true };

/// The ConfigMap as Git has it, if it does.
fn declared(world: &World) -> Option<&Object> {
    let mut objects = world.wanted.tree.argocd.iter().map(|rendered| &rendered.object);
    objects.find(|object| object.kind() == "ConfigMap" && object.name() == CONFIG_MAP)
}

/// The ConfigMap with the host keys that are there and those that are missing.
fn wanted(world: &World, seen: &Seen, live: Option<&Object>) -> Result<Object> {
    let mut text = seen.there.clone().unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for key in &seen.missing {
        text.push_str(&key.to_line());
        text.push('\n');
    }
    // The whole declaration of the object belongs to one manager: what Git says of its labels must not get lost by this apply.
    Ok(keeping_tracking(&with_text(declared(world), &text)?, live))
}

fn text_lacks(declared: &Object, keys: &[HostKey]) -> bool {
    let known = HostKeys::from_known_hosts(text(declared).unwrap_or_default());
    keys.iter().any(|key| !known.contains(key))
}

/// The ConfigMap as it is declared, or a bare one, with `text`.
fn with_text(declared: Option<&Object>, text: &str) -> Result<Object> {
    let mut value = match declared {
        Some(declared) => declared.clone().in_namespace(ARGOCD_NAMESPACE).into_value(),
        None => {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP, "namespace": ARGOCD_NAMESPACE}, "data": {}})
        }
    };
    value["data"]["ssh_known_hosts"] = text.into();
    Object::new(value).map_err(|error| Failure::bug(error.to_string()))
}
