//! A fleet repository from the outside: what `new` writes, what `render` makes of it, and what is refused.
//!
//! helm and kustomize are small shell scripts here, so that these tests need nothing but a shell; `fleet_render.rs` has the real ones.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use gitops_bootstrap::cli::Global;
use gitops_bootstrap::commands::Context;
use gitops_bootstrap::commands::new::{Existing, Written, scaffold};
use gitops_bootstrap::domain::declaration::{ArgoCd, Flavour, Repository, default_branch, default_rendered, default_source};
use gitops_bootstrap::domain::{ClusterName, Commit, Declaration, RepositoryPath};
use gitops_bootstrap::error::{Kind, Result};
use gitops_bootstrap::event::{Event, Events, Reporter};
use gitops_bootstrap::manifest::scaffold::{self, Choices};
use gitops_bootstrap::manifest::tree::{self, Reading};
use gitops_bootstrap::manifest::{declaration, yaml};
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
const HOST_KEY: &str = "git.acme.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDSrf6f7VlIV1dUKAhyaCSzQGuQrgKE/NvPAMuPDJo4n";

struct Silent;

impl Reporter for Silent {
    fn on(&mut self, _: &Event) {}
}

/// A folder with a fleet in it and the tools to render it.
struct Fleet {
    home: tempfile::TempDir,
    choices: Choices,
}

impl Fleet {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("bin")).unwrap();
        let fleet = Self { home, choices: choices() };
        fleet.tool("kustomize", KUSTOMIZE);
        fleet.tool("helm", HELM);
        fleet
    }

    /// A fleet as `new` leaves it.
    async fn written() -> Self {
        let fleet = Self::new();
        fleet.scaffold(Existing::Refuse).await.unwrap();
        fleet
    }

    fn tool(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.home.path().join("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn folder(&self) -> std::path::PathBuf {
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

    async fn scaffold(&self, existing: Existing) -> Result<Written> {
        scaffold(&self.folder(), &self.choices, existing, &self.context()).await
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder().join(path)).unwrap()
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let before = self.read(path);
        assert!(before.contains(from), "{path} has no {from:?}:\n{before}");
        self.write(path, &before.replace(from, to));
    }

    fn exists(&self, path: &str) -> bool {
        self.folder().join(path).exists()
    }

    /// Runs the program in the fleet's folder and returns status, standard output and standard error as one text.
    fn run(&self, arguments: &[&str]) -> String {
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
    fn allow_what_is_not_patched(&self) {
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

    fn read_tree(&self, cluster: &str) -> Result<Reading> {
        let cluster: ClusterName = cluster.parse().unwrap();
        let commit: Commit = "0123456789012345678901234567890123456789".parse().unwrap();
        let declaration = self.declaration();
        let files = files(&self.folder(), "rendered");
        tree::read(&cluster, &commit, &files, &declaration.repository.rendered, Some(&declaration.repository))
    }
}

fn choices() -> Choices {
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
fn files(root: &Path, folder: &str) -> Vec<File> {
    let folder: RepositoryPath = folder.parse().unwrap();
    gitops_bootstrap::adapters::files::read_folder(root, &folder).unwrap()
}

#[tokio::test]
async fn a_new_fleet_boots() {
    let fleet = Fleet::written().await;
    for cluster in ["staging", "production"] {
        let Reading { tree, warnings, .. } = fleet.read_tree(cluster).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(tree.root.object.name(), "argocd-app-of-apps");
        assert_eq!((tree.repository.as_str(), tree.revision.as_str()), ("git@git.acme.example:acme/fleet.git", "main"));
        let mut projects: Vec<_> = tree.projects.iter().map(|project| project.object.name()).collect();
        projects.sort_unstable();
        assert_eq!(projects, ["argocd", "default", "infrastructure", "services"]);
        let mut applications: Vec<_> = tree.applications.iter().map(|application| application.object.name()).collect();
        applications.sort_unstable();
        assert_eq!(
            applications,
            ["argocd", "argocd-app-of-apps", "default-backend", "infrastructure-app-of-apps", "services-app-of-apps", "website", "whoami"]
        );
        assert!(tree.argocd.iter().any(|rendered| rendered.object.kind() == "CustomResourceDefinition"));
        assert_eq!(tree.paths.len(), applications.len());
    }
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let fleet = Fleet::written().await;
    let before = files(&fleet.folder(), ".");
    let again = fleet.scaffold(Existing::Refuse).await.unwrap();
    assert_eq!((again.written.len(), again.unchanged), (0, before.len()));
    assert_eq!(files(&fleet.folder(), "."), before);
}

#[tokio::test]
async fn a_file_of_somebody_is_never_overwritten_unasked() {
    let fleet = Fleet::written().await;
    fleet.write("README.md", "mine\n");
    let refusal = fleet.scaffold(Existing::Refuse).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.causes.as_slice()), (Kind::Refused, &["README.md".to_owned()][..]));
    assert_eq!(fleet.read("README.md"), "mine\n");
    fleet.scaffold(Existing::Overwrite).await.unwrap();
    assert!(fleet.read("README.md").starts_with("# fleet"));

    let other = Fleet::new();
    other.write("rendered/staging/theirs.yaml", "a: 1\n");
    let refusal = other.scaffold(Existing::Refuse).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Refused);
    assert_eq!(files(&other.folder(), ".").len(), 1, "nothing was written");
}

