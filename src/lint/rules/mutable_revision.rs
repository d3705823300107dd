//! What a revision stands for must be decided in this repository, or a rebuilt cluster is another one. The fleet's own branch is meant to move.

use crate::lint::draft::Draft;
use crate::lint::view::{Cluster, Source};

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for application in &cluster.applications {
        // The root is compared with gitops.yaml by the rule `root`.
        let is_root = cluster.root().is_some_and(|root| std::ptr::eq(root, application));
        for source in application.sources.iter().filter(|_| !is_root) {
            if let Some((message, hint)) = mutable(source, &cluster.branch) {
                drafts.push(application.document.draft(format!("{}/targetRevision", source.pointer), message, hint));
            }
        }
    }
    drafts
}

fn mutable(source: &Source<'_>, branch: &str) -> Option<(String, String)> {
    let revision = source.revision().unwrap_or_default();
    let shown = revision.escape_debug();
    if is_commit(revision) {
        return None;
    }
    let tag = revision.strip_prefix("refs/tags/").unwrap_or(revision);
    if source.is_own {
        let followed = revision.strip_prefix("refs/heads/").unwrap_or(revision);
        let what = match revision {
            "" | "HEAD" => "follows whatever branch is the default one".to_owned(),
            _ => format!("follows `{shown}`"),
        };
        let is_mutable = followed != branch && !ends_in_version(tag);
        return is_mutable.then(|| (format!("{what}, and the tree follows `{branch}`"), format!("write `targetRevision: {branch}`")));
    }
    if source.value.get("chart").is_some() || source.text("repoURL").is_some_and(|url| url.starts_with("oci://")) {
        let hint = "write one version in full, as in `1.2.3`".to_owned();
        return (!is_version(revision)).then(|| (format!("takes any chart that fits `{shown}`"), hint));
    }
    let hint = "write a tag with a version, or a commit".to_owned();
    let what = if matches!(revision, "" | "HEAD") {
        "whatever branch is the default one".to_owned()
    } else {
        format!("`{shown}`, which looks like a branch")
    };
    (!ends_in_version(tag)).then(|| (format!("follows {what} of another repository"), hint))
}

/// Whether it is a commit in full.
fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether it is one version: Helm takes `1.2` for any patch release of it.
fn is_version(text: &str) -> bool {
    semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).is_ok()
}

/// Whether it is a tag of a release: `v1.2`, `1.2.3`, `chart-1.2.3`, `release-2024-01-31`.
fn ends_in_version(tag: &str) -> bool {
    let after_prefix = tag.rsplit('/').next().unwrap_or(tag);
    let start = after_prefix.find(|character: char| character.is_ascii_digit()).unwrap_or(after_prefix.len());
    let (prefix, version) = after_prefix.split_at(start);
    let separates = prefix.is_empty() || prefix == "v" || prefix.ends_with(['-', '_']) || prefix.ends_with("-v");
    let parts = version.split(['.', '-', '+']).count();
    separates && parts >= 2 && !version.contains(['*', ' ', '<', '>', '^', '~', 'x'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_a_release_is_told_from_a_branch_and_a_range() {
        for fixed in ["v1.2", "1.2.3", "v1.2.3-rc1", "chart-1.2.3", "release-2024-01-31", "charts/v1.2.3"] {
            assert!(ends_in_version(fixed), "{fixed}");
        }
        for moving in ["", "main", "HEAD", "release", "v1", "1", "feature-x", "1.x", "1.*", "^1.2.3", "~1.2", ">=1.2"] {
            assert!(!ends_in_version(moving), "{moving}");
        }
        assert!(is_version("v1.2.3") && is_version("1.2.3-rc1") && !is_version("1.2") && !is_version("*") && !is_version("^1.2.3"));
    }
}
