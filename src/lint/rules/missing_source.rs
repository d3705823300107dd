//! An Application whose folder is not in the repository, or whose repository cannot be one, never becomes healthy. Nothing is fetched, so
//! what is in other repositories is not known here.

use crate::lint::draft::Draft;
use crate::lint::view::{Application, Cluster, Source};

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for application in &cluster.applications {
        if application.sources.is_empty() {
            drafts.push(application.document.draft("/spec", "has no source", "name one: `spec.source.repoURL` and `path`"));
        }
        for source in &application.sources {
            drafts.extend(missing(cluster, application, source));
        }
    }
    drafts
}

fn missing<'a>(cluster: &Cluster<'a>, application: &Application<'a>, source: &Source<'a>) -> Option<Draft<'a>> {
    let draft =
        |key: &str, message: String, hint: &str| Some(application.document.draft(format!("{}/{key}", source.pointer), message, hint));
    let address = source.text("repoURL").unwrap_or_default();
    let is_registry = source.value.get("chart").is_some() || address.starts_with("oci://");
    if address.is_empty() || (!is_registry && source.url().is_none()) {
        // The address is not repeated: it may hold a password.
        return draft("repoURL", "its `repoURL` is not the address of a repository".to_owned(), "write the address as `gitops.yaml` does");
    }
    let written = source.text("path")?;
    let Some(path) = &source.path else {
        let message = format!("`{}` is not a path inside the repository", written.escape_debug());
        return draft("path", message, "write it from the top of the repository, without `..`");
    };
    if !source.is_own {
        return None;
    }
    let hint = "render and commit the folder, or take the app out: `enabled: false` in its values file";
    if !cluster.paths.has_folder(path) {
        return draft("path", format!("`{path}` is not in the repository"), hint);
    }
    let is_empty = application.objects == 0 && path.is_within(&cluster.folder) && !source.is_built;
    is_empty.then(|| draft("path", format!("`{path}` holds no object that Argo CD would take"), hint))?
}
