//! Without pruning a cluster keeps what was removed from Git, and a rebuilt one is different from the one before.

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let keeps = cluster.applications.iter().filter(|application| application.is_automated() && !application.is_on("prune"));
    keeps
        .map(|application| {
            application.document.draft(
                "/spec/syncPolicy/automated/prune",
                "leaves in the cluster what is removed from Git",
                "set `spec.syncPolicy.automated.prune: true`; protect single objects with `Prune=false`",
            )
        })
        .collect()
}
