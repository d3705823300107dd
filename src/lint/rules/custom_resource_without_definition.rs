//! A custom resource without its definition can never be applied. What an Application takes from elsewhere may define anything, so
//! nothing is said of a cluster that has such an Application.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::Resource;
use crate::lint::draft::Draft;
use crate::lint::parsed::Document;
use crate::lint::view::{Cluster, is_built_in};

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    if cluster.has_unseen_objects {
        return Vec::new();
    }
    let defined: BTreeSet<(String, String)> = cluster.objects().flat_map(|(document, _)| kinds(document)).collect();
    let served_elsewhere: BTreeSet<&str> = cluster
        .objects()
        .filter(|(document, _)| document.object.kind() == "APIService")
        .filter_map(|(document, _)| document.object.text("/spec/group"))
        .collect();
    let mut undefined: BTreeMap<Resource, Vec<&Document<'_>>> = BTreeMap::new();
    for (document, _) in cluster.objects() {
        let resource = document.object.resource();
        let is_known = is_built_in(&resource)
            || served_elsewhere.contains(resource.group())
            || defined.contains(&(resource.api_version.clone(), resource.kind.clone()));
        if !is_known {
            undefined.entry(resource).or_default().push(document);
        }
    }
    let groups: BTreeSet<&(String, String)> = defined.iter().collect();
    undefined
        .into_iter()
        .filter_map(|(resource, documents)| {
            let first = *documents.first()?;
            let more = if documents.len() > 1 { format!(", and {} more of its kind", documents.len() - 1) } else { String::new() };
            let other_version = groups.iter().find(|(version, kind)| *kind == resource.kind && group(version) == resource.group());
            let message = match other_version {
                Some((version, _)) => format!("is of `{}`, and its definition serves `{version}`{more}", resource.api_version),
                None => format!("nothing in the tree defines its kind, `{}` of `{}`{more}", resource.kind, resource.group()),
            };
            Some(first.draft("/apiVersion", message, "render its CustomResourceDefinition into the tree, in an app of an earlier wave"))
        })
        .collect()
}

fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// What a resource definition defines: each `apiVersion` that it serves, and the kind.
fn kinds(document: &Document<'_>) -> Vec<(String, String)> {
    let object = &document.object;
    let named = object.text("/spec/group").zip(object.text("/spec/names/kind"));
    let Some((group, kind)) = named.filter(|_| object.kind() == "CustomResourceDefinition") else { return Vec::new() };
    let versions = object.at("/spec/versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let served = versions.iter().filter(|version| version.get("served") != Some(&Value::Bool(false)));
    served.filter_map(|version| Some((format!("{group}/{}", version.get("name")?.as_str()?), kind.to_owned()))).collect()
}
