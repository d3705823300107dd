//! `sandbox`: what it promises of processes and files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use gitops_bootstrap::sandbox::State;

use crate::support::logs::mutations;
use crate::support::process::{is_alive, kill};
use crate::support::{Home, Slots, TestSandbox, assert_words, engine, eventually, processes};

/// How long processes may take to end or to start again.
const SOON: Duration = Duration::from_secs(30);

fn up(home: &Home, name: &str) -> State {
    let ran = home.cli(&["sandbox", "up", name, "--output", "json"]).run().exits(0);
    serde_json::from_value(ran.result()).unwrap()
}

#[track_caller]
fn all_end(processes: &[u32]) {
    eventually("the end of all processes", SOON, || processes.iter().all(|process| !is_alive(*process)).then_some(()));
}

#[test]
fn up_twice_is_one_sandbox_and_down_leaves_no_process_and_no_file() {
    let _slots = Slots::take(1);
    let home = Home::new();
    let first = up(&home, "default");
    let second = up(&home, "default");
    assert_eq!((&first.server, first.supervisor.pid, &first.forge), (&second.server, second.supervisor.pid, &second.forge));
    let running = processes(&second);
    assert!(running.len() > 5 && running.iter().all(|process| is_alive(*process)), "{second:?}");
    assert_words("sandbox_up", &home.cli(&["sandbox", "up"]).run().exits(0));
    assert_words("sandbox_status", &home.cli(&["sandbox", "status"]).run().exits(0));

    assert_words("sandbox_down", &home.cli(&["sandbox", "down"]).run().exits(0));
    all_end(&running);
    assert!(!home.sandbox_folder("default").exists());
    assert_eq!(home.cli(&["sandbox", "list"]).run().exits(0).stdout, "");
}

#[test]
fn sandboxes_of_different_names_live_side_by_side() {
    let _slots = Slots::take(2);
    let home = Home::new();
    let (one, two) = (up(&home, "one"), up(&home, "two"));
    assert_ne!(one.server, two.server);
    assert_ne!(one.forge.ssh_port, two.forge.ssh_port);
    assert_eq!(home.cli(&["sandbox", "list"]).run().exits(0).stdout, "one\ntwo\n");
    home.cli(&["sandbox", "kubectl", "--name", "one", "--", "create", "namespace", "only-in-one"]).run().exits(0);
    home.cli(&["sandbox", "kubectl", "--name", "two", "--", "get", "namespace", "only-in-one"]).run().exits(1);

    home.cli(&["sandbox", "down", "one"]).run().exits(0);
    assert!(processes(&two).iter().all(|process| is_alive(*process)), "the end of one sandbox ended another");
    home.cli(&["sandbox", "down", "--all"]).run().exits(0);
    all_end(&processes(&two));
}

#[test]
fn a_sandbox_that_lost_its_processes_goes_on_with_what_it_had() {
    let _slots = Slots::take(1);
    let home = Home::new();
    let before = up(&home, "default");
    home.cli(&["sandbox", "kubectl", "--", "create", "namespace", "kept"]).run().exits(0);
    let running = processes(&before);
    // As a reboot does: the supervisor has no time for anything, and its children go with it.
    kill(before.supervisor.pid);
    all_end(&running);
    let stopped = home.cli(&["sandbox", "status", "--output", "json"]).run().exits(0).result();
    assert_eq!(stopped["supervisor"]["pid"], 0);

    let after = up(&home, "default");
    assert_ne!(after.supervisor.pid, before.supervisor.pid);
    home.cli(&["sandbox", "kubectl", "--", "get", "namespace", "kept"]).run().exits(0);
}

#[test]
fn a_component_that_died_is_restarted_and_reported() {
    let sandbox = TestSandbox::start();
    let component = |state: &State| state.components.iter().find(|component| component.name == "kube-scheduler").unwrap().clone();
    let before = component(&sandbox.state);
    kill(before.pid);
    let after = eventually("the restart of the scheduler", SOON, || {
        let result = sandbox.cli(&["sandbox", "status", "--output", "json"]).run().exits(0).result();
        Some(component(&serde_json::from_value(result).unwrap())).filter(|after| after.ready && after.restarts > before.restarts)
    });
    assert_ne!(after.pid, before.pid);
    let table = sandbox.cli(&["sandbox", "status"]).run().exits(0).stdout;
    let row = table.lines().find(|line| line.starts_with("kube-scheduler")).unwrap();
    assert!(row.split_whitespace().any(|word| word == "1"), "{table}");
}

