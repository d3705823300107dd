//! `rotate-key`: another deploy key, while Argo CD and everybody with the key in the Secret go on to fetch.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::cluster::public_half;
use crate::support::forge::deploy_keys;
use crate::support::logs::{ForgeRequest, Mark};
use crate::support::{Cli, Fleet, TestSandbox, Traces, assert_ending};

/// Where the run is killed, one run after the other.
const POINTS: [&str; 8] = [
    "next-key.sent",
    "key-register.sent",
    "key-verify.after",
    "secret-swap.sent",
    "fetch.after",
    "old-key.sent",
    "old-key.after",
    "settle.before",
];

#[test]
fn a_key_is_rotated_without_a_fetch_that_fails_however_often_the_run_is_killed() {
    let sandbox = TestSandbox::start();
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    let fleet = Fleet::of(&sandbox);
    the_new_key_replaces_the_old_one_and_nobody_loses_access(&sandbox, &fleet);
    killed_anywhere_one_more_run_ends_with_one_key(&sandbox, &fleet);
    a_leaked_key_is_removed_first(&sandbox, &fleet);
    the_text_says_what_was_done_and_what_to_do_next(&sandbox, &fleet);
}

fn rotate(sandbox: &TestSandbox, fleet: &Fleet, more: &[&str]) -> Cli {
    sandbox.cli(&[&["rotate-key", "staging", "--sandbox"], more].concat()).in_folder(fleet.folder())
}

fn the_new_key_replaces_the_old_one_and_nobody_loses_access(sandbox: &TestSandbox, fleet: &Fleet) {
    let (old, registered) = (sandbox.private_key(), deploy_keys(&sandbox.state).remove(0));
    let mark = Mark::now(&sandbox.state);
    let (ran, fetches) = while_fetching(sandbox, fleet, || rotate(sandbox, fleet, &["--output", "json"]).run().exits(0));
    assert!(fetches > 2, "{fetches} fetches");
    let new = sandbox.private_key();
    assert_ne!(new, old);
    sandbox.assert_converged();
    assert!(!sandbox.has(&["secret", "gitops-bootstrap-next-key", "--namespace", "argocd"]));

    let result = ran.result();
    let title = result["registered"]["title"].as_str().unwrap();
    assert!(title.starts_with("gitops-bootstrap staging ") && title != registered["title"], "{ran}");
    assert_eq!((&result["removedKeys"][0]["id"], result["removedKeys"].as_array().unwrap().len()), (&registered["id"], 1), "{ran}");
    let traces = Traces::of(&[old.lines().nth(1).unwrap().as_bytes(), new.lines().nth(3).unwrap().as_bytes()]);
    traces.are_not_in("the output", format!("{ran}"));

    // Argo CD itself has fetched with the new key: the fingerprint is who the forge let in.
    let fingerprint = result["keyFingerprint"].as_str().unwrap();
    let argocd = mark.requests(&sandbox.state).into_iter().filter(|request| request.kind == "git-ssh" && request.actor == fingerprint);
    assert!(argocd.count() > 1, "the proof from here, and Argo CD's own");
    let rest: Vec<ForgeRequest> =
        mark.requests(&sandbox.state).into_iter().filter(|request| request.is_rest() && request.is_write()).collect();
    let methods: Vec<&str> = rest.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["POST", "DELETE"], "{rest:?}");
}

fn killed_anywhere_one_more_run_ends_with_one_key(sandbox: &TestSandbox, fleet: &Fleet) {
    let ((), fetches) = while_fetching(sandbox, fleet, || {
        for point in POINTS {
            let ran = rotate(sandbox, fleet, &["--kill-at", point]).run();
            assert_eq!(ran.status, None, "{point} kills\n{ran}");
            // As if the time had passed after which a silent holder counts as dead.
            sandbox.kubectl(&["delete", "lease", "gitops-bootstrap", "--namespace", "argocd"]);
        }
        rotate(sandbox, fleet, &[]).run().exits(0);
    });
    assert!(fetches > POINTS.len(), "{fetches} fetches");
    sandbox.assert_converged();
    assert!(!sandbox.has(&["secret", "gitops-bootstrap-next-key", "--namespace", "argocd"]));
}

fn a_leaked_key_is_removed_first(sandbox: &TestSandbox, fleet: &Fleet) {
    let leaked = deploy_keys(&sandbox.state).remove(0);
    let ran = rotate(sandbox, fleet, &["--revoke-first", "--output", "json"]).run().exits(0);
    let changed: Vec<String> = ran
        .events()
        .iter()
        .filter(|event| event["event"] == "changed" && event["object"].as_str().is_some_and(|object| object.starts_with("deploy key")))
        .map(|event| event["how"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(changed, ["deleted", "created"], "{ran}");
    assert!(ran.events().iter().any(|event| event["event"] == "warning" && event.to_string().contains("cannot fetch")), "{ran}");
    assert!(!deploy_keys(&sandbox.state).contains(&leaked));
    sandbox.assert_converged();
}

fn the_text_says_what_was_done_and_what_to_do_next(sandbox: &TestSandbox, fleet: &Fleet) {
    let ran = rotate(sandbox, fleet, &[]).run().exits(0);
    assert_ending("rotate_key", &ran);
    assert_eq!(ran.stdout, "");
}

/// Does something while the repository is opened over and over with the key that the Secret has; every time must go well. Returns how often it did.
fn while_fetching<T>(sandbox: &TestSandbox, fleet: &Fleet, action: impl FnOnce() -> T) -> (T, usize) {
    let over = AtomicBool::new(false);
    let address = fleet.git(&["config", "remote.origin.url"]);
    std::thread::scope(|scope| {
        let fetches = scope.spawn(|| {
            let mut fetches = 0;
            while !over.load(Ordering::Relaxed) {
                let key = sandbox.private_key();
                let failure = ls_remote(&address, &key);
                assert!(failure.is_none(), "fetch {fetches} with {}: {}", public_half(&key), failure.unwrap_or_default());
                fetches += 1;
            }
            fetches
        });
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stop = Stop(&over);
        let result = action();
        drop(stop);
        (result, fetches.join().unwrap())
    })
}

/// Opens the repository with one key alone. What went wrong, if anything.
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn ls_remote(address: &str, key: &str) -> Option<String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(key.as_bytes()).unwrap();
    let ssh = "ssh -F none -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes";
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new("git");
    command.args(["ls-remote", address, "main"]).env_clear().env("PATH", path).env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
    command.env("GIT_SSH_COMMAND", format!("{ssh} -i {}", file.path().display()));
    let output = command.output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_cannot_be_rotated_is_refused_and_nothing_is_changed() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    let mark = Mark::now(&sandbox.state);
    let ran = rotate(&sandbox, &fleet, &[]).run().exits(3);
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("no deploy key") && said.contains("gitops-bootstrap init staging"), "{ran}");
    let write: Value = sandbox.state.forge.tokens["write"].to_str().unwrap().into();
    let ran = rotate(&sandbox, &fleet, &["--token-file", write.as_str().unwrap()]).run().exits(4);
    assert!(ran.stderr.contains("administrator"), "{ran}");
    mark.assert_unchanged(&sandbox.state);
}
