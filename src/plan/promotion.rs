//! Which versions of an app one cluster has and another is to get, and the file in which that is written.
//!
//! What a cluster has of its own is in the overlay of a kustomization or in the values of a chart. A version anywhere else is every cluster's.

mod edit;
mod pins;
mod proposal;

use std::collections::BTreeMap;

pub use self::pins::{Pin, Step};
pub use self::proposal::Proposal;
use crate::domain::{ClusterName, RepositoryPath};
use crate::error::{Failure, Result};

/// How kustomize names its files.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What is written above a file of values that this tool makes.
const ABOUT: &str = "# What differs on ";

/// The sources of an app, by path: those that are text.
pub type Sources<'a> = BTreeMap<RepositoryPath, &'a str>;

/// What comes of a promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The file that says what the cluster has of its own.
    pub file: RepositoryPath,
    /// What it is to be.
    pub text: String,
    /// The versions that are new in it.
    pub changes: Vec<Change>,
    /// Versions that only the cluster has which gets the others: they stay.
    pub kept: Vec<String>,
}

/// A version that is another one afterwards.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Which, as in `image.tag` or `images[web].newTag`.
    pub what: String,
    /// What it was; none if the cluster had what every cluster has.
    pub before: Option<String>,
    /// What it is to be.
    pub after: String,
}

/// What kind of file says what a cluster has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Overlay,
    Values,
}

/// Decides what the cluster `to` is to have of the app in `folder`, given what `from` has. None if no cluster has a version of its own of it.
///
/// Fails with [`crate::error::Kind::InvalidRepository`] on a file that is not valid, and on one that cannot be changed without changing more than the versions.
pub fn promote(folder: &RepositoryPath, from: &ClusterName, to: &ClusterName, sources: &Sources<'_>) -> Result<Option<Promotion>> {
    let Some((kind, source, target)) = files(folder, from, to, sources)? else { return Ok(None) };
    let read = |path: &RepositoryPath| sources.get(path).copied().unwrap_or_default();
    let found = pins(kind, read(&source), &source)?;
    let there = pins(kind, read(&target), &target)?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut text = read(&target).to_owned();
    let mut changes = Vec::new();
    for pin in &found {
        let before = there.iter().find(|other| other.path == pin.path);
        if before.is_some_and(|before| before.value == pin.value) {
            continue;
        }
        refuse_another_form(pin, &found, &there, &target)?;
        if text.is_empty() {
            text = format!("{ABOUT}{to}.\n");
        }
        text = edit::set(&text, &target, pin)?;
        changes.push(Change { what: pin.name(), before: before.map(|before| before.value.clone()), after: pin.value.clone() });
    }
    let kept =
        there.iter().filter(|pin| !found.iter().any(|other| other.path == pin.path)).map(|pin| format!("{} ({})", pin.name(), pin.value));
    Ok(Some(Promotion { kept: kept.collect(), file: target, text, changes }))
}

fn pins(kind: Kind, text: &str, file: &RepositoryPath) -> Result<Vec<Pin>> {
    match kind {
        Kind::Overlay => pins::of_kustomization(text, file.as_str()),
        Kind::Values => pins::of_values(text, file.as_str()),
    }
}

/// The files in which the two clusters say what they have of their own; none if the app has no such files.
fn files(
    folder: &RepositoryPath,
    from: &ClusterName,
    to: &ClusterName,
    sources: &Sources<'_>,
) -> Result<Option<(Kind, RepositoryPath, RepositoryPath)>> {
    let join = |folder: &RepositoryPath, name: &str| folder.join(name).map_err(|error| Failure::repository(error.to_string()));
    if sources.contains_key(&join(folder, "Chart.yaml")?) {
        let values = |cluster: &ClusterName| join(folder, &format!("values.{cluster}.yaml"));
        let (source, target) = (values(from)?, values(to)?);
        return Ok(sources.contains_key(&source).then_some((Kind::Values, source, target)));
    }
    let overlays = join(folder, "overlays")?;
    if !sources.keys().any(|path| path.is_within(&overlays)) {
        return Ok(None);
    }
    let overlay = |cluster: &ClusterName| {
        let overlay = join(&overlays, cluster.as_str())?;
        let found = KUSTOMIZATIONS.iter().filter_map(|name| overlay.join(name).ok()).find(|path| sources.contains_key(path));
        found.ok_or_else(|| {
            Failure::repository(format!("`{overlay}` has no `{}`", KUSTOMIZATIONS[0]))
                .because(format!("what `{cluster}` has of its own is written there"))
                .hint(format!("write one that takes `../../base`, as those of the other clusters in `{overlays}` do"))
        })
    };
    Ok(Some((Kind::Overlay, overlay(from)?, overlay(to)?)))
}

