//! A generator that fails or returns nothing empties the list of an `ApplicationSet`, which then deletes its Applications and, by their
//! finalizer, all that they run, unless it was told otherwise (operator-manual/applicationset/Controlling-Resource-Modification).

use serde_json::Value;

use crate::domain::Object;
use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let sets = cluster.of_argocd("ApplicationSet").filter(|set| deletes(&set.object));
    sets.map(|set| {
        set.draft(
            "/spec/syncPolicy",
            "deletes its Applications and all that they run when its generators find nothing",
            "set `spec.syncPolicy.applicationsSync: create-update`, or `preserveResourcesOnDeletion: true`",
        )
    })
    .collect()
}

fn deletes(set: &Object) -> bool {
    let keeps_resources = set.at("/spec/syncPolicy/preserveResourcesOnDeletion") == Some(&Value::Bool(true));
    let keeps_applications = matches!(set.text("/spec/syncPolicy/applicationsSync"), Some("create-only" | "create-update"));
    !keeps_resources && !keeps_applications
}
