//! The fleet repository as it lies in the working tree: where it is, and what can be named in it. What a run does is read from a commit instead.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::domain::{ClusterName, Declaration};
use crate::manifest::declaration;

/// The folders with rendered files, in a repository without a declaration as well.
const RENDERED: [&str; 2] = ["rendered", "kubernetes/rendered"];

/// The tiers that people put apps into.
const TIERS: [&str; 2] = ["infrastructure", "services"];

/// Whether a folder is the top of a fleet repository.
fn is_fleet(folder: &Path) -> bool {
    folder.join(declaration::FILE).is_file() || RENDERED.iter().any(|rendered| folder.join(rendered).is_dir())
}

/// The fleet repository that a folder is in: the folder itself, or one above it that is declared, or that is a clone.
pub(super) fn around(folder: &Path) -> Option<PathBuf> {
    let is_top = |above: &&Path| above == &folder || above.join(declaration::FILE).is_file() || above.join(".git").exists();
    folder.ancestors().filter(is_top).find(|above| is_fleet(above)).map(Path::to_owned)
}

/// The clusters that can be named in the fleet repository at `folder`: those of its declaration, or without a readable one those with rendered files.
pub(super) fn clusters(folder: &Path) -> Vec<ClusterName> {
    match declared(folder) {
        Some(declaration) => declaration.clusters.into_keys().collect(),
        None => RENDERED.iter().flat_map(|rendered| folders(&folder.join(rendered))).filter_map(|name| name.parse().ok()).collect(),
    }
}

/// The apps that have sources in the fleet repository at `folder`.
pub(super) fn apps(folder: &Path) -> BTreeSet<String> {
    let source = declared(folder).map_or_else(|| folder.join("src"), |declaration| folder.join(declaration.repository.source.as_str()));
    TIERS.iter().flat_map(|tier| folders(&source.join(tier))).collect()
}

/// What gitops.yaml in the working tree says; none if there is none, or if it cannot be read.
pub(super) fn declared(folder: &Path) -> Option<Declaration> {
    let text = std::fs::read_to_string(folder.join(declaration::FILE)).ok()?;
    declaration::parse(&text, declaration::FILE).ok()
}

/// The names of the folders in a folder, in their order.
fn folders(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.path().is_dir()).filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).collect()
}
