//! The cluster: whether it is the one that is meant, new enough, and in a state to begin from.

use serde_json::Value;

use super::refused;
use crate::domain::application::Application;
use crate::domain::tree::{ARGOCD_NAMESPACE, Tree};
use crate::domain::{ClusterName, Declaration, Identity, Object, RepositoryUrl};
use crate::error::{Failure, Kind, Result};
use crate::ports::Cluster;
use crate::ports::cluster::ClusterFacts;
use crate::steps::marker;

/// The oldest Kubernetes that is supported: server-side apply reports conflicts in today's form and the Lease API is as used here.
const OLDEST: (u32, u32) = (1, 30);

/// Checks identity, version and record of the cluster, and returns what is known of it.
pub async fn check_cluster(
    cluster: &dyn Cluster,
    name: &ClusterName,
    declaration: Option<&Declaration>,
    tree: &Tree,
) -> Result<ClusterFacts> {
    let facts = supported(cluster).await?;
    check_pin(&facts, name, declaration)?;
    if let Some(marker) = cluster.get(&marker::reference()).await? {
        check_marker(&marker, name, tree, &facts)?;
    }
    Ok(facts)
}

/// Checks that the cluster is the one that bears the name, by what gitops.yaml pins and by the cluster's own record, and returns what is known of it.
pub async fn check_identity(cluster: &dyn Cluster, name: &ClusterName, declaration: Option<&Declaration>) -> Result<ClusterFacts> {
    let facts = cluster.facts().await?;
    check_pin(&facts, name, declaration)?;
    if let Some(marker) = cluster.get(&marker::reference()).await? {
        check_name(&marker, name, &facts)?;
    }
    Ok(facts)
}

fn check_pin(facts: &ClusterFacts, name: &ClusterName, declaration: Option<&Declaration>) -> Result<()> {
    let pinned = declaration.and_then(|declaration| declaration.clusters.get(name)?.identity.as_ref());
    if let Some(pinned) = pinned.filter(|pinned| !is_pinned(pinned, &facts.identity)) {
        return Err(refused(format!("the context `{}` is not the cluster `{name}`", facts.context))
            .because(format!("gitops.yaml pins `{name}` to {pinned}"))
            .because(format!("the context leads to {}", facts.identity))
            .hint("choose the right context with `--context`; if the cluster was made anew, correct `identity` in gitops.yaml"));
    }
    Ok(())
}

/// What is known of a cluster that is new enough.
pub(super) async fn supported(cluster: &dyn Cluster) -> Result<ClusterFacts> {
    let facts = cluster.facts().await?;
    check_supported(&facts)?;
    Ok(facts)
}

/// Refuses a cluster that is too old.
pub fn check_supported(facts: &ClusterFacts) -> Result<()> {
    if facts.version < OLDEST {
        return Err(refused(format!("{} is Kubernetes {}", facts.context, facts.git_version))
            .because(format!("the oldest version that is supported is {}.{}", OLDEST.0, OLDEST.1))
            .hint("update the cluster first"));
    }
    Ok(())
}

/// Whether an identity is the one that is pinned; a pin may leave the certificate open.
pub(super) fn is_pinned(pinned: &Identity, identity: &Identity) -> bool {
    pinned.kube_system_uid == identity.kube_system_uid && (pinned.ca_sha256.is_none() || pinned.ca_sha256 == identity.ca_sha256)
}

fn check_name(marker: &Object, name: &ClusterName, facts: &ClusterFacts) -> Result<()> {
    if let Some(other) = marker.text("/data/cluster").filter(|other| *other != name.as_str()) {
        return Err(refused(format!("the context `{}` leads to the cluster `{other}`, not to `{name}`", facts.context))
            .because(format!("its record ({}) says `{other}`; it is {}", marker::reference(), facts.identity))
            .hint(format!("choose the right context with `--context`, or run `gitops-bootstrap init {other}`")));
    }
    Ok(())
}

