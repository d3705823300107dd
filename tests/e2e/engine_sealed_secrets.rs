//! The engine's Sealed Secrets: the real controller behind its pod, and the real `kubeseal`.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{TestSandbox, engine_prints, eventually};

/// How long the controller may take to start and to decrypt.
const SOON: Duration = Duration::from_secs(60);

const KEYS: [&str; 5] = ["secrets", "--namespace", "kube-system", "--selector", "sealedsecrets.bitnami.com/sealed-secrets-key"];

fn file(sandbox: &TestSandbox, name: &str, content: &str) -> String {
    let path = sandbox.home().path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The only key of the controller, once there is one.
fn key(sandbox: &TestSandbox) -> Value {
    eventually("a key of the controller", SOON, || {
        let mut keys = sandbox.list(&KEYS);
        assert!(keys.len() < 2, "the controller made a second key");
        keys.pop()
    })
}

/// Waits for the Secret that the SealedSecret `demo/password` becomes.
fn decrypted(sandbox: &TestSandbox) {
    eventually("the decrypted Secret", SOON, || sandbox.has(&["secret", "password", "--namespace", "demo"]).then_some(()));
    let secret = sandbox.get(&["secret", "password", "--namespace", "demo"]);
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(secret["data"]["text"].as_str().unwrap()).unwrap(), b"correct horse");
    eventually("the status of the SealedSecret", SOON, || {
        let sealed = sandbox.get(&["sealedsecret", "password", "--namespace", "demo"]);
        let conditions = sealed["status"]["conditions"].as_array()?.clone();
        conditions.iter().any(|condition| condition["type"] == "Synced" && condition["status"] == "True").then_some(())
    });
}

#[test]
fn a_restored_key_decrypts_what_was_sealed_before_and_no_new_key_is_made() {
    let sandbox = TestSandbox::start();
    let manifest = file(&sandbox, "sealed-secrets.yaml", &engine_prints(&["manifest", "sealed-secrets"], ""));
    sandbox.kubectl(&["apply", "--server-side", "--filename", &manifest]);
    let first = key(&sandbox);
    let certificate = base64::engine::general_purpose::STANDARD.decode(first["data"]["tls.crt"].as_str().unwrap()).unwrap();
    let certificate = file(&sandbox, "tls.crt", &String::from_utf8(certificate).unwrap());

    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "demo", "name": "password"},
        "stringData": {"text": "correct horse"}});
    let sealed = engine_prints(&["kubeseal", "--cert", &certificate], &secret.to_string());
    assert!(sealed.contains("SealedSecret") && !sealed.contains("correct horse"), "{sealed}");
    let sealed = file(&sandbox, "sealed.json", &sealed);
    sandbox.kubectl(&["create", "namespace", "demo"]);
    sandbox.kubectl(&["apply", "--filename", &sealed]);
    decrypted(&sandbox);

    // The cluster is lost; what is left is the key, in the hands of whoever packed it.
    sandbox.kubectl(&["delete", "--filename", &manifest]);
    sandbox.kubectl(&["delete", "namespace", "demo"]);
    sandbox.kubectl(&["delete", "secret", "--namespace", "kube-system", first["metadata"]["name"].as_str().unwrap()]);
    let program = |name: &str| sandbox.cli(&["sandbox", "status", "--output", "json"]).run().exits(0).stdout.contains(name);
    eventually("the end of the controller", SOON, || (!program("sealed-secrets-controller")).then_some(()));

    let metadata = json!({"namespace": "kube-system", "name": first["metadata"]["name"], "labels": first["metadata"]["labels"]});
    let restored = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": first["type"], "data": first["data"]});
    sandbox.kubectl(&["apply", "--filename", &file(&sandbox, "key.json", &restored.to_string())]);
    sandbox.kubectl(&["apply", "--server-side", "--filename", &manifest]);
    sandbox.kubectl(&["create", "namespace", "demo"]);
    sandbox.kubectl(&["apply", "--filename", &sealed]);
    decrypted(&sandbox);
    assert_eq!(key(&sandbox)["data"], first["data"]);
}
