//! `root-app`: the root app-of-apps, from which Argo CD makes everything else. It goes in only when key, host keys and projects are verified.

use super::apply::{self, Comparisons};
use super::{Step, World, projects};
use crate::error::Result;
use crate::plan::preview::Preview;
use crate::plan::{StepId, Verdict};

/// Applies the root Application.
pub struct RootApp;

impl Step for RootApp {
    type Seen = Comparisons;

    fn id(&self) -> StepId {
        StepId::RootApp
    }

    async fn look(&self, world: &World) -> Result<Comparisons> {
        apply::look(world, vec![&world.followed().root.object]).await
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