/// Refuses a cluster whose record names another cluster, another repository or a newer tool.
pub(super) fn check_marker(marker: &Object, name: &ClusterName, tree: &Tree, facts: &ClusterFacts) -> Result<()> {
    check_name(marker, name, facts)?;
    let says = |field: &str| marker.text(&format!("/data/{field}"));
    if let Some(other) =
        says("repository").and_then(|url| url.parse::<RepositoryUrl>().ok()).filter(|other| !other.is_same_repository(&tree.repository))
    {
        return Err(refused(format!("the cluster `{name}` was bootstrapped from another repository"))
            .because(format!("its record says {other}; this clone's is {}", tree.repository))
            .hint(format!(
                "if that is what you want, delete the record first: kubectl -n {ARGOCD_NAMESPACE} delete configmap {}",
                marker::NAME
            )));
    }
    if let Some(newer) = says("toolVersion").filter(|version| is_newer(version, env!("CARGO_PKG_VERSION"))) {
        return Err(refused(format!("the cluster was bootstrapped by gitops-bootstrap {newer}; this is {}", env!("CARGO_PKG_VERSION")))
            .because("an older version could undo what the newer one has made")
            .hint("update gitops-bootstrap"));
    }
    Ok(())
}

/// Whether version `one` is newer than `other`, number by number.
fn is_newer(one: &str, other: &str) -> bool {
    let numbers = |version: &str| version.split('.').map(|part| part.parse::<u64>().unwrap_or(0)).collect::<Vec<_>>();
    numbers(one) > numbers(other)
}

/// Refuses a cluster whose tree runs from a clone that is served inside of it: what is done with the forge then does not concern Argo CD, and the server
/// is taken away by the run that moves the tree back.
pub async fn check_follows_forge(cluster: &dyn Cluster, name: &ClusterName) -> Result<()> {
    let marker = cluster.get(&marker::reference()).await?;
    if marker.is_some_and(|marker| marker.text(&format!("/data/{}", marker::SERVED_COMMIT)).is_some()) {
        return Err(refused(format!("the tree of `{name}` comes from a clone that is served inside of the cluster, not from the forge"))
            .hint(format!("move it back first, once the forge answers: gitops-bootstrap init {name}")));
    }
    Ok(())
}

/// Refuses a tree that is half deleted, and a root Application that belongs to another repository.
pub async fn check_trees(cluster: &dyn Cluster, tree: &Tree) -> Result<()> {
    if cluster.served(&Application::resource()).await?.is_none() {
        return Ok(());
    }
    let applications = cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await?;
    let cascades = |object: &&Object| {
        let finalizers = object.at("/metadata/finalizers").and_then(Value::as_array);
        object.is_being_deleted()
            && finalizers
                .into_iter()
                .flatten()
                .any(|finalizer| finalizer.as_str().is_some_and(|name| name.starts_with("resources-finalizer.argocd.argoproj.io")))
    };
    let half_deleted: Vec<&str> = applications.iter().filter(cascades).map(Object::name).collect();
    if !half_deleted.is_empty() {
        return Err(refused(format!("Applications are half deleted: {}", half_deleted.join(", ")))
            .because("their deletion goes on as soon as Argo CD runs, and takes their workloads with it")
            .hint("to keep the workloads, take the finalizers off first:")
            .hint(format!(
                "kubectl -n {ARGOCD_NAMESPACE} patch application NAME --type merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'"
            )));
    }
    is_of_this_tree(&applications, tree)
}

/// Refuses a root Application that belongs to another repository.
pub async fn check_root(cluster: &dyn Cluster, tree: &Tree) -> Result<()> {
    if cluster.served(&Application::resource()).await?.is_none() {
        return Ok(());
    }
    is_of_this_tree(&cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await?, tree)
}

fn is_of_this_tree(applications: &[Object], tree: &Tree) -> Result<()> {
    let root = applications.iter().find(|object| object.name() == tree.root.object.name());
    if let Some(other) = root.and_then(|root| root.text("/spec/source/repoURL")).and_then(|url| url.parse::<RepositoryUrl>().ok())
        && !other.is_same_repository(&tree.repository)
    {
        return Err(Failure::new(
            Kind::Refused,
            format!("the root Application `{}` takes its tree from another repository: {other}", tree.root.object.name()),
        )
        .because(format!("this clone's is {}", tree.repository))
        .because(super::UNCHANGED)
        .hint("choose the right context with `--context`, or the right clone with `--fleet`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_newer("0.10.0", "0.9.0"));
        assert!(!is_newer("0.1.0", "0.1.0"));
        assert!(!is_newer("0.1.0", "1.0.0"));
    }
}
