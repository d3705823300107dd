//! How the tree of a cluster is read from its rendered files.

use std::fs;

use gitops_bootstrap::domain::RepositoryPath;
use gitops_bootstrap::error::Kind;
use gitops_bootstrap::manifest::tree;

use super::fleet::{Fleet, files};

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
