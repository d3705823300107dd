//! `root-app`: the root app-of-apps, from which Argo CD makes everything else. It goes in only when key, host keys and projects are verified.
//!
//! In a recovery the services' own app-of-apps goes in with it, exactly as Git has it: the root would bring it as well, but only after the waves before it,
//! whose objects are all there by then, with a pause of Argo CD's after each.

use super::apply::{self, Comparisons};
use super::{Step, World, projects};
use crate::domain::application::Application;
use crate::error::Result;
use crate::plan::preview::Preview;
use crate::plan::tiers::Tiers;
use crate::plan::{StepId, Verdict};

/// Applies the root Application.
pub struct RootApp;

impl Step for RootApp {
    type Seen = Comparisons;

    fn id(&self) -> StepId {
        StepId::RootApp
    }

    async fn look(&self, world: &World) -> Result<Comparisons> {
        let tree = world.followed();
        let root = &tree.root.object;
        // A root that a person syncs brings nothing by itself.
        let is_automated = Application::read(root).is_ok_and(|root| root.is_automated());
        let held = if world.wanted.recovery.is_some() && is_automated { Tiers::of(tree).held } else { Vec::new() };
        let held = held.into_iter().map(|rendered| &rendered.object);
        apply::look(world, [root].into_iter().chain(held).collect()).await
    }

    fn decide(&self, world: &World, seen: &Comparisons) -> Result<Verdict> {
        projects::decide(world, seen, "the root Application")
    }

    async fn preview(&self, world: &World, seen: Comparisons) -> Result<Preview> {
        apply::preview(world, self.id(), seen).await
    }

    async fn apply(&self, world: &World, seen: Comparisons) -> Result<()> {
        projects::apply(world, self.id(), seen).await
    }
}
