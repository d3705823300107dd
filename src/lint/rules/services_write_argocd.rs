//! Whoever can write to Argo CD's namespace can make Applications of any project there, and is administrator of the cluster.

use serde_json::Value;

use crate::domain::glob::name_fits;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

/// The project of what the cluster is there for.
const SERVICES: &str = "services";

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for project in cluster.of_argocd("AppProject").filter(|project| project.object.name() == SERVICES) {
        let destinations = project.object.at("/spec/destinations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let namespace = |place: &Value| place.get("namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_denied =
            destinations.iter().any(|place| namespace(place).strip_prefix('!').is_some_and(|denied| name_fits(denied, ARGOCD_NAMESPACE)));
        let allowed = destinations.iter().position(|place| name_fits(&namespace(place), ARGOCD_NAMESPACE));
        if let Some(index) = allowed.filter(|_| !is_denied) {
            drafts.push(project.draft(
                format!("/spec/destinations/{index}"),
                format!("can write to the namespace `{ARGOCD_NAMESPACE}`, and whoever can do that is administrator of the cluster"),
                format!("add a destination that denies it: `namespace: \"!{ARGOCD_NAMESPACE}\"`"),
            ));
        }
    }
    drafts
}
