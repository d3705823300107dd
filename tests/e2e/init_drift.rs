//! `init` on a cluster and a forge that somebody has changed by hand.

use serde_json::{Value, json};

use crate::support::cluster::SYNC;
use crate::support::forge::{delete_deploy_key, deploy_keys};
use crate::support::logs::Mark;
use crate::support::{Fleet, Ran, TestSandbox, eventually};

#[test]
fn what_somebody_changed_by_hand_is_put_right_and_said_and_what_is_somebody_elses_is_left_alone() {
    let sandbox = TestSandbox::start();
    Fleet::of(&sandbox);
    an_object_that_is_wholly_somebody_elses_stops_the_run(&sandbox);
    before_the_handover_edits_are_undone_and_foreign_fields_left_alone(&sandbox);
    a_key_that_was_deleted_at_the_forge_is_registered_again(&sandbox);
    a_secret_that_was_deleted_is_made_again_with_a_new_key(&sandbox);
    after_the_handover_edits_are_undone_whoever_is_faster(&sandbox);
}

fn init(sandbox: &TestSandbox, more: &[&str]) -> Ran {
    sandbox.cli(&[&["init", "staging", "--sandbox", "--output", "json"], more].concat()).run()
}

fn an_object_that_is_wholly_somebody_elses_stops_the_run(sandbox: &TestSandbox) {
    sandbox.kubectl(&["create", "namespace", "argocd"]);
    sandbox.kubectl(&["create", "configmap", "argocd-cm", "--namespace", "argocd", "--from-literal", "url=https://elsewhere.example"]);
    // An installation by `kubectl apply` has the fields that ours has too.
    let applied = sandbox.home().path().join("somebodys.json");
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "somebodys"}},
    });
    std::fs::write(&applied, object.to_string()).unwrap();
    sandbox.kubectl(&["apply", "--filename", applied.to_str().unwrap()]);

    let before = sandbox.get(&["configmap", "argocd-cm", "--namespace", "argocd", "--show-managed-fields"]);
    let mark = Mark::now(&sandbox.state);
    let ran = init(sandbox, &[]).exits(5);
    mark.assert_unchanged(&sandbox.state);
    let failure = ran.events().pop().unwrap()["failure"].to_string();
    for word in ["argocd-cm", "app.kubernetes.io/part-of", "kubectl-client-side-apply", "--take-ownership"] {
        assert!(failure.contains(word), "{word}\n{ran}");
    }
    assert_eq!(sandbox.get(&["configmap", "argocd-cm", "--namespace", "argocd", "--show-managed-fields"]), before);
    sandbox.kubectl(&["delete", "configmap", "argocd-cm", "--namespace", "argocd"]);
}

fn before_the_handover_edits_are_undone_and_foreign_fields_left_alone(sandbox: &TestSandbox) {
    let killed = init(sandbox, &["--kill-at", "install.after"]);
    assert_eq!(killed.status, None, "{killed}");
    sandbox.kubectl(&["scale", "statefulset", "argocd-application-controller", "--namespace", "argocd", "--replicas", "2"]);
    let patch = r#"{"spec": {"template": {"spec": {"securityContext": {"runAsUser": 1}}}}}"#;
    sandbox.kubectl(&["patch", "deployment", "argocd-redis", "--namespace", "argocd", "--patch", patch]);
    sandbox.kubectl(&["delete", "configmap", "argocd-rbac-cm", "--namespace", "argocd"]);
    let field = sandbox.home().path().join("field.json");
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "argocd-dex-server", "namespace": "argocd"},
        "spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/os": "somebodys"}}}},
    });
    std::fs::write(&field, object.to_string()).unwrap();
    let arguments = ["apply", "--server-side", "--field-manager", "somebody", "--force-conflicts", "--filename"];
    sandbox.kubectl(&[&arguments[..], &[field.to_str().unwrap()]].concat());

    let ran = init(sandbox, &["--kill-at", "known-hosts.after"]);
    assert_eq!(ran.status, None, "{ran}");
    let changed = changes(&ran);
    for change in [
        "restored StatefulSet argocd/argocd-application-controller",
        "restored Deployment argocd/argocd-redis",
        "created ConfigMap argocd/argocd-rbac-cm",
    ] {
        assert!(changed.iter().any(|changed| changed == change), "{change}\n{ran}");
    }
    assert!(!changed.iter().any(|change| change.contains("argocd-dex-server")), "{changed:?}");
    let left: Vec<Value> = ran.events().into_iter().filter(|event| event["event"] == "left-alone").collect();
    assert!(
        left.iter().any(|event| event["object"] == "Deployment argocd/argocd-dex-server" && event.to_string().contains("somebody")),
        "{ran}"
    );
    assert_eq!(sandbox.get(&["statefulset", "argocd-application-controller", "--namespace", "argocd"])["spec"]["replicas"], 1);
    let dex = sandbox.get(&["deployment", "argocd-dex-server", "--namespace", "argocd"]);
    assert_eq!(dex["spec"]["template"]["spec"]["nodeSelector"]["kubernetes.io/os"], "somebodys");

    // The owner lets go; what Git says goes in again.
    sandbox.kubectl(&["delete", "deployment", "argocd-dex-server", "--namespace", "argocd"]);
    init(sandbox, &[]).exits(0);
    sandbox.assert_converged();
}

