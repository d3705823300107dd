//! `projects`: the AppProjects, before any Application that needs one.

use super::apply::{self, Comparisons};
use super::{Step, World};
use crate::error::{Failure, Kind, Result};
use crate::plan::preview::Preview;
use crate::plan::{StepId, Verdict};

/// Applies the AppProjects of the tree.
pub struct Projects;

impl Step for Projects {
    type Seen = Comparisons;

    fn id(&self) -> StepId {
        StepId::Projects
    }

    async fn look(&self, world: &World) -> Result<Comparisons> {
        apply::look(world, world.followed().projects.iter().map(|rendered| &rendered.object).collect()).await
    }

    fn decide(&self, world: &World, seen: &Comparisons) -> Result<Verdict> {
        decide(world, seen, "the projects")
    }

    async fn preview(&self, world: &World, seen: Comparisons) -> Result<Preview> {
        apply::preview(world, self.id(), seen).await
    }

    async fn apply(&self, world: &World, seen: Comparisons) -> Result<()> {
        apply(world, self.id(), seen).await
    }
}

/// The verdict on objects whose kind Argo CD's definitions bring.
pub(super) fn decide(world: &World, seen: &Comparisons, what: &str) -> Result<Verdict> {
    if seen.not_served.is_empty() {
        return seen.verdict(world, what);
    }
    Ok(Verdict::Needed {
        because: "known once Argo CD's resource definitions are there".to_owned(),
        changes: seen.not_served.iter().map(ToString::to_string).collect(),
    })
}

/// Applies objects whose kind must be served by now.
pub(super) async fn apply(world: &World, step: StepId, seen: Comparisons) -> Result<()> {
    if let Some(missing) = seen.not_served.first() {
        return Err(Failure::new(Kind::Transient, format!("the server does not serve {} of {missing}", missing.resource.api_version))
            .hint("run the same command again: it goes on from here"));
    }
    apply::apply(world, step, seen.changes).await
}
