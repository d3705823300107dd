//! `definitions`: Argo CD's custom resource definitions, gone. With a definition go all objects of its kind, so one of which another Argo CD has
//! objects in this cluster stays.

use super::{Step, World, deletion, install, inventory};
use crate::domain::{Object, ObjectRef};
use crate::error::{Failure, Kind, Result};
use crate::plan::compare::is_made_by_us;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::Dependents;

/// Removes the definitions.
pub struct Definitions;

/// A definition that is there.
pub struct Found {
    definition: Object,
    /// The objects of its kind that are not this Argo CD's.
    others: Vec<ObjectRef>,
}

impl Step for Definitions {
    type Seen = Vec<Found>;

    fn id(&self) -> StepId {
        StepId::Definitions
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        let ours = inventory::uids(&inventory::applications(world).await?);
        let own = world.wanted.tree.argocd_application().map(|own| own.object.name());
        let mut found = Vec::new();
        for declared in install::definitions(world) {
            let Some(definition) = world.cluster.get(&declared.reference()).await? else { continue };
            if !is_made_by_us(&definition, own) {
                continue;
            }
            let objects = match install::defined(&definition) {
                Some(kind) => inventory::all(world, &kind, None).await?,
                None => Vec::new(),
            };
            let others =
                objects.iter().filter(|object| object.uid().is_none_or(|uid| !ours.contains(uid))).map(Object::reference).collect();
            found.push(Found { definition, others });
        }
        Ok(found)
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        let (go, stay): (Vec<&Found>, Vec<&Found>) = seen.iter().partition(|found| found.others.is_empty());
        if seen.is_empty() {
            return Ok(Verdict::satisfied("there are none"));
        }
        if world.detachment().keep_definitions {
            return Ok(Verdict::satisfied(format!("{} stay, as you said", seen.len())));
        }
        if go.is_empty() {
            let first = stay.iter().flat_map(|found| &found.others).next().map(ToString::to_string).unwrap_or_default();
            return Ok(Verdict::satisfied(format!("{} stay: others use them, as {first}", stay.len())));
        }
        Ok(Verdict::Needed {
            because: if stay.is_empty() { "nobody uses them".to_owned() } else { format!("{} more stay: others use them", stay.len()) },
            changes: go.iter().map(|found| found.definition.reference().to_string()).collect(),
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        // Those of this Argo CD are gone by now; whatever is there at this moment would go with its definition.
        if let Some(object) = inventory::applications(world).await?.first() {
            return Err(Failure::new(Kind::Conflict, format!("{} was made during the run", object.reference()))
                .because("it would go with the definition of its kind")
                .hint("find out who made it; then run the same command again"));
        }
        let go = seen.into_iter().filter(|found| found.others.is_empty());
        let go = go.filter_map(|found| Some((found.definition.reference(), found.definition.uid()?.to_owned())));
        deletion::delete(world, self.id(), go.collect(), Dependents::Deleted).await
    }
}
