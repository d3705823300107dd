//! `plan`: what a run would do, and what it then does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::cluster::SYNC;
use crate::support::logs::{Mark, Mutation};
use crate::support::{Cli, Fleet, Ran, TestSandbox, assert_words, eventually};

/// The app-of-apps at the top, and what is below it on the way to Argo CD's own objects.
const ROOT: &str = "argocd-app-of-apps";
const BELOW: [&str; 2] = ["infrastructure-app-of-apps", "argocd"];

#[test]
fn a_plan_lists_what_the_run_then_does_and_later_exactly_what_somebody_has_changed() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    everything_is_listed_for_an_empty_cluster_and_nothing_is_written(&sandbox, &fleet);
    an_init_does_what_was_planned_and_then_nothing_is_left(&sandbox, &fleet);
    drift_in_three_objects_is_exactly_what_is_listed(&sandbox, &fleet);
}

fn plan(sandbox: &TestSandbox, fleet: &Fleet, more: &[&str]) -> Cli {
    sandbox.cli(&[&["plan", "staging", "--sandbox"], more].concat()).in_folder(fleet.folder())
}

fn everything_is_listed_for_an_empty_cluster_and_nothing_is_written(sandbox: &TestSandbox, fleet: &Fleet) {
    let (mark, head) = (Mark::now(&sandbox.state), fleet.git(&["rev-parse", "HEAD", "origin/main"]));
    let ran = plan(sandbox, fleet, &["--exit-code"]).run().exits(11);
    assert_words("plan_of_an_empty_cluster", &ran);
    let recovery = plan(sandbox, fleet, &["--recover", "--without-bundle", "--explain"]).run().exits(0);
    for words in ["create: ", "record ", "gates ", "known after apply", "A service that starts before its data is restored"] {
        assert!(recovery.stdout.contains(words), "`{words}`\n{recovery}");
    }
    plan(sandbox, fleet, &["--into-non-empty"]).run().exits(2);
    mark.assert_unchanged(&sandbox.state);
    assert_eq!(fleet.git(&["rev-parse", "HEAD", "origin/main"]), head);
    assert_eq!(fleet.git(&["status", "--porcelain"]), "");
    assert!(!sandbox.has(&["namespace", "argocd"]));
}

fn an_init_does_what_was_planned_and_then_nothing_is_left(sandbox: &TestSandbox, fleet: &Fleet) {
    let planned = plan(sandbox, fleet, &["--output", "json"]).run().exits(0);
    assert_eq!(planned.result()["needed"], true, "{planned}");
    let keys = &plan_of(&planned)["keys"];
    assert_eq!((&keys[0]["action"], &keys[0]["fingerprint"]), (&json!("register"), &Value::Null), "{planned}");

    let mark = Mark::now(&sandbox.state);
    sandbox.cli(&["init", "staging", "--sandbox"]).in_folder(fleet.folder()).run().exits(0);
    assert_eq!(to_send(&planned), sent(mark, sandbox));

    let again = eventually("a plan of nothing", SYNC, || {
        let ran = plan(sandbox, fleet, &["--exit-code"]).run();
        (ran.status == Some(0)).then_some(ran)
    });
    assert_words("plan_of_nothing", &again);
}

