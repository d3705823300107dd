//! Argo CD takes nothing for an Application from a repository that its project does not permit. Over SSH and over https a repository has two addresses.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::glob::path_fits;
use crate::lint::draft::Draft;
use crate::lint::view::{Cluster, Source};

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let projects: BTreeMap<&str, Vec<&str>> =
        cluster.of_argocd("AppProject").map(|project| (project.object.name(), texts(project.object.at("/spec/sourceRepos")))).collect();
    let mut drafts = Vec::new();
    for application in &cluster.applications {
        let name = application.text("/spec/project").unwrap_or("default");
        // A project that is not there is found by another rule.
        let Some(permitted) = projects.get(name) else { continue };
        for source in application.sources.iter().filter(|source| !is_permitted(source, permitted)) {
            let address = source.url().map_or_else(|| "a registry".to_owned(), |url| url.to_string());
            let message = format!("takes from {address}, which the project `{name}` does not permit");
            let hint = "write the same address into `sourceRepos` of the project, in `src/argocd/projects/`, and render";
            drafts.push(application.document.draft(format!("{}/repoURL", source.pointer), message, hint));
        }
    }
    drafts
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether one of the patterns covers the source. A project that denies some repositories, by `!`, permits the others, and is not judged.
fn is_permitted(source: &Source<'_>, patterns: &[&str]) -> bool {
    let Some(address) = source.text("repoURL").filter(|address| !address.is_empty()) else { return true };
    if patterns.iter().any(|pattern| pattern.starts_with('!')) {
        return true;
    }
    match source.url() {
        Some(url) => patterns.iter().any(|pattern| url.is_covered_by(pattern)),
        // A registry of charts.
        None => {
            let plain = |address: &str| address.trim_end_matches('/').to_lowercase();
            patterns.iter().any(|pattern| *pattern == "*" || path_fits(&plain(pattern), &plain(address)))
        }
    }
}
