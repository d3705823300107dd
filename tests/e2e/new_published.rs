//! `new` with the repository made at the forge and pushed.

use std::path::Path;

use crate::support::forge::token;
use crate::support::logs::{Mark, forge_requests};
use crate::support::{Cli, TestSandbox, git};

const REPOSITORY: &str = "demo/fresh";

#[test]
fn a_new_fleet_is_created_at_the_forge_pushed_and_found_again_and_other_content_is_left_alone() {
    let sandbox = TestSandbox::start();
    let home = sandbox.home().path();
    without_a_token_nothing_is_written(&sandbox);
    without_an_author_nothing_is_written(&sandbox);
    git(home, home, &["config", "--global", "user.name", "Ada"]);
    git(home, home, &["config", "--global", "user.email", "ada@localhost"]);

    a_repository_that_is_not_there_is_not_pushed_to(&sandbox);
    let ran = new(&sandbox, "fresh", REPOSITORY, &["--create-repository", "--push"]).run().exits(0);
    let published = &ran.result()["published"];
    let head = git(home, &home.join("fresh"), &["rev-parse", "HEAD"]);
    assert_eq!((&published["created"], &published["pushed"]), (&true.into(), &head.as_str().into()), "{ran}");
    assert_eq!(at_forge(&sandbox, REPOSITORY, "main"), head);
    assert_eq!(git(home, &home.join("fresh"), &["log", "--format=%an <%ae> %s"]), "Ada <ada@localhost> fleet: first version");
    assert_eq!(git(home, &home.join("fresh"), &["status", "--porcelain=v2", "--branch"]).lines().last(), Some("# branch.ab +0 -0"));

    a_second_run_only_reads(&sandbox, &head);
    what_was_committed_since_is_pushed(&sandbox);
    what_is_not_committed_is_not_pushed(&sandbox);
    other_content_is_left_alone(&sandbox);
    the_fleet_boots(&sandbox);
}

/// `new` into `folder` of the home, with a token and with the access of the sandbox's person.
fn new(sandbox: &TestSandbox, folder: &str, repository: &str, more: &[&str]) -> Cli {
    let forge = &sandbox.state.forge;
    let (owner, name) = repository.split_once('/').unwrap();
    let hosts = std::fs::read_to_string(&forge.known_hosts).unwrap();
    let url = forge.ssh_url(owner, name);
    let hosts = hosts.lines().flat_map(|line| ["--known-host", line]);
    let arguments = ["new", folder, "--offline", "--cluster", "staging", "--repository", &url, "--forge-api", &forge.api];
    let run = sandbox.cli(&arguments).args(hosts).args(more).args(["--output", "json"]);
    run.env("GIT_SSH_COMMAND", ssh(sandbox)).env("GH_ENTERPRISE_TOKEN", token(&sandbox.state, "admin"))
}

fn ssh(sandbox: &TestSandbox) -> String {
    let forge = &sandbox.state.forge;
    format!("ssh -F none -i {} -o UserKnownHostsFile={}", forge.user_key.display(), forge.known_hosts.display())
}

/// The commit of a branch at the forge.
fn at_forge(sandbox: &TestSandbox, repository: &str, branch: &str) -> String {
    let (owner, name) = repository.split_once('/').unwrap();
    let (home, url) = (sandbox.home().path(), sandbox.state.forge.ssh_url(owner, name));
    let listed = git(home, home, &["-c", &format!("core.sshCommand={}", ssh(sandbox)), "ls-remote", &url, &format!("refs/heads/{branch}")]);
    listed.split('\t').next().unwrap().to_owned()
}

#[track_caller]
fn assert_not_written(folder: &Path) {
    assert!(!folder.exists(), "{} was written", folder.display());
}

fn without_a_token_nothing_is_written(sandbox: &TestSandbox) {
    let ran = new(sandbox, "fresh", REPOSITORY, &["--create-repository"]).env("GH_ENTERPRISE_TOKEN", "").run().exits(2);
    assert!(ran.stdout.contains("there is no token for 127.0.0.1") && ran.stdout.contains("--token-file"), "{ran}");
    assert_not_written(&sandbox.home().path().join("fresh"));
}

