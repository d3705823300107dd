//! `recover`: a cluster that was lost comes back from a clone.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::forge::{deploy_keys, switch};
use crate::support::{Fleet, Ran, TestSandbox};

/// How long the runs of these tests may take on busy cores.
const LIMIT: Duration = Duration::from_secs(600);

/// A bootstrapped cluster with a secret that is sealed in Git.
fn with_a_sealed_secret() -> (TestSandbox, Fleet) {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    sandbox.add_sealed_secrets(&fleet);
    fleet.push();
    sandbox.cli(&["init", "staging", "--sandbox"]).within(LIMIT).run().exits(0);
    sandbox.add_sealed(&fleet, "correct horse");
    fleet.push();
    sandbox.refresh("--all");
    sandbox.cli(&["init", "staging", "--sandbox"]).within(LIMIT).run().exits(0);
    assert_eq!(sandbox.unsealed(), "correct horse");
    (sandbox, fleet)
}

fn recover(sandbox: &TestSandbox, clone: &Fleet, more: &[&str]) -> Ran {
    let arguments = [&["recover", "staging", "--sandbox", "--old-cluster-is-gone", "--output", "json"], more].concat();
    sandbox.cli(&arguments).in_folder(clone.folder()).within(LIMIT).run()
}

fn evidence(ran: &Ran) -> Value {
    let events = ran.events();
    let event = events.iter().find(|event| event["event"] == "evidence").unwrap_or_else(|| panic!("no evidence\n{ran}"));
    event["recovery"].clone()
}

#[test]
fn with_its_bundle_a_lost_cluster_comes_back_from_a_clone_with_its_secrets_and_without_a_write_to_git_or_the_forge() {
    let (mut sandbox, fleet) = with_a_sealed_secret();
    let (identity, recipient) = sandbox.recipient("opens-bundles");
    fleet.replace("gitops.yaml", "clusters:", &format!("recipients:\n- {recipient}\nclusters:"));
    fleet.commit("recipient");
    fleet.push();
    sandbox.cli(&["pack", "staging", "--sandbox"]).in_folder(fleet.folder()).run().exits(0);
    fleet.commit("bundle");
    fleet.push();
    let (head, uid, key, keys) = (fleet.head(), sandbox.uid(), sandbox.private_key(), deploy_keys(&sandbox.state));

    sandbox.lose_cluster();
    assert_ne!(sandbox.uid(), uid, "another cluster");
    let clone = fleet.copy("fresh");
    // With the API off as well: the key of the bundle opens the repository.
    switch(&sandbox.state, &serde_json::json!({"api_down": true}));
    let report = sandbox.home().path().join("report");
    let ran = recover(&sandbox, &clone, &["--identity", identity.to_str().unwrap(), "--report", report.to_str().unwrap()]).exits(0);
    switch(&sandbox.state, &serde_json::json!({"api_down": false}));

    sandbox.assert_converged();
    assert_eq!(sandbox.unsealed(), "correct horse");
    assert_eq!(sandbox.sealing_keys(), 1, "the controller has made no key of its own");
    assert_eq!(sandbox.private_key(), key, "the key of the bundle");
    assert_eq!(deploy_keys(&sandbox.state).len(), keys.len(), "nothing was registered");
    assert_eq!(clone.git(&["ls-remote", "origin", "main"]).split_whitespace().next(), Some(head.as_str()), "Git is as it was");

    let evidence = evidence(&ran);
    assert_eq!((&evidence["end"], &evidence["commit"]), (&"converged".into(), &head.as_str().into()), "{ran}");
    assert!(evidence["oldIdentity"].as_str().unwrap().contains(&uid), "{ran}");
    assert_eq!(evidence["target"]["identity"]["kubeSystemUid"], sandbox.uid());
    assert_eq!(evidence["key"]["restored"], true);
    assert!(evidence["applications"].as_array().unwrap().iter().all(|application| application["state"] == "converged"), "{ran}");
    assert!(evidence["phases"].as_array().unwrap().len() > 15);
    let markdown = fs::read_to_string(report.join("recovery-staging.md")).unwrap();
    assert!(markdown.contains("everything is Synced and Healthy") && markdown.contains(&uid), "{markdown}");
    let written: Value = serde_json::from_str(&fs::read_to_string(report.join("recovery-staging.json")).unwrap()).unwrap();
    assert_eq!(written, evidence);
    for text in [ran.stdout.as_str(), &ran.stderr, &markdown] {
        assert!(!text.contains("PRIVATE KEY") && !text.contains("correct horse"), "a secret is told");
    }

    let again = recover(&sandbox, &clone, &["--identity", identity.to_str().unwrap()]).exits(0);
    assert!(!again.events().iter().any(|event| event["event"] == "changed"), "a second run changes nothing\n{again}");
}

#[test]
fn without_a_bundle_it_says_what_is_lost_and_gets_everything_else_up() {
    let (mut sandbox, fleet) = with_a_sealed_secret();
    let old = deploy_keys(&sandbox.state);
    sandbox.lose_cluster();
    let clone = fleet.copy("fresh");

    let refused = sandbox.cli(&["recover", "staging", "--sandbox"]).in_folder(clone.folder()).run().exits(3);
    assert!(refused.stderr.contains("SealedSecret vault/password") && refused.stderr.contains("--accept-loss"), "{refused}");
    let refused = sandbox.cli(&["recover", "staging", "--sandbox", "--accept-loss"]).in_folder(clone.folder()).run().exits(3);
    assert!(refused.stderr.contains("--old-cluster-is-gone") && refused.stderr.contains("last used"), "{refused}");
    assert!(!sandbox.has(&["namespace", "argocd"]), "nothing was changed");

    let ran = recover(&sandbox, &clone, &["--accept-loss", "--timeout", "9m"]);
    let evidence = evidence(&ran);
    let lost: Vec<&str> = evidence["losses"].as_array().unwrap().iter().filter_map(|loss| loss["what"].as_str()).collect();
    assert!(lost.iter().any(|what| what.contains("vault/password")) && lost.iter().any(|what| what.contains("argocd-secret")), "{ran}");
    let open: Vec<&Value> =
        evidence["applications"].as_array().unwrap().iter().filter(|application| application["state"] != "converged").collect();
    assert!(
        open.iter()
            .all(|application| ["vault", "services-app-of-apps", "argocd-app-of-apps"].iter().any(|name| application["name"] == *name)),
        "{open:?}"
    );
    assert_eq!(evidence["staleKeys"][0]["id"], old[0]["id"], "the key of the lost cluster is named");
    assert_eq!(deploy_keys(&sandbox.state).len(), 2, "and left alone");
    assert_eq!(evidence["key"]["restored"], false);
}
