//! Without self-healing a change by hand stays until the next commit, and nobody knows of it when the cluster is rebuilt.

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let keeps = cluster.applications.iter().filter(|application| application.is_automated() && !application.is_on("selfHeal"));
    keeps
        .map(|application| {
            application.document.draft(
                "/spec/syncPolicy/automated/selfHeal",
                "lets changes by hand stay in the cluster",
                "set `spec.syncPolicy.automated.selfHeal: true`",
            )
        })
        .collect()
}
