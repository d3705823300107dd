//! The example apps of a new fleet, built by the real helm and kustomize.

use std::path::Path;

use gitops_bootstrap::cli::Global;
use gitops_bootstrap::commands::Context;
use gitops_bootstrap::commands::new::{Existing, install_manifest, scaffold};
use gitops_bootstrap::domain::declaration::{Flavour, Repository, default_branch, default_rendered, default_source};
use gitops_bootstrap::event::{Event, Events, Reporter};
use gitops_bootstrap::manifest::scaffold::{ARGOCD_VERSION, Choices};
use gitops_bootstrap::manifest::{declaration, tree};
use gitops_bootstrap::settings::Environment;

use super::support::{Home, assert_words, engine};

struct Silent;

impl Reporter for Silent {
    fn on(&mut self, _: &Event) {}
}

/// A context that finds helm and kustomize nowhere but in the engine.
fn with_engine(folder: &Path) -> Context {
    let variables = [("HOME".to_owned(), folder.display().to_string())].into();
    let environment = Environment { variables, folder: folder.to_owned(), ..Environment::default() };
    let global = Global { engine: Some(engine().to_owned()), ..Global::default() };
    Context { global, environment, events: Events::new(Silent), cancel: tokio_util::sync::CancellationToken::new() }
}

#[tokio::test]
async fn a_new_fleet_renders_with_the_engine_alone_and_boots() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("fleet");
    let context = with_engine(home.path());
    let (install_manifest, argocd) = install_manifest(ARGOCD_VERSION, Flavour::Standard, true, &folder, &context).await.unwrap();
    let choices = Choices {
        repository: Repository {
            github_app: None,
            oauth_client_id: None,
            url: "git@github.com:acme/fleet.git".parse().unwrap(),
            branch: default_branch(),
            api: None,
            known_hosts: Vec::new(),
            source: default_source(),
            rendered: default_rendered(),
        },
        clusters: ["staging".parse().unwrap(), "production".parse().unwrap()].into(),
        argocd,
        install_manifest,
        examples: true,
    };
    scaffold(&folder, &choices, Existing::Refuse, &context).await.unwrap();
    assert_eq!(scaffold(&folder, &choices, Existing::Refuse, &context).await.unwrap().written, []);

    let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    assert!(read("rendered/production/services/whoami/Deployment.whoami.yaml").contains("image: traefik/whoami:v1.10.3"));
    assert!(read("rendered/production/services/website/Deployment.website.yaml").contains("replicas: 2"));
    let health = "resource.customizations.health.argoproj.io_Application";
    assert!(read("rendered/staging/infrastructure/argocd/ConfigMap.argocd-cm.yaml").contains(health));

    let declared = declaration::parse(&read("gitops.yaml"), "gitops.yaml").unwrap();
    let files = gitops_bootstrap::adapters::files::read_folder(&folder, &declared.repository.rendered).unwrap();
    let commit = "0123456789012345678901234567890123456789".parse().unwrap();
    let reading =
        tree::read(&"staging".parse().unwrap(), &commit, &files, &declared.repository.rendered, Some(&declared.repository)).unwrap();
    assert_eq!((reading.tree.argocd.len(), reading.warnings.len()), (60, 0), "59 objects of the release and the namespace");
    let everything = gitops_bootstrap::adapters::files::read_folder(&folder, &".".parse().unwrap()).unwrap();
    let repository = gitops_bootstrap::lint::Repository {
        files: &everything,
        declaration: Some(&declared),
        rendered: &declared.repository.rendered,
        stale: &[],
        left_out: &std::collections::BTreeMap::new(),
    };
    let clusters: Vec<_> = declared.clusters.keys().cloned().collect();
    assert_eq!(gitops_bootstrap::lint::lint(&repository, &clusters).findings, [], "the examples are an example");
    let kept = |kind: &str| {
        let of_kind = reading.tree.argocd.iter().filter(|rendered| rendered.object.kind() == kind);
        of_kind.map(|rendered| rendered.object.annotation("argocd.argoproj.io/sync-options")).collect::<Vec<_>>()
    };
    assert_eq!(kept("CustomResourceDefinition"), [Some("Prune=false,Delete=false"); 3]);
    assert_eq!(kept("Namespace"), [Some("Prune=false,Delete=false")]);
}

#[test]
fn what_is_written_rendered_and_checked_is_told() {
    let home = Home::new();
    let new = ["new", "fleet", "--offline", "--repository", "git@github.com:acme/fleet.git"];
    assert_words("new", &home.cli(&new).run().exits(0));
    assert_eq!(home.cli(&new).args(["--output", "json"]).run().exits(0).result()["written"], serde_json::json!([]));

    let fleet = home.path().join("fleet");
    let in_fleet = |arguments: &[&str]| home.cli(arguments).in_folder(&fleet).run();
    assert_words("lint", &in_fleet(&["lint"]).exits(0));
    let values = fleet.join("src/services/whoami/values.staging.yaml");
    let text = std::fs::read_to_string(&values).unwrap();
    std::fs::write(&values, text.replace("replicas: 1", "replicas: 2")).unwrap();
    assert_words("render_check", &in_fleet(&["render", "--check", "--quiet"]).exits(11));
    assert_words("render", &in_fleet(&["render"]).exits(0));
    let result = in_fleet(&["render", "staging", "--output", "json"]).exits(0).result();
    assert_eq!((&result["clusters"], &result["changed"]), (&serde_json::json!(["staging"]), &0.into()), "{result:#}");
}