#[test]
fn the_workflows_drill_each_cluster_and_pin_whatever_they_use() {
    let documents = scaffold::files(&choices()).unwrap();
    let workflows: Vec<(&str, serde_json::Value)> = documents
        .iter()
        .filter(|document| document.path.as_str().starts_with(".github/workflows/"))
        .map(|document| {
            let name = document.path.as_str();
            (name, yaml::parse_documents(&document.text, name).unwrap().pop().unwrap().value)
        })
        .collect();
    let drill = &workflows.iter().find(|(name, _)| name.ends_with("/drill.yaml")).unwrap().1["jobs"]["drill"];
    assert_eq!(drill["strategy"]["matrix"]["cluster"], serde_json::json!(["production", "staging"]));
    assert_eq!(drill["env"]["CLUSTER"], "${{ matrix.cluster }}");
    let jobs = workflows.iter().flat_map(|(_, workflow)| workflow["jobs"].as_object().unwrap().values());
    let used: Vec<&str> = jobs.flat_map(|job| job["steps"].as_array().unwrap()).filter_map(|step| step["uses"].as_str()).collect();
    for action in &used {
        let (_, commit) = action.split_once('@').unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action} can become another one");
    }
    assert!(used.len() > 4, "{used:?}");
}

#[test]
fn the_files_of_a_new_fleet() {
    let documents = scaffold::files(&choices()).unwrap();
    let text = |path: &str| documents.iter().find(|document| document.path.as_str() == path).unwrap().text.clone();
    insta::assert_snapshot!("paths", documents.iter().map(|document| document.path.to_string()).collect::<Vec<_>>().join("\n"));
    insta::assert_snapshot!("gitops", text("gitops.yaml"));
    insta::assert_snapshot!("readme", text("README.md"));
    for document in &documents {
        assert!(document.text.ends_with('\n') && !document.text.ends_with("\n\n"), "{} ends in one line break", document.path);
        assert!(!document.text.contains("{%"), "{} has a hole left", document.path);
    }
    let parsed = declaration::parse(&text("gitops.yaml"), "gitops.yaml").unwrap();
    assert_eq!((&parsed.repository, &parsed.argocd), (&choices().repository, &choices().argocd));

    let without = scaffold::files(&Choices { examples: false, ..choices() }).unwrap();
    assert!(!without.iter().any(|document| document.path.as_str().contains("website") || document.text.contains("website")));
}

