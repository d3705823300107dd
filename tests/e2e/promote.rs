//! `promote`: a branch and a pull request at a real forge, from a real rendering; the branch that the clusters follow stays as it is.

use serde_json::Value;

use crate::support::forge::{pull_requests, token};
use crate::support::{Cli, Fleet, TestSandbox, assert_words};

/// What production has of its own, in a form that nobody would write again by a program.
const VALUES: &str = "# Production: three zones.\nreplicas:   3\nimage:   {tag: \"v1.10.2\"}   # as of the last review\n";

#[test]
fn the_versions_of_one_cluster_are_proposed_for_another_and_nothing_else_changes() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    let main = two_clusters(&sandbox, &fleet);

    what_cannot_be_promoted_is_refused_and_nothing_is_written(&sandbox, &fleet);
    a_branch_and_a_pull_request_with_the_diff_are_made_once(&sandbox, &fleet);
    an_image_is_pinned_where_it_was_not_and_a_branch_can_do_without_a_pull_request(&sandbox, &fleet);
    a_newer_version_is_another_pull_request_that_names_the_older(&sandbox, &fleet);
    what_was_merged_is_nothing_to_promote(&sandbox, &fleet);
    assert_ne!(fleet.head(), main);
}

/// Adds a second cluster to the demonstration, with other versions than the first has. Returns the commit.
fn two_clusters(sandbox: &TestSandbox, fleet: &Fleet) -> String {
    fleet.replace("gitops.yaml", "staging\": {}", "staging\": {}\n  \"production\": {}");
    for file in ["src/argocd/infrastructure/values.production.yaml", "src/argocd/services/values.production.yaml"] {
        fleet.write(file, "applications: {}\n");
    }
    fleet.write("src/services/whoami/values.production.yaml", VALUES);
    fleet.write("src/services/whoami/values.staging.yaml", "replicas: 1\nimage:\n  tag: v1.11.0 # the newest\n");
    let overlay = fleet.read("src/services/website/overlays/staging/kustomization.yaml");
    fleet.write("src/services/website/overlays/production/kustomization.yaml", &overlay);
    let image = format!("{overlay}images:\n- name: nginxinc/nginx-unprivileged\n  newTag: 1.27.4-alpine\n");
    fleet.write("src/services/website/overlays/staging/kustomization.yaml", &image);
    render_and_push(sandbox, fleet, "Production");
    fleet.head()
}

fn render_and_push(sandbox: &TestSandbox, fleet: &Fleet, message: &str) {
    sandbox.cli(&["render"]).in_folder(fleet.folder()).run().exits(0);
    fleet.commit(message);
    fleet.push();
}

fn promote(sandbox: &TestSandbox, fleet: &Fleet, app: &str, more: &[&str]) -> Cli {
    let arguments = [&["promote", app, "--from", "staging", "--to", "production", "--sandbox"], more].concat();
    sandbox.cli(&arguments).in_folder(fleet.folder())
}

/// The branches at the forge, each with its commit.
fn branches(fleet: &Fleet) -> Vec<String> {
    fleet.git(&["ls-remote", "--heads", "origin"]).lines().map(str::to_owned).collect()
}