fn without_an_author_nothing_is_written(sandbox: &TestSandbox) {
    let ran = new(sandbox, "fresh", REPOSITORY, &["--create-repository", "--push"]).run().exits(2);
    assert!(ran.stdout.contains("git does not know who commits") && ran.stdout.contains("user.email"), "{ran}");
    assert_not_written(&sandbox.home().path().join("fresh"));
    assert!(forge_requests(&sandbox.state).iter().all(|request| !request.is_write()), "nothing was created");
}

fn a_repository_that_is_not_there_is_not_pushed_to(sandbox: &TestSandbox) {
    let ran = new(sandbox, "fresh", REPOSITORY, &["--push"]).run().exits(4);
    assert!(ran.stdout.contains("--create-repository") && ran.stdout.contains("your own access"), "{ran}");
    assert_not_written(&sandbox.home().path().join("fresh"));
}

fn a_second_run_only_reads(sandbox: &TestSandbox, head: &str) {
    let mark = Mark::now(&sandbox.state);
    let ran = new(sandbox, "fresh", REPOSITORY, &["--create-repository", "--push"]).run().exits(0);
    let result = ran.result();
    assert_eq!((&result["published"]["created"], &result["published"]["pushed"]), (&false.into(), &head.into()), "{ran}");
    assert_eq!(result["written"], serde_json::json!([]), "{ran}");
    mark.assert_unchanged(&sandbox.state);
}

fn what_was_committed_since_is_pushed(sandbox: &TestSandbox) {
    let home = sandbox.home().path();
    let folder = home.join("fresh");
    std::fs::write(folder.join("NOTES.md"), "notes\n").unwrap();
    git(home, &folder, &["add", "--all"]);
    git(home, &folder, &["commit", "--quiet", "--message", "Notes"]);
    new(sandbox, "fresh", REPOSITORY, &["--push"]).run().exits(0);
    assert_eq!(at_forge(sandbox, REPOSITORY, "main"), git(home, &folder, &["rev-parse", "HEAD"]));
}

fn what_is_not_committed_is_not_pushed(sandbox: &TestSandbox) {
    let folder = sandbox.home().path().join("fresh");
    std::fs::write(folder.join("NOTES.md"), "more notes\n").unwrap();
    let mark = Mark::now(&sandbox.state);
    let ran = new(sandbox, "fresh", REPOSITORY, &["--push"]).run().exits(3);
    assert!(ran.stdout.contains("changes that are not committed") && ran.stdout.contains("NOTES.md"), "{ran}");
    mark.assert_unchanged(&sandbox.state);
    std::fs::write(folder.join("NOTES.md"), "notes\n").unwrap();
}

fn other_content_is_left_alone(sandbox: &TestSandbox) {
    let home = sandbox.home().path();
    let before = at_forge(sandbox, REPOSITORY, "main");
    let mark = Mark::now(&sandbox.state);
    for (more, branch) in
        [(&["--create-repository", "--push"][..], "main"), (&["--push"], "main"), (&["--create-repository", "--push"], "trunk")]
    {
        let ran = new(sandbox, "other", REPOSITORY, more).args(["--branch", branch]).run().exits(3);
        assert!(ran.stdout.contains("has other content") && ran.stdout.contains(&before[..10]), "{ran}");
        assert_not_written(&home.join("other"));
    }
    mark.assert_unchanged(&sandbox.state);
    assert_eq!(at_forge(sandbox, REPOSITORY, "main"), before);
}

fn the_fleet_boots(sandbox: &TestSandbox) {
    let kubeconfig = sandbox.state.kubeconfig.to_str().unwrap();
    let run = sandbox.cli(&["init", "staging", "--kubeconfig", kubeconfig]).in_folder(&sandbox.home().path().join("fresh"));
    run.env("GIT_SSH_COMMAND", ssh(sandbox)).env("GH_ENTERPRISE_TOKEN", token(&sandbox.state, "admin")).run().exits(0);
}