/// A digest wins over a tag: to add one beside the other, or to leave one where the other changes, would not run what `from` runs.
fn refuse_another_form(pin: &Pin, found: &[Pin], there: &[Pin], file: &RepositoryPath) -> Result<()> {
    let beside = there.iter().find(|other| other.is_beside(pin) && !found.iter().any(|pin| pin.path == other.path));
    match beside.filter(|other| other.is_digest() || pin.is_digest()) {
        None => Ok(()),
        Some(other) => Err(Failure::repository(format!("{file} pins `{}`, where the other cluster pins `{}`", other.name(), pin.name()))
            .because("a digest wins over a tag, so both clusters have to pin in the same way")
            .because("nothing was changed")
            .hint(format!("take `{}` out of {file}, commit and push, then run the same command again", other.name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHART: &str = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";

    fn promoted(files: &[(&str, &str)]) -> Result<Option<Promotion>> {
        let sources = files.iter().map(|(path, text)| (format!("src/services/shop/{path}").parse().unwrap(), *text)).collect();
        promote(&"src/services/shop".parse().unwrap(), &"staging".parse().unwrap(), &"production".parse().unwrap(), &sources)
    }

    fn text_of(files: &[(&str, &str)]) -> String {
        promoted(files).unwrap().unwrap().text
    }

    #[test]
    fn versions_in_values_are_copied_and_everything_else_stays_byte_for_byte() {
        let staging = "image: {tag: v2.0.0}\nreplicas: 1\nsidecar:\n  imageTag: '1.10'  # the newest\ndb:\n  version: 16\n";
        let production = "# Production.\nreplicas:   3   # three zones\nimage: {tag: \"v1.9.9\", pull: Always} # keep\nsidecar:\n    imageTag:  1.9 # old\n\n# The end.\n";
        let promotion =
            promoted(&[("Chart.yaml", CHART), ("values.staging.yaml", staging), ("values.production.yaml", production)]).unwrap().unwrap();
        assert_eq!(
            promotion.text,
            "# Production.\nreplicas:   3   # three zones\nimage: {tag: v2.0.0, pull: Always} # keep\nsidecar:\n    imageTag:  '1.10' # old\ndb:\n  version: 16\n\n# The end.\n"
        );
        let changes: Vec<_> =
            promotion.changes.iter().map(|change| (change.what.as_str(), change.before.as_deref(), change.after.as_str())).collect();
        assert_eq!(
            changes,
            [("image.tag", Some("v1.9.9"), "v2.0.0"), ("sidecar.imageTag", Some("1.9"), "1.10"), ("db.version", None, "16")]
        );
    }

    #[test]
    fn images_of_an_overlay_are_copied_by_their_name() {
        let base = "resources:\n- ../../base\n";
        let staging = "resources:\n- ../../base\nimages:\n- name: web\n  newTag: v2\n- name: api\n  digest: sha256:aa\n";
        let production = "resources:\n- ../../base\n# Pinned.\nimages:\n  - name: web # the page\n    newTag: v1\n\nreplicas: []\n";
        assert_eq!(
            text_of(&[("overlays/staging/kustomization.yaml", staging), ("overlays/production/kustomization.yaml", production)]),
            "resources:\n- ../../base\n# Pinned.\nimages:\n  - name: web # the page\n    newTag: v2\n  - name: api\n    digest: sha256:aa\n\nreplicas: []\n"
        );
        assert_eq!(
            text_of(&[("overlays/staging/kustomization.yaml", staging), ("overlays/production/kustomization.yaml", base)]),
            "resources:\n- ../../base\nimages:\n- name: web\n  newTag: v2\n- name: api\n  digest: sha256:aa\n"
        );
    }

    #[test]
    fn a_cluster_without_values_of_its_own_gets_a_file() {
        let staging = "image:\n  tag: v2\n";
        assert_eq!(
            text_of(&[("Chart.yaml", CHART), ("values.staging.yaml", staging)]),
            "# What differs on production.\nimage:\n  tag: v2\n"
        );
    }

    #[test]
    fn what_is_the_same_is_no_change_and_what_only_the_target_has_stays() {
        let staging = "image:\n  tag: v2\n";
        let production = "image:\n  tag: 'v2'\nsidecar: {tag: v7}\n";
        let promotion =
            promoted(&[("Chart.yaml", CHART), ("values.staging.yaml", staging), ("values.production.yaml", production)]).unwrap().unwrap();
        assert_eq!((promotion.text.as_str(), promotion.changes.len()), (production, 0));
        assert_eq!(promotion.kept, ["sidecar.tag (v7)"]);
    }

    #[test]
    fn an_app_that_every_cluster_has_alike_has_nothing_to_promote() {
        assert_eq!(promoted(&[("deployment.yaml", "kind: Deployment\n")]).unwrap(), None);
        assert_eq!(promoted(&[("Chart.yaml", CHART), ("values.staging.yaml", "replicas: 1\n")]).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_promoted_whole_is_refused() {
        let overlay = |pin: &str| format!("images:\n- name: web\n  {pin}\n");
        let (staging, production) = (overlay("newTag: v2"), overlay("digest: sha256:aa"));
        let refused =
            promoted(&[("overlays/staging/kustomization.yaml", &staging), ("overlays/production/kustomization.yaml", &production)]);
        assert!(refused.unwrap_err().to_string().contains("pins `images[web].digest`"));
        let missing = promoted(&[("overlays/staging/kustomization.yaml", &staging)]).unwrap_err();
        assert!(missing.to_string().contains("overlays/production` has no `kustomization.yaml`"), "{missing}");
        let flow =
            promoted(&[("Chart.yaml", CHART), ("values.staging.yaml", "image: {tag: v2}\n"), ("values.production.yaml", "image: {}\n")]);
        assert!(flow.unwrap_err().to_string().contains("by hand"));
    }
}