fn a_key_that_was_deleted_at_the_forge_is_registered_again(sandbox: &TestSandbox) {
    let private = sandbox.private_key();
    delete_deploy_key(&sandbox.state, &deploy_keys(&sandbox.state)[0]);
    let ran = init(sandbox, &[]).exits(0);
    assert!(changes(&ran).iter().any(|change| change.starts_with("created deploy key")), "{ran}");
    sandbox.assert_converged();
    assert_eq!(sandbox.private_key(), private, "the cluster keeps its key");
}

fn a_secret_that_was_deleted_is_made_again_with_a_new_key(sandbox: &TestSandbox) {
    let (private, old) = (sandbox.private_key(), deploy_keys(&sandbox.state).remove(0));
    sandbox.kubectl(&["delete", "secrets", "--namespace", "argocd", "--selector", "argocd.argoproj.io/secret-type=repository"]);
    let ran = init(sandbox, &[]).exits(0);
    let changed = changes(&ran);
    assert!(changed.iter().any(|change| change.starts_with("created Secret argocd/repo-")), "{ran}");
    assert!(changed.iter().any(|change| change.starts_with("created deploy key")), "{ran}");
    assert_ne!(sandbox.private_key(), private);
    // The old key may be another cluster's for all that can be known: it is named, and a person removes it.
    let warned =
        ran.events().into_iter().any(|event| event["event"] == "warning" && event.to_string().contains(&format!("id {}", old["id"])));
    assert!(warned, "{ran}");
    assert!(deploy_keys(&sandbox.state).contains(&old));
    delete_deploy_key(&sandbox.state, &old);
    sandbox.assert_converged();
}

fn after_the_handover_edits_are_undone_whoever_is_faster(sandbox: &TestSandbox) {
    sandbox.kubectl(&["delete", "configmap", "argocd-gpg-keys-cm", "--namespace", "argocd"]);
    sandbox.kubectl(&["scale", "statefulset", "argocd-application-controller", "--namespace", "argocd", "--replicas", "2"]);
    let patch = r#"{"spec": {"template": {"spec": {"securityContext": {"runAsUser": 1}}}}}"#;
    sandbox.kubectl(&["patch", "deployment", "argocd-redis", "--namespace", "argocd", "--patch", patch]);
    init(sandbox, &[]).exits(0);
    eventually("what Git says", SYNC, || {
        let controller = sandbox.get(&["statefulset", "argocd-application-controller", "--namespace", "argocd"]);
        let redis = sandbox.get(&["deployment", "argocd-redis", "--namespace", "argocd"]);
        let there = sandbox.has(&["configmap", "argocd-gpg-keys-cm", "--namespace", "argocd"]);
        let user = &redis["spec"]["template"]["spec"]["securityContext"]["runAsUser"];
        (there && controller["spec"]["replicas"] == 1 && *user == 999).then_some(())
    });
    eventually("a healthy tree", SYNC, || sandbox.stands_well().then_some(()));
}

/// What a run says that it changed, as in `created ConfigMap argocd/argocd-cm`.
fn changes(ran: &Ran) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let changed = ran.events().into_iter().filter(|event| event["event"] == "changed");
    changed.map(|event| format!("{} {}", text(&event["how"]), text(&event["object"]))).collect()
}
