//! `ns`: the namespace of Argo CD.

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::preview::dry_run;
use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::compare::OWN_MANAGER;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{ApplyOptions, Change, ClusterError};

/// Makes the namespace `argocd`, after one that is being deleted is gone.
pub struct Namespace;

/// The namespace.
pub(super) fn reference() -> ObjectRef {
    ObjectRef::cluster_wide("v1", "Namespace", ARGOCD_NAMESPACE)
}

fn namespace() -> Result<Object> {
    Object::new(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGOCD_NAMESPACE}}))
        .map_err(|error| Failure::bug(error.to_string()))
}

impl Step for Namespace {
    type Seen = Option<Object>;

    fn id(&self) -> StepId {
        StepId::Ns
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        Ok(world.cluster.get(&reference()).await?)
    }

    fn decide(&self, _world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(match seen {
            Some(namespace) if namespace.is_being_deleted() => Verdict::needed("it is being deleted: made anew when it is gone"),
            Some(_) => Verdict::satisfied("it is there"),
            None => Verdict::Needed { because: "it is not there".to_owned(), changes: vec![reference().to_string()] },
        })
    }

    async fn preview(&self, world: &World, seen: Self::Seen) -> Result<Preview> {
        let planned = |action| PlannedObject::new(self.id(), reference(), action);
        match seen {
            Some(there) if there.is_being_deleted() => Ok(Preview::of(planned(Action::Create).known_after_apply("it is being deleted"))),
            Some(_) => Ok(Preview::of(planned(Action::InPlace))),
            None => {
                let options = ApplyOptions { manager: OWN_MANAGER, force: false };
                dry_run(world, planned(Action::Create), &namespace()?, None, options).await
            }
        }
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        if seen.is_some() {
            until_gone(world, self.id()).await?;
        }
        match world.cluster.create(&namespace()?).await {
            Ok(_) => world.changed(self.id(), reference(), How::Created),
            Err(ClusterError::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Waits until the namespace is gone, for `step`; says what holds it. Nothing is done to its finalizers.
pub(super) async fn until_gone(world: &World, step: StepId) -> Result<()> {
    let mut changes = world.cluster.watch(&Resource::new("v1", "Namespace"), None);
    let mut held_by = String::from("namespace argocd to be gone");
    loop {
        world.waiting(step, held_by.clone());
        let change = world.wait(changes.next(), || held_by.clone()).await?;
        let current = match change {
            Some(Ok(Change::Restarted(namespaces))) => namespaces.into_iter().find(|namespace| namespace.name() == ARGOCD_NAMESPACE),
            Some(Ok(Change::Applied(namespace))) if namespace.name() == ARGOCD_NAMESPACE => Some(namespace),
            Some(Ok(Change::Deleted(namespace))) if namespace.name == ARGOCD_NAMESPACE => None,
            Some(_) => continue,
            None => return Ok(()),
        };
        match current {
            Some(namespace) if namespace.is_being_deleted() => held_by = what_holds(&namespace),
            _ => return Ok(()),
        }
    }
}

fn what_holds(namespace: &Object) -> String {
    let conditions = namespace.at("/status/conditions").and_then(Value::as_array);
    let reasons: Vec<&str> = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition.get("status").and_then(Value::as_str) == Some("True"))
        .filter_map(|condition| condition.get("message").and_then(Value::as_str))
        .collect();
    if reasons.is_empty() {
        "namespace argocd to be gone".to_owned()
    } else {
        format!("namespace argocd to be gone: {}", reasons.join("; "))
    }
}
