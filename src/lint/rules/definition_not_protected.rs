//! Deleting a resource definition deletes every object of its kind, in the whole cluster and at once.

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let definitions = cluster.objects().filter(|(document, _)| document.object.kind() == "CustomResourceDefinition");
    let prunable = definitions.filter(|(document, application)| {
        application.is_on("prune") && !document.has_sync_option("Prune=false") && !document.has_sync_option("Prune=confirm")
    });
    prunable
        .map(|(document, application)| {
            document.draft(
                "/metadata",
                format!("a commit that removes it from `{}` deletes every object of its kind", application.name()),
                "annotate it: `argocd.argoproj.io/sync-options: Prune=false,Delete=false`",
            )
        })
        .collect()
}
