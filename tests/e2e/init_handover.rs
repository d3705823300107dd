//! Argo CD after `init`: it manages itself and everything else from Git, and `init` does not fight it.

use std::time::Duration;

use serde_json::Value;

use crate::support::cluster::SYNC;
use crate::support::logs::Mark;
use crate::support::{Fleet, TestSandbox, eventually};

/// A change to Argo CD as a person writes it.
const PATCH: &str = "
- target:
    kind: Deployment
    name: argocd-repo-server
  patch: |-
    - op: add
      path: /spec/template/metadata/labels/changed-in
      value: git
";

#[test]
fn after_the_handover_argo_cd_follows_git_alone_and_a_rerun_does_not_fight_it() {
    let sandbox = TestSandbox::start();
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    let fleet = Fleet::of(&sandbox);
    no_field_has_two_managers(&sandbox);
    a_change_to_argo_cd_in_git_rolls_out_and_back(&sandbox, &fleet);
    a_rerun_does_not_fight_argo_cd(&sandbox, &fleet);
    a_new_service_is_deployed_by_a_push(&sandbox, &fleet);
}

fn no_field_has_two_managers(sandbox: &TestSandbox) {
    let kinds = "customresourcedefinitions,clusterroles,clusterrolebindings,deployments,statefulsets,services,serviceaccounts,configmaps,secrets,\
                 roles,rolebindings,networkpolicies,appprojects,applications";
    let objects = sandbox.list(&[kinds, "--namespace", "argocd", "--show-managed-fields"]);
    let of_argocd: Vec<_> = objects.iter().filter(|object| managers(object).contains(&("argocd-controller", "Apply"))).collect();
    assert!(of_argocd.len() > 55, "{} objects are applied by Argo CD", of_argocd.len());
    for object in of_argocd {
        let managers = managers(object);
        let name = (&object["kind"], &object["metadata"]["name"]);
        assert!(managers.iter().all(|(manager, _)| *manager != "gitops-bootstrap"), "{name:?}: {managers:?}");
        let applied = managers.iter().filter(|(_, operation)| *operation == "Apply").count();
        assert_eq!(applied, 1, "{name:?}: {managers:?}");
    }
}

/// Who wrote the declared part of an object, and how.
fn managers(object: &Value) -> Vec<(&str, &str)> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries
        .filter(|entry| entry["subresource"].is_null())
        .map(|entry| (entry["manager"].as_str().unwrap_or_default(), entry["operation"].as_str().unwrap_or_default()))
        .collect()
}

fn a_change_to_argo_cd_in_git_rolls_out_and_back(sandbox: &TestSandbox, fleet: &Fleet) {
    let kustomization = "src/infrastructure/argocd/kustomization.yaml";
    let before = fleet.read(kustomization);
    fleet.write(kustomization, &format!("{}{PATCH}", before.trim_end()));
    render_and_push(sandbox, fleet, "Label the repository server");
    assert_eq!(rolled_out(sandbox, fleet), "git");

    // What is taken out of Git goes from the cluster only if nobody else owns it.
    fleet.write(kustomization, &before);
    render_and_push(sandbox, fleet, "Take the label off again");
    assert_eq!(rolled_out(sandbox, fleet), Value::Null);
}

fn render_and_push(sandbox: &TestSandbox, fleet: &Fleet, message: &str) {
    sandbox.cli(&["render", "staging"]).in_folder(fleet.folder()).run().exits(0);
    fleet.commit(message);
    fleet.push();
}

/// The label of the repository server once Argo CD has rolled out what is pushed.
fn rolled_out(sandbox: &TestSandbox, fleet: &Fleet) -> Value {
    sandbox.refresh("argocd");
    sandbox.until_at("argocd", &fleet.head());
    eventually("one new pod of the repository server", SYNC, || {
        let pods = sandbox.list(&["pods", "--namespace", "argocd", "--selector", "app.kubernetes.io/name=argocd-repo-server"]);
        let [pod] = pods.as_slice() else { return None };
        let ready = pod["status"]["containerStatuses"]
            .as_array()
            .is_some_and(|containers| containers.iter().all(|container| container["ready"] == true));
        ready.then(|| pod["metadata"]["labels"]["changed-in"].clone())
    })
}

fn a_rerun_does_not_fight_argo_cd(sandbox: &TestSandbox, fleet: &Fleet) {
    sandbox.refresh("--all");
    sandbox.until_all_at(&fleet.head());
    // Git has moved since the bootstrap: that is noted in the record, and nothing else is changed.
    let mark = Mark::now(&sandbox.state);
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    let changed: Vec<String> = mark.mutations(&sandbox.state).into_iter().map(|mutation| mutation.object).collect();
    assert_eq!(changed, ["argocd/configmaps/gitops-bootstrap"]);

    let (mark, versions) = (Mark::now(&sandbox.state), sandbox.versions());
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    mark.assert_unchanged(&sandbox.state);
    // Argo CD looks at all that it manages again, and finds nothing to do.
    let reconciled = || sandbox.get(&["application", "argocd", "--namespace", "argocd"])["status"]["reconciledAt"].clone();
    let before = reconciled();
    eventually("another look of Argo CD", Duration::from_secs(60), || {
        sandbox.refresh("argocd");
        (reconciled() != before).then_some(())
    });
    assert!(sandbox.stands_well());
    assert_eq!(sandbox.versions(), versions);
}

fn a_new_service_is_deployed_by_a_push(sandbox: &TestSandbox, fleet: &Fleet) {
    let service = r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: greeting
data:
  text: hello
"#;
    fleet.write("src/services/greeter/configmap.yaml", service);
    let values = "src/argocd/services/values.yaml";
    fleet.write(values, &format!("{}\n  greeter:\n    enabled: true\n", fleet.read(values).trim_end()));
    render_and_push(sandbox, fleet, "Add a service");
    sandbox.refresh("services-app-of-apps");
    sandbox.until_at("greeter", &fleet.head());
    assert_eq!(sandbox.get(&["configmap", "greeting", "--namespace", "greeter"])["data"]["text"], "hello");
    eventually("a tree at the new commit", SYNC, || {
        let ran = sandbox.cli(&["status", "staging", "--sandbox"]).in_folder(fleet.folder()).run();
        (ran.status == Some(0) && ran.stdout.contains("greeter")).then_some(())
    });
}
