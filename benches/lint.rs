//! How long `lint` takes for a fleet of 5,000 objects: without a finding, with one in each app, and against the limit, which is parsing the same files.
//!
//! `cargo bench --locked --bench lint`. See docs/benchmarks.md.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints a table, and stops at whatever goes wrong")]

#[path = "common/statistics.rs"]
mod statistics;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use gitops_bootstrap::domain::Declaration;
use gitops_bootstrap::lint::{Report, Repository, lint};
use gitops_bootstrap::manifest::{declaration, yaml};
use gitops_bootstrap::ports::git::File;
use statistics::{Figures, table};

/// How often each contestant runs.
const SAMPLES: usize = 10;

/// The address of the fleet repository.
const REPOSITORY: &str = "git@github.com:acme/fleet.git";

/// How many apps the cluster has, each with nine objects.
const APPS: usize = 555;

/// How many resource definitions it has, and how many properties each of them describes: about 100 kB.
const DEFINITIONS: usize = 10;
const PROPERTIES: usize = 600;

fn main() {
    let (clean, faulty) = (fleet("1.2.3"), fleet("latest"));
    let bytes: usize = clean.iter().map(|file| file.content.len()).sum();
    let declaration = declaration::parse(&declaration(), "gitops.yaml").unwrap();
    let mut parsing = Figures::new("the limit: parsing");
    let mut nothing = Figures::new("lint, nothing to be found");
    let mut something = Figures::new("lint, a finding in each app");
    let mut objects = 0;
    for _ in 0..SAMPLES {
        let started = Instant::now();
        for file in &clean {
            yaml::parse_documents(std::str::from_utf8(&file.content).unwrap(), file.path.as_str()).unwrap();
        }
        parsing.add(started.elapsed());
        for (figures, files, expected) in [(&mut nothing, &clean, 0), (&mut something, &faulty, APPS)] {
            let started = Instant::now();
            let report = check(files, &declaration);
            figures.add(started.elapsed());
            assert_eq!(report.findings.len(), expected, "{:?}", report.findings.first());
            objects = report.objects;
        }
    }
    let title = format!("lint: {objects} objects in {} files, {} kB", clean.len(), bytes / 1000);
    println!("{}", table(&title, &[parsing, nothing, something]));
}

fn check(files: &[File], declaration: &Declaration) -> Report {
    let rendered = "rendered".parse().unwrap();
    let repository = Repository { files, declaration: Some(declaration), rendered: &rendered, stale: &[], left_out: &BTreeMap::new() };
    lint(&repository, &["staging".parse().unwrap()])
}

fn declaration() -> String {
    let digest = "a".repeat(64);
    format!("version: 1\nrepository: {{url: '{REPOSITORY}'}}\nargocd: {{version: v3.5.7, sha256: {digest}}}\nclusters: {{staging: }}\n")
}

/// A fleet whose images have the tag `tag`.
fn fleet(tag: &str) -> Vec<File> {
    let mut files = Files(Vec::new());
    files.add("gitops.yaml", declaration());
    for (name, path) in [("argocd-app-of-apps", "argocd/argocd"), ("services-app-of-apps", "argocd/services")] {
        files.add(&format!("rendered/staging/argocd/argocd/Application.{name}.yaml"), application(name, "argocd", path, "argocd"));
    }
    for project in ["argocd", "infrastructure", "services"] {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {{name: {project}, namespace: argocd}}\nspec: {{sourceRepos: ['{REPOSITORY}']}}\n"
        );
        files.add(&format!("rendered/staging/argocd/argocd/AppProject.{project}.yaml"), text);
    }
    files.add(
        "rendered/staging/argocd/services/Application.argocd.yaml",
        application("argocd", "infrastructure", "infrastructure/argocd", "argocd"),
    );
    files.add(
        "rendered/staging/infrastructure/argocd/server.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: argocd-server}\n".to_owned(),
    );
    files.add("rendered/staging/infrastructure/argocd/applications.yaml", definition("argoproj.io", "Application", 10));
    for number in 0..DEFINITIONS {
        let text = definition(&format!("group{number}.example.com"), "Widget", PROPERTIES);
        files.add(&format!("rendered/staging/infrastructure/argocd/definition-{number}.yaml"), text);
    }
    for number in 0..APPS {
        let name = format!("app-{number}");
        let folder = format!("rendered/staging/services/{name}");
        files.add(
            &format!("rendered/staging/argocd/services/Application.{name}.yaml"),
            application(&name, "services", &format!("services/{name}"), &name),
        );
        for (kind, text) in objects(&name, tag, number % DEFINITIONS) {
            files.add(&format!("{folder}/{kind}.{name}.yaml"), text);
        }
    }
    files.0
}

