//! `infrastructure`: the app-of-apps that come before the services, exactly as Git has them. The root, which would bring the services as well, comes after
//! the gates and takes them over.
//!
//! Holding the services this way needs no change to any object: a run that is killed leaves nothing that differs from Git.

use super::apply::{self, Comparisons};
use super::{Step, World, projects};
use crate::domain::Object;
use crate::error::Result;
use crate::plan::preview::Preview;
use crate::plan::tiers::Tiers;
use crate::plan::{StepId, Verdict};

/// Applies what comes before the services.
pub struct Infrastructure;

/// Whether the services are released.
pub enum Seen {
    /// The tree holds nothing back.
    NothingHeld,
    /// The root is there: they are.
    Released,
    /// They are not; how the Applications before them compare.
    Held(Comparisons),
}

/// Whether the root Application is there, which brings the services.
pub(super) async fn is_released(world: &World) -> Result<bool> {
    let root = world.wanted.tree.root.object.clone();
    let root = if root.namespace().is_none() { root.in_namespace(crate::domain::tree::ARGOCD_NAMESPACE) } else { root };
    Ok(world.cluster.get(&root.reference()).await?.is_some())
}

impl Step for Infrastructure {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Infrastructure
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let tiers = Tiers::of(world.followed());
        if tiers.held.is_empty() {
            return Ok(Seen::NothingHeld);
        }
        if is_released(world).await? {
            return Ok(Seen::Released);
        }
        let objects: Vec<&Object> = tiers.first.iter().map(|rendered| &rendered.object).collect();
        Ok(Seen::Held(apply::look(world, objects).await?))
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        match seen {
            Seen::NothingHeld => Ok(Verdict::satisfied("the tree has no services to hold back")),
            Seen::Released => Ok(Verdict::satisfied("the root is there: it brings everything")),
            Seen::Held(comparisons) => projects::decide(world, comparisons, "the infrastructure's app-of-apps"),
        }
    }

    async fn preview(&self, world: &World, seen: Seen) -> Result<Preview> {
        match seen {
            Seen::NothingHeld | Seen::Released => Ok(Preview::default()),
            Seen::Held(comparisons) => apply::preview(world, self.id(), comparisons).await,
        }
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        match seen {
            Seen::NothingHeld | Seen::Released => Ok(()),
            Seen::Held(comparisons) => projects::apply(world, self.id(), comparisons).await,
        }
    }
}
