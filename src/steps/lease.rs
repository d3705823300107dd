//! `lease` and `release`: the lock against a second run, a Lease (coordination.k8s.io/v1).
//!
//! A Lease is no fence: a run that was paused past its end may still write. Safety rests on writes that may be made twice; the
//! lock keeps two runs from getting into each other's way. A holder is judged by what is observed of it, never by its clock.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::preview::dry_run;
use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::{Failure, Kind, Result};
use crate::plan::compare::OWN_MANAGER;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::Cluster;
use crate::ports::cluster::{ApplyOptions, Change, ClusterError};

/// How long a holder may be silent before it counts as dead.
pub const SILENCE: Duration = Duration::from_secs(10);

/// How often a holder renews.
const RENEWAL: Duration = Duration::from_secs(3);

/// Takes the lock.
pub struct Lease;

/// Gives the lock back.
pub struct Release;

/// The lock.
pub(super) fn reference() -> ObjectRef {
    ObjectRef::namespaced("coordination.k8s.io/v1", "Lease", ARGOCD_NAMESPACE, "gitops-bootstrap")
}

fn holder(lease: &Object) -> Option<&str> {
    lease.text("/spec/holderIdentity").filter(|holder| !holder.is_empty())
}

impl Step for Lease {
    type Seen = Option<Object>;

    fn id(&self) -> StepId {
        StepId::Lease
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        match world.cluster.get(&reference()).await {
            // Without the right to lock, the Secret decides between two runs: it is created, never overwritten.
            Err(ClusterError::Forbidden(_)) => Ok(None),
            seen => Ok(seen?),
        }
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(match seen.as_ref().and_then(holder) {
            Some(holder) if holder == world.wanted.holder => Verdict::satisfied("it is held by this run"),
            Some(holder) => Verdict::needed(format!("it is held by {holder}")),
            None if world.holds_lease() => Verdict::satisfied("there is no place for a lock"),
            None => Verdict::needed("it is free"),
        })
    }

