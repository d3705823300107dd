//! `recover`, killed and run again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::support::forge::deploy_keys;
use crate::support::{Fleet, TestSandbox, assert_ending};

/// Where the run is killed, one run after the other; each goes on from what the one before has left.
const POINTS: [&str; 10] = [
    "ns.after",
    "lease.sent",
    "record.sent",
    "secret-create.sent",
    "key-register.sent",
    "install.sent",
    "infrastructure.sent",
    "gates.after",
    "root-app.sent",
    "converge.after",
];

#[test]
fn killed_at_any_point_one_more_run_ends_as_git_has_it() {
    let mut sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    let before = specs(&sandbox);
    let old = deploy_keys(&sandbox.state);
    sandbox.lose_cluster();
    let clone = fleet.copy("fresh");
    let recover = |more: &[&str]| {
        let arguments = [&["recover", "staging", "--sandbox", "--old-cluster-is-gone"], more].concat();
        sandbox.cli(&arguments).in_folder(clone.folder()).within(Duration::from_secs(600))
    };
    for point in POINTS {
        let ran = recover(&["--kill-at", point]).run();
        assert_eq!(ran.status, None, "{point} kills\n{ran}");
        // As if the time had passed after which a silent holder counts as dead.
        if sandbox.lock_holder().is_some() {
            sandbox.kubectl(&["delete", "lease", "gitops-bootstrap", "--namespace", "argocd"]);
        }
    }
    let ran = recover(&["--prune-stale-key", &old[0]["id"].to_string()]).run().exits(0);
    assert_ending("recover", &ran);
    sandbox.assert_converged();
    assert_eq!(specs(&sandbox), before, "every Application is as it was bootstrapped");
    assert_eq!(sandbox.get(&["configmap", "gitops-bootstrap", "--namespace", "argocd"])["data"]["recovery"], "complete");
}

/// What is wanted of each Application and project, and what they are marked with.
fn specs(sandbox: &TestSandbox) -> BTreeMap<String, Value> {
    let objects = sandbox.list(&["applications,appprojects", "--namespace", "argocd"]);
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    objects.iter().map(|object| (name(object), serde_json::json!([object["spec"], object["metadata"]["finalizers"]]))).collect()
}
