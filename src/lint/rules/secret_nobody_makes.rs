//! A pod that needs a Secret which is not there waits for ever. Who made the Secret of the old cluster by hand is forgotten in the new one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::Object;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::lint::draft::Draft;
use crate::lint::pods;
use crate::lint::view::{Cluster, is_built_in};

/// Secrets that Argo CD makes for itself, in its own namespace.
const OF_ARGOCD: [&str; 3] = ["argocd-redis", "argocd-secret", "argocd-initial-admin-secret"];

/// What is there without anybody having written it.
struct Makers<'a> {
    /// Namespace and name of what certainly becomes a Secret.
    secrets: BTreeSet<(&'a str, &'a str)>,
    /// Namespace and text of everything that a custom resource says: its controller may make a Secret of that name.
    texts: BTreeSet<(&'a str, &'a str)>,
    /// What custom resources for the whole cluster say: theirs may be in any namespace.
    anywhere: BTreeSet<&'a str>,
    /// Namespace and name of custom resources: many controllers make Secrets that begin with it.
    names: BTreeSet<(&'a str, &'a str)>,
}

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut makers = Makers { secrets: BTreeSet::new(), texts: BTreeSet::new(), anywhere: BTreeSet::new(), names: BTreeSet::new() };
    for (document, application) in cluster.objects() {
        let object = &document.object;
        let namespace = object.namespace().or_else(|| application.namespace()).unwrap_or_default();
        if object.kind() == "Secret" && is_built_in(&object.resource()) {
            makers.secrets.insert((namespace, object.name()));
        } else if !is_built_in(&object.resource()) {
            makers.names.insert((namespace, object.name()));
            // By custom, as in ClusterExternalSecret.
            let is_for_all = object.kind().starts_with("Cluster") && object.namespace().is_none();
            if let Some(spec) = object.at("/spec") {
                texts(spec, &mut |text| {
                    let _is_new = if is_for_all { makers.anywhere.insert(text) } else { makers.texts.insert((namespace, text)) };
                });
            }
        }
    }
    let mut drafts: BTreeMap<(String, String), Draft<'a>> = BTreeMap::new();
    for (document, application) in cluster.objects() {
        let object = &document.object;
        let Some(namespace) = object.namespace().or_else(|| application.namespace()) else { continue };
        for (pointer, name) in needed(object) {
            if !makers.make(namespace, name) {
                drafts.entry((namespace.to_owned(), name.to_owned())).or_insert_with(|| {
                    document.draft(
                        pointer,
                        format!("needs the Secret `{name}` in `{namespace}`, which nothing in the tree makes"),
                        "render a SealedSecret or an ExternalSecret of that name; allow it if it is in the cluster's bundle or made by a job",
                    )
                });
            }
        }
    }
    drafts.into_values().collect()
}

impl Makers<'_> {
    fn make(&self, namespace: &str, name: &str) -> bool {
        let of_argocd = namespace == ARGOCD_NAMESPACE && OF_ARGOCD.contains(&name);
        let is_named = self.secrets.contains(&(namespace, name)) || self.texts.contains(&(namespace, name)) || self.anywhere.contains(name);
        // `web` makes `web`, `web-app` and `web-superuser`.
        let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]);
        of_argocd || is_named || ends.into_iter().any(|end| self.names.contains(&(namespace, &name[..end])))
    }
}

/// Gives every text in a value to `give`.
fn texts<'a>(value: &'a Value, give: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(text) => give(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, give)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, give)),
        _ => {}
    }
}

/// The Secrets without which the pods of an object do not start, and the JSON pointers to where they are named.
fn needed(object: &Object) -> Vec<(String, &str)> {
    let Some((pointer, spec)) = pods::spec(object) else { return Vec::new() };
    let mut found = Vec::new();
    for (index, volume) in items(spec, "volumes") {
        let pointer = format!("{pointer}/volumes/{index}");
        found.extend(required(volume, "/secret", "secretName", &pointer));
        for (index, source) in items(volume.get("projected").unwrap_or(&Value::Null), "sources") {
            found.extend(required(source, "/secret", "name", &format!("{pointer}/projected/sources/{index}")));
        }
    }
    for (pointer, container) in pods::containers(object) {
        for (index, variable) in items(container, "env") {
            found.extend(required(variable, "/valueFrom/secretKeyRef", "name", &format!("{pointer}/env/{index}")));
        }
        for (index, variables) in items(container, "envFrom") {
            found.extend(required(variables, "/secretRef", "name", &format!("{pointer}/envFrom/{index}")));
        }
    }
    for (index, secret) in items(spec, "imagePullSecrets") {
        found.extend(required(secret, "", "name", &format!("{pointer}/imagePullSecrets/{index}")));
    }
    found
}

/// The items of a list, with their numbers.
fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().enumerate()
}

/// The name of a Secret that `reference` within `value` makes, unless it is optional, and the JSON pointer to it. `place` is that of `value`.
fn required<'a>(value: &'a Value, reference: &str, key: &str, place: &str) -> Option<(String, &'a str)> {
    let made = value.pointer(reference)?;
    let name = made.get(key)?.as_str().filter(|name| !name.is_empty())?;
    (made.get("optional") != Some(&Value::Bool(true))).then(|| (format!("{place}{reference}/{key}"), name))
}
