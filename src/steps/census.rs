//! `census`: what goes and what must stay, written down before anything goes. Once the Applications are gone, nothing else tells it, so a run
//! that is continued has it from here.

use std::sync::Arc;

use serde_json::json;

use super::{Step, World, inventory};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::compare::OWN_MANAGER;
use crate::plan::inventory::Inventory;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::ApplyOptions;

/// The label of the ConfigMaps that the record is in.
pub const LABEL: &str = "app.kubernetes.io/component=detach-record";

/// How much of the record one ConfigMap has, in bytes: an object may have 1 MiB (kubernetes.io, "ConfigMaps").
const PART: usize = 512 << 10;

/// Writes down what goes and what must stay.
pub struct Census;

/// What goes and what must stay, and whether that is written down.
pub struct Seen {
    inventory: Arc<Inventory>,
    is_written: bool,
}

impl Step for Census {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Census
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let known = world.detachment();
        if known.recorded {
            return Ok(Seen { inventory: known.inventory, is_written: true });
        }
        let live = inventory::applications(world).await?;
        let (inventory, is_written) = match read(world).await? {
            Some(written) if written.is_of_a_run_under_way(&inventory::uids(&live)) => (written, true),
            _ => (inventory::take(world, &live).await?, false),
        };
        let inventory = Arc::new(inventory);
        world.note_detachment(|detachment| detachment.inventory = inventory.clone());
        Ok(Seen { inventory, is_written })
    }

    fn decide(&self, _world: &World, seen: &Seen) -> Result<Verdict> {
        let stays = seen.inventory.stays.len();
        Ok(if seen.inventory.is_empty() {
            Verdict::satisfied("nothing of Argo CD is there")
        } else if seen.is_written {
            Verdict::satisfied(format!("{stays} objects must stay"))
        } else {
            Verdict::Needed { because: format!("{stays} objects must stay"), changes: vec![reference(1).to_string()] }
        })
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        let parts = parts(&seen.inventory);
        for (number, lines) in (1..).zip(&parts) {
            world.go_on()?;
            let object = Object::new(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {
                    "name": reference(number).name, "namespace": ARGOCD_NAMESPACE,
                    "labels": {"app.kubernetes.io/managed-by": "gitops-bootstrap", "app.kubernetes.io/component": "detach-record"},
                },
                "data": {"part": number.to_string(), "parts": parts.len().to_string(), "lines": lines},
            }))
            .map_err(|error| Failure::bug(error.to_string()))?;
            world.cluster.apply(&object, ApplyOptions { manager: OWN_MANAGER, force: true }).await?;
            world.changed(self.id(), reference(number), How::Created);
        }
        world.note_detachment(|detachment| detachment.recorded = true);
        Ok(())
    }
}

fn reference(part: usize) -> ObjectRef {
    ObjectRef::namespaced("v1", "ConfigMap", ARGOCD_NAMESPACE, &format!("gitops-bootstrap-detach-{part}"))
}

/// The ConfigMaps of the record.
pub(super) async fn objects(world: &World) -> Result<Vec<Object>> {
    Ok(world.cluster.list(&Resource::new("v1", "ConfigMap"), Some(ARGOCD_NAMESPACE), Some(LABEL)).await?)
}

/// What a run has written down; none if that is not whole.
async fn read(world: &World) -> Result<Option<Inventory>> {
    let objects = objects(world).await?;
    let part = |number: usize| {
        let found = objects.iter().find(|object| object.reference() == reference(number));
        found.filter(|object| object.text("/data/part") == Some(number.to_string().as_str()))
    };
    let Some(number) = part(1).and_then(|first| first.text("/data/parts")?.parse::<usize>().ok()) else { return Ok(None) };
    let parts: Option<Vec<&str>> = (1..=number).map(|number| part(number)?.text("/data/lines")).collect();
    Ok(parts.and_then(|parts| Inventory::from_lines(parts.iter().flat_map(|lines| lines.lines()))))
}

/// The record in parts that a ConfigMap can hold.
fn parts(inventory: &Inventory) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in inventory.to_lines() {
        if parts.last().is_some_and(|part| part.len() + line.len() > PART) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(&line);
            part.push('\n');
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::inventory::Mark;

    #[test]
    fn a_record_of_many_objects_is_kept_in_parts_and_none_is_lost() {
        let mark = Mark { uid: "0c0ffee0-0000-4000-8000-000000000000".to_owned(), restarts: Some(0) };
        let pods = (0..20_000).map(|number| (ObjectRef::namespaced("v1", "Pod", "web", &format!("web-{number}")), mark.clone()));
        let inventory = Inventory { applications: ["a".to_owned()].into(), stays: pods.collect(), ..Inventory::default() };
        let parts = parts(&inventory);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() < 900 << 10), "{}", parts.len());
        assert_eq!(Inventory::from_lines(parts.iter().flat_map(|part| part.lines())), Some(inventory));
    }
}
