//! `recover` asks for the first syncs without client-side validation: what that may not change.

use std::collections::BTreeMap;
use std::time::Duration;

use gitops_bootstrap::manifest::yaml::parse_documents;
use serde_json::Value;

use crate::support::{Fleet, TestSandbox, eventually};

const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn whenever_it_ends_every_application_is_as_git_has_it() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    let recover =
        |more: &[&str]| sandbox.cli(&[&["recover", "staging", "--sandbox"], more].concat()).in_folder(fleet.folder()).within(LIMIT);
    // Right after the first of these syncs was asked for.
    let killed = recover(&["--kill-at", "gates.sent"]).run();
    assert_eq!(killed.status, None, "{killed}");
    assert!(sandbox.has(&["applications", "infrastructure-app-of-apps", "--namespace", "argocd"]));
    assert_as_in_git(&sandbox, &fleet);

    sandbox.kubectl(&["delete", "lease", "gitops-bootstrap", "--namespace", "argocd"]);
    let ran = recover(&["--output", "json"]).run().exits(0);
    assert_as_in_git(&sandbox, &fleet);
    sandbox.assert_converged();
    let events = ran.events();
    let asked = events.iter().filter(|event| event["event"] == "changed" && event["how"] == "asked").count();
    assert!(asked > 2, "{asked} first syncs were asked for\n{ran}");
    let evidence = &events.iter().find(|event| event["event"] == "evidence").unwrap()["recovery"];
    assert_eq!(evidence["kicks"], 0, "none of them is a kick\n{ran}");
    for application in applications(&sandbox) {
        assert_eq!(application["operation"], Value::Null, "{application}");
        assert_eq!(application["status"]["operationState"]["operation"]["initiatedBy"]["automated"], true, "{application}");
    }
}

#[test]
fn a_field_that_its_kind_does_not_have_is_seen_and_what_heals_it_has_the_options_of_git() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: typo}\nimmutible: true\ndata: {a: b}\n";
    fleet.add_app(&sandbox, "services", "typo", "{enabled: true}", manifest);
    // Server-side apply would refuse the field.
    fleet.replace("rendered/staging/argocd/services/Application.typo.yaml", "ServerSideApply=true", "ServerSideApply=false");
    fleet.commit("by client-side apply");
    fleet.push();
    let mut recovery = sandbox.cli(&["recover", "staging", "--sandbox"]).in_folder(fleet.folder()).start();
    let asked = |event: &Value| event["how"] == "asked" && event["object"].as_str().unwrap().contains("typo");
    recovery.until("the first sync of typo", LIMIT, asked);
    let waits =
        |event: &Value| event["on"].as_str().is_some_and(|on| on.contains("ConfigMap typo/typo differs from Git although it was synced"));
    recovery.until("a recovery that waits for typo", LIMIT, waits);
    let healed = eventually("a sync that heals", LIMIT, || {
        let typo = sandbox.get(&["applications", "typo", "--namespace", "argocd"]);
        let sync = &typo["status"]["operationState"]["operation"]["sync"];
        sync["autoHealAttemptsCount"].as_u64().map(|_| sync.clone())
    });
    let options: Vec<&str> = healed["syncOptions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(!options.contains(&"Validate=false"), "{options:?}");
    assert_as_in_git(&sandbox, &fleet);
}

/// Checks that every Application that is there has the spec that Git has.
#[track_caller]
fn assert_as_in_git(sandbox: &TestSandbox, fleet: &Fleet) {
    let declared = declared(fleet);
    for application in applications(sandbox) {
        let name = application["metadata"]["name"].as_str().unwrap();
        assert_eq!(Some(&application["spec"]), declared.get(name), "{name}");
    }
}

fn applications(sandbox: &TestSandbox) -> Vec<Value> {
    sandbox.list(&["applications", "--namespace", "argocd"])
}

/// The specs of the Applications in Git, by their names.
fn declared(fleet: &Fleet) -> BTreeMap<String, Value> {
    let files = fleet.git(&["ls-files", "rendered/staging/argocd"]);
    let files = files.lines().filter(|file| file.rsplit('/').next().unwrap().starts_with("Application."));
    let documents = files.flat_map(|file| parse_documents(&fleet.read(file), file).unwrap());
    documents.map(|document| (document.value["metadata"]["name"].as_str().unwrap().to_owned(), document.value["spec"].clone())).collect()
}
