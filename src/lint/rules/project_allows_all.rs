//! A project is what keeps an Application from becoming administrator of the cluster. Infrastructure is meant to be that, from this repository.

use serde_json::Value;

use crate::lint::draft::Draft;
use crate::lint::parsed::Document;
use crate::lint::view::Cluster;

/// The project that may make anything, as long as it comes from the fleet repository.
const INFRASTRUCTURE: &str = "infrastructure";

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let too_wide = cluster.of_argocd("AppProject").filter_map(|project| Some((project, all(project)?)));
    too_wide
        .map(|(project, (pointer, what))| {
            let hint = "name what its Applications need: repositories, namespaces of this cluster, kinds";
            project.draft(pointer, format!("allows {}", what.join(", and ")), hint)
        })
        .collect()
}

/// What a project allows without a limit, and the JSON pointer to the first of it.
fn all(project: &Document<'_>) -> Option<(String, Vec<&'static str>)> {
    let list = |pointer: &str| project.object.at(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let at =
        |pointer: &str, is_all: &dyn Fn(&Value) -> bool| list(pointer).iter().position(is_all).map(|index| format!("{pointer}/{index}"));
    let everything = |value: &Value, key: &str| value.get(key).is_some_and(|text| text == "*");
    let is_infrastructure = project.object.name() == INFRASTRUCTURE;
    let found = [
        (at("/spec/sourceRepos", &|repository| repository == "*"), "every repository"),
        (at("/spec/destinations", &|place| everything(place, "server") || everything(place, "name")), "every cluster that Argo CD knows"),
        (
            at("/spec/clusterResourceWhitelist", &|kind| !is_infrastructure && everything(kind, "group") && everything(kind, "kind")),
            "every cluster-scoped kind",
        ),
    ];
    let first = found.iter().find_map(|(pointer, _)| pointer.clone())?;
    Some((first, found.into_iter().filter_map(|(pointer, what)| pointer.map(|_| what)).collect()))
}
