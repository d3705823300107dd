//! The cluster that is recovered to: an empty one, or one in which this same recovery began.

use super::cluster::{check_marker, is_pinned, supported};
use super::{check_trees, refused};
use crate::domain::application::Application;
use crate::domain::namespaces::is_brought;
use crate::domain::tree::{ARGOCD_NAMESPACE, Tree};
use crate::domain::{ClusterName, Declaration, Identity, Object, Resource};
use crate::error::{Failure, Result};
use crate::event::Events;
use crate::ports::Cluster;
use crate::ports::cluster::ClusterFacts;
use crate::steps::marker;

/// The kinds by which a cluster counts as used: `apiVersion` and kind.
pub(super) const LOOKED_AT: [(&str, &str); 7] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
];

/// What a person has said is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// That the cluster holds something.
    pub into_non_empty: bool,
    /// That the cluster is another than the one that gitops.yaml pins.
    pub new_identity: bool,
}

/// What was found of the target.
#[derive(Clone, Debug)]
pub struct Found {
    /// The cluster.
    pub facts: ClusterFacts,
    /// Whether this recovery began in it before.
    pub begun: bool,
    /// The identity that gitops.yaml pins, if it is another.
    pub pinned: Option<Identity>,
}

/// Checks that a recovery may begin, or go on, in the cluster.
///
/// Empty means: no Argo CD, and no workload, pod or claim outside of the namespaces that Kubernetes, its distributions and the clouds bring. Namespaces
/// that hold no more than Secrets and settings are what people prepare a cluster with.
pub async fn check_target(
    cluster: &dyn Cluster,
    name: &ClusterName,
    declaration: Option<&Declaration>,
    tree: &Tree,
    allowed: Allowed,
    events: &Events,
) -> Result<Found> {
    let facts = supported(cluster).await?;
    let pinned = check_identity(&facts, name, declaration, allowed)?;
    let record = cluster.get(&marker::reference()).await?;
    if let Some(record) = &record {
        check_marker(record, name, tree, &facts)?;
        check_record(record, name, &facts)?;
    }
    check_trees(cluster, tree).await?;
    if record.is_none() {
        let found = others(cluster).await?;
        if !found.is_empty() && !allowed.into_non_empty {
            return Err(not_empty(&found, &facts));
        }
        found.iter().for_each(|found| events.warn(format!("the cluster is not empty: {found}"), None));
    }
    Ok(Found { facts, begun: record.is_some(), pinned })
}

/// Returns the identity that is pinned for the name, if it is another.
fn check_identity(
    facts: &ClusterFacts,
    name: &ClusterName,
    declaration: Option<&Declaration>,
    allowed: Allowed,
) -> Result<Option<Identity>> {
    let pins = declaration.iter().flat_map(|declaration| &declaration.clusters);
    let mut pins = pins.filter_map(|(name, cluster)| Some((name, cluster.identity.as_ref()?)));
    if let Some((other, pinned)) = pins.clone().find(|(other, pinned)| *other != name && is_pinned(pinned, &facts.identity)) {
        return Err(refused(format!("the context `{}` leads to the cluster `{other}`, not to an empty one for `{name}`", facts.context))
            .because(format!("gitops.yaml pins `{other}` to {pinned}"))
            .hint("choose the right context with `--context`"));
    }
    let Some((_, pinned)) = pins.find(|(pinned, _)| *pinned == name).filter(|(_, pinned)| !is_pinned(pinned, &facts.identity)) else {
        return Ok(None);
    };
    if !allowed.new_identity {
        return Err(refused(format!("gitops.yaml pins `{name}` to another cluster than the context `{}` leads to", facts.context))
            .because(format!("pinned: {pinned}"))
            .because(format!("found: {}", facts.identity))
            .hint("choose the right context with `--context`, if this is not the new cluster")
            .hint("a cluster that was made anew is another one: if this is the new one, run the same command with `--new-identity`, and correct `identity` in gitops.yaml once all is up"));
    }
    Ok(Some(pinned.clone()))
}

