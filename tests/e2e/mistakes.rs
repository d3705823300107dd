//! What people most often get wrong, and what they are told: the object, the cause, and the next command. None of it needs the engine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Cli, Home, assert_words, git};

/// An address on loopback at which nothing listens, so that a connection is refused at once (RFC 6335: port 1 is tcpmux).
const NOBODY: &str = "https://127.0.0.1:1";

/// A home with an empty folder, a fleet repository and kubeconfigs, in which nothing is found on the `PATH` but what is always there.
struct Place {
    home: Home,
    nowhere: PathBuf,
    fleet: PathBuf,
}

impl Place {
    fn new() -> Self {
        let home = Home::new();
        let (nowhere, fleet) = (home.path().join("nowhere"), home.path().join("fleet"));
        fs::create_dir(&nowhere).unwrap();
        fs::create_dir_all(fleet.join("rendered/staging")).unwrap();
        fs::write(fleet.join("gitops.yaml"), DECLARATION).unwrap();
        fs::write(fleet.join("rendered/staging/.gitkeep"), "").unwrap();
        git(home.path(), &fleet, &["init", "--quiet", "--initial-branch", "main"]);
        git(home.path(), &fleet, &["add", "--all"]);
        git(home.path(), &fleet, &["commit", "--quiet", "--message", "A fleet"]);
        let place = Self { home, nowhere, fleet };
        place.kubeconfig("one", &["staging-eu"]);
        place.kubeconfig("several", &["production-eu", "staging-eu"]);
        place
    }

    fn kubeconfig(&self, file: &str, contexts: &[&str]) {
        let contexts: String = contexts.iter().map(|name| format!("- {{name: {name}, context: {{cluster: a, user: a}}}}\n")).collect();
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- {{name: a, cluster: {{server: \"{NOBODY}\"}}}}\nusers:\n- {{name: a, user: {{token: x}}}}\ncontexts:\n{contexts}"
        );
        fs::write(self.home.path().join(file), text).unwrap();
    }

    fn run(&self, folder: &Path, arguments: &[&str]) -> Cli {
        self.home.cli_without_engine(arguments).in_folder(folder)
    }

    fn nowhere(&self, arguments: &[&str]) -> Cli {
        self.run(&self.nowhere, arguments)
    }

    fn fleet(&self, arguments: &[&str]) -> Cli {
        self.run(&self.fleet, arguments)
    }
}

const DECLARATION: &str = "\
version: 1
repository:
  url: git@github.com:acme/fleet.git
argocd:
  version: v3.5.7
  sha256: 09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77
clusters:
  production: {}
  staging: {}
";

#[test]
fn in_a_folder_that_is_no_fleet_repository_each_verb_says_so() {
    let place = Place::new();
    for verb in ["drill", "init", "lint", "pack", "render", "unpack"] {
        let status = if verb == "lint" { 10 } else { 2 };
        let ran = place.nowhere(&[verb, "staging"]).env("KUBECONFIG", "../one").run().exits(status);
        assert_words(&format!("no_fleet_{verb}"), &ran);
    }
    for verb in ["detach", "recover", "rotate-key"] {
        let ran = place.nowhere(&[verb, "staging"]).env("KUBECONFIG", "../one").env("GITHUB_TOKEN", "x").run().exits(2);
        assert_words(&format!("no_fleet_{verb}"), &ran);
    }
    assert_words("no_folder", &place.nowhere(&["render", "--fleet", "elsewhere"]).run().exits(2));
}

#[test]
fn a_cluster_that_is_not_in_the_fleet_is_corrected_to_the_nearest() {
    let place = Place::new();
    for verb in ["detach", "drill", "init", "lint", "pack", "recover", "render", "rotate-key", "unpack"] {
        let ran = place.fleet(&[verb, "stagin"]).env("KUBECONFIG", "../one").env("GITHUB_TOKEN", "x").run().exits(2);
        let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("did you mean `staging`?") && said.contains("its clusters are production, staging"), "{verb}\n{ran}");
    }
    assert_words("unknown_cluster", &place.fleet(&["render", "stagin"]).run().exits(2));
    assert_words("no_cluster_name", &place.fleet(&["init", "Staging_EU"]).run().exits(2));
}

#[test]
fn without_a_terminal_init_names_all_that_is_missing_at_once() {
    let place = Place::new();
    assert_words("init_lacks_all", &place.nowhere(&["init"]).run().exits(2));
    assert_words("init_lacks_cluster_context_and_token", &place.fleet(&["init"]).env("KUBECONFIG", "../several").run().exits(2));
    assert_words(
        "init_lacks_context",
        &place.fleet(&["init", "staging"]).env("KUBECONFIG", "../several").env("GITHUB_TOKEN", "x").run().exits(2),
    );
    let ran = place
        .fleet(&["init"])
        .env("KUBECONFIG", "../several")
        .env("GITOPS_BOOTSTRAP_CLUSTER", "staging")
        .env("GITOPS_BOOTSTRAP_CONTEXT", "staging-eu");
    assert_words("init_by_variables", &ran.run().exits(10));
    assert_words("new_lacks_an_address", &place.nowhere(&["new"]).run().exits(2));
}

#[test]
fn a_variable_that_is_set_to_nothing_is_as_good_as_none() {
    let place = Place::new();
    let ran = place.fleet(&["status"]).env("KUBECONFIG", "").env("GITOPS_BOOTSTRAP_ENGINE", "").env("GITOPS_BOOTSTRAP_CONTEXT", "");
    assert_words("no_kubeconfig", &ran.run().exits(2));
}

#[test]
fn a_kubeconfig_that_does_not_lead_to_a_cluster_is_told_by_what_is_wrong_with_it() {
    let place = Place::new();
    let several = place.fleet(&["status"]).env("KUBECONFIG", "../several").run().exits(2);
    assert_words("several_contexts", &several);
    let unknown = place.fleet(&["status", "--context", "staging-us"]).env("KUBECONFIG", "../several").run().exits(2);
    assert_words("unknown_context", &unknown);
    fs::write(place.home.path().join("broken"), "apiVersion: v1\nkind: Config\nusers: [{name: a, user: {token: [}}]\n").unwrap();
    let broken = place.fleet(&["status"]).env("KUBECONFIG", "../broken").run().exits(2);
    assert!(!broken.stderr.contains("token: ["), "a kubeconfig is not quoted\n{broken}");
    assert_words("broken_kubeconfig", &broken);
}

#[test]
fn a_sandbox_that_is_not_there_needs_no_engine_to_be_missed() {
    let place = Place::new();
    for (name, arguments) in [
        ("no_sandbox_status", &["sandbox", "status"][..]),
        ("no_sandbox_kubectl", &["sandbox", "kubectl", "--", "get", "pods"]),
        ("no_sandbox_for_status", &["status", "--sandbox", "--sandbox-name", "second"]),
    ] {
        assert_words(name, &place.nowhere(arguments).run().exits(2));
    }
    assert_words("no_sandbox_down", &place.nowhere(&["sandbox", "down"]).run().exits(0));
}

#[test]
fn what_does_not_belong_on_a_command_line_is_refused_and_not_repeated() {
    let place = Place::new();
    let ran = place.fleet(&["init", "staging", "--token-file", "ghp_0123456789"]).run().exits(2);
    assert!(!ran.to_string().contains("0123456789"), "{ran}");
    assert_words("token_as_argument", &ran);
    assert_words("no_bundle", &place.fleet(&["unpack", "staging", "--list"]).run().exits(2));
    assert_words("no_recipient", &place.fleet(&["pack", "staging"]).run().exits(2));
}
