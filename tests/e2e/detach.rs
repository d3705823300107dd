//! `detach`: Argo CD out of a cluster, every workload kept, and taken back by `init`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::cluster::{SYNC, public_half};
use crate::support::forge::deploy_keys;
use crate::support::logs::Mark;
use crate::support::{Cli, Fleet, TestSandbox, assert_ending, assert_words, eventually};

/// Where the run is killed, one run after the other; each goes on from what the one before has left.
const POINTS: [&str; 9] = [
    "census.sent",
    "stop.sent",
    "finalizers.sent",
    "applications.sent",
    "key-remove.sent",
    "remove.sent",
    "definitions.sent",
    "proof.after",
    "leave.sent",
];

#[test]
fn argo_cd_is_taken_out_and_put_back_and_no_pod_is_restarted() {
    let sandbox = TestSandbox::start();
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    let fleet = Fleet::of(&sandbox);
    let pods = pods(&sandbox);
    assert!(pods.len() > 1, "{pods:?}");
    // The deletion of any of them would delete its workloads.
    let patch = r#"{"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io/background"]}}"#;
    for application in sandbox.list(&["applications", "--namespace", "argocd"]) {
        let name = application["metadata"]["name"].as_str().unwrap().to_owned();
        sandbox.kubectl(&["patch", "application", &name, "--namespace", "argocd", "--type", "merge", "--patch", patch]);
    }

    without_the_clusters_name_nothing_is_done(&sandbox, &fleet);
    everything_of_argo_cd_goes_and_the_rest_is_proven_to_stay(&sandbox, &fleet, &pods);
    a_second_run_has_nothing_to_do(&sandbox, &fleet);

    let ran = sandbox.cli(&["init", "staging", "--sandbox"]).in_folder(fleet.folder()).run().exits(0);
    assert_ending("init", &ran);
    assert_taken_back(&sandbox);
    assert_eq!(self::pods(&sandbox), pods, "no pod was restarted");

    killed_anywhere_one_more_run_ends_the_same(&sandbox, &fleet);
    assert_eq!(self::pods(&sandbox), pods, "no pod was restarted");
}

fn detach(sandbox: &TestSandbox, fleet: &Fleet, more: &[&str]) -> Cli {
    sandbox.cli(&[&["detach", "staging", "--sandbox"], more].concat()).in_folder(fleet.folder())
}

/// The pods outside of Argo CD's namespace, with their UIDs and how often they were restarted.
fn pods(sandbox: &TestSandbox) -> BTreeMap<String, String> {
    let pods = sandbox.list(&["pods", "--all-namespaces"]).into_iter().filter(|pod| pod["metadata"]["namespace"] != "argocd");
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].to_string();
    pods.map(|pod| (pod["metadata"]["name"].to_string(), format!("{} {}", pod["metadata"]["uid"], restarts(&pod)))).collect()
}

fn without_the_clusters_name_nothing_is_done(sandbox: &TestSandbox, fleet: &Fleet) {
    let mark = Mark::now(&sandbox.state);
    let ran = detach(sandbox, fleet, &["--yes"]).run().exits(2);
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["goes", "stays", "Pod", "must be confirmed", "nothing was changed", "--yes --confirm staging"] {
        assert!(said.contains(words), "`{words}`\n{ran}");
    }
    detach(sandbox, fleet, &["--yes", "--confirm", "production"]).run().exits(2);
    mark.assert_unchanged(&sandbox.state);
}

fn everything_of_argo_cd_goes_and_the_rest_is_proven_to_stay(sandbox: &TestSandbox, fleet: &Fleet, pods: &BTreeMap<String, String>) {
    let mark = Mark::now(&sandbox.state);
    let ran = detach(sandbox, fleet, &["--yes", "--confirm", "staging", "--output", "json"]).run().exits(0);
    assert_gone(sandbox);
    assert_eq!(self::pods(sandbox), *pods, "no pod was restarted");
    let result = ran.result();
    assert_eq!(result["proof"]["pods"], pods.len(), "{ran}");
    assert_eq!(result["keptInNamespace"], serde_json::json!([]), "{ran}");
    assert_eq!(result["removedKeys"].as_array().unwrap().len(), 1, "{ran}");
    let deleted = mark.mutations(&sandbox.state).into_iter().filter(|change| change.verb == "delete" && change.status < 300);
    let foreign: Vec<_> = deleted.filter(|change| !change.object.contains("argo") && !change.object.contains("repo-demo")).collect();
    assert_eq!(foreign, [], "only what is Argo CD's was deleted");
}

#[track_caller]
fn assert_gone(sandbox: &TestSandbox) {
    assert!(!sandbox.has(&["namespace", "argocd"]));
    for kinds in ["customresourcedefinitions", "clusterroles", "clusterrolebindings"] {
        let left = sandbox.list(&[kinds]).into_iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned());
        let left: Vec<String> = left.filter(|name| name.contains("argo")).collect();
        assert_eq!(left, [] as [String; 0]);
    }
    assert_eq!(deploy_keys(&sandbox.state), [] as [Value; 0]);
}

fn a_second_run_has_nothing_to_do(sandbox: &TestSandbox, fleet: &Fleet) {
    let mark = Mark::now(&sandbox.state);
    let ran = detach(sandbox, fleet, &[]).run().exits(0);
    assert_words("detach_nothing_to_do", &ran);
    mark.assert_unchanged(&sandbox.state);
}

/// What is as Git has it already is Synced without a sync, so nothing is asked of the operations.
#[track_caller]
fn assert_taken_back(sandbox: &TestSandbox) {
    let applications = sandbox.list(&["applications", "--namespace", "argocd"]);
    assert!(applications.len() > 3);
    for application in applications {
        let status = &application["status"];
        assert_eq!((&status["sync"]["status"], &status["health"]["status"]), (&"Synced".into(), &"Healthy".into()), "{application}");
    }
    let key = public_half(&sandbox.private_key());
    let keys = deploy_keys(&sandbox.state);
    assert!(keys.len() == 1 && key.starts_with(keys[0]["key"].as_str().unwrap()), "{keys:?}");
}

fn killed_anywhere_one_more_run_ends_the_same(sandbox: &TestSandbox, fleet: &Fleet) {
    for point in POINTS {
        let ran = detach(sandbox, fleet, &["--yes", "--confirm", "staging", "--kill-at", point]).run();
        assert_eq!(ran.status, None, "{point} kills\n{ran}");
        if sandbox.has(&["lease", "gitops-bootstrap", "--namespace", "argocd"]) {
            // As if the time had passed after which a silent holder counts as dead.
            sandbox.kubectl(&["delete", "lease", "gitops-bootstrap", "--namespace", "argocd"]);
        }
    }
    detach(sandbox, fleet, &["--yes", "--confirm", "staging"]).run().exits(0);
    eventually("the end of the namespace", SYNC, || (!sandbox.has(&["namespace", "argocd"])).then_some(()));
    assert_gone(sandbox);
}
