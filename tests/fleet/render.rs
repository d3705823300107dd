//! What `render` makes of the sources, what it refuses, and what `lint` says of files that are stale.

use std::fs;

use gitops_bootstrap::manifest::yaml;

use super::fleet::{Fleet, HOST_KEY, files};

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
