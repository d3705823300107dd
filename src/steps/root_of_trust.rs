//! `root-of-trust`: the Secrets of the bundle, before the controllers that would make their own.
//!
//! A Sealed Secrets controller that starts first makes a new key, and what was sealed for the old one is lost to it. So each Secret is created
//! before Argo CD is; one that is there is never overwritten.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::preview::NOT_TRIED;
use super::{Step, World};
use crate::domain::bundle::Entry;
use crate::domain::secret::RESTORED_ANNOTATION;
use crate::domain::tree::{ARGOCD_NAMESPACE, Tree};
use crate::domain::{Bundle, Object, ObjectRef};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::root_of_trust::{Standing, compare, completed, namespaces};
use crate::plan::{StepId, Verdict};
use crate::ports::Cluster;
use crate::ports::cluster::ClusterError;

/// How many Secrets are read at the same time.
const AT_ONCE: usize = 16;

/// Restores the bundle.
pub struct RootOfTrust;

/// How the bundle stands to the cluster.
#[derive(Debug, Default)]
pub struct Survey {
    /// The namespaces that are not there.
    pub namespaces: Vec<ObjectRef>,
    /// Each entry of the bundle, in its order, with the Secret in the cluster.
    pub entries: Vec<(Standing, Option<Object>)>,
}

/// Reads how the bundle stands to the cluster. Changes nothing.
pub async fn survey(cluster: &dyn Cluster, bundle: &Bundle) -> Result<Survey> {
    let needed = namespaces(bundle.entries.iter().map(|entry| &entry.object));
    let namespaces: Vec<_> = needed.into_iter().map(|namespace| unless_there(cluster, namespace)).collect();
    let entries: Vec<_> = bundle.entries.iter().map(|entry| standing(cluster, entry)).collect();
    let namespaces: Vec<Option<ObjectRef>> = stream::iter(namespaces).buffered(AT_ONCE).try_collect().await?;
    let entries = stream::iter(entries).buffered(AT_ONCE).try_collect().await?;
    Ok(Survey { namespaces: namespaces.into_iter().flatten().collect(), entries })
}

async fn unless_there(cluster: &dyn Cluster, object: ObjectRef) -> Result<Option<ObjectRef>, ClusterError> {
    Ok(if cluster.get(&object).await?.is_some() { None } else { Some(object) })
}

async fn standing(cluster: &dyn Cluster, entry: &Entry) -> Result<(Standing, Option<Object>), ClusterError> {
    let live = cluster.get(&entry.object.reference()).await?;
    Ok((compare(&entry.object, live.as_ref()), live))
}

/// Says what restoring the bundle would do.
///
/// # Errors
/// [`Kind::Conflict`] if a Secret is there, is different and is not ours; it names all of them.
pub fn verdict(bundle: &Bundle, survey: &Survey) -> Result<Verdict> {
    let pairs = || bundle.entries.iter().zip(&survey.entries);
    let conflicts: Vec<(&Entry, &Vec<String>)> = pairs()
        .filter_map(|(entry, (standing, _))| match standing {
            Standing::Different(fields) => Some((entry, fields)),
            _ => None,
        })
        .collect();
    if !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    let secrets = pairs().filter(|(_, (standing, _))| matches!(standing, Standing::Missing | Standing::Incomplete(_)));
    let secrets: Vec<String> = secrets.map(|(entry, _)| entry.object.reference().to_string()).collect();
    if !secrets.is_empty() {
        let because = format!("{} of the bundle's {} Secrets are not there", secrets.len(), bundle.entries.len());
        let changes = survey.namespaces.iter().map(ToString::to_string).chain(secrets).collect();
        return Ok(Verdict::Needed { because, changes });
    }
    let newer = pairs().filter(|(_, (standing, _))| matches!(standing, Standing::Newer(_)));
    let newer: Vec<String> = newer.map(|(entry, _)| format!("{}/{}", entry.object.namespace, entry.object.name)).collect();
    let there = format!("all {} Secrets are there", bundle.entries.len());
    Ok(Verdict::satisfied(if newer.is_empty() { there } else { format!("{there}; changed since and kept: {}", newer.join(", ")) }))
}

fn conflict(conflicts: &[(&Entry, &Vec<String>)]) -> Failure {
    let message = match conflicts {
        [(entry, _)] => format!("{} is in the cluster and is not the one of the bundle", entry.object.reference()),
        several => format!("{} Secrets are in the cluster and are not those of the bundle", several.len()),
    };
    let failure = conflicts.iter().fold(Failure::new(Kind::Conflict, message), |failure, (entry, fields)| {
        failure.because(format!("{} ({}) has another {}", entry.object.reference(), entry.why, fields.join(", ")))
    });
    let failure = failure.because("nothing was overwritten").hint("if the bundle's is the right one, delete the one in the cluster:");
    conflicts.iter().fold(failure, |failure, (entry, _)| {
        failure.hint(format!("kubectl -n {} delete secret {}", entry.object.namespace, entry.object.name))
    })
}