#[tokio::test]
async fn a_fleet_without_examples_boots_too() {
    let mut fleet = Fleet::new();
    fleet.choices.examples = false;
    fleet.scaffold(Existing::Refuse).await.unwrap();
    let tree = fleet.read_tree("staging").unwrap().tree;
    assert!(!tree.applications.iter().any(|application| application.object.name() == "services-app-of-apps"), "there is no service yet");
}

#[tokio::test]
async fn declared_host_keys_are_rendered_into_argo_cds_own_list() {
    let fleet = Fleet::written().await;
    let rendered = fleet.read("rendered/staging/infrastructure/argocd/ConfigMap.argocd-ssh-known-hosts-cm.yaml");
    let object = &yaml::parse_documents(&rendered, "x").unwrap()[0].value;
    let lines: Vec<_> = object["data"]["ssh_known_hosts"].as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), 2, "{rendered}");
    assert_eq!(lines[1], HOST_KEY);
}

#[tokio::test]
async fn stale_files_are_found_shown_and_removed() {
    let fleet = Fleet::written().await;
    assert!(fleet.run(&["render", "--check"]).starts_with("exit: 0\n"));
    fleet.replace("src/argocd/services/values.staging.yaml", "{}", "{whoami: {enabled: false}, website: {wave: 5}}");
    fleet.write("rendered/staging/services/stray.yaml", "kind: Stray\n");
    let before = files(&fleet.folder(), ".");
    let check = fleet.run(&["render", "staging", "--check"]);
    assert!(check.starts_with("exit: 11\n"), "{check}");
    for expected in [
        "--- a/rendered/staging/argocd/services/Application.whoami.yaml\n+++ /dev/null\n",
        "+    argocd.argoproj.io/sync-wave: \"5\"\n",
        "-kind: Stray\n",
        "hint: render and commit them: `gitops-bootstrap render staging`\n",
    ] {
        assert!(check.contains(expected), "{check}");
    }
    assert_eq!(files(&fleet.folder(), "."), before, "a check writes nothing");

    assert!(fleet.run(&["render"]).contains("0 new, 1 changed, 3 removed"));
    assert!(fleet.run(&["render", "--check"]).starts_with("exit: 0\n"));
    assert!(!fleet.exists("rendered/staging/services/whoami") && fleet.exists("rendered/production/services/whoami"));
}

#[tokio::test]
async fn lint_finds_nothing_in_a_new_fleet_and_the_file_that_is_stale() {
    let fleet = Fleet::written().await;
    fleet.allow_what_is_not_patched();
    let clean = fleet.run(&["lint", "--strict"]);
    assert!(clean.starts_with("exit: 0\n--- stdout\n--- stderr\n") && clean.contains("nothing found"), "{clean}");
    fleet.replace("rendered/staging/services/website/Service.website.yaml", "port: 80", "port: 81");
    let stale = fleet.run(&["lint"]);
    assert!(stale.starts_with("exit: 11\n"), "{stale}");
    assert!(stale.contains("Service.website.yaml\n  9:1       error: is not what the sources render to [stale-rendering]"), "{stale}");
    fleet.write("src/services/website/base/kustomization.yaml", "resources: [absent.yaml]\n");
    let broken = fleet.run(&["lint", "production"]);
    assert!(
        broken.starts_with("exit: 10\n") && broken.contains("cannot be rendered"),
        "a check that cannot be made is not passed: {broken}"
    );
}

#[tokio::test]
async fn lint_says_when_it_cannot_tell_whether_the_rendering_is_fresh() {
    let fleet = Fleet::written().await;
    fleet.allow_what_is_not_patched();
    fs::remove_file(fleet.home.path().join("bin/helm")).unwrap();
    let output = fleet.run(&["lint"]);
    assert!(output.starts_with("exit: 0\n"), "{output}");
    assert!(output.contains("whether the rendered files are fresh was not checked: helm not found on the PATH"), "{output}");
}

#[tokio::test]
async fn helm_gets_the_values_of_the_cluster() {
    let fleet = Fleet::written().await;
    assert!(fleet.read("rendered/production/services/whoami/Deployment.whoami.yaml").contains("values: values.production.yaml"));
}

