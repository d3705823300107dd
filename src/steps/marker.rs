//! `marker`: the record of the bootstrap in the cluster, the ConfigMap `gitops-bootstrap`.

use serde_json::json;

use super::preview::dry_run;
use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef};
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::compare::OWN_MANAGER;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::ApplyOptions;

/// The name of the ConfigMap.
pub const NAME: &str = "gitops-bootstrap";

/// Writes the record.
pub struct Marker;

/// The record's object.
pub fn reference() -> ObjectRef {
    ObjectRef::namespaced("v1", "ConfigMap", ARGOCD_NAMESPACE, NAME)
}

/// The field of the record that tells how far a recovery is; absent in a cluster that was bootstrapped.
pub const RECOVERY: &str = "recovery";

/// The value of [`RECOVERY`] while a recovery is under way.
pub const BEGUN: &str = "begun";

/// The value of [`RECOVERY`] once it is over.
const COMPLETE: &str = "complete";

/// The field with the commit that is served from the clone. It is there as long as Argo CD takes the tree from the clone.
pub const SERVED_COMMIT: &str = "servedCommit";

/// What the record says from the beginning on, apart from the time.
pub(super) fn origin(world: &World) -> Vec<(&'static str, String)> {
    let wanted = &world.wanted;
    vec![
        ("cluster", wanted.cluster.to_string()),
        ("repository", wanted.tree.repository.to_string()),
        ("toolVersion", env!("CARGO_PKG_VERSION").to_owned()),
        ("identity", wanted.facts.identity.kube_system_uid.clone()),
    ]
}

/// What the record says in the end, apart from the time.
fn record(world: &World) -> Vec<(&'static str, String)> {
    let mut record = origin(world);
    record.push(("commit", world.commit().to_string()));
    record.push(("argocdVersion", world.wanted.tree.argocd_version().unwrap_or_default()));
    if world.wanted.recovery.is_some() {
        record.push((RECOVERY, COMPLETE.to_owned()));
    }
    record.extend(world.served.as_ref().map(|served| (SERVED_COMMIT, served.tree.commit.to_string())));
    record
}

/// How the record is written.
const OPTIONS: ApplyOptions<'static> = ApplyOptions { manager: OWN_MANAGER, force: true };

/// Writes the record with the time.
pub(super) async fn write(world: &World, record: Vec<(&'static str, String)>) -> Result<()> {
    world.cluster.apply(&object(world, record)?, OPTIONS).await?;
    Ok(())
}

/// Says what [`write`] would do in `step`.
pub(super) async fn preview(world: &World, step: StepId, record: Vec<(&'static str, String)>, there: Option<&Object>) -> Result<Preview> {
    let action = if there.is_some() { Action::Change } else { Action::Create };
    dry_run(world, PlannedObject::new(step, reference(), action), &object(world, record)?, there, OPTIONS).await
}

fn object(world: &World, record: Vec<(&'static str, String)>) -> Result<Object> {
    let mut data: serde_json::Map<String, serde_json::Value> =
        record.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    data.insert("time".to_owned(), world.wanted.now.to_string().into());
    Object::new(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": ARGOCD_NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "gitops-bootstrap"}},
        "data": data,
    }))
    .map_err(|error| Failure::bug(error.to_string()))
}

impl Step for Marker {
    type Seen = Option<Object>;

    fn id(&self) -> StepId {
        StepId::Marker
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        Ok(world.cluster.get(&reference()).await?)
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        let Some(marker) = seen else {
            return Ok(Verdict::Needed { because: "there is none".to_owned(), changes: vec![reference().to_string()] });
        };
        let mut different: Vec<&str> = record(world)
            .into_iter()
            .filter(|(name, text)| marker.text(&format!("/data/{name}")) != Some(text))
            .map(|(name, _)| name)
            .collect();
        if world.served.is_none() && marker.text(&format!("/data/{SERVED_COMMIT}")).is_some() {
            different.push(SERVED_COMMIT);
        }
        Ok(if different.is_empty() {
            Verdict::satisfied(format!("commit {}", world.commit().short()))
        } else {
            Verdict::Needed { because: format!("it has another {}", different.join(", ")), changes: vec![reference().to_string()] }
        })
    }

    async fn preview(&self, world: &World, seen: Self::Seen) -> Result<Preview> {
        if self.decide(world, &seen)?.is_needed() {
            return preview(world, self.id(), record(world), seen.as_ref()).await;
        }
        Ok(Preview::of(PlannedObject::new(self.id(), reference(), Action::InPlace)))
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        write(world, record(world)).await?;
        world.changed(self.id(), reference(), if seen.is_none() { How::Created } else { How::Updated });
        Ok(())
    }
}
