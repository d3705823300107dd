//! A commit that loses the root's file makes Argo CD prune the root, and with it the tree; the namespace takes Argo CD with it.

use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let is_root = |name: &str| cluster.roots.iter().any(|&index| cluster.applications[index].name() == name);
    let guarded = cluster.objects().filter(|(document, application)| {
        let object = &document.object;
        let matters = match object.kind() {
            "Application" => is_root(object.name()),
            "Namespace" => object.name() == ARGOCD_NAMESPACE,
            _ => false,
        };
        matters && application.is_on("prune")
    });
    let open = guarded.filter(|(document, _)| !document.has_sync_option("Prune=false") && !document.has_sync_option("Prune=confirm"));
    open.map(|(document, _)| {
        document.draft(
            "/metadata",
            "a commit that loses its file deletes it, and all that depends on it",
            "annotate it: `argocd.argoproj.io/sync-options: Prune=false,Delete=false`",
        )
    })
    .collect()
}