#[tokio::test]
async fn an_error_names_the_app_and_repeats_the_tools_own_words() {
    let fleet = Fleet::written().await;
    fleet.tool("kustomize", "#!/bin/sh\necho 'accumulating resources: no such thing' >&2\nexit 1\n");
    let output = fleet.run(&["render", "staging"]);
    assert!(output.starts_with("exit: 10\n"), "{output}");
    for expected in
        ["cannot be rendered for staging", "kustomize says: accumulating resources: no such thing", "hint: the sources are in `src/"]
    {
        assert!(output.contains(expected), "{output}");
    }
}

#[tokio::test]
async fn what_is_not_in_the_repository_is_not_rendered() {
    for (path, text, expected) in [
        (
            "src/services/website/base/kustomization.yaml",
            "resources:\n- https://example.com/base?ref=main\n",
            "src/services/website/base/kustomization.yaml:2: `https://example.com/base?ref=main` is not a path inside the repository",
        ),
        (
            "src/services/website/base/kustomization.yaml",
            "resources: [github.com/acme/base]\n",
            "is not among the sources, and nothing is fetched",
        ),
        (
            "src/services/website/base/kustomization.yaml",
            "patches: [{path: ../../../../../etc/passwd}]\n",
            "is not a path inside the repository",
        ),
        (
            "src/services/website/base/kustomization.yaml",
            "configMapGenerator: [{name: a, files: [a=../../../../gitops.yaml]}]\n",
            "leads out of the source folder",
        ),
        (
            "src/services/whoami/Chart.yaml",
            "dependencies: [{name: redis}]\n",
            "the dependency `redis` is not in `src/services/whoami/charts/`",
        ),
        ("src/services/whoami/kustomization.yaml", "resources: []\n", "has both a `Chart.yaml` and a kustomization"),
        ("src/argocd/services/values.yaml", "applications: {absent: {enabled: true}}\n", "`src/services/absent` is empty or not there"),
        ("src/argocd/services/values.yaml", "applications: {argocd: {enabled: true}}\n", "a service cannot go to the namespace `argocd`"),
        (
            "src/infrastructure/default-backend/bad.yaml",
            "kind: A\n",
            "src/infrastructure/default-backend/bad.yaml:1:1: not a Kubernetes object: `apiVersion` is missing",
        ),
    ] {
        let fleet = Fleet::written().await;
        let before = files(&fleet.folder(), "rendered");
        fleet.write(path, text);
        let output = fleet.run(&["render"]);
        assert!(output.starts_with("exit: 10\n") && output.contains(expected), "{path}: {text}\n{output}");
        assert_eq!(files(&fleet.folder(), "rendered"), before, "nothing was written");
    }
}

#[tokio::test]
async fn an_altered_manifest_of_argo_cd_is_refused() {
    let fleet = Fleet::written().await;
    fleet.replace("src/infrastructure/argocd/install.yaml", "argocd-server", "evil-server");
    let output = fleet.run(&["render", "--check"]);
    assert!(output.starts_with("exit: 8\n") && output.contains("is not the manifest that gitops.yaml pins"), "{output}");
}

#[tokio::test]
async fn links_in_the_sources_are_refused() {
    let fleet = Fleet::written().await;
    std::os::unix::fs::symlink("/etc/passwd", fleet.folder().join("src/services/website/base/page.yaml")).unwrap();
    let output = fleet.run(&["render"]);
    assert!(output.starts_with("exit: 10\n") && output.contains("`src/services/website/base/page.yaml` is a symbolic link"), "{output}");
}

#[tokio::test]
async fn an_unknown_cluster_is_named_with_its_neighbour() {
    let fleet = Fleet::written().await;
    let output = fleet.run(&["render", "stagin"]);
    assert!(output.starts_with("exit: 2\n") && output.contains("gitops.yaml has no cluster `stagin`; did you mean `staging`?"), "{output}");
}

