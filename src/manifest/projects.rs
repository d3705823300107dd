//! What an AppProject allows.

use serde_json::Value;

use crate::domain::tree::{ARGOCD_NAMESPACE, Rendered};

/// What a project for services allows although services do not need it: full sentences that start with the file.
pub fn too_wide(project: &Rendered) -> Vec<String> {
    let list = |pointer: &str| project.object.at(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = Vec::new();
    if list("/spec/sourceRepos").iter().any(|repository| repository == "*") {
        found.push("allows every repository (`sourceRepos: ['*']`)".to_owned());
    }
    let destinations = list("/spec/destinations");
    let denied = |namespace: &str| destinations.iter().any(|destination| text(destination, "namespace") == format!("!{namespace}"));
    let covers = |destination: &&Value| matches!(text(destination, "namespace").as_str(), "*" | ARGOCD_NAMESPACE | "argo*" | "argocd*");
    if destinations.iter().any(|destination| covers(&destination)) && !denied(ARGOCD_NAMESPACE) {
        found.push(format!("can write to the namespace `{ARGOCD_NAMESPACE}`, and whoever can do that is administrator of the cluster"));
    }
    if destinations.iter().any(|destination| text(destination, "server") == "*" || text(destination, "name") == "*") {
        found.push("allows every cluster that Argo CD knows".to_owned());
    }
    if list("/spec/clusterResourceWhitelist").iter().any(|kind| text(kind, "kind") == "*") {
        found.push("allows every cluster-scoped kind".to_owned());
    }
    found.into_iter().map(|what| format!("{}: AppProject `{}` {what}", project.path, project.object.name())).collect()
}
