//! An object cannot be made in a namespace that is not there.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::application::CREATE_NAMESPACE;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::lint::draft::Draft;
use crate::lint::parsed::Document;
use crate::lint::view::{Application, Cluster, is_built_in, is_cluster_wide};

/// The namespaces that every cluster has, and Argo CD's own, which a bootstrap makes first.
const THERE: [&str; 5] = ["default", "kube-system", "kube-public", "kube-node-lease", ARGOCD_NAMESPACE];

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut made: BTreeSet<&str> = THERE.into();
    made.extend(
        cluster.objects().filter(|(document, _)| document.object.kind() == "Namespace").map(|(document, _)| document.object.name()),
    );
    made.extend(
        cluster.applications.iter().filter(|application| application.has_sync_option(CREATE_NAMESPACE)).filter_map(Application::namespace),
    );
    let mut drafts: BTreeMap<String, Draft<'a>> = BTreeMap::new();
    for (document, application) in cluster.objects() {
        let hint = |namespace: &str| {
            format!("add `CreateNamespace=true` to the `syncOptions` of an Application that goes to `{namespace}`, or render the Namespace")
        };
        let Some((namespace, is_its_own)) = namespace(document, application).filter(|(namespace, _)| !made.contains(namespace)) else {
            continue;
        };
        drafts.entry(namespace.to_owned()).or_insert_with(|| {
            if is_its_own {
                document.draft("/metadata/namespace", format!("goes to the namespace `{namespace}`, which nobody makes"), hint(namespace))
            } else {
                let message = format!("its objects go to the namespace `{namespace}`, which nobody makes");
                application.document.draft("/spec/destination/namespace", message, hint(namespace))
            }
        });
    }
    drafts.into_values().collect()
}

/// The namespace that an object goes to, and whether it names it itself.
fn namespace<'a>(document: &'a Document<'_>, application: &'a Application<'_>) -> Option<(&'a str, bool)> {
    let resource = document.object.resource();
    if is_cluster_wide(&resource) {
        return None;
    }
    match document.object.namespace() {
        Some(namespace) => Some((namespace, true)),
        // Custom resources may be cluster-wide; those that are not and name no namespace are rarely alone in it.
        None if is_built_in(&resource) => Some((application.namespace()?, false)),
        None => None,
    }
}