/// Refuses a record that no recovery of this cluster has written.
fn check_record(record: &Object, name: &ClusterName, facts: &ClusterFacts) -> Result<()> {
    let says = |field: &str| record.text(&format!("/data/{field}"));
    let when = says("time").unwrap_or("an unknown time");
    if let Some(other) = says("identity").filter(|other| *other != facts.identity.kube_system_uid) {
        return Err(refused(format!("{} in this cluster was written in another one", marker::reference()))
            .because(format!("it says kube-system {other}, at {when}; this cluster is {}", facts.identity))
            .because("the namespace was copied or restored from elsewhere, and what came with it is not known")
            .hint(format!("if nothing in it is needed: kubectl delete namespace {ARGOCD_NAMESPACE}")));
    }
    if says(marker::RECOVERY).is_none() {
        return Err(refused(format!("this is the cluster `{name}` itself, and it is there"))
            .because(format!("it was bootstrapped at {when}; it is {}", facts.identity))
            .because("a recovery is for a cluster that is empty")
            .hint(format!("to bring it to what Git has: gitops-bootstrap init {name}")));
    }
    Ok(())
}

/// What is in the cluster that is not the cluster's own, in a few words each.
async fn others(cluster: &dyn Cluster) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if cluster.served(&Application::resource()).await?.is_some() {
        found.push(argocd(cluster).await?);
    }
    for (api_version, kind) in LOOKED_AT {
        let objects = cluster.list(&Resource::new(api_version, kind), None, None).await?;
        let foreign = objects.iter().filter(|object| is_somebodys(object));
        found.extend(foreign.map(|object| object.reference().to_string()));
    }
    Ok(found)
}

/// Whether an object is somebody's work: not in a namespace that came with the cluster, and not made by another object that counts itself.
fn is_somebodys(object: &Object) -> bool {
    let namespace = object.namespace().unwrap_or_default();
    let is_made = object.at("/metadata/ownerReferences").and_then(serde_json::Value::as_array).is_some_and(|owners| !owners.is_empty());
    !is_made && !is_brought(namespace)
}

async fn argocd(cluster: &dyn Cluster) -> Result<String> {
    let mut places = Vec::new();
    for kind in ["Deployment", "StatefulSet"] {
        let parts = cluster.list(&Resource::new("apps/v1", kind), None, Some("app.kubernetes.io/part-of=argocd")).await?;
        places.extend(parts.iter().filter_map(Object::namespace).map(str::to_owned));
    }
    places.sort();
    places.dedup();
    let applications = cluster.list(&Application::resource(), None, None).await?.len();
    Ok(match places.as_slice() {
        [] => format!("the resource definitions of an Argo CD, with {applications} Applications"),
        places => format!("another Argo CD in the namespace {}, with {applications} Applications", places.join(" and ")),
    })
}

fn not_empty(found: &[String], facts: &ClusterFacts) -> Failure {
    const MOST: usize = 12;
    let failure = refused(format!("the cluster behind the context `{}` is not empty", facts.context));
    let failure = found.iter().take(MOST).fold(failure, |failure, found| failure.because(found));
    let failure = if found.len() > MOST { failure.because(format!("and {} more objects", found.len() - MOST)) } else { failure };
    failure
        .hint("choose the right context with `--context`")
        .hint("if an `init` was cut short in it, run that again: it goes on from where it was")
        .hint("if the new cluster comes with these: `--into-non-empty`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, owners: serde_json::Value) -> Object {
        Object::new(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": namespace, "ownerReferences": owners}}),
        )
        .unwrap()
    }

    #[test]
    fn what_a_distribution_brings_is_nobodys_work() {
        assert!(!is_somebodys(&pod("kube-system", json!([]))));
        assert!(!is_somebodys(&pod("local-path-storage", json!(null))));
        assert!(is_somebodys(&pod("default", json!([]))));
        assert!(is_somebodys(&pod("shop", json!(null))));
        assert!(!is_somebodys(&pod("shop", json!([{"kind": "ReplicaSet"}]))), "its owner counts");
    }
}
