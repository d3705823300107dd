//! `init`, the first time and the second.

use std::fs;

use serde_json::Value;

use crate::support::forge::deploy_keys;
use crate::support::logs::{ForgeRequest, Mark};
use crate::support::{TestSandbox, assert_ending};

#[test]
fn one_command_takes_an_empty_folder_to_a_healthy_tree_and_a_second_run_changes_nothing() {
    let sandbox = TestSandbox::start();
    let folder = sandbox.home().path().join("empty");
    fs::create_dir(&folder).unwrap();
    let init = sandbox.cli(&["init", "staging", "--sandbox"]).in_folder(&folder);

    let mark = Mark::now(&sandbox.state);
    let ran = init.clone().args(["--output", "json"]).run().exits(0);
    let events = ran.events();
    assert_eq!((&events[0]["event"], &events[0]["version"]), (&"started".into(), &1.into()), "{ran}");
    let result = ran.result();
    assert_eq!(result["cluster"], "staging");
    assert!(folder.join("fleet/gitops.yaml").is_file(), "{ran}");
    sandbox.assert_converged();
    let own = sandbox.get(&["applications", "argocd", "--namespace", "argocd"]);
    assert_eq!(
        own["status"]["operationState"],
        Value::Null,
        "Argo CD has found its own objects as Git has them, and applied none of them again"
    );
    let deletions: Vec<_> = mark.mutations(&sandbox.state).into_iter().filter(|change| change.verb.starts_with("delete")).collect();
    assert_eq!(deletions, []);
    assert_eq!(result["registered"]["id"], deploy_keys(&sandbox.state)[0]["id"], "{ran}");

    let (key, versions) = (sandbox.private_key(), sandbox.versions());
    let mark = Mark::now(&sandbox.state);
    let again = init.run().exits(0);
    assert_ending("init_again", &again);
    mark.assert_unchanged(&sandbox.state);
    let asked = mark.requests(&sandbox.state);
    assert!(asked.iter().any(ForgeRequest::is_rest) && asked.iter().any(|request| request.kind == "git-ssh"), "{again}{asked:?}");
    assert_eq!(sandbox.versions(), versions);
    assert_eq!(sandbox.private_key(), key);
    sandbox.assert_converged();
}
