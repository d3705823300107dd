//! Stand-ins for controllers that cannot run in a sandbox.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{Home, TestSandbox, engine, eventually};

/// How long an object may wait for its stand-in.
const SOON: Duration = Duration::from_secs(30);

/// What was stood in for, by the log.
fn log(sandbox: &TestSandbox) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.state.stand_in_log.as_ref().unwrap()).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn apply(sandbox: &TestSandbox, objects: &[Value]) {
    let path = sandbox.home().path().join("objects.yaml");
    fs::write(&path, objects.iter().map(|object| format!("---\n{object}\n")).collect::<String>()).unwrap();
    sandbox.kubectl(&["apply", "--server-side", "--filename", path.to_str().unwrap()]);
}

/// A definition of a kind with any content.
fn definition(group: &str, version: &str, kind: &str, plural: &str, scope: &str) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural}, "versions": [{
            "name": version, "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"))
}

/// Waits until the object is as it should be.
#[track_caller]
fn becomes(sandbox: &TestSandbox, kind: &str, name: &str, holds: impl Fn(&Value) -> bool) {
    eventually(&format!("{kind} {name} as its controller would have it"), SOON, || holds(&sandbox.get(&[kind, name])).then_some(()));
}

fn stages(folder: &Path, text: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("mine.yaml"), text).unwrap();
}

#[test]
fn each_object_whose_controller_cannot_run_is_ready_and_named() {
    let home = Home::new();
    stages(&home.path().join("stages"), "stages:\n- apiVersion: example.org/*\n  kind: Thing\n  status: |\n    size: {{ .spec.size }}\n");
    let sandbox = TestSandbox::start_with(home, &["--stand-ins", "default", "--stand-ins", "stages"]);
    assert!(sandbox.state.off.iter().any(|what| what == "admission webhooks"), "{:?}", sandbox.state);

    // The kinds come after the sandbox has started, as they do in a recovery.
    apply(
        &sandbox,
        &[
            definition("cert-manager.io", "v1", "Certificate", "certificates", "Namespaced"),
            definition("cert-manager.io", "v1", "ClusterIssuer", "clusterissuers", "Cluster"),
            definition("external-secrets.io", "v1", "ExternalSecret", "externalsecrets", "Namespaced"),
            definition("example.org", "v1", "Thing", "things", "Namespaced"),
            definition("example.org", "v1", "Other", "others", "Namespaced"),
        ],
    );
    sandbox.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]);
    let named = |name: &str| json!({"name": name, "namespace": "default"});
    let object = |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": named("web"), "spec": spec});
    apply(
        &sandbox,
        &[
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": named("mine"), "stringData": {"key": "my own"}}),
            object("cert-manager.io/v1", "Certificate", json!({"secretName": "web-tls", "dnsNames": ["web.example.org"]})),
            json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "letsencrypt"}, "spec": {"acme": {}}}),
            object("external-secrets.io/v1", "ExternalSecret", json!({"target": {"name": "mine"}, "data": [{"secretKey": "key"}]})),
            object("example.org/v1", "Thing", json!({"size": 7})),
            object("example.org/v1", "Other", json!({})),
        ],
    );
    becomes(&sandbox, "certificate", "web", is_ready);
    becomes(&sandbox, "externalsecret", "web", is_ready);
    becomes(&sandbox, "clusterissuer", "letsencrypt", is_ready);
    becomes(&sandbox, "thing", "web", |thing| thing["status"]["size"] == 7);

    let base64 = base64::engine::general_purpose::STANDARD;
    let key = sandbox.get(&["secret", "web-tls"])["data"]["tls.key"].as_str().map(|key| base64.decode(key).unwrap());
    assert!(String::from_utf8(key.unwrap()).unwrap().contains("PRIVATE KEY"));
    assert_eq!(sandbox.get(&["secret", "mine"])["data"]["key"], base64.encode("my own"), "a Secret that was there was overwritten");

    let entry = |api_version: &str, kind: &str, namespace: &str, name: &str, stand_in: &str| json!({"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "standIn": stand_in});
    let mut certificate = entry("cert-manager.io/v1", "Certificate", "default", "web", "cert-manager");
    certificate["secrets"] = json!(["web-tls"]);
    let expected = [
        certificate,
        entry("cert-manager.io/v1", "ClusterIssuer", "", "letsencrypt", "cert-manager"),
        entry("external-secrets.io/v1", "ExternalSecret", "default", "web", "external-secrets"),
        entry("example.org/v1", "Thing", "default", "web", "mine"),
    ];
    eventually("the log of all that was stood in for", SOON, || (log(&sandbox).len() == expected.len()).then_some(()));
    assert!(expected.iter().all(|entry| log(&sandbox).contains(entry)), "{:#?}", log(&sandbox));

    // A change of an object is a new generation, which is stood in for again, and told once.
    apply(&sandbox, &[object("example.org/v1", "Thing", json!({"size": 8}))]);
    becomes(&sandbox, "thing", "web", |thing| thing["status"]["size"] == 8);
    assert_eq!(log(&sandbox).len(), expected.len());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn a_stage_with_a_mistake_starts_nothing_and_is_named_with_its_place() {
    let home = Home::new();
    stages(&home.path().join("stages"), "stages:\n- apiVersion: example.org/v1\n  kind: Thing\n  stauts: |\n    a: b\n");
    for detach in [&[][..], &["--detach"]] {
        let mut command = std::process::Command::new(engine());
        command.args(["up", "--stand-ins", "stages", "--folder"]).arg(home.sandbox_folder("default")).args(detach);
        let output = command.env_clear().current_dir(home.path()).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && words.contains("mine.yaml:4") && words.contains("stauts"), "{words}");
    }
    assert!(!home.sandbox_folder("default").exists());
}

#[test]
fn nobody_is_stood_in_for_unless_it_was_asked_for() {
    let sandbox = TestSandbox::shared();
    assert!(sandbox.state.stand_in_log.is_none() && sandbox.state.components.iter().all(|component| component.name != "stand-ins"));
}
