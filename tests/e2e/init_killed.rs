//! `init`, killed and run again.

use crate::support::TestSandbox;
use crate::support::forge::deploy_keys;

/// Where the run is killed, one run after the other; each goes on from what the one before has left.
const POINTS: [&str; 14] = [
    "secret-create.before",
    "secret-create.sent",
    "secret-create.after",
    "key-register.before",
    "key-register.sent",
    "key-register.after",
    "install.before",
    "install.sent",
    "install.after",
    "root-app.before",
    "root-app.sent",
    "root-app.after",
    "converge.before",
    "converge.after",
];

#[test]
fn killed_at_any_point_one_more_run_converges_with_one_secret_and_one_key() {
    let sandbox = TestSandbox::start();
    let mut keys = Vec::new();
    for point in POINTS {
        let ran = sandbox.cli(&["init", "staging", "--sandbox", "--kill-at", point]).run();
        assert_eq!(ran.status, None, "{point} kills\n{ran}");
        assert!(sandbox.lock_holder().is_some(), "{point}: who is killed gives nothing back");

        let (secrets, registered) = (sandbox.repository_secrets(), deploy_keys(&sandbox.state));
        let made = place(point) >= place("secret-create.sent");
        assert_eq!(secrets.len(), usize::from(made), "{point}: repository Secrets");
        assert_eq!(registered.len(), usize::from(place(point) >= place("key-register.sent")), "{point}: deploy keys");
        assert!(registered.iter().all(|key| key["read_only"] == true), "{point}: {registered:?}");
        let root = sandbox.has(&["application", "argocd-app-of-apps", "--namespace", "argocd"]);
        assert_eq!(root, place(point) >= place("root-app.sent"), "{point}: the root Application");
        if made {
            keys.push(sandbox.private_key());
        }
        if point != "converge.after" {
            // As if the time had passed after which a silent holder counts as dead; the last run waits for that.
            sandbox.kubectl(&["delete", "lease", "gitops-bootstrap", "--namespace", "argocd"]);
        }
    }
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    sandbox.assert_converged();
    keys.push(sandbox.private_key());
    keys.dedup();
    assert_eq!(keys.len(), 1, "the key that was made first is the key that is used");
}

fn place(point: &str) -> usize {
    POINTS.iter().position(|candidate| *candidate == point).unwrap()
}
