//! What is installed: the manifest of Argo CD that the engine carries.

use std::path::PathBuf;
use std::process::Command;

use gitops_bootstrap::domain::Object;
use gitops_bootstrap::manifest::yaml::parse_documents;

use crate::support;

/// Argo CD's manifest, as a file and as objects.
pub(crate) struct Manifest {
    /// The file as it was released, for `kubectl`.
    pub(crate) file: PathBuf,
    /// Its objects, each in the namespace that it will live in.
    pub(crate) objects: Vec<Object>,
    _folder: tempfile::TempDir,
}

/// Kinds of the manifest that live in no namespace.
const CLUSTER_WIDE: [&str; 3] = ["CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"];

impl Manifest {
    /// Asks the engine for it.
    #[expect(clippy::disallowed_methods, reason = "a benchmark starts programs of its own")]
    pub(crate) fn read() -> Self {
        let printed = Command::new(support::engine()).args(["manifest", "argocd"]).env_clear().output().unwrap();
        let text = String::from_utf8(printed.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("install.yaml");
        std::fs::write(&file, &text).unwrap();
        let documents = parse_documents(&text, "install.yaml").unwrap();
        let objects = documents.into_iter().map(|document| Object::new(document.value).unwrap());
        let objects: Vec<Object> =
            objects.map(|object| if CLUSTER_WIDE.contains(&object.kind()) { object } else { object.in_namespace("argocd") }).collect();
        Self { file, objects, _folder: folder }
    }
}
