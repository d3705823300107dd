//! `refresh`: Argo CD looks at the repository, by the address that it has, and so finds the commit that names another one. Until then it would take
//! back what is sent of that commit.

use super::{Step, World, fetch};
use crate::domain::application::Application;
use crate::error::Result;
use crate::plan::{StepId, Verdict};

/// Has Argo CD look.
pub struct Refresh;

impl Step for Refresh {
    /// Whether the root Application has the new address.
    type Seen = bool;

    fn id(&self) -> StepId {
        StepId::Refresh
    }

    async fn look(&self, world: &World) -> Result<bool> {
        let root = world.cluster.get(&fetch::root(world)).await?.and_then(|root| Application::read(&root).ok());
        Ok(root.is_some_and(|root| root.sources().any(|source| world.wanted.tree.repository.is_written(&source.repository))))
    }

    fn decide(&self, world: &World, seen: &bool) -> Result<Verdict> {
        let root = world.wanted.tree.root.object.name();
        Ok(if *seen {
            Verdict::satisfied(format!("{root} names the new address"))
        } else if world.rotation().refreshed {
            Verdict::satisfied(format!("{root} was refreshed"))
        } else {
            Verdict::needed(format!("{root} names the old address"))
        })
    }

    async fn apply(&self, world: &World, _seen: bool) -> Result<()> {
        let root = fetch::root(world);
        fetch::ask(world, self.id(), &root).await?;
        // What cannot be fetched by the old address cannot be put back from there either.
        if let Some(error) = fetch::refreshed(world, self.id(), &root).await? {
            world.events.warn(format!("Argo CD does not get in by the old address any more: {error}"), None);
        }
        world.note_rotation(|rotation| rotation.refreshed = true);
        Ok(())
    }
}
