//! Stand-ins for controllers that cannot run in a sandbox.

use std::fs;
use std::io::{BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use gitops_bootstrap::sandbox::State;
use serde_json::{Value, json};

use crate::support::{Home, Slots, engine, eventually};

/// How long an object may wait for its stand-in.
const SOON: Duration = Duration::from_secs(30);

/// A sandbox in the home folder that ends when it is dropped.
struct Sandbox {
    child: Child,
    state: State,
    _slots: Slots,
}

impl Sandbox {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let slots = Slots::take(1);
        let mut child = command(home, &[&["up"], arguments].concat()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = serde_json::Deserializer::from_reader(BufReader::new(child.stdout.take().unwrap()));
        let state = output.into_iter().next().unwrap().unwrap();
        Self { child, state, _slots: slots }
    }

    /// The log of what was stood in for.
    fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state.stand_in_log.as_ref().unwrap()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

/// A command of the engine for the sandbox in the home folder.
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn command(home: &Home, arguments: &[&str]) -> Command {
    let mut command = Command::new(engine());
    let (first, rest) = arguments.split_first().unwrap();
    command.arg(first).arg("--folder").arg(home.sandbox_folder("default")).args(rest);
    command.env_clear().env("HOME", home.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(home.path());
    command
}

fn apply(home: &Home, objects: &[Value]) {
    let mut child = command(home, &["kubectl", "--", "apply", "--server-side", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    objects.iter().for_each(|object| writeln!(input, "---\n{object}").unwrap());
    drop(input);
    assert!(child.wait().unwrap().success(), "{objects:?}");
}

fn get(home: &Home, arguments: &[&str]) -> Option<Value> {
    let output = command(home, &[&["kubectl", "--", "get", "-o", "json"], arguments].concat()).output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
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

/// Waits until the object is there and Ready.
#[track_caller]
fn ready(home: &Home, arguments: &[&str]) {
    eventually(&format!("{arguments:?} Ready"), SOON, || get(home, arguments).filter(is_ready).map(drop));
}

fn stages(folder: &Path, text: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("mine.yaml"), text).unwrap();
}

#[test]
fn each_object_whose_controller_cannot_run_is_ready_and_named() {
    let home = Home::new();
    stages(&home.path().join("stages"), "stages:\n- apiVersion: example.org/*\n  kind: Thing\n  status: |\n    size: {{ .spec.size }}\n");
    let sandbox = Sandbox::start(&home, &["--stand-ins", "default", "--stand-ins", "stages"]);
    assert!(sandbox.state.off.iter().any(|what| what == "admission webhooks"), "{:?}", sandbox.state);

    // The kinds come after the sandbox has started, as they do in a recovery.
    apply(
        &home,
        &[
            definition("cert-manager.io", "v1", "Certificate", "certificates", "Namespaced"),
            definition("cert-manager.io", "v1", "ClusterIssuer", "clusterissuers", "Cluster"),
            definition("external-secrets.io", "v1", "ExternalSecret", "externalsecrets", "Namespaced"),
            definition("example.org", "v1", "Thing", "things", "Namespaced"),
            definition("example.org", "v1", "Other", "others", "Namespaced"),
        ],
    );
    command(&home, &["kubectl", "--", "wait", "--for=condition=Established", "crd", "--all"]).status().unwrap();
    let named = |name: &str| json!({"name": name, "namespace": "default"});
    let object = |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": named("web"), "spec": spec});
    apply(
        &home,
        &[
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": named("mine"), "stringData": {"key": "my own"}}),
            object("cert-manager.io/v1", "Certificate", json!({"secretName": "web-tls", "dnsNames": ["web.example.org"]})),
            json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "letsencrypt"}, "spec": {"acme": {}}}),
            object("external-secrets.io/v1", "ExternalSecret", json!({"target": {"name": "mine"}, "data": [{"secretKey": "key"}]})),
            object("example.org/v1", "Thing", json!({"size": 7})),
            object("example.org/v1", "Other", json!({})),
        ],
    );
    for kind in ["certificate", "externalsecret"] {
        ready(&home, &[kind, "web"]);
    }
    ready(&home, &["clusterissuer", "letsencrypt"]);
    eventually("the status of a person's own stage", SOON, || {
        get(&home, &["thing", "web"]).filter(|thing| thing["status"]["size"] == 7).map(drop)
    });

    let secret = get(&home, &["secret", "web-tls"]).unwrap();
    let key = base64::engine::general_purpose::STANDARD.decode(secret["data"]["tls.key"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(key).unwrap().contains("PRIVATE KEY"));
    let mine = get(&home, &["secret", "mine"]).unwrap();
    assert_eq!(mine["data"]["key"], base64::engine::general_purpose::STANDARD.encode("my own"), "a Secret that was there was overwritten");

    let entry = |api_version: &str, kind: &str, namespace: &str, name: &str, stand_in: &str| json!({"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "standIn": stand_in});
    let mut certificate = entry("cert-manager.io/v1", "Certificate", "default", "web", "cert-manager");
    certificate["secrets"] = json!(["web-tls"]);
    let expected = [
        certificate,
        entry("cert-manager.io/v1", "ClusterIssuer", "", "letsencrypt", "cert-manager"),
        entry("external-secrets.io/v1", "ExternalSecret", "default", "web", "external-secrets"),
        entry("example.org/v1", "Thing", "default", "web", "mine"),
    ];
    eventually("the log of all that was stood in for", SOON, || (sandbox.log().len() == expected.len()).then_some(()));
    assert!(expected.iter().all(|entry| sandbox.log().contains(entry)), "{:#?}", sandbox.log());

    // A change of an object is a new generation, which is stood in for again, and told once.
    apply(&home, &[object("example.org/v1", "Thing", json!({"size": 8}))]);
    eventually("the status of the new generation", SOON, || {
        get(&home, &["thing", "web"]).filter(|thing| thing["status"]["size"] == 8).map(drop)
    });
    assert_eq!(sandbox.log().len(), expected.len());
}

#[test]
fn a_stage_with_a_mistake_starts_nothing_and_is_named_with_its_place() {
    let home = Home::new();
    stages(&home.path().join("stages"), "stages:\n- apiVersion: example.org/v1\n  kind: Thing\n  stauts: |\n    a: b\n");
    for detach in [&[][..], &["--detach"]] {
        let output = command(&home, &[&["up", "--stand-ins", "stages"], detach].concat()).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && words.contains("mine.yaml:4") && words.contains("stauts"), "{words}");
    }
    assert!(!home.sandbox_folder("default").exists());
}

#[test]
fn nobody_is_stood_in_for_unless_it_was_asked_for() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home, &[]);
    assert!(sandbox.state.stand_in_log.is_none() && sandbox.state.components.iter().all(|component| component.name != "stand-ins"));
}