fn drift_in_three_objects_is_exactly_what_is_listed(sandbox: &TestSandbox, fleet: &Fleet) {
    stop_self_healing(sandbox);
    sandbox.kubectl(&["delete", "configmap", "argocd-gpg-keys-cm", "--namespace", "argocd"]);
    let labelled = sandbox.home().path().join("labelled.json");
    let metadata = json!({"name": "argocd-metrics", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "somebodys"}});
    std::fs::write(&labelled, json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata}).to_string()).unwrap();
    let apply = ["apply", "--server-side", "--field-manager", "somebody", "--force-conflicts", "--filename"];
    sandbox.kubectl(&[&apply[..], &[labelled.to_str().unwrap()]].concat());
    // Argo CD sees it too; how many Applications it finds different is part of the plan.
    for application in [ROOT].iter().chain(&BELOW) {
        eventually("the drift in Argo CD's eyes", SYNC, || {
            (application_of(sandbox, application)["status"]["sync"]["status"] == "OutOfSync").then_some(())
        });
    }

    let mark = Mark::now(&sandbox.state);
    let ran = plan(sandbox, fleet, &["--exit-code"]).run().exits(11);
    assert_words("plan_of_drift", &ran);
    let drift = plan(sandbox, fleet, &["--output", "json"]).run().exits(0);
    mark.assert_unchanged(&sandbox.state);
    let listed: BTreeSet<String> = objects(&drift)
        .iter()
        .filter(|object| object["action"] != "in-place")
        .map(|object| format!("{} {}", object["action"].as_str().unwrap(), path(object)))
        .collect();
    let expected = [
        "create argocd/configmaps/argocd-gpg-keys-cm",
        "change argocd/applications/argocd-app-of-apps",
        "left-alone argocd/services/argocd-metrics",
    ];
    assert_eq!(listed, expected.map(str::to_owned).into(), "{drift}");

    let mark = Mark::now(&sandbox.state);
    sandbox.cli(&["init", "staging", "--sandbox"]).in_folder(fleet.folder()).run().exits(0);
    assert_eq!(to_send(&drift), sent(mark, sandbox));
}

/// Takes the automation out of the Applications between Git and Argo CD's own objects, from the top, so that nobody is faster than the test.
fn stop_self_healing(sandbox: &TestSandbox) {
    let patch = r#"{"spec": {"syncPolicy": {"automated": null}}}"#;
    for application in [ROOT].iter().chain(&BELOW) {
        sandbox.kubectl(&["patch", "application", application, "--namespace", "argocd", "--type", "merge", "--patch", patch]);
        // Once Argo CD has looked again it knows of the change, and heals nothing below.
        sandbox.refresh(application);
        eventually("a look at the Application", SYNC, || {
            let annotations = &application_of(sandbox, application)["metadata"]["annotations"];
            annotations["argocd.argoproj.io/refresh"].is_null().then_some(())
        });
    }
    for application in [ROOT].iter().chain(&BELOW) {
        assert!(application_of(sandbox, application)["spec"]["syncPolicy"]["automated"].is_null(), "{application} heals nothing");
    }
}

fn application_of(sandbox: &TestSandbox, name: &str) -> Value {
    sandbox.get(&["application", name, "--namespace", "argocd"])
}

/// The plan of a run with `--output json`.
#[track_caller]
fn plan_of(ran: &Ran) -> Value {
    let event = ran.events().into_iter().find(|event| event["event"] == "plan");
    event.unwrap_or_else(|| panic!("no plan\n{ran}"))["plan"].take()
}

#[track_caller]
fn objects(ran: &Ran) -> Vec<Value> {
    plan_of(ran)["objects"].as_array().unwrap().clone()
}

/// An object of a plan as the API server's audit log writes it.
fn path(planned: &Value) -> String {
    let object = &planned["object"];
    let kind = object["resource"]["kind"].as_str().unwrap().to_lowercase();
    let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
    let parts = [object["namespace"].as_str(), Some(plural.as_str()), object["name"].as_str()];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// The objects that a plan says will be sent. The lock is left out on both sides: the audit log leaves Leases out.
fn to_send(planned: &Ran) -> BTreeSet<String> {
    let is_sent = |object: &&Value| matches!(object["action"].as_str().unwrap(), "create" | "adopt" | "change" | "remove");
    objects(planned).iter().filter(is_sent).map(path).filter(|path| !path.contains("/leases/")).collect()
}

/// The objects that the program changed since then. What Argo CD is asked for is no object of a plan.
fn sent(mark: Mark, sandbox: &TestSandbox) -> BTreeSet<String> {
    let is_of_a_plan = |change: &Mutation| {
        let is_asking = change.object.contains("/applications/") && !change.object.ends_with(ROOT);
        change.status < 300 && !is_asking && !change.object.contains("/leases/")
    };
    // A namespace counts as an object in itself where it is named by the path of the request.
    let path = |change: Mutation| change.object.replace("argocd/namespaces/", "namespaces/");
    mark.mutations(&sandbox.state).into_iter().filter(is_of_a_plan).map(path).collect()
}
