//! `fetch`: the proof that Argo CD itself opens the repository with the key that it has now. That the key works from here proves little: Argo CD
//! has its own copy of it, its own known hosts, and keeps errors as well as manifests in a cache.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use tokio::time::Instant;

use super::{Step, World, old_secret};
use crate::domain::application::Application;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{Change, ClusterError};

/// How long Argo CD may go on to report an error: it tries again by itself only after minutes, so it is asked again.
const PATIENCE: Duration = Duration::from_secs(90);

/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// Has Argo CD fetch.
pub struct Fetch;

/// What is known of Argo CD's access.
pub enum Seen {
    /// Argo CD was seen to open the repository.
    Proven,
    /// The credential that it had before is gone already.
    Moved,
    /// Nothing yet.
    Unknown,
}

impl Step for Fetch {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Fetch
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        if world.rotation().fetched {
            return Ok(Seen::Proven);
        }
        let is_moved = world.moved_from.is_some() && old_secret::find(world).await?.is_empty();
        Ok(if is_moved { Seen::Moved } else { Seen::Unknown })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let root = world.wanted.tree.root.object.name();
        Ok(match seen {
            Seen::Proven => Verdict::satisfied(format!("{root} was refreshed without an error")),
            Seen::Moved => Verdict::satisfied("it has no other way"),
            Seen::Unknown => Verdict::needed(format!("{root} is refreshed")),
        })
    }

    async fn apply(&self, world: &World, _seen: Seen) -> Result<()> {
        prove(world, self.id()).await?;
        world.note_rotation(|rotation| rotation.fetched = true);
        Ok(())
    }
}

/// The root Application, from which everything comes.
pub fn root(world: &World) -> ObjectRef {
    ObjectRef { namespace: Some(ARGOCD_NAMESPACE.to_owned()), ..world.wanted.tree.root.object.reference() }
}

/// Asks Argo CD to drop what it keeps of the root Application and to fetch anew, and waits until it has done so without an error. The controller
/// removes the annotation when it is done (`controller/appcontroller.go` of Argo CD). Requests that it began before are served before this one.
pub(super) async fn prove(world: &World, step: StepId) -> Result<()> {
    let root = root(world);
    let begin = Instant::now();
    loop {
        world.go_on()?;
        ask(world, step, &root).await?;
        let error = match refreshed(world, step, &root).await? {
            None => return Ok(()),
            Some(error) => error,
        };
        if begin.elapsed() > PATIENCE {
            return Err(Failure::new(
                Kind::Transient,
                format!("Argo CD does not open {} with the new credential", world.wanted.tree.repository),
            )
            .because(format!("{}: {error}", root.name))
            .because("the old one was not removed by this step, and the new one is kept")
            .hint("put right what is said above, then run the same command again: it goes on from here"));
        }
        let for_what = || format!("Argo CD to try again: {error}");
        world.waiting(step, for_what());
        world.pause(PAUSE, for_what).await?;
    }
}

pub(super) async fn ask(world: &World, step: StepId, root: &ObjectRef) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "hard"}}});
    match world.cluster.merge_patch(root, &patch).await {
        Ok(_) => {
            world.changed(step, root, How::Kicked);
            Ok(())
        }
        Err(ClusterError::NotFound(_) | ClusterError::NotServed(_)) => Err(missing(world)),
        Err(error) => Err(error.into()),
    }
}

fn missing(world: &World) -> Failure {
    Failure::new(Kind::Conflict, format!("{} is gone", root(world)))
        .because("without it nothing shows whether Argo CD opens the repository")
        .hint(format!("gitops-bootstrap init {}", world.wanted.cluster))
}

/// Waits until the refresh is done. Returns the error that Argo CD reports then, if any.
pub(super) async fn refreshed(world: &World, step: StepId, root: &ObjectRef) -> Result<Option<String>> {
    let mut changes = world.cluster.watch(&Application::resource(), Some(ARGOCD_NAMESPACE));
    let for_what = || "Argo CD's application controller to fetch the repository".to_owned();
    loop {
        // What a watch shows may be from before the request; a read is not.
        let object = world.cluster.get(root).await?.ok_or_else(|| missing(world))?;
        if let Some(outcome) = outcome(&object) {
            return Ok(outcome);
        }
        world.waiting(step, for_what());
        loop {
            match world.wait(changes.next(), for_what).await? {
                Some(Ok(Change::Applied(object))) if object.reference() != *root => {}
                Some(Ok(Change::Deleted(gone))) if gone != *root => {}
                Some(Ok(_)) => break,
                // The watch begins anew by itself.
                Some(Err(_)) => {}
                None => return Err(Failure::bug("a watch ended")),
            }
        }
    }
}

/// What came of the refresh: none while it is under way, else the error, if any.
fn outcome(object: &Object) -> Option<Option<String>> {
    let application = Application::read(object).ok()?;
    if application.is_refreshing {
        return None;
    }
    Some(application.errors().find(|condition| condition.name == "ComparisonError").map(|condition| condition.message.clone()))
}