/// Creates what is missing and completes what is incomplete; `changed` is told of each change.
///
/// A Secret that appears in the meantime is left as it is: looking again shows whether it is the right one.
pub async fn restore(cluster: &dyn Cluster, bundle: &Bundle, survey: &Survey, changed: &(dyn Fn(ObjectRef, How) + Sync)) -> Result<()> {
    for namespace in &survey.namespaces {
        let object = Object::new(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name}}))
            .map_err(|error| Failure::bug(error.to_string()))?;
        tell(cluster.create(&object).await, namespace.clone(), How::Created, changed)?;
    }
    for (entry, (standing, live)) in bundle.entries.iter().zip(&survey.entries) {
        let reference = entry.object.reference();
        let restored = |object: Object| object.with_annotation(RESTORED_ANNOTATION, &bundle.made.to_string());
        match (standing, live) {
            (Standing::Missing, _) => {
                tell(cluster.create(&restored(entry.object.to_object())).await, reference, How::Created, changed)?;
            }
            (Standing::Incomplete(_), Some(live)) => {
                let completed = completed(&entry.object, live).ok_or_else(|| Failure::bug(format!("{reference} cannot be completed")))?;
                tell(cluster.replace(&restored(completed)).await, reference, How::Updated, changed)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn tell(answer: Result<Object, ClusterError>, object: ObjectRef, how: How, changed: &(dyn Fn(ObjectRef, How) + Sync)) -> Result<()> {
    match answer {
        Ok(_) => changed(object, how),
        // Another run was faster, or an answer of ours was lost: what is there is looked at again.
        Err(ClusterError::AlreadyExists(_) | ClusterError::Stale(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The bundle without the labels that Git declares: `argocd-secret` is in Git too, without what is secret in it. Argo CD applies them under its own name, and
/// they must be nobody else's as well.
fn without_declared_labels(bundle: &Bundle, tree: &Tree) -> Bundle {
    let mut bundle = bundle.clone();
    for entry in &mut bundle.entries {
        let is_this = |object: &&Object| {
            object.kind() == "Secret"
                && object.name() == entry.object.name
                && object.namespace().unwrap_or(ARGOCD_NAMESPACE) == entry.object.namespace
        };
        let declared = tree.argocd.iter().map(|rendered| &rendered.object).find(is_this);
        if let Some(labels) = declared.and_then(|declared| declared.at("/metadata/labels")) {
            entry.object.labels.retain(|label, _| labels.get(label).is_none());
        }
    }
    bundle
}

impl Step for RootOfTrust {
    type Seen = Survey;

    fn id(&self) -> StepId {
        StepId::RootOfTrust
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        match &world.wanted.bundle {
            Some(bundle) => survey(world.cluster.as_ref(), bundle).await,
            None => Ok(Survey::default()),
        }
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        match &world.wanted.bundle {
            Some(bundle) => verdict(bundle, seen),
            None => Ok(Verdict::satisfied("there is no bundle")),
        }
    }

    async fn preview(&self, world: &World, seen: Self::Seen) -> Result<Preview> {
        let entries = world.wanted.bundle.iter().flat_map(|bundle| &bundle.entries);
        let namespaces = seen.namespaces.into_iter().map(|namespace| PlannedObject::new(self.id(), namespace, Action::Create));
        let secrets = entries.zip(&seen.entries).map(|(entry, (standing, _))| {
            let planned = |action| PlannedObject::new(self.id(), entry.object.reference(), action);
            match standing {
                Standing::Missing => planned(Action::Create).known_after_apply(NOT_TRIED),
                Standing::Incomplete(_) => planned(Action::Change).known_after_apply(NOT_TRIED),
                Standing::Different(_) => planned(Action::Conflict),
                Standing::Same | Standing::Newer(_) => planned(Action::InPlace),
            }
        });
        Ok(Preview { objects: namespaces.chain(secrets).collect(), ..Preview::default() })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        let Some(bundle) = &world.wanted.bundle else { return Ok(()) };
        let bundle = without_declared_labels(bundle, &world.wanted.tree);
        restore(world.cluster.as_ref(), &bundle, &seen, &|object, how| world.changed(self.id(), object, how)).await
    }
}
