//! `recover --serve-clone`, while neither the forge's API nor its Git server answers, and the way back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::forge::{deploy_keys, switch};
use crate::support::{Ran, TestSandbox, eventually};

/// The address at which the clone is served inside of the cluster.
const SERVER: &str = "git://gitops-bootstrap-git.argocd.svc:9418/fleet.git";

/// The objects that serve the clone.
const OURS: [&str; 5] = [
    "deployments,services,networkpolicies,configmaps,pods",
    "--namespace",
    "argocd",
    "--selector",
    "app.kubernetes.io/name=gitops-bootstrap-git",
];

/// Where recovery is killed while the forge is down, one run after the other.
const KILLED_WITHOUT: [&str; 5] = ["secret-create.sent", "serve-clone.before", "serve-clone.after", "root-app.after", "converge.after"];

/// Where it is killed on the way back.
const KILLED_ON_THE_WAY_BACK: [&str; 4] = ["key-register.after", "root-app.after", "converge.before", "serve-end.after"];

/// A sandbox whose forge has the demo fleet, and whose cluster is empty.
fn with_fleet() -> TestSandbox {
    let sandbox = TestSandbox::start();
    let ran = sandbox.cli(&["init", "staging", "--sandbox", "--kill-at", "ns.before"]).run();
    assert_eq!(ran.status, None, "{ran}");
    assert!(!sandbox.has(&["namespace", "argocd"]), "the cluster is empty");
    sandbox
}

fn take_down(sandbox: &TestSandbox, down: bool) {
    switch(&sandbox.state, &json!({"api_down": down, "git_down": down}));
}

fn recover(sandbox: &TestSandbox, more: &[&str]) -> Ran {
    sandbox.cli(&[&["recover", "staging", "--sandbox", "--fleet", "fleet"], more].concat()).run()
}

/// As if the time had passed after which a silent holder counts as dead.
fn free_the_lock(sandbox: &TestSandbox) {
    sandbox.kubectl(&["delete", "lease", "gitops-bootstrap", "--namespace", "argocd", "--ignore-not-found"]);
}

fn addresses(sandbox: &TestSandbox) -> Vec<String> {
    let applications = sandbox.list(&["applications", "--namespace", "argocd"]);
    assert!(applications.len() > 3, "{}", applications.len());
    applications.iter().map(|application| application["spec"]["source"]["repoURL"].as_str().unwrap().to_owned()).collect()
}

fn record(sandbox: &TestSandbox) -> Value {
    sandbox.get(&["configmap", "gitops-bootstrap", "--namespace", "argocd"])["data"].clone()
}

#[test]
fn with_the_forge_down_the_tree_runs_from_the_clone_and_moves_back_to_the_forge_later() {
    let sandbox = with_fleet();
    take_down(&sandbox, true);
    let refused = recover(&sandbox, &[]);
    assert_ne!(refused.status, Some(0), "without the forge and without the clone there is no recovery\n{refused}");
    assert!(refused.stderr.contains("--serve-clone"), "{refused}");
    assert!(!sandbox.has(&["namespace", "argocd"]), "nothing was changed");

    for point in KILLED_WITHOUT {
        let ran = recover(&sandbox, &["--serve-clone", "--kill-at", point]);
        assert_eq!(ran.status, None, "{point} kills\n{ran}");
        free_the_lock(&sandbox);
    }
    let ran = recover(&sandbox, &["--serve-clone"]).exits(0);
    assert!(ran.stderr.contains("once the forge is back"), "{ran}");
    assert!(addresses(&sandbox).iter().all(|address| address == SERVER), "{:?}", addresses(&sandbox));
    assert!(sandbox.stands_well());
    let served = record(&sandbox)["servedCommit"].as_str().unwrap().to_owned();
    sandbox.until_all_at(&served);
    let status = sandbox.cli(&["status", "staging", "--sandbox"]).run().exits(0);
    assert!(status.to_string().contains("served inside of"), "{status}");
    let key = sandbox.private_key();

    let before = sandbox.versions();
    recover(&sandbox, &["--serve-clone"]).exits(0);
    assert_eq!(sandbox.versions(), before, "a second run changes nothing");

    take_down(&sandbox, false);
    assert_eq!(deploy_keys(&sandbox.state), [] as [Value; 0], "nothing was registered");
    for point in KILLED_ON_THE_WAY_BACK {
        let ran = recover(&sandbox, &["--kill-at", point]);
        assert_eq!(ran.status, None, "{point} kills\n{ran}");
        free_the_lock(&sandbox);
    }
    recover(&sandbox, &[]).exits(0);
    sandbox.assert_converged();
    assert_eq!(sandbox.private_key(), key, "the key that was made without the forge is the one that is registered");
    let repository = sandbox.state.forge.ssh_url("demo", "fleet");
    assert!(addresses(&sandbox).iter().all(|address| *address == repository), "{:?}", addresses(&sandbox));
    for project in sandbox.list(&["appprojects", "--namespace", "argocd"]) {
        assert!(!project["spec"]["sourceRepos"].to_string().contains("git://"), "{project}");
    }
    assert_eq!(record(&sandbox)["servedCommit"], Value::Null);
    eventually("the server to be gone", Duration::from_secs(60), || sandbox.list(&OURS).is_empty().then_some(()));
}
