//! A small fleet in which no rule finds anything, and each fault that a rule finds.

use std::collections::BTreeMap;

use gitops_bootstrap::domain::stale::{Difference, Stale};
use gitops_bootstrap::domain::{ClusterName, RepositoryPath, Rule};
use gitops_bootstrap::lint::{Report, Repository, lint};
use gitops_bootstrap::manifest::declaration;
use gitops_bootstrap::ports::git::File;
use sha2::{Digest as _, Sha256};

/// The address of the fleet repository.
const REPOSITORY: &str = "git@github.com:acme/fleet.git";

/// Stands in for a release of Argo CD.
const INSTALL_MANIFEST: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: argocd-server}\n";

/// An annotation that keeps an object from being deleted by a commit.
const PROTECTED: &str = "  annotations:\n    argocd.argoproj.io/sync-options: Prune=false,Delete=false\n";

/// The files of a fleet repository.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) stale: Vec<Stale>,
}

/// A fault, and where it must be found.
pub(crate) struct Fault {
    pub(crate) rule: Rule,
    /// The file.
    pub(crate) file: &'static str,
    /// The text at the line and column.
    pub(crate) at: &'static str,
    /// Puts it into a fleet.
    pub(crate) commit: fn(&mut Fleet),
}

impl Fleet {
    /// Two clusters: Argo CD, an operator with a resource definition, and a service with an object of that kind.
    pub(crate) fn clean() -> Self {
        let digest: String = Sha256::digest(INSTALL_MANIFEST).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut fleet = Self { files: BTreeMap::new(), stale: Vec::new() };
        fleet.write(
            "gitops.yaml",
            format!(
                "version: 1\nrepository: {{url: '{REPOSITORY}'}}\nargocd: {{version: v3.5.7, sha256: {digest}}}\nclusters: {{staging: , production: }}\n"
            ),
        );
        fleet.write("src/infrastructure/argocd/install.yaml", INSTALL_MANIFEST);
        for cluster in ["staging", "production"] {
            fleet.cluster(cluster);
        }
        fleet
    }

