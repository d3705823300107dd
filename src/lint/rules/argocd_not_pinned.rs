//! The install manifest is taken from the release once and committed; what gitops.yaml pins tells whether it was changed since.

use sha2::{Digest as _, Sha256};

use crate::lint::Repository;
use crate::lint::draft::Draft;

pub(super) fn check<'a>(repository: &Repository<'a>) -> Vec<Draft<'a>> {
    let Some(declaration) = repository.declaration else { return Vec::new() };
    let path = format!("{}/infrastructure/argocd/install.yaml", declaration.repository.source);
    let Some(file) = repository.files.iter().find(|file| file.path.as_str() == path) else { return Vec::new() };
    let found: String = Sha256::digest(&file.content).iter().map(|byte| format!("{byte:02x}")).collect();
    let pinned = &declaration.argocd;
    if found == pinned.sha256 {
        return Vec::new();
    }
    vec![Draft::at(
        &file.path,
        (1, 1),
        format!("is not the manifest of Argo CD {} that gitops.yaml pins: its SHA-256 is {found}", pinned.version),
        "put the released file back and patch it in the kustomization; if this is an upgrade, set `argocd.version` and `argocd.sha256`",
    )]
}
