//! The project `default` is made by Argo CD itself and allows everything.

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let of_default = cluster.applications.iter().filter(|application| application.text("/spec/project").unwrap_or("default") == "default");
    let hint = "name a project that allows what the app needs and no more: `infrastructure` or `services`";
    of_default
        .map(|application| {
            application.document.draft("/spec/project", "is of the project `default`, which Argo CD makes open to everything", hint)
        })
        .collect()
}