    fn cluster(&mut self, cluster: &str) {
        let top = format!("rendered/{cluster}");
        for (name, project, path, namespace, wave) in [
            ("argocd-app-of-apps", "argocd", "argocd/argocd", "argocd", 0),
            ("infrastructure-app-of-apps", "argocd", "argocd/infrastructure", "argocd", -1),
            ("services-app-of-apps", "argocd", "argocd/services", "argocd", 0),
        ] {
            self.write(
                &format!("{top}/argocd/argocd/Application.{name}.yaml"),
                application(name, project, &format!("{top}/{path}"), namespace, wave),
            );
        }
        self.replace(&format!("{top}/argocd/argocd/Application.argocd-app-of-apps.yaml"), "  annotations:\n", PROTECTED);
        for (name, destinations) in [
            ("argocd", "argocd"),
            ("infrastructure", "*"),
            ("services", "*\"\n  - server: https://kubernetes.default.svc\n    namespace: \"!argocd"),
        ] {
            self.write(
                &format!("{top}/argocd/argocd/AppProject.{name}.yaml"),
                format!(
                    "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata:\n  name: {name}\n  namespace: argocd\nspec:\n  sourceRepos:\n  - {REPOSITORY}\n  - git@github.com:acme/private.git\n  destinations:\n  - server: https://kubernetes.default.svc\n    namespace: \"{destinations}\"\n"
                ),
            );
        }
        self.app(cluster, "infrastructure", "argocd", "argocd", -10);
        self.app(cluster, "infrastructure", "operator", "operator", 0);
        self.app(cluster, "services", "web", "web", 0);
        let argocd = format!("{top}/infrastructure/argocd");
        self.definition(&format!("{argocd}/definition.yaml"), "argoproj.io", "Application", "applications");
        self.write(&format!("{argocd}/namespace.yaml"), format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: argocd\n{PROTECTED}"));
        self.write(&format!("{argocd}/server.yaml"), INSTALL_MANIFEST);
        self.write(
            &format!("{argocd}/argocd-cm.yaml"),
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\ndata:\n  resource.customizations.health.argoproj.io_Application: return obj.status.health\n",
        );
        self.definition(&format!("{top}/infrastructure/operator/definition.yaml"), "example.com", "Widget", "widgets");
        let web = format!("{top}/services/web");
        self.write(&format!("{web}/deployment.yaml"), deployment("web", "registry.example:5000/web:1.2.3"));
        self.write(&format!("{web}/service.yaml"), "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec: {}\n");
        self.write(
            &format!("{web}/widget.yaml"),
            "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: web\nspec:\n  secretName: web-certificate\n",
        );
    }

    /// An app, and something in its folder.
    fn app(&mut self, cluster: &str, tier: &str, name: &str, namespace: &str, wave: i64) {
        let folder = format!("rendered/{cluster}/{tier}/{name}");
        self.write(&format!("rendered/{cluster}/argocd/{tier}/Application.{name}.yaml"), application(name, tier, &folder, namespace, wave));
        self.write(&format!("{folder}/settings.yaml"), format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}-settings\n"));
    }

    /// An app of staging whose Application has `new` in the place of `old`.
    pub(crate) fn service(&mut self, name: &str, old: &str, new: &str) {
        self.app("staging", "services", name, name, 0);
        self.replace(&format!("rendered/staging/argocd/services/Application.{name}.yaml"), old, new);
    }

    pub(crate) fn definition(&mut self, path: &str, group: &str, kind: &str, plural: &str) {
        self.write(
            path,
            format!(
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {plural}.{group}\n{PROTECTED}spec:\n  group: {group}\n  names: {{kind: {kind}, plural: {plural}}}\n  versions: [{{name: v1, served: true}}]\n"
            ),
        );
    }

    pub(crate) fn write(&mut self, path: &str, text: impl Into<String>) {
        self.files.insert(path.to_owned(), text.into());
    }

    #[track_caller]
    pub(crate) fn replace(&mut self, path: &str, old: &str, new: &str) {
        let text = &self.files[path];
        assert!(text.contains(old), "{path} has no {old:?}:\n{text}");
        let text = text.replacen(old, new, 1);
        self.write(path, text);
    }

    /// Checks both clusters.
    pub(crate) fn lint(&self) -> Report {
        let files: Vec<File> =
            self.files.iter().map(|(path, text)| File { path: path.parse().unwrap(), content: text.clone().into_bytes() }).collect();
        let declaration = declaration::parse(&self.files["gitops.yaml"], "gitops.yaml").unwrap();
        let clusters: Vec<ClusterName> = declaration.clusters.keys().cloned().collect();
        let rendered: RepositoryPath = "rendered".parse().unwrap();
        let repository = Repository {
            files: &files,
            declaration: Some(&declaration),
            rendered: &rendered,
            stale: &self.stale,
            left_out: &BTreeMap::new(),
        };
        lint(&repository, &clusters)
    }

    /// Writes the files below a folder.
    pub(crate) fn save(&self, folder: &std::path::Path) {
        for (path, text) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
}

fn application(name: &str, project: &str, path: &str, namespace: &str, wave: i64) -> String {
    format!(
        "\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: {name}
  namespace: argocd
  annotations:
    argocd.argoproj.io/sync-wave: \"{wave}\"
spec:
  project: {project}
  source:
    repoURL: {REPOSITORY}
    targetRevision: main
    path: {path}
  destination:
    server: https://kubernetes.default.svc
    namespace: {namespace}
  syncPolicy:
    automated:
      prune: true
      selfHeal: true
    retry:
      limit: -1
    syncOptions:
    - CreateNamespace=true
    - ServerSideApply=true
"
    )
}

fn deployment(name: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  template:\n    spec:\n      containers:\n      - name: {name}\n        image: {image}\n"
    )
}

/// A token that is none, and is written nowhere in one piece.
fn token() -> String {
    format!("ghp_{}", "a1".repeat(18))
}

/// Each fault once.
pub(crate) const FAULTS: [Fault; Rule::ALL.len()] = [
    Fault {
        rule: Rule::SecretInClear,
        file: "scripts/release.sh",
        at: "ghp_",
        commit: |fleet| fleet.write("scripts/release.sh", format!("#!/bin/sh\nexport GITHUB_TOKEN={}\n", token())),
    },
    Fault {
        rule: Rule::InvalidManifest,
        file: "rendered/staging/services/web/notes.yaml",
        at: "these: are",
        commit: |fleet| fleet.write("rendered/staging/services/web/notes.yaml", "---\n\nthese: are notes\n"),
    },
    Fault {
        rule: Rule::Root,
        file: "rendered/staging/argocd/second/Application.second.yaml",
        at: "path: rendered/staging/argocd/second",
        commit: |fleet| {
            let text =
                application("second", "argocd", "rendered/staging/argocd/second", "argocd", 0).replace("  annotations:\n", PROTECTED);
            fleet.write("rendered/staging/argocd/second/Application.second.yaml", text);
        },
    },
    Fault {
        rule: Rule::MissingProject,
        file: "rendered/staging/argocd/services/Application.stray.yaml",
        at: "project: ghosts",
        commit: |fleet| fleet.service("stray", "project: services", "project: ghosts"),
    },
    Fault {
        rule: Rule::MissingSource,
        file: "rendered/staging/argocd/services/Application.lost.yaml",
        at: "path: rendered/staging/services/nowhere",
        commit: |fleet| fleet.service("lost", "path: rendered/staging/services/lost", "path: rendered/staging/services/nowhere"),
    },
    Fault {
        rule: Rule::SourceNotPermitted,
        file: "rendered/staging/argocd/services/Application.misplaced.yaml",
        at: "repoURL: git@github.com:acme/fleet.git",
        commit: |fleet| {
            let text = "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: narrow, namespace: argocd}\nspec:\n  sourceRepos: [\"https://github.com/acme/fleet.git\"]\n";
            fleet.write("rendered/staging/argocd/argocd/AppProject.narrow.yaml", text);
            fleet.service("misplaced", "project: services", "project: narrow");
        },
    },
    Fault {
        rule: Rule::RepositoryWithoutCredential,
        file: "rendered/production/argocd/services/Application.private.yaml",
        at: "repoURL: git@github.com:acme/private.git",
        commit: |fleet| {
            let text = application("private", "services", "deploy", "private", 0)
                .replace(REPOSITORY, "git@github.com:acme/private.git")
                .replace("targetRevision: main", "targetRevision: v1.2.3");
            fleet.write("rendered/production/argocd/services/Application.private.yaml", text);
        },
    },
    Fault {
        rule: Rule::CustomResourceWithoutDefinition,
        file: "rendered/staging/services/web/monitor.yaml",
        at: "apiVersion: monitoring.example.com/v1",
        commit: |fleet| {
            let text = "apiVersion: monitoring.example.com/v1\nkind: Monitor\nmetadata: {name: web}\n";
            fleet.write("rendered/staging/services/web/monitor.yaml", text);
        },
    },
    Fault {
        rule: Rule::DefinitionTooLate,
        file: "rendered/staging/infrastructure/early/widget.yaml",
        at: "apiVersion: example.com/v1",
        commit: |fleet| {
            fleet.app("staging", "infrastructure", "early", "early", -5);
            let text = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: early}\n";
            fleet.write("rendered/staging/infrastructure/early/widget.yaml", text);
        },
    },
    Fault {
        rule: Rule::LargeObject,
        file: "rendered/staging/services/dashboards/large.yaml",
        at: "name: large",
        commit: |fleet| {
            fleet.service("dashboards", "    - ServerSideApply=true\n", "");
            let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: large\ndata:\n  dashboard: {}\n", "x".repeat(300_000));
            fleet.write("rendered/staging/services/dashboards/large.yaml", text);
        },
    },
    Fault {
        rule: Rule::NamespaceNobodyMakes,
        file: "rendered/staging/argocd/services/Application.homeless.yaml",
        at: "namespace: homeless",
        commit: |fleet| fleet.service("homeless", "    - CreateNamespace=true\n", ""),
    },
    Fault {
        rule: Rule::SecretNobodyMakes,
        file: "rendered/staging/services/web/job.yaml",
        at: "name: by-hand",
        commit: |fleet| {
            let text = deployment("job", "web:1.2.3")
                + "        envFrom:\n        - secretRef:\n            name: by-hand\n        - secretRef: {name: web-certificate}\n        - secretRef: {name: perhaps, optional: true}\n";
            fleet.write("rendered/staging/services/web/job.yaml", text);
        },
    },
    Fault {
        rule: Rule::ObjectTwice,
        file: "rendered/staging/services/web/twice.yaml",
        at: "name: web",
        commit: |fleet| {
            fleet.write("rendered/staging/services/web/twice.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec: {}\n");
        },
    },
    Fault {
        rule: Rule::WavesDoNotWait,
        file: "rendered/staging/infrastructure/argocd/argocd-cm.yaml",
        at: "data:",
        commit: |fleet| {
            let path = "rendered/staging/infrastructure/argocd/argocd-cm.yaml";
            fleet.replace(path, "resource.customizations.health.argoproj.io_Application", "resource.customizations.health.apps_Deployment");
        },
    },
    Fault {
        rule: Rule::NoAutomatedSync,
        file: "rendered/staging/argocd/services/Application.by-hand.yaml",
        at: "syncPolicy:",
        commit: |fleet| fleet.service("by-hand", "    automated:\n      prune: true\n      selfHeal: true\n", ""),
    },
    Fault {
        rule: Rule::RetryGivesUp,
        file: "rendered/staging/argocd/services/Application.impatient.yaml",
        at: "limit: 5",
        commit: |fleet| fleet.service("impatient", "limit: -1", "limit: 5"),
    },
    Fault {
        rule: Rule::NoPrune,
        file: "rendered/staging/argocd/services/Application.hoarder.yaml",
        at: "prune: false",
        commit: |fleet| fleet.service("hoarder", "prune: true", "prune: false"),
    },
    Fault {
        rule: Rule::NoSelfHeal,
        file: "rendered/staging/argocd/services/Application.lenient.yaml",
        at: "automated:",
        commit: |fleet| fleet.service("lenient", "      selfHeal: true\n", ""),
    },
    Fault {
        rule: Rule::RootNotProtected,
        file: "rendered/staging/argocd/argocd/Application.argocd-app-of-apps.yaml",
        at: "metadata:",
        commit: |fleet| fleet.replace("rendered/staging/argocd/argocd/Application.argocd-app-of-apps.yaml", "Prune=false,", ""),
    },
    Fault {
        rule: Rule::DefinitionNotProtected,
        file: "rendered/staging/infrastructure/operator/gadgets.yaml",
        at: "metadata:",
        commit: |fleet| {
            let path = "rendered/staging/infrastructure/operator/gadgets.yaml";
            fleet.definition(path, "example.com", "Gadget", "gadgets");
            fleet.replace(path, "Prune=false,", "");
        },
    },
    Fault {
        rule: Rule::ApplicationSetDeletes,
        file: "rendered/staging/argocd/services/ApplicationSet.tenants.yaml",
        at: "spec:",
        commit: |fleet| {
            let text = "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: tenants, namespace: argocd}\nspec:\n  generators: []\n";
            fleet.write("rendered/staging/argocd/services/ApplicationSet.tenants.yaml", text);
        },
    },
    Fault {
        rule: Rule::MutableRevision,
        file: "rendered/staging/argocd/services/Application.ahead.yaml",
        at: "targetRevision: develop",
        commit: |fleet| fleet.service("ahead", "targetRevision: main", "targetRevision: develop"),
    },
    Fault {
        rule: Rule::MutableImage,
        file: "rendered/staging/services/web/latest.yaml",
        at: "image: web:latest",
        commit: |fleet| fleet.write("rendered/staging/services/web/latest.yaml", deployment("latest", "web:latest")),
    },
    Fault {
        rule: Rule::DefaultProject,
        file: "rendered/staging/argocd/services/Application.careless.yaml",
        at: "project: default",
        commit: |fleet| fleet.service("careless", "project: services", "project: default"),
    },
    Fault {
        rule: Rule::ProjectAllowsAll,
        file: "rendered/staging/argocd/argocd/AppProject.wide.yaml",
        at: "\"*\"",
        commit: |fleet| {
            let text = "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: wide, namespace: argocd}\nspec:\n  sourceRepos:\n  - \"*\"\n";
            fleet.write("rendered/staging/argocd/argocd/AppProject.wide.yaml", text);
        },
    },
    Fault {
        rule: Rule::ServicesWriteArgocd,
        file: "rendered/staging/argocd/argocd/AppProject.services.yaml",
        at: "server: https://kubernetes.default.svc",
        commit: |fleet| fleet.replace("rendered/staging/argocd/argocd/AppProject.services.yaml", "!argocd", "!kube-system"),
    },
    Fault {
        rule: Rule::ArgocdNotPinned,
        file: "src/infrastructure/argocd/install.yaml",
        at: "apiVersion",
        commit: |fleet| fleet.replace("src/infrastructure/argocd/install.yaml", "argocd-server", "argocd-server-of-mine"),
    },
    Fault {
        rule: Rule::StaleRendering,
        file: "rendered/staging/services/web/service.yaml",
        at: "kind: Service",
        commit: |fleet| {
            let file = "rendered/staging/services/web/service.yaml".parse().unwrap();
            fleet.stale.push(Stale { file, line: 2, difference: Difference::Changed });
        },
    },
    Fault {
        rule: Rule::Refused,
        file: "rendered/production/argocd/infrastructure/Application.argocd.yaml",
        at: "apiVersion",
        commit: |fleet| {
            fleet.files.remove("rendered/production/infrastructure/argocd/server.yaml");
        },
    },
    Fault {
        rule: Rule::UnusedAllow,
        file: "gitops.yaml",
        at: "rule: no-prune",
        commit: |fleet| {
            let text = fleet.files["gitops.yaml"].clone()
                + "lint:\n  allow:\n  - rule: no-prune\n    path: rendered/*/services/gone/**\n    reason: it keeps its volumes\n";
            fleet.write("gitops.yaml", text);
        },
    },
];
