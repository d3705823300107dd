//! `doctor`: a row for everything that can be wrong, on a cluster that is well and on one that is not.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::forge::{delete_deploy_key, deploy_keys, switch};
use crate::support::logs::Mark;
use crate::support::{Cli, Fleet, Home, Ran, TestSandbox, assert_words};

#[test]
fn each_fault_is_a_row_of_its_own_and_nothing_is_changed() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    an_empty_cluster_is_well_and_init_comes_next(&sandbox, &fleet);
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    // What passes is tried again, and leaves no trace.
    switch(&sandbox.state, &serde_json::json!({"fail_next": {"n": 2, "path": "/rate_limit", "status": 503}}));
    let mark = Mark::now(&sandbox.state);
    a_cluster_that_is_well_has_nothing_wrong(&sandbox, &fleet);
    mark.assert_unchanged(&sandbox.state);
    exactly_what_is_wrong_is_named(&sandbox, &fleet);
}

fn doctor(sandbox: &TestSandbox, fleet: &Fleet, more: &[&str]) -> Cli {
    sandbox.cli(&[&["doctor", "--sandbox"], more].concat()).in_folder(fleet.folder())
}

/// The result of each check.
fn results(ran: &Ran) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    ran.events().iter().filter(|event| event["event"] == "check").map(|event| (text(&event["check"]), text(&event["result"]))).collect()
}

fn of_result(results: &BTreeMap<String, String>, result: &str) -> Vec<String> {
    results.iter().filter(|(_, found)| *found == result).map(|(check, _)| check.clone()).collect()
}

fn an_empty_cluster_is_well_and_init_comes_next(sandbox: &TestSandbox, fleet: &Fleet) {
    let ran = doctor(sandbox, fleet, &[]).run().exits(0);
    assert!(ran.stdout.contains("gitops-bootstrap init staging --sandbox"), "{ran}");
    let rows = ran.stdout.lines().filter_map(|line| line.split_once("not checked  "));
    let left_out: Vec<&str> = rows.filter_map(|(_, row)| row.split_whitespace().next()).collect();
    assert_eq!(left_out, ["argo-cd", "applications", "deploy-key", "key-proof", "bundle"], "{ran}");
}

fn a_cluster_that_is_well_has_nothing_wrong(sandbox: &TestSandbox, fleet: &Fleet) {
    let ran = doctor(sandbox, fleet, &["--quiet"]).run().exits(0);
    assert_words("doctor_well", &from(sandbox, fleet, ran, "fleet repository\n"));

    let ran = doctor(sandbox, fleet, &["staging", "--output", "json"]).run().exits(0);
    let results = results(&ran);
    assert_eq!(results.len(), gitops_bootstrap::domain::CheckId::ALL.len(), "{ran}");
    assert_eq!(of_result(&results, "wrong"), [] as [String; 0], "{ran}");
    assert_eq!(of_result(&results, "not-checked"), [] as [String; 0], "{ran}");
    assert_eq!(results["bundle"], "warning", "{ran}");
    assert_eq!(ran.result()["wrong"], 0);
}

/// The words from a heading on, without what differs from run to run: which programs there are, how many of them, the port, and what tells the
/// cluster and the commit from others.
fn from(sandbox: &TestSandbox, fleet: &Fleet, ran: Ran, heading: &str) -> Ran {
    let start = ran.stdout.find(heading).unwrap_or_else(|| panic!("no `{heading}`\n{ran}"));
    let lines = ran.stdout[start..].lines().filter(|line| !line.contains(" checks "));
    let stdout: String = lines.map(|line| format!("{line}\n")).collect();
    let uid = sandbox.get(&["namespace", "kube-system"])["metadata"]["uid"].as_str().unwrap().to_owned();
    let stdout = stdout.replace(&sandbox.state.forge.ssh_port.to_string(), "22").replace(&uid, "UID");
    Ran { stdout: stdout.replace(&uid[..8], "SHORT").replace(&fleet.head()[..10], "SHORT"), ..ran }
}