fn what_cannot_be_promoted_is_refused_and_nothing_is_written(sandbox: &TestSandbox, fleet: &Fleet) {
    let before = branches(fleet);
    assert_words("promote_unknown_app", &promote(sandbox, fleet, "whoamy", &[]).run().exits(2));
    let ran =
        sandbox.cli(&["promote", "whoami", "--from", "staging", "--to", "prod", "--sandbox"]).in_folder(fleet.folder()).run().exits(2);
    assert!(ran.stderr.contains("no cluster `prod`"), "{ran}");
    let ran = promote(sandbox, fleet, "whoami", &["--branch", "main"]).run().exits(3);
    assert!(ran.stderr.contains("is the branch that is followed"), "{ran}");
    promote(sandbox, fleet, "whoami", &["--branch", "a b"]).run().exits(2);
    let file = sandbox.home().path().join("token");
    std::fs::write(&file, token(&sandbox.state, "read")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ran = promote(sandbox, fleet, "whoami", &["--token-file", file.to_str().unwrap()]).run().exits(4);
    assert!(ran.stderr.contains("may not open pull requests") && ran.stderr.contains("--no-pull-request"), "{ran}");
    let ran = promote(sandbox, fleet, "default-backend", &["--output", "json"]).run().exits(0);
    assert!(ran.result()["because"].as_str().unwrap().contains("no version of it is pinned for one cluster"), "{ran}");
    assert_eq!(branches(fleet), before);
    assert_eq!(pull_requests(&sandbox.state), [] as [Value; 0]);
}

fn a_branch_and_a_pull_request_with_the_diff_are_made_once(sandbox: &TestSandbox, fleet: &Fleet) {
    let main = branches(fleet);
    // What is only in the clone is neither promoted nor touched.
    fleet.write("src/services/whoami/values.staging.yaml", "image: {tag: v9.9.9}\n");
    let ran = promote(sandbox, fleet, "whoami", &["--output", "json"]).run().exits(0);
    let result = ran.result();
    assert!(
        ran.events().iter().any(|event| event["event"] == "warning" && event.to_string().contains("not what is in this clone")),
        "{ran}"
    );
    assert_eq!(fleet.read("src/services/whoami/values.staging.yaml"), "image: {tag: v9.9.9}\n");
    assert_eq!(fleet.git(&["branch", "--list"]), "* main");
    fleet.git(&["checkout", "--quiet", "--", "."]);

    let branch = result["branch"].as_str().unwrap();
    assert_eq!((&result["pushed"], branches(fleet).len()), (&true.into(), main.len() + 1), "{ran}");
    assert!(main.iter().all(|line| branches(fleet).contains(line)), "the followed branch was moved");
    fleet.git(&["fetch", "--quiet", "origin", &format!("{branch}:proposed")]);
    assert_eq!(fleet.git(&["rev-parse", "proposed^"]), fleet.head());
    let expected = VALUES.replace("\"v1.10.2\"", "v1.11.0");
    assert_eq!(fleet.git(&["show", "proposed:src/services/whoami/values.production.yaml"]), expected.trim_end());
    let changed = fleet.git(&["diff", "--name-only", "HEAD", "proposed"]);
    assert_eq!(changed, "rendered/production/services/whoami/Deployment.whoami.yaml\nsrc/services/whoami/values.production.yaml");

    let open = pull_requests(&sandbox.state);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(
        (&open[0]["head"]["ref"], &open[0]["base"]["ref"], &open[0]["html_url"]),
        (&result["branch"], &"main".into(), &result["pullRequest"]["url"])
    );
    let body = open[0]["body"].as_str().unwrap();
    for part in ["| `image.tag` | `v1.10.2` | `v1.11.0` |", "--- a/rendered/production/services/whoami/Deployment.whoami.yaml"] {
        assert!(body.contains(part), "`{part}`\n{body}");
    }
    let line = |sign: char, image: &str| body.lines().any(|line| line.starts_with(sign) && line.contains(image));
    assert!(line('-', "traefik/whoami:v1.10.2") && line('+', "traefik/whoami:v1.11.0"), "{body}");

    let now = branches(fleet);
    let again = promote(sandbox, fleet, "whoami", &[]).run().exits(0);
    assert_eq!(again.stdout.trim_end(), open[0]["html_url"].as_str().unwrap());
    assert_words("promote_again", &again);
    assert_eq!((branches(fleet), pull_requests(&sandbox.state)), (now, open));
}

fn an_image_is_pinned_where_it_was_not_and_a_branch_can_do_without_a_pull_request(sandbox: &TestSandbox, fleet: &Fleet) {
    let open = pull_requests(&sandbox.state);
    let result =
        promote(sandbox, fleet, "website", &["--branch", "website", "--no-pull-request", "--output", "json"]).run().exits(0).result();
    assert_eq!((&result["branch"], &result["pullRequest"]), (&"website".into(), &Value::Null));
    assert_eq!(pull_requests(&sandbox.state), open);
    fleet.git(&["fetch", "--quiet", "origin", "website:website"]);
    let overlay = fleet.git(&["show", "website:src/services/website/overlays/production/kustomization.yaml"]);
    assert_eq!(overlay, fleet.read("src/services/website/overlays/staging/kustomization.yaml").trim_end());
    assert!(result["diff"].as_str().unwrap().contains("nginx-unprivileged:1.27.4-alpine"), "{result:#}");
    let ran = promote(sandbox, fleet, "whoami", &["--branch", "website"]).run().exits(3);
    assert!(ran.stderr.contains("already, with something else"), "{ran}");
}

fn a_newer_version_is_another_pull_request_that_names_the_older(sandbox: &TestSandbox, fleet: &Fleet) {
    let older = pull_requests(&sandbox.state).remove(0);
    fleet.replace("src/services/whoami/values.staging.yaml", "v1.11.0", "v1.12.0");
    render_and_push(sandbox, fleet, "Try the next");
    let result = promote(sandbox, fleet, "whoami", &["--output", "json"]).run().exits(0).result();
    assert_ne!(result["branch"], older["head"]["ref"]);
    assert_eq!(result["older"][0]["url"], older["html_url"], "{result:#}");
    assert_eq!(pull_requests(&sandbox.state).len(), 2);
}

fn what_was_merged_is_nothing_to_promote(sandbox: &TestSandbox, fleet: &Fleet) {
    let branch = pull_requests(&sandbox.state)[0]["head"]["ref"].as_str().unwrap().to_owned();
    fleet.git(&["fetch", "--quiet", "origin", &branch]);
    fleet.git(&["merge", "--quiet", "--ff-only", "FETCH_HEAD"]);
    fleet.push();
    let before = branches(fleet);
    let ran = promote(sandbox, fleet, "whoami", &["--output", "json"]).run().exits(0);
    assert_eq!((&ran.result()["because"], branches(fleet)), (&"the versions are the same already".into(), before), "{ran}");
}
