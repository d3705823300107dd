//! The webhook: registered by `init`, once, with a secret that Argo CD has too; removed by `detach`.

use std::sync::Arc;

use base64::Engine as _;
use gitops_bootstrap::engine;
use gitops_bootstrap::error::Result;
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::steps::World;
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use serde_json::json;

use super::init::run_as;
use super::memory::Outside;

const URL: &str = "https://argocd.acme.test/api/webhook";

fn world(outside: &Arc<Outside>, holder: &str, url: &str, faults: Faults) -> World {
    run_as(outside, holder, faults, |_| {}).world.with_webhook(Some(url.parse().unwrap()))
}

/// An outside in which Argo CD's manifest has brought its Secret, and Argo CD has filled it.
fn outside() -> Arc<Outside> {
    let outside = Outside::new();
    outside.put(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "namespace": "argocd"}, "data": {"server.secretkey": "a2V5"},
    }));
    outside
}

async fn init(outside: &Arc<Outside>, url: &str) -> Result<Vec<engine::StepReport>> {
    engine::run(&StepId::with_webhook(&StepId::INIT), &world(outside, "run", url, Faults::default())).await
}

/// There is one webhook, at this address, and Argo CD has its secret.
#[track_caller]
fn assert_one(outside: &Arc<Outside>, url: &str) {
    let webhooks = outside.webhooks();
    let [(webhook, secret)] = webhooks.as_slice() else { panic!("{webhooks:?}") };
    assert_eq!(webhook.url, url);
    let secrets = outside.of_kind("Secret");
    let of_argocd = secrets.iter().find(|object| object.name() == "argocd-secret").unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
    assert_eq!(of_argocd.at("/data").unwrap()["webhook.github.secret"], encoded.as_str());
    assert_eq!(of_argocd.at("/data").unwrap()["server.secretkey"], "a2V5", "what Argo CD has written stays");
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_position_one_more_run_ends_with_one_webhook_and_one_more_changes_nothing() {
    for position in [Position::Before, Position::Sent, Position::After] {
        let point = FaultPoint { step: StepId::Webhook, position };
        let outside = outside();
        let killed = world(&outside, "killed", URL, Faults::at(point, Death::Unwind));
        assert!(engine::run(&StepId::with_webhook(&StepId::INIT), &killed).await.is_err(), "{point}");
        init(&outside, URL).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
        assert_one(&outside, URL);
        let (writes, forge_writes) = (outside.writes().len(), outside.forge_writes());
        init(&outside, URL).await.unwrap();
        let later = outside.writes().split_off(writes);
        assert!(later.iter().all(|write| write.contains("Lease")), "{point}: {later:?}");
        assert_eq!(outside.forge_writes(), forge_writes, "{point}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_removed_comes_back_with_the_same_secret_and_one_for_another_address_goes() {
    let outside = outside();
    init(&outside, URL).await.unwrap();
    let secret = outside.webhooks()[0].1.clone();
    outside.remove_webhooks();
    init(&outside, URL).await.unwrap();
    assert_one(&outside, URL);
    assert_eq!(outside.webhooks()[0].1, secret);

    let moved = "https://new.acme.test/api/webhook";
    init(&outside, moved).await.unwrap();
    assert_one(&outside, moved);
}

#[tokio::test(start_paused = true)]
async fn a_detachment_removes_it() {
    let outside = outside();
    init(&outside, URL).await.unwrap();
    let detach = run_as(&outside, "detach", Faults::default(), |_| {}).world;
    engine::survey(&StepId::DETACH, &detach).await.unwrap();
    engine::run(&StepId::DETACH, &detach).await.unwrap();
    assert!(outside.webhooks().is_empty());
    assert_eq!(detach.detachment().removed_webhooks[0].url, URL);
}
