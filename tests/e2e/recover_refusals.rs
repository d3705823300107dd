//! What `recover` refuses before it has changed anything.

use crate::support::{Fleet, TestSandbox, assert_refuses, assert_words};

#[test]
fn what_is_not_an_empty_cluster_or_not_the_right_bundle_is_refused_before_anything_is_changed() {
    let mut sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    let (_, recipient) = sandbox.recipient("right");
    let (wrong, _) = sandbox.recipient("wrong");
    fleet.replace("gitops.yaml", "clusters:", &format!("recipients:\n- {recipient}\nclusters:"));
    fleet.commit("recipient");
    fleet.push();
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    let recover = |sandbox: &TestSandbox, more: &[&str]| {
        sandbox.cli(&[&["recover", "staging", "--sandbox"], more].concat()).in_folder(fleet.folder())
    };
    // The old cluster itself.
    assert_refuses(&sandbox, recover(&sandbox, &[]), 3, &["and it is there", "gitops-bootstrap init staging"]);

    sandbox.cli(&["pack", "staging", "--sandbox"]).in_folder(fleet.folder()).run().exits(0);
    fleet.commit("bundle");
    fleet.push();
    sandbox.lose_cluster();

    // Without a key, with the wrong one, with a bundle that was cut short.
    assert_refuses(&sandbox, recover(&sandbox, &[]), 3, &["no key is at hand", "--identity", "--without-bundle"]);
    let identity = wrong.to_str().unwrap();
    assert_refuses(&sandbox, recover(&sandbox, &["--identity", identity]), 3, &["does not open", "--identity"]);
    let bundle = std::fs::read(fleet.folder().join("bundles/staging.age")).unwrap();
    let cut = sandbox.home().path().join("cut.age");
    std::fs::write(&cut, &bundle[..bundle.len() / 2]).unwrap();
    let right = sandbox.home().path().join("right");
    let arguments = ["--bundle", cut.to_str().unwrap(), "--identity", right.to_str().unwrap()];
    assert_refuses(&sandbox, recover(&sandbox, &arguments), 8, &["cut.age"]);

    // The old cluster was at work a moment ago.
    let with_key = ["--identity", right.to_str().unwrap()];
    assert_refuses(&sandbox, recover(&sandbox, &with_key), 3, &["seems to be alive", "last used", "--old-cluster-is-gone"]);

    // Another identity than the pinned one.
    let pinned = "  \"staging\": {identity: {kubeSystemUid: deadbeef-0000-4000-8000-000000000000}}";
    let text = fleet.read("gitops.yaml");
    let line = text.lines().find(|line| line.contains("staging") && line.trim_end().ends_with("{}")).unwrap().to_owned();
    fleet.replace("gitops.yaml", &line, pinned);
    fleet.commit("pin");
    fleet.push();
    assert_refuses(&sandbox, recover(&sandbox, &with_key), 3, &["pins `staging`", "deadbeef", "--new-identity"]);
    fleet.go_back_to("HEAD~1");

    // Workloads of others.
    sandbox.kubectl(&["create", "namespace", "shop"]);
    sandbox.kubectl(&["create", "deployment", "web", "--namespace", "shop", "--image", "web"]);
    let (ran, _) = assert_refuses(&sandbox, recover(&sandbox, &with_key), 3, &["is not empty", "Deployment shop/web", "--into-non-empty"]);
    assert_words("recover_into_a_cluster_in_use", &ran);
}
