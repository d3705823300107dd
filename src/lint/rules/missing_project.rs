//! Argo CD syncs nothing of a project that is not there.

use std::collections::BTreeSet;

use crate::domain::tree::PROJECTS;
use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let known: BTreeSet<&str> = cluster.of_argocd("AppProject").map(|project| project.object.name()).collect();
    let hint = "write it to `src/argocd/projects/`, or name one that is there";
    let mut missing = BTreeSet::new();
    let mut drafts = Vec::new();
    for application in &cluster.applications {
        // `default` is made by Argo CD's server.
        let project = application.text("/spec/project").unwrap_or("default");
        if project != "default" && !known.contains(project) {
            missing.insert(project);
            let message = format!("is of the project `{project}`, which no file of {} declares", cluster.name);
            drafts.push(application.document.draft("/spec/project", message, hint));
        }
    }
    // A fleet of ours has three projects, whether or not anything is in them yet.
    if let Some(root) = cluster.root().filter(|_| cluster.repository.declaration.is_some()) {
        for project in PROJECTS.into_iter().filter(|project| !known.contains(project) && !missing.contains(project)) {
            drafts.push(root.document.draft("", format!("the AppProject `{project}` is missing from the tree"), hint));
        }
    }
    drafts
}
