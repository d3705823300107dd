//! Two Applications with the same object take it from each other for ever; in one, the last file wins.

use std::collections::{BTreeMap, BTreeSet};

use crate::lint::draft::Draft;
use crate::lint::view::{Cluster, is_cluster_wide};

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    let mut shared = BTreeSet::new();
    let mut seen = BTreeMap::new();
    for (document, owners) in cluster.all_owners() {
        if let [first, second, ..] = *owners
            && shared.insert((first, second))
        {
            let (first, second) = (&cluster.applications[first], &cluster.applications[second]);
            drafts.push(second.document.draft(
                "/spec/source/path",
                format!("takes the same files as `{}` ({})", first.name(), first.document.cited()),
                "let one Application take each folder",
            ));
        }
        let Some(application) = owners.first().map(|&owner| &cluster.applications[owner]) else { continue };
        let resource = document.object.resource();
        let is_global = is_cluster_wide(&resource);
        let namespace = if is_global { None } else { document.object.namespace().or_else(|| application.namespace()) };
        // The version plays no part: the API server stores one object.
        let key = (resource.group().to_owned(), resource.kind, namespace, document.object.name());
        let Some((other, holder)) = seen.insert(key, (document, application)) else { continue };
        let held = if std::ptr::eq(holder, application) {
            format!("is in `{}` twice", application.name())
        } else {
            format!("is in `{}` and in `{}`", holder.name(), application.name())
        };
        drafts.push(document.draft("/metadata/name", format!("{held}; the other one is {}", other.cited()), "remove one of them"));
    }
    drafts
}
