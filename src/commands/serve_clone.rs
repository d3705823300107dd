//! What `--serve-clone` means for a run, and for the runs after it.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use crate::adapters::git::GitPacker;
use crate::domain::Commit;
use crate::engine;
use crate::error::Result;
use crate::event::{Event, PlannedStep};
use crate::manifest::git_server;
use crate::plan::StepId;
use crate::plan::preview::Preview;
use crate::ports::Worktree;
use crate::preflight::{self, Fleet};
use crate::steps::World;
use crate::steps::serve_clone::recipe;

/// How long the forge may take to show that it is not down.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the forge serves after all; none if it does not answer, which is why somebody serves the clone.
pub(super) async fn unless_silent(asked: impl Future<Output = Option<Commit>>) -> Option<Commit> {
    tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
}

/// The same world, in which Argo CD takes the tree from the clone. `head` is what the forge serves, if it answers.
///
/// # Errors
/// A clone with changes that are not committed, rights that are missing, and files that cannot be served.
pub(super) async fn serve(
    world: World,
    worktree: Arc<dyn Worktree>,
    fleet: &Fleet,
    head: Option<&Commit>,
    named: Option<&Commit>,
    context: &Context,
) -> Result<World> {
    let tree = &fleet.reading.tree;
    let clone = preflight::clone_of(worktree.clone(), fleet);
    tokio::try_join!(preflight::check_clone(&clone, fleet, None, named), preflight::check_server_rights(world.cluster.as_ref()))?;
    let (served, unserved) = preflight::serve(worktree.as_ref(), &GitPacker, fleet).await?;
    context.events.send(Event::Fact { name: "served", text: format!("{} at {}", served.tree.commit.short(), git_server::address()) });
    if let Some(head) = head {
        let is_at = if *head == tree.commit { "the clone's commit".to_owned() } else { head.short().to_owned() };
        context.events.warn(
            format!("{} answers: its {} is at {is_at}", tree.repository, tree.revision),
            Some("without `--serve-clone` the tree comes from there, which is what Argo CD is to follow in the end".to_owned()),
        );
    } else {
        context
            .events
            .warn(format!("whether the clone is the last that was pushed cannot be checked: {} does not answer", tree.repository), None);
    }
    for application in unserved {
        context.events.warn(application, None);
    }
    context.events.warn(
        "the deploy key is neither registered nor proved while the clone is served".to_owned(),
        Some(format!(
            "once the forge is back: `gitops-bootstrap init {}` registers the key, moves the tree to the forge and removes the Git server",
            world.wanted.cluster
        )),
    );
    Ok(world.serving(Some(served)))
}

/// Says what a run of `base` would do in this world.
pub(super) async fn survey(base: &[StepId], world: &World) -> Result<Vec<PlannedStep>> {
    engine::survey(&checked_recipe(base, world).await?, world).await
}

/// The same, with what would become of each object and each deploy key.
pub(super) async fn preview(base: &[StepId], world: &World) -> Result<(Vec<PlannedStep>, Preview)> {
    engine::preview(&checked_recipe(base, world).await?, world).await
}

/// The steps of a run of `base` in this world, once it is known that the account may make them.
pub(super) async fn checked_recipe(base: &[StepId], world: &World) -> Result<Vec<StepId>> {
    let recipe = recipe(base, world).await?;
    if recipe.contains(&StepId::ServeEnd) {
        preflight::check_server_rights(world.cluster.as_ref()).await?;
        world.events.warn(format!("the tree comes from {} so far: it moves back to the forge", git_server::address()), None);
    }
    Ok(recipe)
}

/// The steps of a plan.
pub(super) fn steps(planned: &[PlannedStep]) -> Vec<StepId> {
    planned.iter().map(|planned| planned.step).collect()
}
