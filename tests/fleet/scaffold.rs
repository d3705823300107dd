//! What `new` writes.

use gitops_bootstrap::commands::new::Existing;
use gitops_bootstrap::error::Kind;
use gitops_bootstrap::manifest::scaffold::{self, Choices};
use gitops_bootstrap::manifest::tree::Reading;
use gitops_bootstrap::manifest::{declaration, yaml};

use super::fleet::{Fleet, choices, files};

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
