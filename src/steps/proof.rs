//! `proof`: everything that must stay has the UID that it had before the run, and no pod was restarted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Step, World, census, inventory};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef};
use crate::error::{Failure, Kind, Result};
use crate::plan::inventory::Mark;
use crate::plan::{StepId, Verdict};

/// How many objects that differ are named.
const NAMED: usize = 20;

/// Proves that everything else is as it was.
pub struct Proof;

impl Step for Proof {
    type Seen = BTreeMap<ObjectRef, Mark>;

    fn id(&self) -> StepId {
        StepId::Proof
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        let inventory = world.detachment().inventory;
        let kinds: BTreeSet<_> = inventory.stays.keys().map(|object| &object.resource).collect();
        inventory::marks(world, kinds, |object: &Object| inventory.stays.contains_key(&object.reference())).await
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        let detachment = world.detachment();
        let stays = &detachment.inventory.stays;
        let pods = stays.keys().filter(|object| object.resource.kind == "Pod").count();
        Ok(match detachment.proven {
            _ if stays.is_empty() => Verdict::satisfied("there is nothing else to look at"),
            Some(number) => Verdict::satisfied(format!("{number} objects have the UID that they had; {pods} pods, none was restarted")),
            None => {
                let changed = stays.iter().filter(|(object, mark)| mark.change(seen.get(object)).is_some()).count();
                Verdict::needed(match changed {
                    0 => format!("{} objects are compared with what they were", stays.len()),
                    changed => format!("{changed} of {} objects are not as they were", stays.len()),
                })
            }
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        let inventory = world.detachment().inventory;
        let changed: Vec<String> =
            inventory.stays.iter().filter_map(|(object, mark)| Some(format!("{object} {}", mark.change(seen.get(object))?))).collect();
        if changed.is_empty() {
            world.note_detachment(|detachment| detachment.proven = Some(inventory.stays.len()));
            return Ok(());
        }
        let number = changed.len();
        let failure =
            Failure::new(Kind::Unverified, format!("{number} of {} objects are not as they were before the run", inventory.stays.len()));
        let failure = changed.into_iter().take(NAMED).fold(failure, Failure::because);
        let failure = if number > NAMED { failure.because(format!("and {} more", number - NAMED)) } else { failure };
        Err(failure
            .hint("find out who did it: Argo CD was stopped before anything was removed, and nothing of these was asked to be removed")
            .hint(format!(
                "if it is as it should be: kubectl -n {ARGOCD_NAMESPACE} delete configmap -l {}; then run the same command again",
                census::LABEL
            )))
    }
}