#[tokio::test]
async fn a_tree_that_cannot_boot_is_refused_and_each_place_is_cited() {
    type Break = fn(&Fleet);
    let top = "rendered/staging/argocd/argocd";
    let root = format!("{top}/Application.argocd-app-of-apps.yaml");
    let cases: [(&str, Break, Vec<String>); 10] = [
        (
            "no root",
            |fleet| fs::remove_file(fleet.folder().join("rendered/staging/argocd/argocd/Application.argocd-app-of-apps.yaml")).unwrap(),
            vec!["`rendered/staging` has no root Application".to_owned()],
        ),
        (
            "two roots",
            |fleet| {
                let text = fleet.read("rendered/staging/argocd/argocd/Application.argocd-app-of-apps.yaml");
                fleet.write("rendered/staging/argocd/argocd/second.yaml", &text.replace("argocd-app-of-apps", "second"));
            },
            vec!["two root Applications".to_owned(), root.clone(), format!("{top}/second.yaml")],
        ),
        (
            "the same Application twice",
            |fleet| {
                fleet.write(
                    "rendered/staging/argocd/services/b.yaml",
                    &fleet.read("rendered/staging/argocd/services/Application.website.yaml"),
                )
            },
            vec![
                "Application `website` is there twice".to_owned(),
                "rendered/staging/argocd/services/Application.website.yaml".to_owned(),
                "rendered/staging/argocd/services/b.yaml".to_owned(),
            ],
        ),
        (
            "a project is missing",
            |fleet| fs::remove_file(fleet.folder().join("rendered/staging/argocd/argocd/AppProject.services.yaml")).unwrap(),
            vec!["AppProject `services` is missing".to_owned(), "of this project".to_owned()],
        ),
        (
            "another repository",
            |fleet| fleet.replace("rendered/staging/argocd/argocd/Application.argocd-app-of-apps.yaml", "acme/fleet.git", "evil/fleet.git"),
            vec!["another repository".to_owned(), root.clone(), "gitops.yaml".to_owned()],
        ),
        (
            "another branch",
            |fleet| {
                fleet.replace(
                    "rendered/staging/argocd/argocd/Application.argocd-app-of-apps.yaml",
                    "targetRevision: main",
                    "targetRevision: dev",
                )
            },
            vec!["another branch".to_owned(), "follows `dev`".to_owned(), "is `main`".to_owned()],
        ),
        (
            "an app without a folder",
            |fleet| fs::remove_dir_all(fleet.folder().join("rendered/staging/services/website")).unwrap(),
            vec!["Application `website` takes `rendered/staging/services/website`".to_owned(), "does not exist".to_owned()],
        ),
        (
            "an app with an empty folder",
            |fleet| {
                fs::remove_dir_all(fleet.folder().join("rendered/staging/services/website")).unwrap();
                fleet.write("rendered/staging/services/website/notes.txt", "nothing");
            },
            vec!["which holds no object".to_owned(), "delete everything".to_owned()],
        ),
        (
            "Argo CD without workloads",
            |fleet| fs::remove_file(fleet.folder().join("rendered/staging/infrastructure/argocd/Deployment.argocd-server.yaml")).unwrap(),
            vec!["holds no Deployment".to_owned()],
        ),
        (
            "a file that is not YAML",
            |fleet| fleet.write("rendered/staging/services/website/x.yaml", "a: 1\na: 2\n"),
            vec!["rendered/staging/services/website/x.yaml:2:1: ".to_owned()],
        ),
    ];
    let fleet = Fleet::written().await;
    let sound = files(&fleet.folder(), "rendered");
    for (name, break_it, expected) in cases {
        break_it(&fleet);
        let failure = fleet.read_tree("staging").unwrap_err();
        assert_eq!(failure.kind, Kind::InvalidRepository, "{name}");
        for text in expected {
            assert!(failure.to_string().contains(&text), "{name}: {failure}\nhas no {text:?}");
        }
        fs::remove_dir_all(fleet.folder().join("rendered")).unwrap();
        for file in &sound {
            fleet.write(file.path.as_str(), std::str::from_utf8(&file.content).unwrap());
        }
    }
    assert!(fleet.read_tree("production").is_ok() && fleet.read_tree("staging").is_ok());
}

