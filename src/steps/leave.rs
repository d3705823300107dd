//! `leave`: the namespace of Argo CD, gone if nothing of others is in it; else only our own records in it go.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::apply::{CONCURRENCY, count};
use super::{Step, World, census, deletion, inventory, lease, marker, namespace};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{ClusterError, DeleteOptions, Dependents};

/// Kinds of which the objects come and go with others.
const PASSING: [&str; 4] = ["Event", "Endpoints", "EndpointSlice", "PodMetrics"];

/// What every namespace has by itself.
const IN_EVERY_NAMESPACE: [(&str, &str); 3] =
    [("ConfigMap", "kube-root-ca.crt"), ("ConfigMap", "openshift-service-ca.crt"), ("ServiceAccount", "default")];

/// Removes the namespace.
pub struct Leave;

/// The namespace and what is in it.
pub struct Seen {
    namespace: Option<Object>,
    /// The objects of others; none, with the reason, if that could not be found out.
    others: Result<Vec<ObjectRef>, String>,
    /// Our own records.
    records: Vec<Object>,
}

impl Step for Leave {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Leave
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let namespace = world.cluster.get(&namespace::reference()).await?;
        if namespace.is_none() {
            return Ok(Seen { namespace, others: Ok(Vec::new()), records: Vec::new() });
        }
        let mut records = census::objects(world).await?;
        records.extend(world.cluster.get(&marker::reference()).await?);
        let others = match others(world, &records).await {
            Ok(others) => Ok(others),
            Err(ClusterError::Forbidden(why)) => Err(format!("not everything in it may be seen: {why}")),
            Err(error @ (ClusterError::Unintelligible { .. } | ClusterError::Transient { .. })) => {
                Err(format!("not everything in it can be seen: {error}"))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Seen { namespace, others, records })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let Some(namespace) = &seen.namespace else { return Ok(Verdict::satisfied("it is not there")) };
        let why = match &seen.others {
            Ok(others) if others.is_empty() => {
                return Ok(Verdict::Needed {
                    because: if namespace.is_being_deleted() { "it is being deleted" } else { "nothing of others is in it" }.to_owned(),
                    changes: vec![namespace.reference().to_string()],
                });
            }
            Ok(others) => {
                world.note_detachment(|detachment| detachment.others.clone_from(others));
                let names: Vec<String> = others.iter().take(3).map(ToString::to_string).collect();
                let more = if others.len() > 3 { " and more" } else { "" };
                format!("kept: {} of others in it ({}{more})", count(others.len(), "object"), names.join(", "))
            }
            Err(why) => format!("kept: {why}"),
        };
        Ok(if seen.records.is_empty() {
            Verdict::satisfied(why)
        } else {
            Verdict::Needed { because: why, changes: seen.records.iter().map(|record| record.reference().to_string()).collect() }
        })
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        let Some(namespace) = seen.namespace else { return Err(Failure::bug("a namespace is to be removed that is not there")) };
        if !matches!(&seen.others, Ok(others) if others.is_empty()) {
            let records = seen.records.iter().filter_map(|record| Some((record.reference(), record.uid()?.to_owned())));
            return deletion::delete(world, self.id(), records.collect(), Dependents::Deleted).await;
        }
        if !namespace.is_being_deleted() {
            world.cluster.delete(&namespace.reference(), DeleteOptions { uid: namespace.uid(), dependents: Dependents::Deleted }).await?;
            world.changed(self.id(), namespace.reference(), How::Deleted);
        }
        super::namespace::until_gone(world, self.id()).await
    }
}

/// The objects in the namespace that nobody has made for Argo CD: of every kind that the server has.
async fn others(world: &World, records: &[Object]) -> Result<Vec<ObjectRef>, ClusterError> {
    let inventory = world.detachment().inventory;
    let kinds = world.cluster.namespaced_kinds().await?;
    let kinds = kinds.into_iter().filter(|kind| !PASSING.contains(&kind.kind.as_str()) && !inventory::is_of_argocds_kinds(kind));
    let lists = kinds.map(|kind| async move {
        match world.cluster.list(&kind, Some(ARGOCD_NAMESPACE), None).await {
            Err(ClusterError::NotServed(_)) => Ok(Vec::new()),
            objects => objects,
        }
    });
    let lists: Vec<Vec<Object>> = stream::iter(lists.collect::<Vec<_>>()).buffered(CONCURRENCY).try_collect().await?;
    let records: Vec<ObjectRef> = records.iter().map(Object::reference).chain([lease::reference()]).collect();
    let objects = lists.iter().flatten().filter(|object| !is_by_itself(object));
    let objects = objects.map(Object::reference).filter(|object| !records.contains(object));
    Ok(objects.filter(|object| !inventory.goes.keys().any(|goes| is_same(goes, object))).collect())
}

/// Whether two references are the same object: one kind can be served in several versions.
fn is_same(one: &ObjectRef, other: &ObjectRef) -> bool {
    let kind = |resource: &Resource| (resource.group().to_owned(), resource.kind.clone());
    kind(&one.resource) == kind(&other.resource) && one.namespace == other.namespace && one.name == other.name
}

/// Whether an object is in the namespace because of another one, or in every namespace.
fn is_by_itself(object: &Object) -> bool {
    let is_owned = object.at("/metadata/ownerReferences").and_then(Value::as_array).is_some_and(|owners| !owners.is_empty());
    is_owned
        || IN_EVERY_NAMESPACE.contains(&(object.kind(), object.name()))
        || object.text("/type") == Some("kubernetes.io/service-account-token")
}
