//! Removing objects, and waiting until they are gone.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::World;
use super::apply::CONCURRENCY;
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, How};
use crate::plan::StepId;
use crate::ports::cluster::{Change, ClusterError, DeleteOptions, Dependents};

/// Removes objects, each only if it is still the one with this UID, and waits until all are gone.
pub(super) async fn delete(world: &World, step: StepId, objects: Vec<(ObjectRef, String)>, dependents: Dependents) -> Result<()> {
    let total = objects.len();
    let done = AtomicUsize::new(0);
    let progress = |done| world.events.send(Event::Progress { step, done, total, what: "objects" });
    progress(0);
    let deletions = objects.iter().map(|(object, uid)| {
        let (done, progress) = (&done, &progress);
        async move {
            world.go_on()?;
            match world.cluster.delete(object, DeleteOptions { uid: Some(uid), dependents }).await {
                Ok(()) => world.changed(step, object, How::Deleted),
                // Another object has the name by now: the one that was meant is gone.
                Err(ClusterError::Stale(_)) => {}
                Err(error) => return Err(error.into()),
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok::<(), Failure>(())
        }
    });
    stream::iter(deletions.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    let mut kinds: BTreeSet<&Resource> = objects.iter().map(|(object, _)| &object.resource).collect();
    while let Some(kind) = kinds.pop_first() {
        let of_kind: Vec<_> = objects.iter().filter(|(object, _)| object.resource == *kind).collect();
        until_gone(world, step, kind, &of_kind).await?;
    }
    Ok(())
}

/// Waits until these objects of a kind are gone, each known by its UID. Nothing is done to finalizers that hold one: they are named.
async fn until_gone(world: &World, step: StepId, kind: &Resource, objects: &[&(ObjectRef, String)]) -> Result<()> {
    if world.cluster.served(kind).await?.is_none() {
        return Ok(());
    }
    let mut changes = world.cluster.watch(kind, None);
    let mut left: Vec<Object> = Vec::new();
    let uids: BTreeSet<&str> = objects.iter().map(|(_, uid)| uid.as_str()).collect();
    let is_one = |object: &Object| object.uid().is_some_and(|uid| uids.contains(uid));
    let mut named: Vec<ObjectRef> = objects.iter().map(|(object, _)| object.clone()).collect();
    loop {
        let for_what = || describe(&named);
        world.waiting(step, for_what());
        let change = world.wait(changes.next(), for_what).await.map_err(|failure| blame(failure, &left))?;
        match change {
            Some(Ok(Change::Restarted(objects))) => {
                left = objects.iter().map(AsRef::as_ref).filter(|object| is_one(object)).cloned().collect()
            }
            Some(Ok(Change::Applied(object))) if is_one(&object) => {
                left.retain(|known| known.uid() != object.uid());
                left.push(object.as_ref().clone());
            }
            Some(Ok(Change::Deleted(gone))) => left.retain(|object| object.reference() != gone),
            // A definition that is removed takes its kind with it.
            Some(Err(ClusterError::NotServed(_))) => return Ok(()),
            Some(_) => {}
            None => return Err(Failure::bug("a watch ended")),
        }
        if left.is_empty() {
            return Ok(());
        }
        named = left.iter().map(Object::reference).collect();
    }
}

fn describe(left: &[ObjectRef]) -> String {
    const FEW: usize = 3;
    let names: Vec<String> = left.iter().take(FEW).map(ToString::to_string).collect();
    let more = if left.len() > FEW { format!(" and {} more", left.len() - FEW) } else { String::new() };
    format!("{}{more} to be gone", names.join(", "))
}

fn blame(failure: Failure, left: &[Object]) -> Failure {
    const MOST: usize = 20;
    if failure.kind != Kind::Deadline {
        return failure;
    }
    left.iter().take(MOST).fold(failure, |failure, object| {
        let finalizers = object.at("/metadata/finalizers").and_then(|finalizers| finalizers.as_array()).into_iter().flatten();
        let finalizers: Vec<&str> = finalizers.filter_map(|finalizer| finalizer.as_str()).collect();
        failure.because(format!("{} is held by {}", object.reference(), finalizers.join(", ")))
    })
}
