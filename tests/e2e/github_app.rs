//! A bootstrap where deploy keys are forbidden: Argo CD gets in by a GitHub App, over HTTP, with tokens that it gets for itself.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::forge::{deploy_keys, make_app, switch};
use crate::support::logs::Mark;
use crate::support::process::Seen;
use crate::support::{Cli, Fleet, Ran, TestSandbox, Traces, assert_ending, eventually};

/// What a program prints.
#[expect(clippy::disallowed_methods, reason = "the program is found by the PATH")]
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a run has said, whatever the width at which its lines were broken.
fn said(ran: &Ran) -> String {
    ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A run of a person who has no token.
fn by_app(sandbox: &TestSandbox, fleet: &Fleet, arguments: &[&str]) -> Cli {
    let kubeconfig = sandbox.state.kubeconfig.to_str().unwrap();
    let arguments = [arguments, &["--kubeconfig", kubeconfig, "--context", &sandbox.state.context]].concat();
    sandbox.cli(&arguments).in_folder(fleet.folder())
}

#[test]
fn where_deploy_keys_are_forbidden_a_github_app_lets_argo_cd_in_without_a_token() {
    let sandbox = TestSandbox::start();
    let state = &sandbox.state;
    let fleet = Fleet::of(&sandbox);
    switch(state, &json!({"deploy_keys_disabled": true}));
    let refused = sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(4);
    assert!(refused.stderr.contains("repository.githubApp"), "{refused}");

    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("app.pem");
    let path = file.to_str().unwrap();
    output("ssh-keygen", &["-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", path]);
    let id = make_app(state, &output("ssh-keygen", &["-e", "-m", "PKCS8", "-f", path])).to_string();
    let app = ["init", "staging", "--github-app-id", &id, "--github-app-private-key-file", path];
    let refused = by_app(&sandbox, &fleet, &app).run().exits(3);
    assert!(said(&refused).contains("begins with https"), "{refused}");

    let ssh = state.forge.ssh_url("demo", "fleet");
    let http = format!("{}/demo/fleet.git", state.forge.http);
    fleet.replace("gitops.yaml", &format!("url: \"{ssh}\""), &format!("url: \"{http}\"\n  githubApp: {{id: {id}}}"));
    for project in ["argocd", "infrastructure", "services"] {
        fleet.replace(&format!("src/argocd/projects/{project}.yaml"), &ssh, &http);
    }
    sandbox.cli(&["render"]).in_folder(fleet.folder()).run().exits(0);
    fleet.commit("Let Argo CD in by a GitHub App");
    fleet.push();
    no_key_is_at_hand(&sandbox, &fleet);

    let run = by_app(&sandbox, &fleet, &["init", "staging", "-vv", "--github-app-private-key-file", path]);
    let mut run = run.start();
    let mut seen = Seen::default();
    eventually("the end of the run", Duration::from_secs(300), || {
        seen.look_at(run.pid());
        run.is_over().then_some(())
    });
    let ran = run.end().exits(0);
    assert_eq!(ran.result()["githubApp"]["id"].to_string(), id);
    assert!(sandbox.stands_well());
    assert!(deploy_keys(state).is_empty());
    let secrets = sandbox.repository_secrets();
    assert_eq!(secrets.len(), 1);
    let value = |name: &str| STANDARD.decode(secrets[0]["data"][name].as_str().unwrap()).unwrap();
    assert_eq!((value("url"), value("githubAppID")), (http.into_bytes(), id.clone().into_bytes()));

    // Nothing of the key, and no token that was got for it, is anywhere but in the Secret.
    let pem = std::fs::read_to_string(&file).unwrap();
    let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let traces = Traces::of(&[body.join("\n").as_bytes(), &STANDARD.decode(body.concat()).unwrap()]);
    assert!(traces.are_in(&value("githubAppPrivateKey")), "they are found where they are");
    for (what, text) in [("the messages", &ran.stderr), ("the events", &ran.stdout)] {
        traces.are_not_in(what, text);
        assert!(!text.contains("ghs_"), "a token is in {what}");
    }
    assert!(seen.commands.len() > 1, "the run had children");
    for (command, environment) in &seen.environments {
        traces.are_not_in("a command line", command);
        traces.are_not_in("an environment", environment);
        assert!(![command, environment].iter().any(|text| String::from_utf8_lossy(text).contains("ghs_")), "a token is told to a program");
    }
    traces.are_not_below(sandbox.home().path(), &sandbox.home().sandbox_folder("default"));
    traces.are_not_in("the API server's log", std::fs::read(&state.audit_log).unwrap());

    // The cluster has the key: a rerun needs nothing, and changes nothing.
    let mark = Mark::now(state);
    by_app(&sandbox, &fleet, &["init", "staging"]).run().exits(0);
    let requests = mark.requests(state);
    assert!(requests.iter().all(|request| !request.is_write() || request.path.ends_with("/access_tokens")), "{requests:?}");
    assert_eq!(mark.mutations(state), []);

    switch(state, &json!({"deploy_keys_disabled": false}));
    while_argo_cd_fetches(&sandbox, || {
        from_the_app_to_a_deploy_key(&sandbox, &fleet, &ssh);
        and_back_to_the_app(&sandbox, &fleet, &id, path);
    });
}

/// A run of `rotate-key --to`.
fn move_to(sandbox: &TestSandbox, fleet: &Fleet, kind: &str, more: &[&str]) -> Cli {
    sandbox.cli(&[&["rotate-key", "staging", "--sandbox", "--to", kind], more].concat()).in_folder(fleet.folder())
}

/// Does what a run has said is to be done in Git.
fn do_in_git(sandbox: &TestSandbox, fleet: &Fleet, changes: &[(&str, String, String)]) {
    for (file, old, new) in changes {
        fleet.replace(file, old, new);
    }
    sandbox.cli(&["render"]).in_folder(fleet.folder()).run().exits(0);
    fleet.commit("Move");
    fleet.push();
}

/// The names of the repository Secrets.
fn secret_names(sandbox: &TestSandbox) -> Vec<String> {
    sandbox.repository_secrets().iter().map(|secret| secret["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn from_the_app_to_a_deploy_key(sandbox: &TestSandbox, fleet: &Fleet, ssh: &str) {
    let http = format!("{}/demo/fleet.git", sandbox.state.forge.http);
    let prepared = move_to(sandbox, fleet, "deploy-key", &["--to-url", ssh]).run().exits(0);
    assert_ending("move_prepared", &prepared);
    assert_eq!(secret_names(sandbox), ["repo-demo-fleet", "repo-demo-fleet-github-app"]);
    assert_eq!(deploy_keys(&sandbox.state).len(), 1);
    assert!(sandbox.stands_well());

    let declaration = fleet.read("gitops.yaml");
    let app = declaration.lines().find(|line| line.contains("githubApp:")).unwrap().to_owned() + "\n";
    let projects = ["argocd", "infrastructure", "services"];
    let permit =
        |name: &&str| (format!("src/argocd/projects/{name}.yaml"), format!("- \"{http}\""), format!("- \"{http}\"\n  - \"{ssh}\""));
    let permits: Vec<_> = projects.iter().map(permit).collect();
    let mut changes = vec![("gitops.yaml", app, String::new()), ("gitops.yaml", http.clone(), ssh.to_owned())];
    changes.extend(permits.iter().map(|(file, old, new)| (file.as_str(), old.clone(), new.clone())));
    do_in_git(sandbox, fleet, &changes);
    let finished = move_to(sandbox, fleet, "deploy-key", &[]).run().exits(0);
    assert_ending("move_finished", &finished);
    assert_eq!(secret_names(sandbox), ["repo-demo-fleet"]);
    sandbox.assert_converged();

    let mark = Mark::now(&sandbox.state);
    let again = move_to(sandbox, fleet, "deploy-key", &[]).run().exits(0);
    assert!(said(&again).contains("nothing to do"), "{again}");
    assert_eq!(mark.mutations(&sandbox.state), []);
}

fn and_back_to_the_app(sandbox: &TestSandbox, fleet: &Fleet, id: &str, private_key: &str) {
    let http = format!("{}/demo/fleet.git", sandbox.state.forge.http);
    let ssh = sandbox.state.forge.ssh_url("demo", "fleet");
    let old = deploy_keys(&sandbox.state).remove(0);
    let by_app = ["--to-url", &http, "--github-app-id", id, "--github-app-private-key-file", private_key, "--output", "json"];
    let result = move_to(sandbox, fleet, "github-app", &by_app).run().exits(0).result();
    assert_eq!((&result["half"], &result["githubApp"]["id"].to_string()), (&json!("prepare"), &id.to_owned()), "{result}");
    let changes = result["inGit"].as_array().unwrap();
    assert_eq!((changes.len(), &changes[0]["file"]), (1, &json!("gitops.yaml")), "the projects permit both: {result}");

    let url = (ssh.as_str(), format!("\"{http}\"\n  githubApp: {{id: {id}}}"));
    do_in_git(sandbox, fleet, &[("gitops.yaml", format!("\"{}\"", url.0), url.1)]);
    let killed = move_to(sandbox, fleet, "github-app", &["--kill-at", "old-secret.before"]).run();
    assert_eq!(killed.status, None, "{killed}");
    // As if the time had passed after which a silent holder counts as dead.
    sandbox.kubectl(&["delete", "lease", "gitops-bootstrap", "--namespace", "argocd"]);
    let result = move_to(sandbox, fleet, "github-app", &["--output", "json"]).run().exits(0).result();
    assert_eq!((&result["half"], &result["repository"], &result["from"]), (&json!("finish"), &json!(http), &json!(ssh)), "{result}");
    assert_eq!(result["removedSecrets"], json!([{"name": "repo-demo-fleet"}]), "{result}");
    assert!(!deploy_keys(&sandbox.state).contains(&old), "the killed run has removed it");
    assert!(deploy_keys(&sandbox.state).is_empty() && sandbox.stands_well());
    assert_eq!(secret_names(sandbox), ["repo-demo-fleet-github-app"]);
}

/// Whether Argo CD could not fetch, or was not allowed to. That something took too long on busy cores is neither.
fn is_of_a_fetch(condition: &Value) -> bool {
    let message = condition["message"].as_str().unwrap_or_default();
    let is_slow = ["deadline exceeded", "DeadlineExceeded"].iter().any(|words| message.contains(words));
    condition["type"] == "InvalidSpecError" || (condition["type"] == "ComparisonError" && message.contains("load target state") && !is_slow)
}

/// Does something while Argo CD is asked over and over whether it can fetch.
fn while_argo_cd_fetches(sandbox: &TestSandbox, action: impl FnOnce()) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut times = 0;
            while !over.load(Ordering::Relaxed) {
                for application in sandbox.list(&["applications", "--namespace", "argocd"]) {
                    let conditions = application["status"]["conditions"].as_array().cloned().unwrap_or_default();
                    let failures: Vec<&Value> = conditions.iter().filter(|condition| is_of_a_fetch(condition)).collect();
                    assert_eq!(failures, [] as [&Value; 0], "{}", application["metadata"]["name"]);
                }
                times += 1;
            }
            times
        });
        let stop = Stop(&over);
        action();
        drop(stop);
        assert!(watcher.join().unwrap() > 10);
    });
}

/// Without the private key nothing is begun.
fn no_key_is_at_hand(sandbox: &TestSandbox, fleet: &Fleet) {
    let mark = Mark::now(&sandbox.state);
    let refused = by_app(sandbox, fleet, &["init", "staging"]).run().exits(2);
    assert!(said(&refused).contains("--github-app-private-key-file"), "{refused}");
    mark.assert_unchanged(&sandbox.state);
}
