//! The webhook: the forge is told where Argo CD listens, both have one secret, and Argo CD does not put its own Secret back.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::support::forge::{deploy_keys, webhooks};
use crate::support::logs::Mark;
use crate::support::{TestSandbox, Traces, assert_ending, eventually};

const URL: &str = "https://argocd.acme.test/api/webhook";

/// Argo CD's Secret.
const SECRET: [&str; 4] = ["secret", "argocd-secret", "--namespace", "argocd"];

#[test]
fn pushes_are_told_to_argo_cd_once_signed_with_a_secret_that_it_keeps() {
    let sandbox = TestSandbox::start();
    let state = &sandbox.state;
    let arguments = ["init", "staging", "--sandbox", "--webhook", URL];
    let ran = sandbox.cli(&arguments).run().exits(0);
    let registered = webhooks(state);
    let [webhook] = registered.as_slice() else { panic!("{registered:?}") };
    assert_eq!((&webhook["config"]["url"], &webhook["config"]["content_type"]), (&json!(URL), &json!("json")));
    assert_eq!((&webhook["active"], &webhook["events"]), (&json!(true), &json!(["push"])));

    let of_argocd = sandbox.get(&SECRET);
    let secret = STANDARD.decode(of_argocd["data"]["webhook.github.secret"].as_str().unwrap()).unwrap();
    assert_eq!(secret.len(), 64, "256 bits, in hexadecimal");
    assert!(of_argocd["data"]["server.secretkey"].is_string(), "what Argo CD has written is there");
    let kept = std::fs::read_to_string(sandbox.home().sandbox_folder("default").join("forge/state.json")).unwrap();
    assert!(kept.contains(&String::from_utf8(secret.clone()).unwrap()), "the forge signs with the same secret");
    Traces::of(&[&secret]).are_not_in("the messages", ran.stderr.as_bytes());

    argo_cd_takes_what_is_signed_with_it(&sandbox, &secret);
    argo_cd_leaves_it(&sandbox);

    let (mark, versions) = (Mark::now(state), sandbox.versions());
    sandbox.cli(&arguments).in_folder(&sandbox.home().path().join("fleet")).run().exits(0);
    mark.assert_unchanged(state);
    assert_eq!(sandbox.versions(), versions);

    let detach = ["detach", "staging", "--sandbox", "--yes", "--confirm", "staging"];
    let ran = sandbox.cli(&detach).in_folder(&sandbox.home().path().join("fleet")).run().exits(0);
    assert_ending("detach", &ran);
    assert!(webhooks(state).is_empty() && deploy_keys(state).is_empty());
}

/// Argo CD refuses an event with another signature, and takes one with this.
fn argo_cd_takes_what_is_signed_with_it(sandbox: &TestSandbox, secret: &[u8]) {
    let address =
        sandbox.cli(&["sandbox", "status", "--output", "json"]).run().exits(0).result()["argocd"]["url"].as_str().unwrap().to_owned();
    let body = json!({"zen": "Keep it logically awesome.", "hook_id": 1}).to_string();
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = |event: &str, key: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(body.as_bytes());
        let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = client.post(format!("{address}/api/webhook")).header("x-github-event", event);
        let request = request.header("x-hub-signature-256", format!("sha256={signature}")).header("content-type", "application/json");
        runtime.block_on(async { request.body(body.clone()).send().await.ok().map(|answer| answer.status().as_u16()) })
    };
    // It reads its settings anew when they have changed, which takes it a moment.
    eventually("Argo CD to take an event that is signed with the secret", Duration::from_secs(60), || {
        (status("push", secret) == Some(200)).then_some(())
    });
    assert_eq!(status("push", b"another secret"), Some(400));
}

/// Argo CD looks at all that it manages again, and finds nothing to put right.
fn argo_cd_leaves_it(sandbox: &TestSandbox) {
    let before = sandbox.get(&SECRET)["metadata"]["resourceVersion"].clone();
    let reconciled = || sandbox.get(&["application", "argocd", "--namespace", "argocd"])["status"]["reconciledAt"].clone();
    let began = reconciled();
    eventually("another look of Argo CD", Duration::from_secs(60), || {
        sandbox.refresh("argocd");
        (reconciled() != began).then_some(())
    });
    eventually("everything Synced and Healthy", Duration::from_secs(120), || sandbox.stands_well().then_some(()));
    assert_eq!(sandbox.get(&SECRET)["metadata"]["resourceVersion"], before);
}
