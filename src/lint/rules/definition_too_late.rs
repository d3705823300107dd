//! A wave that waits for a custom resource which waits for a later wave waits for ever. In the same wave the retry sorts it out, if there is one.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::lint::draft::Draft;
use crate::lint::view::{Cluster, is_built_in};

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut definitions = BTreeMap::new();
    for (document, application) in cluster.objects().filter(|(document, _)| document.object.kind() == "CustomResourceDefinition") {
        if let Some(kind) = document.object.text("/spec/group").zip(document.object.text("/spec/names/kind")) {
            definitions.entry(kind).or_insert((document, application));
        }
    }
    let mut drafts: BTreeMap<_, Draft<'a>> = BTreeMap::new();
    for (document, application) in cluster.objects() {
        let resource = document.object.resource();
        if is_built_in(&resource) {
            continue;
        }
        let Some((definition, definer)) = definitions.get(&(resource.group(), resource.kind.as_str())) else { continue };
        let is_same_application = std::ptr::eq(definer.document, application.document);
        let is_late = match cluster.order((definition, definer), (document, application)) {
            Ordering::Less => false,
            // Within an Application, definitions come first.
            Ordering::Equal => !is_same_application && !application.never_gives_up(),
            Ordering::Greater => true,
        };
        if is_late {
            let by = if is_same_application {
                "a later wave of the same app".to_owned()
            } else {
                format!("`{}`, which does not come before `{}`", definer.name(), application.name())
            };
            drafts.entry((application.name(), resource.clone())).or_insert_with(|| {
                document.draft(
                    "/apiVersion",
                    format!("its definition ({}) is in {by}", definition.cited()),
                    "give the app with the definition an earlier wave, or put both into one app",
                )
            });
        }
    }
    drafts.into_values().collect()
}
