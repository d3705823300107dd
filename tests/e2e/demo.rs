//! The demo fleet, as `init --sandbox` makes it, without the rest of `init`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gitops_bootstrap::domain::declaration::Repository;
use gitops_bootstrap::error::{Failure, Result};
use gitops_bootstrap::sandbox::State;
use gitops_bootstrap::sandbox::demo::{self, Demo, How};

use crate::support::logs::forge_requests;
use crate::support::{TestSandbox, library_context};

/// Stands in for the files of a new fleet.
async fn scaffold(folder: &Path, repository: &Repository) -> Result<()> {
    let digest = "0".repeat(64);
    let repository = serde_json::json!({"url": repository.url, "api": repository.api, "knownHosts": repository.known_hosts});
    let declaration = serde_json::json!({
        "version": 1, "repository": repository, "argocd": {"version": "v3.5.7", "sha256": digest}, "clusters": {"staging": {}},
    });
    let write = |name: &str, value: &serde_json::Value| fs::write(folder.join(name), serde_json::to_string_pretty(value).unwrap());
    write("gitops.yaml", &declaration)
        .and_then(|()| write("root.json", &repository["url"]))
        .map_err(|error| Failure::bug(error.to_string()))
}

fn ensure(folder: &Path, state: &State) -> Result<Demo> {
    gitops_bootstrap::adapters::install_tls_provider();
    let context = library_context();
    tokio::runtime::Runtime::new().unwrap().block_on(demo::ensure(folder, state, &context, scaffold))
}

fn made(sandbox: &TestSandbox) -> PathBuf {
    let folder = sandbox.home().path().join("fleet");
    let demo = ensure(&folder, &sandbox.state).unwrap();
    assert_eq!((demo.how, &demo.folder), (How::Made, &folder));
    folder
}

/// `git` as the person would type it in the clone.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn git(sandbox: &TestSandbox, folder: &Path, arguments: &[&str]) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Person", "-c", "user.email=person@localhost"]).args(arguments);
    command.current_dir(folder).env_clear().env("PATH", path).env("HOME", sandbox.home().path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_demo_is_pushed_once_and_a_plain_git_push_works_in_it() {
    let sandbox = TestSandbox::start();
    let folder = made(&sandbox);
    assert_eq!(git(&sandbox, &folder, &["status", "--porcelain", "--branch"]), "## main...origin/main");
    assert_eq!(
        git(&sandbox, &folder, &["ls-remote", "origin", "main"]).split('\t').next().unwrap(),
        git(&sandbox, &folder, &["rev-parse", "HEAD"])
    );

    fs::write(folder.join("more"), "").unwrap();
    git(&sandbox, &folder, &["add", "more"]);
    git(&sandbox, &folder, &["commit", "--quiet", "--message", "More"]);
    assert_eq!(ensure(&folder, &sandbox.state).unwrap().how, How::Found, "what a person has committed is theirs to push");
    assert_ne!(
        git(&sandbox, &folder, &["ls-remote", "origin", "main"]).split('\t').next().unwrap(),
        git(&sandbox, &folder, &["rev-parse", "HEAD"])
    );
    git(&sandbox, &folder, &["push", "--quiet"]);

    let written: Vec<_> = forge_requests(&sandbox.state).into_iter().filter(|request| request.is_write() && request.status < 300).collect();
    let kinds: Vec<&str> = written.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(kinds, ["POST", "git-receive-pack", "git-receive-pack"], "{written:?}");
}

#[test]
fn somebody_elses_folder_is_refused_and_left_as_it_is() {
    let sandbox = TestSandbox::start();
    let folder = sandbox.home().path().join("fleet");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("thesis.tex"), "years of work").unwrap();
    let failure = ensure(&folder, &sandbox.state).unwrap_err();
    assert_eq!(failure.kind.exit_status(), 3);
    assert!(failure.message.contains("nothing was changed") && failure.hints.len() == 2, "{failure:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(folder.join("thesis.tex")).unwrap(), "years of work");
}

#[test]
fn the_demo_follows_the_sandbox_to_a_new_address_with_what_a_person_added() {
    let before = TestSandbox::start();
    let folder = made(&before);
    fs::write(folder.join("mine"), "kept").unwrap();
    git(&before, &folder, &["add", "mine"]);
    git(&before, &folder, &["commit", "--quiet", "--message", "Mine"]);
    let moved = before.home().path().join("moved");
    fs::rename(&folder, &moved).unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy(&moved, &kept.path().join("fleet"));
    drop(before);

    let after = TestSandbox::start();
    let folder = kept.path().join("fleet");
    assert_eq!(ensure(&folder, &after.state).unwrap().how, How::Moved);
    assert_eq!(fs::read_to_string(folder.join("mine")).unwrap(), "kept");
    for file in ["gitops.yaml", "root.json"] {
        assert!(fs::read_to_string(folder.join(file)).unwrap().contains(&after.state.forge.ssh_url("demo", "fleet")), "{file}");
    }
    assert_eq!(
        git(&after, &folder, &["ls-remote", "origin", "main"]).split('\t').next().unwrap(),
        git(&after, &folder, &["rev-parse", "HEAD"])
    );
    assert_eq!(ensure(&folder, &after.state).unwrap().how, How::Found);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