struct Files(Vec<File>);

impl Files {
    fn add(&mut self, path: &str, text: String) {
        self.0.push(File { path: path.parse().unwrap(), content: text.into_bytes() });
    }
}

fn application(name: &str, project: &str, path: &str, namespace: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: {name}
  namespace: argocd
  annotations: {{argocd.argoproj.io/sync-options: 'Prune=false,Delete=false'}}
spec:
  project: {project}
  source: {{repoURL: {REPOSITORY}, targetRevision: main, path: rendered/staging/{path}}}
  destination: {{server: https://kubernetes.default.svc, namespace: {namespace}}}
  syncPolicy:
    automated: {{prune: true, selfHeal: true}}
    retry: {{limit: -1, backoff: {{duration: 5s, factor: 2, maxDuration: 3m}}}}
    syncOptions: [CreateNamespace=true, ServerSideApply=true]
"
    )
}

fn definition(group: &str, kind: &str, properties: usize) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    let mut text = format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {plural}.{group}
  annotations: {{argocd.argoproj.io/sync-options: 'Prune=false,Delete=false'}}
spec:
  group: {group}
  names: {{kind: {kind}, plural: {plural}}}
  versions:
  - name: v1
    served: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
"
    );
    for number in 0..properties {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "          property{number}:\n            type: array\n            description: What the property is for, as a person would say it.\n            items:\n              type: string\n              pattern: ^[a-z]+$\n"
        );
    }
    text
}

/// The objects of an app but its Application, each with its kind.
fn objects(name: &str, tag: &str, definition: usize) -> [(&'static str, String); 8] {
    let metadata =
        format!("metadata:\n  name: {name}\n  labels:\n    app.kubernetes.io/name: {name}\n    app.kubernetes.io/part-of: fleet\n");
    [
        (
            "Deployment",
            format!(
                "apiVersion: apps/v1\nkind: Deployment\n{metadata}spec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: {name}\n  template:\n    metadata:\n      labels:\n        app.kubernetes.io/name: {name}\n    spec:\n      containers:\n      - name: {name}\n        image: registry.example/{name}:{tag}\n        ports:\n        - name: http\n          containerPort: 8080\n        env:\n        - name: PASSWORD\n          valueFrom:\n            secretKeyRef:\n              name: {name}\n              key: password\n        readinessProbe:\n          httpGet:\n            path: /\n            port: http\n        resources:\n          requests:\n            cpu: 5m\n            memory: 16Mi\n          limits:\n            memory: 64Mi\n        securityContext:\n          allowPrivilegeEscalation: false\n          readOnlyRootFilesystem: true\n"
            ),
        ),
        (
            "Service",
            format!(
                "apiVersion: v1\nkind: Service\n{metadata}spec:\n  selector:\n    app.kubernetes.io/name: {name}\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n"
            ),
        ),
        (
            "ConfigMap",
            format!("apiVersion: v1\nkind: ConfigMap\n{metadata}data:\n  settings.toml: |\n{}", "    key = \"value\"\n".repeat(40)),
        ),
        ("ServiceAccount", format!("apiVersion: v1\nkind: ServiceAccount\n{metadata}")),
        (
            "Role",
            format!(
                "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n{metadata}rules:\n- apiGroups: ['']\n  resources: [configmaps]\n  verbs: [get, list, watch]\n"
            ),
        ),
        (
            "RoleBinding",
            format!(
                "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n{metadata}roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: {name}\nsubjects:\n- kind: ServiceAccount\n  name: {name}\n"
            ),
        ),
        (
            "Ingress",
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: Ingress\n{metadata}spec:\n  rules:\n  - host: {name}.example.com\n    http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: {name}\n            port:\n              name: http\n"
            ),
        ),
        ("Widget", format!("apiVersion: group{definition}.example.com/v1\nkind: Widget\n{metadata}spec:\n  secretName: {name}\n")),
    ]
}
