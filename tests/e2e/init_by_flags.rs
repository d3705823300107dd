//! `init` on somebody's cluster and forge, and what it lets out of its hands.

use std::fs;

use crate::support::forge::token;
use crate::support::process::Seen;
use crate::support::{Fleet, TestSandbox, Traces, eventually};

#[test]
fn by_flags_alone_on_a_plain_kubeconfig_and_no_secret_gets_anywhere() {
    let sandbox = TestSandbox::start();
    let (state, home) = (&sandbox.state, sandbox.home().path());
    let fleet = Fleet::of(&sandbox);
    // The address of the API comes from the flag alone.
    let declaration = fleet.read("gitops.yaml");
    let kept: Vec<&str> = declaration.lines().filter(|line| !line.trim_start().starts_with("api:")).collect();
    fleet.write("gitops.yaml", &(kept.join("\n") + "\n"));
    fleet.commit("Leave the address of the API out");
    fleet.push();

    let temporary = home.join("temporary");
    fs::create_dir(&temporary).unwrap();
    let kubeconfig = state.kubeconfig.to_str().unwrap();
    let arguments = ["init", "staging", "-vv", "--kubeconfig", kubeconfig, "--context", &state.context, "--forge-api", &state.forge.api];
    let run = sandbox.cli(&arguments).in_folder(fleet.folder()).env("TMPDIR", &temporary);
    let mut run = run.env("GH_ENTERPRISE_TOKEN", token(state, "admin")).start();
    let mut seen = Seen::default();
    eventually("the end of the run", std::time::Duration::from_secs(300), || {
        seen.look_at(run.pid());
        run.is_over().then_some(())
    });
    let ran = run.end().exits(0);
    sandbox.assert_converged();

    let private = sandbox.private_key();
    let key = ssh_key::PrivateKey::from_openssh(&private).unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    let traces = Traces::of(&[&seed, token(state, "admin").as_bytes()]);
    assert!(traces.are_in(private.as_bytes()), "they are found where they are");
    for (what, text) in [("the messages", &ran.stderr), ("the events", &ran.stdout)] {
        assert!(!text.is_empty());
        traces.are_not_in(what, text);
    }
    assert!(seen.commands.len() > 1 && seen.environments.iter().any(|(_, environment)| !environment.is_empty()), "the run had children");
    seen.commands.iter().for_each(|command| traces.are_not_in("a command line", command));
    for (command, environment) in &seen.environments {
        traces.are_not_in(&format!("the environment of {}", String::from_utf8_lossy(command).replace('\0', " ")), environment);
    }
    traces.are_not_below(home, &sandbox.home().sandbox_folder("default"));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "nothing is left behind");
    traces.are_not_in("the forge's log", fs::read(&state.forge.request_log).unwrap());
    traces.are_not_in("the API server's log", fs::read(&state.audit_log).unwrap());
    let kinds = sandbox.kubectl(&["api-resources", "--verbs", "list", "--output", "name"]);
    let kinds: Vec<&str> = kinds.lines().filter(|kind| *kind != "secrets").collect();
    traces.are_not_in(
        "the cluster",
        sandbox.kubectl(&["get", &kinds.join(","), "--all-namespaces", "--show-managed-fields", "--output", "json"]),
    );
    for secret in sandbox.list(&["secrets", "--all-namespaces", "--show-managed-fields"]) {
        traces.are_not_in("the description of a Secret", secret["metadata"].to_string());
    }
}
