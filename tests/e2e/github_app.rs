//! A bootstrap where deploy keys are forbidden: Argo CD gets in by a GitHub App, over HTTP, with tokens that it gets for itself.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::forge::{deploy_keys, make_app, switch};
use crate::support::logs::Mark;
use crate::support::process::Seen;
use crate::support::{Cli, Fleet, Ran, TestSandbox, Traces, eventually};

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

    let refused = by_app(&sandbox, &fleet, &["rotate-key", "staging", "--to", "deploy-key", "--paste-key"]).run().exits(3);
    for step in ["takes a change in Git", "git@", "gitops-bootstrap init staging", "repo-demo-fleet-github-app"] {
        assert!(said(&refused).contains(step), "{step}\n{refused}");
    }
}

/// Without the private key nothing is begun.
fn no_key_is_at_hand(sandbox: &TestSandbox, fleet: &Fleet) {
    let mark = Mark::now(&sandbox.state);
    let refused = by_app(sandbox, fleet, &["init", "staging"]).run().exits(2);
    assert!(said(&refused).contains("--github-app-private-key-file"), "{refused}");
    mark.assert_unchanged(&sandbox.state);
}
