//! A fleet repository in a folder, with the tools to render it.

use std::fs;
use std::path::Path;

use gitops_bootstrap::cli::Global;
use gitops_bootstrap::commands::Context;
use gitops_bootstrap::commands::new::{Existing, Written, scaffold};
use gitops_bootstrap::domain::declaration::{ArgoCd, Flavour, Repository, default_branch, default_rendered, default_source};
use gitops_bootstrap::domain::{ClusterName, Commit, Declaration, RepositoryPath};
use gitops_bootstrap::error::Result;
use gitops_bootstrap::event::{Event, Events, Reporter};
use gitops_bootstrap::manifest::declaration;
use gitops_bootstrap::manifest::scaffold::Choices;
use gitops_bootstrap::manifest::tree::{self, Reading};
use gitops_bootstrap::ports::git::File;
use gitops_bootstrap::settings::Environment;
use sha2::{Digest as _, Sha256};

/// Stands in for a release of Argo CD: one object of each kind that matters.
const INSTALL_MANIFEST: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: applications.argoproj.io}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: argocd-server}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-ssh-known-hosts-cm}
data: {ssh_known_hosts: \"github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\\n\"}
";

/// Prints the manifests of the folder and of the base beside it, as a kustomize without any patch.
const KUSTOMIZE: &str = r#"#!/bin/sh
set -e
for folder in "$2" "$2/../../base"; do
  for file in "$folder"/*.yaml; do
    case "$file" in */kustomization.yaml | *'*'*) ;; *) echo "---"; cat "$file" ;; esac
  done
done
"#;

/// Prints one Deployment that shows which values it was given.
const HELM: &str = r#"#!/bin/sh
set -e
release="$2"; values=none
while [ $# -gt 0 ]; do [ "$1" = --values ] && values="$(basename "$2")"; shift; done
echo "{apiVersion: apps/v1, kind: Deployment, metadata: {name: $release, annotations: {values: $values}}}"
"#;

/// A host key for a forge that is not GitHub.
pub(super) const HOST_KEY: &str = "git.acme.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDSrf6f7VlIV1dUKAhyaCSzQGuQrgKE/NvPAMuPDJo4n";

struct Silent;

impl Reporter for Silent {
    fn on(&mut self, _: &Event) {}
}

/// A folder with a fleet in it and the tools to render it.
pub(super) struct Fleet {
    pub(super) home: tempfile::TempDir,
    pub(super) choices: Choices,
}

impl Fleet {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("bin")).unwrap();
        let fleet = Self { home, choices: choices() };
        fleet.tool("kustomize", KUSTOMIZE);
        fleet.tool("helm", HELM);
        fleet
    }

    /// A fleet as `new` leaves it.
    pub(super) async fn written() -> Self {
        let fleet = Self::new();
        fleet.scaffold(Existing::Refuse).await.unwrap();
        fleet
    }

    pub(super) fn tool(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.home.path().join("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn folder(&self) -> std::path::PathBuf {
        self.home.path().join("fleet")
    }

    fn path_variable(&self) -> String {
        format!("{}:/usr/bin:/bin", self.home.path().join("bin").display())
    }

    fn context(&self) -> Context {
        let variables = [("PATH".to_owned(), self.path_variable()), ("HOME".to_owned(), self.home.path().display().to_string())].into();
        let environment = Environment { variables, folder: self.folder(), ..Environment::default() };
        Context { global: Global::default(), environment, events: Events::new(Silent), cancel: tokio_util::sync::CancellationToken::new() }
    }

    pub(super) async fn scaffold(&self, existing: Existing) -> Result<Written> {
        scaffold(&self.folder(), &self.choices, existing, &self.context()).await
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder().join(path)).unwrap()
    }

    pub(super) fn replace(&self, path: &str, from: &str, to: &str) {
        let before = self.read(path);
        assert!(before.contains(from), "{path} has no {from:?}:\n{before}");
        self.write(path, &before.replace(from, to));
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.folder().join(path).exists()
    }

    /// Runs the program in the fleet's folder and returns status, standard output and standard error as one text.
    pub(super) fn run(&self, arguments: &[&str]) -> String {
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_gitops-bootstrap"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", self.path_variable())
            .current_dir(self.folder())
            .output()
            .unwrap();
        format!(
            "exit: {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            // Long lines are broken for people and indented.
            String::from_utf8(output.stderr).unwrap().replace("\n      ", " ")
        )
    }

    /// Lets `lint` pass what the patches of Argo CD's kustomization are for, since the stand-in for kustomize knows no patches.
    pub(super) fn allow_what_is_not_patched(&self) {
        let rules = [
            ("waves-do-not-wait", "rendered/*/argocd/argocd/*"),
            ("definition-not-protected", "rendered/*/infrastructure/argocd/*"),
            ("root-not-protected", "rendered/*/infrastructure/argocd/*"),
        ];
        let allow = rules.map(|(rule, path)| format!("  - {{rule: {rule}, path: '{path}', reason: nothing is patched here}}\n"));
        self.write("gitops.yaml", &format!("{}lint:\n  allow:\n{}", self.read("gitops.yaml"), allow.concat()));
    }

    fn declaration(&self) -> Declaration {
        declaration::parse(&self.read("gitops.yaml"), "gitops.yaml").unwrap()
    }

    pub(super) fn read_tree(&self, cluster: &str) -> Result<Reading> {
        let cluster: ClusterName = cluster.parse().unwrap();
        let commit: Commit = "0123456789012345678901234567890123456789".parse().unwrap();
        let declaration = self.declaration();
        let files = files(&self.folder(), "rendered");
        tree::read(&cluster, &commit, &files, &declaration.repository.rendered, Some(&declaration.repository))
    }
}

pub(super) fn choices() -> Choices {
    Choices {
        repository: Repository {
            url: "git@git.acme.example:acme/fleet.git".parse().unwrap(),
            branch: default_branch(),
            api: Some("https://git.acme.example/api/v3".to_owned()),
            github_app: None,
            oauth_client_id: None,
            known_hosts: vec![HOST_KEY.to_owned()],
            source: default_source(),
            rendered: default_rendered(),
        },
        clusters: ["staging", "production"].map(|name| name.parse().unwrap()).into(),
        argocd: ArgoCd {
            version: "v3.9.9".to_owned(),
            flavour: Flavour::HighAvailability,
            sha256: Sha256::digest(INSTALL_MANIFEST).iter().map(|byte| format!("{byte:02x}")).collect(),
        },
        install_manifest: INSTALL_MANIFEST.to_owned(),
        examples: true,
    }
}

/// All files below a folder, as a commit would hold them.
pub(super) fn files(root: &Path, folder: &str) -> Vec<File> {
    let folder: RepositoryPath = folder.parse().unwrap();
    gitops_bootstrap::adapters::files::read_folder(root, &folder).unwrap()
}