fn exactly_what_is_wrong_is_named(sandbox: &TestSandbox, fleet: &Fleet) {
    let wrong = |ran: &Ran| of_result(&results(ran), "wrong");
    delete_deploy_key(&sandbox.state, &deploy_keys(&sandbox.state)[0]);
    let ran = doctor(sandbox, fleet, &["--output", "json"]).run().exits(11);
    assert_eq!(wrong(&ran), ["deploy-key"], "{ran}");
    assert_eq!(results(&ran)["key-proof"], "not-checked", "{ran}");

    // By a name that is as long on every machine.
    std::fs::copy(&sandbox.state.forge.tokens["write"], sandbox.home().path().join("token")).unwrap();
    let token = "../token";
    let ran = doctor(sandbox, fleet, &["--token-file", token, "--output", "json"]).run().exits(11);
    assert_eq!(wrong(&ran), ["key-proof", "token-rights"], "{ran}");
    assert_eq!(results(&ran)["deploy-key"], "not-checked", "{ran}");

    let declaration = fleet.read("gitops.yaml");
    let kept: Vec<&str> =
        declaration.lines().filter(|line| !line.contains("knownHosts:") && !line.trim_start().starts_with("- ")).collect();
    fleet.write("gitops.yaml", &(kept.join("\n") + "\n"));
    sandbox.cli(&["render"]).in_folder(fleet.folder()).run().exits(0);
    fleet.commit("Pin no host key");
    fleet.push();
    let mark = Mark::now(&sandbox.state);
    let ran = doctor(sandbox, fleet, &["--token-file", token, "--quiet"]).run().exits(11);
    assert_words("doctor_wrong", &from(sandbox, fleet, ran, "forge\n"));
    assert!(mark.requests(&sandbox.state).iter().all(|request| request.kind != "git-ssh"), "nobody is asked whose key is not known");

    let expired = sandbox.state.forge.tokens["expired"].to_str().unwrap();
    let ran = doctor(sandbox, fleet, &["--token-file", expired, "--output", "json"]).run().exits(11);
    assert_eq!(wrong(&ran), ["host-keys", "token"], "{ran}");
}

#[test]
fn before_there_is_anything_the_programs_are_checked_and_the_rest_says_why_not() {
    let home = Home::new();
    let ran = home.cli(&["doctor", "--output", "json"]).run().exits(0);
    let results = results(&ran);
    assert_eq!((results["git"].as_str(), results["ssh"].as_str()), ("well", "well"), "{ran}");
    assert_eq!((results["declaration"].as_str(), results["token"].as_str()), ("not-checked", "not-checked"), "{ran}");
    let ran = home.cli(&["doctor"]).run().exits(0);
    assert!(ran.stdout.contains("this folder is no fleet repository") && ran.stdout.contains("gitops-bootstrap new fleet"), "{ran}");
}

#[test]
fn what_cannot_be_reached_is_wrong_and_ends_in_time() {
    let home = Home::new();
    // A port on which nothing listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let fleet = Fleet::example(&home, &format!("ssh://git@127.0.0.1:{port}/acme/fleet.git"));
    let kubeconfig = home.path().join("kubeconfig");
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": format!("https://127.0.0.1:{port}")}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let arguments = ["doctor", "--kubeconfig", kubeconfig.to_str().unwrap(), "--timeout", "100s", "--output", "json"];
    let ran = home.cli(&arguments).in_folder(fleet.folder()).run().exits(11);
    let results = results(&ran);
    assert_eq!(of_result(&results, "wrong"), ["host-keys", "server"], "{ran}");
    assert_eq!(
        (results["token"].as_str(), results["ssh-server"].as_str(), results["rights"].as_str()),
        ("warning", "not-checked", "not-checked"),
        "{ran}"
    );
    let failed = ran.events().pop().unwrap();
    assert_eq!((&failed["event"], &failed["status"]), (&"failed".into(), &11.into()), "{ran}");
}
