//! Nobody presses the button when a cluster is rebuilt.

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let by_hand = cluster.applications.iter().filter(|application| !application.is_automated());
    by_hand
        .map(|application| {
            application.document.draft(
                "/spec/syncPolicy/automated",
                "is never synced by itself: a rebuilt cluster stays without it",
                "set `spec.syncPolicy.automated: {prune: true, selfHeal: true}`",
            )
        })
        .collect()
}