#[test]
fn keys_tokens_and_kubeconfigs_are_closed_to_others() {
    let sandbox = TestSandbox::shared();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = &sandbox.state;
    assert_eq!(mode(&state.folder), 0o700);
    assert_eq!(mode(state.folder.parent().unwrap()), 0o700);
    for path in state.forge.tokens.values().chain([&state.kubeconfig, &state.forge.user_key, &state.audit_log, &state.forge.request_log]) {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    let mut folders = vec![state.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if fs::read_to_string(&path).is_ok_and(|text| text.contains("PRIVATE KEY-----")) {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_sandbox_ends_with_the_process_that_started_it() {
    let _slots = Slots::take(1);
    let home = Home::new();
    let mut shell = shell_with_sandbox(&home);
    let state = eventually("a sandbox that is ready", Duration::from_secs(120), || {
        let ran = home.cli(&["sandbox", "status", "--output", "json"]).run();
        let state: Option<State> = (ran.status == Some(0)).then(|| serde_json::from_value(ran.result()).unwrap());
        state.filter(|state| state.ready)
    });
    kill(shell.id());
    shell.wait().unwrap();
    all_end(&processes(&state));
}

/// A shell with a sandbox in the foreground; the shell waits for it, and the sandbox knows nobody but the shell.
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn shell_with_sandbox(home: &Home) -> std::process::Child {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#""$0" up --folder "$1" --name default <&- >up.json 2>up.messages; exit"#]);
    command.arg(engine()).arg(home.sandbox_folder("default")).env_clear().env("HOME", home.path()).env("PATH", path);
    command.current_dir(home.path()).spawn().unwrap()
}

#[test]
fn the_audit_log_has_who_changed_what_and_leaves_out_what_changes_nothing() {
    let sandbox = TestSandbox::start();
    sandbox.kubectl(&["create", "namespace", "seen"]);
    sandbox.kubectl(&["create", "namespace", "dry", "--dry-run=server"]);
    sandbox.kubectl(&["auth", "can-i", "create", "secrets"]);
    let changes = mutations(&sandbox.state, "kubectl/");
    let changes: Vec<_> = changes.iter().map(|change| (change.verb.as_str(), change.object.as_str(), change.status)).collect();
    assert_eq!(changes, [("create", "namespaces/seen", 201)]);
}

#[test]
fn status_says_how_all_of_it_is_reached() {
    let sandbox = TestSandbox::shared();
    let ran = sandbox.cli(&["sandbox", "status"]).run().exits(0);
    for text in
        [&sandbox.state.server, &sandbox.state.forge.api, &sandbox.state.kubeconfig.display().to_string(), "kube-apiserver", "ready"]
    {
        assert!(ran.stdout.contains(text), "{text}\n{ran}");
    }
    assert_eq!(sandbox.cli(&["sandbox", "logs"]).run().exits(0).stdout.lines().filter(|name| *name == "kube-apiserver").count(), 1);
}

#[test]
fn kubectl_keeps_its_streams_and_its_exit_status() {
    let sandbox = TestSandbox::shared();
    assert!(sandbox.kubectl(&["get", "nodes", "--no-headers"]).lines().count() >= 3);
    let ran = sandbox.cli(&["sandbox", "kubectl", "--", "get", "no-such-kind"]).run().exits(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("no-such-kind"), "{ran}");
}

#[test]
fn a_sandbox_that_is_not_there_is_named_with_the_way_out() {
    let home = Home::new();
    for arguments in [
        &["sandbox", "status", "trial"][..],
        &["sandbox", "logs", "--name", "trial"],
        &["sandbox", "kubectl", "--name", "trial", "--", "version"],
    ] {
        let ran = home.cli(arguments).run().exits(2);
        assert!(ran.stderr.contains("there is no sandbox `trial`") && ran.stderr.contains("gitops-bootstrap sandbox up trial"), "{ran}");
    }
    home.cli(&["sandbox", "down", "trial"]).run().exits(0);
    assert!(!home.sandbox_folder("trial").exists());
}
