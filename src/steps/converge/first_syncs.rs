//! The first syncs of a recovery, asked for as soon as an Application appears.

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde_json::Value;

use super::watched::Watched;
use crate::domain::{Object, ObjectRef};
use crate::error::Result;
use crate::event::How;
use crate::plan::StepId;
use crate::ports::cluster::ClusterError;
use crate::steps::World;

/// How many requests are under way at the same time. An app-of-apps brings a hundred Applications at once, and Argo CD is about to sync each.
const AT_ONCE: usize = 16;

/// How many requests about one Application are sent at most. One is the rule; a second is sent if the Application was changed in between, and one makes the
/// retries ordinary ones.
const MOST: u32 = 4;

/// What is sent about a first sync.
pub(super) struct FirstSync {
    /// The merge patch to the Application.
    pub(super) patch: Value,
    /// The namespace that is made meanwhile, so that Argo CD need not.
    pub(super) namespace: Option<Object>,
}

/// The requests that are under way.
pub(super) struct FirstSyncs<'run> {
    world: &'run World,
    step: StepId,
    under_way: FuturesUnordered<BoxFuture<'run, Result<()>>>,
}

impl<'run> FirstSyncs<'run> {
    pub(super) fn new(world: &'run World, step: StepId) -> Self {
        Self { world, step, under_way: FuturesUnordered::new() }
    }

    /// Begins to ask for those that nobody has asked for, as many as may be under way.
    pub(super) fn ask(&mut self, watched: &mut Watched) {
        let free = AT_ONCE.saturating_sub(self.under_way.len());
        let applications = watched.applications.iter_mut().filter(|(_, known)| known.times_first_sync < MOST);
        let wanted = applications.filter_map(|(reference, known)| Some((reference, known.first_sync.take()?, &mut known.times_first_sync)));
        for (reference, wanted, times) in wanted.take(free) {
            *times += 1;
            self.under_way.push(Box::pin(send(self.world, self.step, reference.clone(), wanted)));
        }
    }

    /// Waits until one of them is answered; for ever while there is none.
    pub(super) async fn answered(&mut self) -> Result<()> {
        match self.under_way.next().await {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }
}

async fn send(world: &World, step: StepId, reference: ObjectRef, wanted: FirstSync) -> Result<()> {
    world.go_on()?;
    let FirstSync { patch, namespace } = wanted;
    let (asked, made) = tokio::join!(world.cluster.merge_patch(&reference, &patch), make(world, step, namespace));
    match asked {
        Ok(_) => world.changed(step, &reference, How::Asked),
        // Argo CD was faster, or does not let itself be asked: then it goes its own way, which ends at the same place.
        Err(ClusterError::NotFound(_) | ClusterError::Stale(_) | ClusterError::Invalid { .. } | ClusterError::Forbidden(_)) => {}
        Err(error) => return Err(error.into()),
    }
    made
}

/// Makes a namespace, unless somebody else has, or has to.
async fn make(world: &World, step: StepId, namespace: Option<Object>) -> Result<()> {
    let Some(namespace) = namespace else { return Ok(()) };
    match world.cluster.create(&namespace).await {
        Ok(_) => world.changed(step, namespace.reference(), How::Created),
        Err(ClusterError::AlreadyExists(_) | ClusterError::Invalid { .. } | ClusterError::Forbidden(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
