//! The rights that a run needs in the cluster: all missing ones are named at once.

use std::collections::{BTreeSet, HashSet};

use super::UNCHANGED;
use super::target::LOOKED_AT;
use crate::domain::tree::{ARGOCD_NAMESPACE, Tree};
use crate::domain::{Bundle, Object, ObjectRef, Resource};
use crate::error::{Failure, Kind, Result};
use crate::manifest::git_server;
use crate::ports::Cluster;
use crate::ports::cluster::{ClusterError, Right};

/// The API group of roles and bindings.
const RBAC: &str = "rbac.authorization.k8s.io";

/// Kinds of Argo CD's manifest that are not namespaced.
const CLUSTER_WIDE: [&str; 6] =
    ["Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "StorageClass"];

/// Fails with all rights that the account lacks for bootstrapping `tree`. Returns how many it has and needs.
pub async fn check_rights(cluster: &dyn Cluster, tree: &Tree) -> Result<usize> {
    let rights = needed(tree, namespace_is_there(cluster).await?);
    check(cluster, &rights).await?;
    Ok(rights.len())
}

/// Whether Argo CD's namespace is there. Whoever may not look is told of that right, and of the one to make the namespace.
async fn namespace_is_there(cluster: &dyn Cluster) -> Result<bool> {
    match cluster.get(&ObjectRef::cluster_wide("v1", "Namespace", ARGOCD_NAMESPACE)).await {
        Ok(namespace) => Ok(namespace.is_some_and(|namespace| !namespace.is_being_deleted())),
        Err(ClusterError::Forbidden(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Fails with all rights that the account lacks for restoring `bundle`.
pub async fn check_restore_rights(cluster: &dyn Cluster, bundle: &Bundle) -> Result<()> {
    check(cluster, &needed_to_restore(bundle)).await
}

/// Fails with all rights that the account lacks for recovering `tree` with what is in `bundle`.
pub async fn check_recovery_rights(cluster: &dyn Cluster, tree: &Tree, bundle: Option<&Bundle>) -> Result<()> {
    let mut rights = needed(tree, namespace_is_there(cluster).await?);
    // What else is in the cluster is looked at before anything is done.
    rights.extend(LOOKED_AT.map(|(api_version, kind)| right("list", Resource::new(api_version, kind).group(), &plural(kind), None, None)));
    rights.extend(bundle.map(needed_to_restore).unwrap_or_default());
    check(cluster, &rights).await
}

/// Fails with all rights that the account lacks for renewing the deploy key.
pub async fn check_rights_to_rotate(cluster: &dyn Cluster) -> Result<()> {
    check(cluster, &needed_to_rotate()).await
}

/// Fails with all rights that the account lacks for taking Argo CD out of the cluster of `tree`.
pub async fn check_rights_to_detach(cluster: &dyn Cluster, tree: &Tree) -> Result<()> {
    check(cluster, &needed_to_detach(tree)).await
}

async fn check(cluster: &dyn Cluster, rights: &[Right]) -> Result<()> {
    let missing = cluster.missing_rights(rights).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(Kind::Denied, format!("the account lacks {} rights in the cluster", missing.len())).because(UNCHANGED);
    let failure = missing.iter().fold(failure, |failure, right| failure.because(describe(right)));
    Err(failure.hint("ask for these rights, or use an account that is an administrator of the cluster"))
}

/// Fails with all rights that the account lacks for the Git server in the cluster: to make it, to replace it and to remove it.
pub async fn check_server_rights(cluster: &dyn Cluster) -> Result<()> {
    let of_kind = |kind: Resource| {
        ["get", "list", "create", "patch", "delete"]
            .map(|verb| right(verb, kind.group(), &plural(&kind.kind), Some(ARGOCD_NAMESPACE), None))
    };
    check(cluster, &git_server::kinds().into_iter().flat_map(of_kind).collect::<Vec<_>>()).await
}

/// The rights that bootstrapping `tree` needs; the one to make Argo CD's namespace only if it is not there.
///
/// Server-side apply needs `create` and `patch`. What is made by it can be limited to its name, `create` included: the request names the object, unlike
/// one to make an object (`createAuthorizerAttributes` in patch.go of k8s.io/apiserver). That is done for everything outside of Argo CD's namespace,
/// and for roles.
pub fn needed(tree: &Tree, namespace_is_there: bool) -> Vec<Right> {
    let mut rights = vec![
        right("get", "", "namespaces", None, Some("kube-system")),
        right("get", "", "namespaces", None, Some(ARGOCD_NAMESPACE)),
        right("list", "", "secrets", Some(ARGOCD_NAMESPACE), None),
        right("create", "", "secrets", Some(ARGOCD_NAMESPACE), None),
        right("list", "", "pods", Some(ARGOCD_NAMESPACE), None),
        right("watch", "", "pods", Some(ARGOCD_NAMESPACE), None),
    ];
    if !namespace_is_there {
        rights.push(right("create", "", "namespaces", None, None));
    }
    rights.extend(to_lock());
    for verb in ["list", "watch"] {
        for workload in ["deployments", "statefulsets"] {
            rights.push(right(verb, "apps", workload, Some(ARGOCD_NAMESPACE), None));
        }
        rights.push(right(verb, "argoproj.io", "applications", Some(ARGOCD_NAMESPACE), None));
    }
    for verb in ["get", "create", "patch"] {
        rights.push(right(verb, "", "configmaps", Some(ARGOCD_NAMESPACE), None));
    }
    let objects = tree.argocd.iter().chain(&tree.projects).chain([&tree.root]).map(|rendered| &rendered.object);
    for object in objects {
        let is_there = object.kind() == "Namespace" && object.name() == ARGOCD_NAMESPACE;
        let verbs: &[&'static str] = if is_there { &["get", "patch"] } else { &["get", "create", "patch"] };
        rights.extend(verbs.iter().map(|verb| named_where_it_counts(right_for(verb, object), object)));
        rights.extend(to_give(object));
    }
    each_once(rights)
}

/// Limits a right to the object's name, where the kind is not one of Argo CD's namespace alone.
fn named_where_it_counts(right: Right, object: &Object) -> Right {
    let counts = right.namespace.is_none() || object.resource().group() == RBAC;
    Right { name: counts.then(|| object.name().to_owned()), ..right }
}

/// What whoever makes a role or a binding must be allowed beyond that: to put more into the role than they have, and to give it to others
/// (kubernetes.io, "Using RBAC Authorization", "Privilege escalation prevention and bootstrapping").
fn to_give(object: &Object) -> Option<Right> {
    match object.kind() {
        "ClusterRole" | "Role" => Some(named_where_it_counts(right_for("escalate", object), object)),
        "ClusterRoleBinding" | "RoleBinding" => {
            let (kind, name) = (object.text("/roleRef/kind")?, object.text("/roleRef/name")?);
            // The right to bind is asked for where the binding is.
            let namespace = right_for("bind", object).namespace;
            Some(right("bind", RBAC, &plural(kind), namespace.as_deref(), Some(name)))
        }
        _ => None,
    }
}

/// The rights that renewing the deploy key needs.
fn needed_to_rotate() -> Vec<Right> {
    let mut rights =
        vec![right("get", "", "namespaces", None, Some("kube-system")), right("get", "", "configmaps", Some(ARGOCD_NAMESPACE), None)];
    rights.extend(to_lock());
    for verb in ["get", "list", "create", "update", "patch", "delete"] {
        rights.push(right(verb, "", "secrets", Some(ARGOCD_NAMESPACE), None));
    }
    for verb in ["list", "watch", "patch"] {
        rights.push(right(verb, "argoproj.io", "applications", Some(ARGOCD_NAMESPACE), None));
    }
    rights
}

/// The rights that taking Argo CD out of the cluster of `tree` needs. What must stay may be of any kind, and is listed.
fn needed_to_detach(tree: &Tree) -> Vec<Right> {
    let mut rights = vec![right("list", "*", "*", None, None)];
    rights.extend(to_lock());
    for verb in ["get", "watch", "delete"] {
        rights.push(right(verb, "", "namespaces", None, None));
        rights.push(right(verb, "", "secrets", Some(ARGOCD_NAMESPACE), None));
    }
    for verb in ["get", "create", "patch", "watch", "delete"] {
        rights.push(right(verb, "", "configmaps", Some(ARGOCD_NAMESPACE), None));
    }
    rights.push(right("watch", "", "pods", Some(ARGOCD_NAMESPACE), None));
    for verb in ["watch", "patch", "delete"] {
        for kind in ["applicationsets", "applications", "appprojects"] {
            rights.push(right(verb, "argoproj.io", kind, None, None));
        }
    }
    for object in tree.argocd.iter().map(|rendered| &rendered.object) {
        for verb in ["get", "watch", "delete"] {
            rights.push(right_for(verb, object));
        }
        if matches!(object.kind(), "Deployment" | "StatefulSet") {
            rights.push(right_for("patch", object));
        }
    }
    each_once(rights)
}

/// The rights that the lock needs.
fn to_lock() -> impl Iterator<Item = Right> {
    ["get", "create", "update"].into_iter().map(|verb| right(verb, "coordination.k8s.io", "leases", Some(ARGOCD_NAMESPACE), None))
}

fn each_once(mut rights: Vec<Right>) -> Vec<Right> {
    let mut seen = HashSet::new();
    rights.retain(|right| seen.insert(right.clone()));
    rights
}

/// The rights that restoring `bundle` needs: it looks, creates, and completes the Secrets that are shipped empty.
fn needed_to_restore(bundle: &Bundle) -> Vec<Right> {
    let namespaces: BTreeSet<&str> = bundle.entries.iter().map(|entry| entry.object.namespace.as_str()).collect();
    let of_secrets = |namespace| ["get", "create", "update"].map(|verb| right(verb, "", "secrets", Some(namespace), None));
    let of_namespaces = ["get", "create"].map(|verb| right(verb, "", "namespaces", None, None));
    namespaces.into_iter().flat_map(of_secrets).chain(of_namespaces).collect()
}

fn right_for(verb: &'static str, object: &Object) -> Right {
    let resource = object.resource();
    let namespace = (!CLUSTER_WIDE.contains(&object.kind())).then(|| object.namespace().unwrap_or(ARGOCD_NAMESPACE));
    right(verb, resource.group(), &plural(object.kind()), namespace, None)
}

fn right(verb: &'static str, group: &str, resource: &str, namespace: Option<&str>, name: Option<&str>) -> Right {
    Right {
        verb,
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    }
}

/// The plural by which the API server knows a kind of its own: English, in lower case.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

fn describe(right: &Right) -> String {
    let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
    let place = right.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    let name = right.name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default();
    format!("{} {}{group}{name}{place}", right.verb, right.resource)
}

#[cfg(test)]
mod tests {
    use super::plural;

    #[test]
    fn plurals_are_those_of_the_api_server() {
        assert_eq!(plural("NetworkPolicy"), "networkpolicies");
        assert_eq!(plural("Ingress"), "ingresses");
        assert_eq!(plural("ConfigMap"), "configmaps");
    }
}
