//! `recover` of a tree in which something never comes up: it ends, names each cause, and has everything else up.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Fleet, TestSandbox};

/// How many ordinary Applications the tree has.
const ORDINARY: usize = 95;

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n")
}

/// A resource definition that comes late: Argo CD lets two seconds pass between waves.
const DEFINITION: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: first, annotations: {argocd.argoproj.io/sync-wave: '-2'}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: second, annotations: {argocd.argoproj.io/sync-wave: '-1'}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
";

#[test]
fn a_tree_with_stalls_ends_in_bounded_time_with_each_cause_named_and_everything_else_up() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    for number in 0..ORDINARY {
        let name = format!("app-{number}");
        fleet.write(&format!("src/services/{name}/manifest.yaml"), &config_map(&name));
        fleet.replace("src/argocd/services/values.yaml", "applications:\n", &format!("applications:\n  {name}: {{enabled: true}}\n"));
    }
    // The definition comes after what needs it; the object is tried again, and hurried once the definition is there.
    fleet.add_app(&sandbox, "services", "definition", "{enabled: true, wave: 3}", DEFINITION);
    let widget = "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: late}\n";
    fleet.add_app(&sandbox, "services", "late", "{enabled: true, wave: 3}", widget);
    // A kind that nobody ever defines: its retries are spent.
    fleet.add_app(
        &sandbox,
        "services",
        "spent",
        "{enabled: true, wave: 3}",
        "apiVersion: example.net/v1\nkind: Nothing\nmetadata: {name: never}\n",
    );
    // What the API server refuses.
    fleet.add_app(
        &sandbox,
        "services",
        "bad",
        "{enabled: true, wave: 3}",
        "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n",
    );
    fleet.add_app(&sandbox, "services", "closed", "{enabled: true, wave: 3}", &config_map("closed"));
    let kinds = "  - {group: apiextensions.k8s.io, kind: CustomResourceDefinition}\n";
    fleet.replace("src/argocd/projects/services.yaml", "  clusterResourceWhitelist:\n", &format!("  clusterResourceWhitelist:\n{kinds}"));
    let window = "  syncWindows:\n  - {kind: deny, schedule: '* * * * *', duration: 24h, applications: [closed]}\n";
    fleet.replace("src/argocd/projects/services.yaml", "spec:\n", &format!("spec:\n{window}"));
    sandbox.cli(&["render"]).in_folder(fleet.folder()).run().exits(0);
    let retries = |name: &str| {
        let file = format!("rendered/staging/argocd/services/Application.{name}.yaml");
        fleet.replace(&file, "limit: -1", "limit: 1");
    };
    retries("spent");
    fleet.commit("stalls");
    fleet.push();

    let limit = Duration::from_secs(900);
    let recover = ["recover", "staging", "--sandbox", "--output", "json", "--timeout", "14m"];
    let ran = sandbox.cli(&recover).in_folder(fleet.folder()).within(limit).run().exits(9);
    let events = ran.events();
    let evidence = &events.iter().find(|event| event["event"] == "evidence").unwrap_or_else(|| panic!("no evidence\n{ran}"))["recovery"];
    let application = |name: &str| {
        let all = evidence["applications"].as_array().unwrap();
        all.iter().find(|application| application["name"] == name).unwrap_or_else(|| panic!("no {name}\n{ran}")).clone()
    };
    let cause = |name: &str| application(name)["cause"].as_str().unwrap_or_default().to_owned();
    for number in 0..ORDINARY {
        assert_eq!(application(&format!("app-{number}"))["state"], "converged", "{ran}");
    }
    assert_eq!(application("late")["state"], "converged", "{}", cause("late"));
    assert!(cause("spent").contains("Nothing"), "{}", cause("spent"));
    assert!(cause("bad").contains("99999") || cause("bad").contains("port"), "{}", cause("bad"));
    assert!(cause("closed").contains("sync window"), "{}", cause("closed"));
    assert!(evidence["milliseconds"].as_u64().unwrap() < 13 * 60 * 1000, "bounded by what happens, not by the time limit\n{ran}");
    assert!(application("spent")["kicks"].as_u64().unwrap() > 0, "a spent retry is not waited for");
    assert_ne!(evidence["failure"], Value::Null);
}