    async fn preview(&self, world: &World, seen: Self::Seen) -> Result<Preview> {
        let planned = |action| PlannedObject::new(self.id(), reference(), action);
        // One that is there is taken and given back: in the end it says what it said before.
        if seen.is_some() {
            return Ok(Preview::of(planned(Action::InPlace)));
        }
        let options = ApplyOptions { manager: OWN_MANAGER, force: false };
        let preview = dry_run(world, planned(Action::Create), &lease_of(&world.wanted.holder, None)?, None, options).await?;
        // A run without the right to lock goes on without.
        Ok(if preview.failures.is_empty() { preview } else { Preview::default() })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        let mut seen = seen;
        loop {
            if let Some(lease) = &seen
                && let Some(other) = holder(lease)
                && other != world.wanted.holder
            {
                seen = until_silent(world, lease.clone()).await?;
            }
            world.go_on()?;
            let lease = lease_of(&world.wanted.holder, seen.as_ref())?;
            let taken = match &seen {
                Some(_) => world.cluster.replace(&lease).await,
                None => world.cluster.create(&lease).await,
            };
            match taken {
                Ok(_) => {
                    world.note_lease(true);
                    return Ok(());
                }
                Err(ClusterError::Forbidden(why)) => {
                    world
                        .events
                        .warn(format!("no lock against a second run: {why}"), Some("make sure that nobody else runs the same".to_owned()));
                    world.note_lease(true);
                    return Ok(());
                }
                // Without the namespace there is nothing that two runs could get into each other's way at.
                Err(ClusterError::Terminating(_)) => {
                    world.note_lease(true);
                    return Ok(());
                }
                Err(ClusterError::NotFound(gone)) if gone.resource.kind == "Namespace" => {
                    world.note_lease(true);
                    return Ok(());
                }
                Err(ClusterError::AlreadyExists(_) | ClusterError::Stale(_) | ClusterError::NotFound(_)) => {
                    seen = world.cluster.get(&reference()).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Step for Release {
    type Seen = Option<Object>;

    fn id(&self) -> StepId {
        StepId::Release
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        Lease.look(world).await
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(match seen.as_ref().and_then(holder) {
            Some(holder) if holder == world.wanted.holder => Verdict::needed("the run is over"),
            Some(holder) if !world.holds_lease() => Verdict::needed(format!("it is held by {holder}, which may have died")),
            _ => Verdict::satisfied("it is free"),
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        let mut seen = seen;
        while let Some(lease) = &seen
            && holder(lease) == Some(world.wanted.holder.as_str())
        {
            match world.cluster.replace(&lease_of("", Some(lease))?).await {
                Ok(_) => break,
                Err(ClusterError::Stale(_)) => seen = world.cluster.get(&reference()).await?,
                Err(ClusterError::NotFound(_)) => break,
                Err(error) => return Err(error.into()),
            }
        }
        world.note_lease(false);
        Ok(())
    }
}

/// Renews the lock until dropped or cancelled. Returns, with the reason, once somebody else holds it.
pub async fn keep(cluster: Arc<dyn Cluster>, own: String) -> Failure {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let Ok(Some(lease)) = cluster.get(&reference()).await else { continue };
        match holder(&lease) {
            Some(current) if current == own => {
                if let Ok(renewed) = lease_of(&own, Some(&lease)) {
                    // A renewal that fails is tried again in a moment; losing the lock shows at the next read.
                    let _ = cluster.replace(&renewed).await;
                }
            }
            Some(other) => return lost(other),
            None => {}
        }
    }
}

/// Fails if another run has taken the lock in the meantime, as after this machine slept.
pub async fn check(world: &World) -> Result<()> {
    match world.cluster.get(&reference()).await {
        Ok(Some(lease)) => match holder(&lease) {
            Some(other) if other != world.wanted.holder => Err(lost(other)),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn lost(other: &str) -> Failure {
    Failure::new(Kind::Locked, format!("the lock was taken over by {other}"))
        .because("this run was silent for too long")
        .hint("wait until the other run is over, then run the same command again")
}

/// Watches a lock until its holder was silent for [`SILENCE`] or has given it back; returns the lock as it is then.
async fn until_silent(world: &World, mut lease: Object) -> Result<Option<Object>> {
    let mut changes = world.cluster.watch(&Resource::new("coordination.k8s.io/v1", "Lease"), Some(ARGOCD_NAMESPACE));
    let mut since = tokio::time::Instant::now();
    loop {
        let other = holder(&lease).unwrap_or_default().to_owned();
        world.waiting(StepId::Lease, format!("{other} holds the lock; it counts as dead after {} s of silence", SILENCE.as_secs()));
        let change = tokio::select! {
            change = world.wait(changes.next(), || format!("the lock that {other} holds")) => change?,
            () = tokio::time::sleep_until(since + SILENCE) => return Ok(Some(lease)),
        };
        let current = match change {
            Some(Ok(Change::Restarted(leases))) => leases.into_iter().find(|found| found.name() == lease.name()),
            Some(Ok(Change::Applied(found))) if found.name() == lease.name() => Some(found),
            Some(Ok(Change::Deleted(gone))) if gone.name == lease.name() => None,
            _ => continue,
        };
        let Some(current) = current else { return Ok(None) };
        if holder(&current).is_none() {
            return Ok(Some(current.as_ref().clone()));
        }
        if current.resource_version() != lease.resource_version() {
            if !world.wanted.wait_for_lock {
                return Err(Failure::new(
                    Kind::Locked,
                    format!("another run works on this cluster: {}", holder(&current).unwrap_or_default()),
                )
                .because("it renewed its lock a moment ago")
                .hint("wait until it is over, or let this run wait for it with `--wait`"));
            }
            since = tokio::time::Instant::now();
        }
        lease = current.as_ref().clone();
    }
}

/// The lock, held by `holder`; on the basis of the one that is there, so that the server notices if somebody else was faster.
fn lease_of(holder: &str, there: Option<&Object>) -> Result<Object> {
    let mut metadata = json!({"name": reference().name, "namespace": ARGOCD_NAMESPACE});
    if let Some(version) = there.and_then(Object::resource_version) {
        metadata["resourceVersion"] = Value::from(version);
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let transitions = there.and_then(|lease| lease.at("/spec/leaseTransitions")).and_then(Value::as_i64).unwrap_or(0);
    let transitions = if there.and_then(self::holder) == Some(holder) { transitions } else { transitions + 1 };
    Object::new(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": SILENCE.as_secs(), "renewTime": now, "acquireTime": now, "leaseTransitions": transitions},
    }))
    .map_err(|error| Failure::bug(error.to_string()))
}
