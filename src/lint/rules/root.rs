//! The root app-of-apps is the one Application that holds itself. Everything hangs on it, and it must be the tree of this repository.

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let Some(root) = cluster.root() else { return none(cluster) };
    let mut drafts = Vec::new();
    for other in cluster.roots.iter().skip(1).map(|&index| &cluster.applications[index]) {
        drafts.push(other.document.draft(
            "/spec/source/path",
            format!("holds itself, as does `{}` ({}): there are two roots", root.name(), root.document.cited()),
            "a tree has one Application whose `spec.source.path` is the folder that its own file lies in",
        ));
    }
    let Some(declared) = cluster.repository.declaration.map(|declaration| &declaration.repository) else { return drafts };
    let Some(source) = root.sources.first() else { return drafts };
    let hint = "make gitops.yaml and the root say the same, then render: `gitops-bootstrap render`";
    if let Some(url) = source.url().filter(|url| url.normalised() != declared.url.normalised()) {
        let message = format!("follows {url}, and gitops.yaml names {}", declared.url);
        drafts.push(root.document.draft(format!("{}/repoURL", source.pointer), message, hint));
    }
    let revision = source.revision().unwrap_or("HEAD");
    if revision.trim_start_matches("refs/heads/") != declared.branch {
        let message = format!("follows `{}`, and gitops.yaml names the branch `{}`", revision.escape_debug(), declared.branch);
        drafts.push(root.document.draft(format!("{}/targetRevision", source.pointer), message, hint));
    }
    drafts
}

fn none<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    // A cluster without any file is refused as such.
    let Some(file) = cluster.parsed.files.first() else { return Vec::new() };
    let message =
        format!("{} has no root: none of its {} Applications takes the folder of its own file", cluster.folder, cluster.applications.len());
    vec![Draft::at(&file.path, (1, 1), message, "render it: `gitops-bootstrap render` writes the root app-of-apps to `argocd/argocd/`")]
}