#[tokio::test]
async fn what_widens_trust_or_leaks_is_warned_of_without_its_value() {
    let fleet = Fleet::written().await;
    fleet.write(
        "rendered/staging/services/website/secret.yaml",
        "\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n",
    );
    fleet.replace("rendered/staging/argocd/argocd/AppProject.services.yaml", "\"!argocd\"", "\"!other\"");
    let warnings = fleet.read_tree("staging").unwrap().warnings.join("\n");
    assert!(warnings.contains("rendered/staging/services/website/secret.yaml:2: Secret `db` is committed in clear"), "{warnings}");
    assert!(warnings.contains("AppProject `services` can write to the namespace `argocd`"), "{warnings}");
    assert!(!warnings.contains("hunter2"), "{warnings}");
}

#[test]
fn a_repository_of_the_starter_kit_is_found_without_a_declaration() {
    let path = |text: &str| text.parse::<RepositoryPath>().unwrap();
    let paths = [path("README.md"), path("kubernetes/rendered/staging/argocd/argocd/a.yaml")];
    let rendered = tree::detect(&paths).unwrap();
    assert_eq!(rendered.as_str(), "kubernetes/rendered");
    let names: Vec<_> = tree::clusters(&rendered, &paths).into_iter().map(|name| name.to_string()).collect();
    assert_eq!(names, ["staging"]);
    assert!(tree::detect(&paths[..1]).is_err());
}

#[test]
fn a_broken_declaration_is_cited_with_line_and_column() {
    let sound = "\
version: 1
repository:
  url: git@github.com:acme/fleet.git
argocd:
  version: v3.5.7
  sha256: 09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77
clusters:
  staging:
";
    assert!(declaration::parse(sound, "gitops.yaml").is_ok());
    let uid = "6f1f0a52-9d30-4c0b-8a0c-000000000001";
    let same = format!("staging: {{identity: {{kubeSystemUid: {uid}}}}}\n  other: {{identity: {{kubeSystemUid: {uid}}}}}");
    for (from, to, expected) in [
        ("version: 1", "version: 2", "1:10: version 2 of this file is not known"),
        ("version: 1", "version: one", "1:10: `version` must be a whole number, and is a text"),
        ("clusters:", "cluster:", "7:1: unknown key `cluster`; did you mean `clusters`?"),
        ("  url:", "  adress: x\n  url:", "3:3: unknown key `adress`"),
        ("  url: git@github.com:acme/fleet.git", "  branch: main", "3:3: `repository.url` is missing"),
        (
            "git@github.com:acme/fleet.git",
            "https://me:hunter2@h/a/b",
            "3:8: `repository.url`: not the address of a Git repository: it has a user name",
        ),
        ("argocd:", "  branch: --upload-pack=x\nargocd:", "4:11: `--upload-pack=x` is not the name of a branch: it starts with `-`"),
        ("argocd:", "  branch: a..b\nargocd:", "4:11: `a..b` is not the name of a branch"),
        ("argocd:", "  branch: yes\nargocd:", "4:11: `repository.branch` must be a text, and is true or false"),
        ("argocd:", "  api: http://github.acme.com\nargocd:", "4:8: `repository.api` must start with `https://`"),
        ("argocd:", "  knownHosts: [rubbish]\nargocd:", "4:16: `rubbish` is not a host key"),
        ("argocd:", "  knownHosts: rubbish\nargocd:", "4:15: `repository.knownHosts` must be a list, and is a text"),
        (
            "argocd:",
            "  source: rendered/src\nargocd:",
            "4:11: the source folder `rendered/src` and the rendered folder `rendered` must not lie in each other",
        ),
        ("argocd:", "  rendered: ../up\nargocd:", "4:13: `repository.rendered`: `../up` is not a path inside the repository"),
        ("v3.5.7", "3.5.7", "5:12: `argocd.version` is not a release of Argo CD"),
        ("v3.5.7", "v2.14.0", "5:12: `argocd.version` is older than v3.2.0"),
        (
            "  sha256:",
            "  flavour: high-availabilty\n  sha256:",
            "6:12: `argocd.flavour` is `standard` or `high-availability`; did you mean `high-availability`?",
        ),
        ("09bf", "09BF", "6:11: `argocd.sha256` is not a SHA-256"),
        ("clusters:\n  staging:", "clusters: {}", "7:11: `clusters` names no cluster"),
        ("  staging:", "  Staging:", "8:3: `Staging` is not a cluster name"),
        ("  staging:", "  staging:\n  staging:", "9:3: "),
        ("  staging:", "  staging: {identity: {kubeSystemUid: x}}", "8:39: `kubeSystemUid` is not a UID"),
        ("staging:", &same, "9:10: `other` and `staging` have the same identity"),
        ("clusters:", "recipients: [AGE-SECRET-KEY-1QQQQ]\nclusters:", "7:14: this is the private half of a key"),
        ("clusters:", "recipients: [me]\nclusters:", "7:14: a recipient is an age public key"),
        ("clusters:", "rootOfTrust: {secret: [a/b]}\nclusters:", "7:15: unknown key `secret`; did you mean `secrets`?"),
        ("clusters:", "rootOfTrust: {secrets: [b]}\nclusters:", "7:25: `rootOfTrust.secrets[0]`: `b` does not name a Secret"),
        ("clusters:", "rootOfTrust: {sopsKeys: [A/b]}\nclusters:", "7:26: `rootOfTrust.sopsKeys[0]`: `A/b` does not name a Secret"),
        ("clusters:", "rootOfTrust: {tls: 1}\nclusters:", "7:20: `rootOfTrust.tls` must be true or false"),
        ("clusters:", "recovery: {gates: [{claims: a, command: [b]}]}\nclusters:", "7:20: a gate is one of"),
        ("clusters:", "recovery: {gates: [{claims: a, timeout: 1m}]}\nclusters:", "7:41: `timeout` belongs to a `command`"),
        ("clusters:", "recovery: {gates: [{command: sleep 1}]}\nclusters:", "7:30: `recovery.gates[0].command` must be a list"),
        ("clusters:", "recovery: {gates: [{command: [a], timeout: soon}]}\nclusters:", "7:44: `soon` is not a duration"),
        ("clusters:", "recovery: {gate: []}\nclusters:", "7:12: unknown key `gate`; did you mean `gates`?"),
        (sound, "", "1:1: the file is empty"),
        (sound, "[1]", "1:1: the file must be a mapping, and is a list"),
    ] {
        let text = sound.replacen(from, to, 1);
        let failure = declaration::parse(&text, "gitops.yaml").expect_err(&text);
        assert_eq!(failure.kind, Kind::InvalidRepository);
        assert!(failure.message.starts_with(&format!("gitops.yaml:{expected}")), "expected {expected}\nfound {failure}");
        assert!(!failure.to_string().contains("hunter2") && !failure.to_string().contains("QQQQ"), "{failure}");
    }
}

#[test]
fn gates_are_read_as_they_are_written() {
    let text = "version: 1\nrepository: {url: 'git@github.com:acme/fleet.git'}\nargocd: {version: v3.5.7, sha256: 09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77}\nclusters: {staging: }\nrecovery:\n  gates:\n  - claims: databases\n  - resource: {apiVersion: postgresql.cnpg.io/v1, kind: Cluster, namespace: databases, name: main}\n  - command: [./restored.sh, --all]\n    timeout: 2m\n";
    let gates = declaration::parse(text, "gitops.yaml").unwrap().recovery.gates;
    let gates: Vec<String> = gates.iter().map(ToString::to_string).collect();
    assert_eq!(gates, ["the claims in namespace databases are bound", "Cluster databases/main is Ready", "`./restored.sh --all` succeeds"]);
}
