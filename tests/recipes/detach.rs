//! The recipe of `detach`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gitops_bootstrap::engine;
use gitops_bootstrap::error::{Kind, Result};
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use serde_json::json;

use super::init::{Run, assert_stops_well, init, run_as};
use super::memory::Outside;

/// A bootstrapped cluster in which the deletion of an Application would delete its workloads.
async fn bootstrapped() -> Arc<Outside> {
    let outside = Outside::new();
    init(&outside, "init").await.unwrap();
    for application in outside.of_kind("Application") {
        let finalizers = json!({"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io/background"]}});
        outside.change("Application", application.name(), finalizers);
    }
    outside
}

fn run(outside: &Arc<Outside>, holder: &str, faults: Faults) -> Run {
    run_as(outside, holder, faults, |_| {})
}

async fn needed(outside: &Arc<Outside>) -> Vec<StepId> {
    let planned = engine::survey(&StepId::DETACH, &run(outside, "looking", Faults::default()).world).await.unwrap();
    planned.into_iter().filter(|planned| planned.needed).map(|planned| planned.step).collect()
}

async fn detach(outside: &Arc<Outside>, holder: &str) -> Result<Vec<engine::StepReport>> {
    let run = run(outside, holder, Faults::default());
    engine::survey(&StepId::DETACH, &run.world).await?;
    engine::run(&StepId::DETACH, &run.world).await
}

/// What is there outside of Argo CD's namespace, with the UIDs.
fn workloads(outside: &Outside) -> BTreeMap<String, String> {
    let objects = ["StatefulSet", "Pod"].into_iter().flat_map(|kind| outside.of_kind(kind));
    let others = objects.filter(|object| object.namespace() != Some("argocd"));
    others.map(|object| (object.reference().to_string(), object.uid().unwrap().to_owned())).collect()
}

fn namespaces(outside: &Outside) -> Vec<String> {
    outside.of_kind("Namespace").iter().map(|object| object.name().to_owned()).collect()
}

async fn assert_detached(outside: &Arc<Outside>, after: &str) {
    for kind in ["Application", "AppProject", "CustomResourceDefinition", "Secret", "Deployment", "Lease", "ConfigMap"] {
        assert_eq!(outside.of_kind(kind), [], "after {after}: no {kind}");
    }
    assert_eq!(namespaces(outside), ["web"], "after {after}: that of the workload stays");
    assert!(outside.keys().is_empty(), "after {after}: no deploy key");
    assert_eq!(needed(outside).await, [], "after {after}: nothing is left to do");
}

#[tokio::test(start_paused = true)]
async fn everything_of_argo_cd_goes_and_every_workload_stays_and_init_takes_it_back() {
    let outside = bootstrapped().await;
    let before = workloads(&outside);
    assert_eq!(before.len(), 2, "a StatefulSet and its pod: {before:?}");
    let writes = outside.writes().len();
    let run = run(&outside, "detach", Faults::default());
    engine::run(&StepId::DETACH, &run.world).await.unwrap();
    assert_eq!(run.world.detachment().proven, Some(2));
    assert_detached(&outside, "a run").await;
    assert_eq!(workloads(&outside), before);

    let writes: Vec<String> = outside.writes().split_off(writes);
    let at = |what: &str| writes.iter().position(|write| write == what).unwrap_or_else(|| panic!("{what} in {writes:?}"));
    assert!(at("patch StatefulSet argocd/argocd-application-controller") < at("patch Application argocd/web"));
    let last_patch = writes.iter().rposition(|write| write.starts_with("patch Application ")).unwrap();
    let first_deletion = writes.iter().position(|write| write.starts_with("delete Application ")).unwrap();
    assert!(last_patch < first_deletion, "every finalizer is off before anything is deleted: {writes:?}");
    assert!(writes.iter().all(|write| !write.contains(" web/")), "nothing of a workload is touched: {writes:?}");

    init(&outside, "init again").await.unwrap();
    assert_eq!(workloads(&outside), before);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_and_position_one_more_run_ends_the_same() {
    for step in StepId::DETACH {
        for position in [Position::Before, Position::Sent, Position::After] {
            let point = FaultPoint { step, position };
            let outside = bootstrapped().await;
            let before = workloads(&outside);
            let killed = run(&outside, "killed", Faults::at(point, Death::Unwind));
            let died = engine::run(&StepId::DETACH, &killed.world).await.is_err();
            assert!(died, "{point}: the run dies");
            drop(killed);
            tokio::time::sleep(Duration::from_secs(60)).await;
            if !needed(&outside).await.is_empty() {
                detach(&outside, "again").await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
            }
            assert_detached(&outside, &point.to_string()).await;
            assert_eq!(workloads(&outside), before, "{point}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_detachment_that_is_told_to_stop_gives_the_lock_back_and_is_continued() {
    for step in StepId::DETACH {
        let outside = bootstrapped().await;
        let before = workloads(&outside);
        assert_stops_well(&outside, &run(&outside, "stopped", Faults::default()), &StepId::DETACH, step).await;
        if !needed(&outside).await.is_empty() {
            detach(&outside, "again").await.unwrap();
        }
        assert_detached(&outside, step.name()).await;
        assert_eq!(workloads(&outside), before, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_proof_of_a_run_that_was_killed_is_about_what_was_there_before_it() {
    let outside = bootstrapped().await;
    let point = FaultPoint { step: StepId::Definitions, position: Position::After };
    let killed = run(&outside, "killed", Faults::at(point, Death::Unwind));
    engine::run(&StepId::DETACH, &killed.world).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let pod = outside.of_kind("Pod").into_iter().find(|pod| pod.name() == "web-0").unwrap();
    outside.delete("Pod", "web-0");
    outside.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "namespace": "web", "uid": "another"}}));
    let failure = detach(&outside, "again").await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unverified, "{failure}");
    assert!(failure.causes.iter().any(|cause| cause.contains("Pod web/web-0 was replaced")), "{failure}");
    assert!(failure.hints.iter().any(|hint| hint.contains("detach-record")), "{failure:?}");

    outside.delete("Pod", "web-0");
    outside.put(pod.into_value());
    detach(&outside, "once more").await.unwrap();
    assert_detached(&outside, "the pod is the same").await;
}

#[tokio::test(start_paused = true)]
async fn a_record_from_before_the_cluster_was_bootstrapped_again_is_old() {
    let outside = bootstrapped().await;
    let point = FaultPoint { step: StepId::Stop, position: Position::Before };
    let killed = run(&outside, "killed", Faults::at(point, Death::Unwind));
    engine::run(&StepId::DETACH, &killed.world).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(60)).await;
    init(&outside, "never mind").await.unwrap();
    // Weeks later the pod is another one.
    outside.change("Pod", "web-0", json!({"metadata": {"uid": "another"}}));
    detach(&outside, "now").await.unwrap();
    assert_detached(&outside, "another record").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_somebody_elses_stays_and_keeps_the_namespace() {
    let outside = bootstrapped().await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"url": "https://charts.example"},
        "metadata": {"name": "charts", "namespace": "argocd", "labels": {"argocd.argoproj.io/secret-type": "repo-creds"}},
    });
    outside.put(secret);
    outside.add_foreign_key("somebody's");
    let run = run(&outside, "detach", Faults::default());
    engine::run(&StepId::DETACH, &run.world).await.unwrap();
    let others: Vec<String> = run.world.detachment().others.iter().map(ToString::to_string).collect();
    assert_eq!(others, ["Secret argocd/charts"]);
    let names = |kind: &str| outside.of_kind(kind).iter().map(|object| object.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(namespaces(&outside), ["argocd", "web"]);
    assert_eq!((names("Secret"), names("ConfigMap")), (vec!["charts".to_owned()], Vec::new()));
    assert_eq!(outside.keys().iter().map(|key| key.id).collect::<Vec<_>>(), [7]);
    assert_eq!(needed(&outside).await, []);

    outside.delete("Secret", "charts");
    detach(&outside, "later").await.unwrap();
    assert_eq!(namespaces(&outside), ["web"]);
}

#[tokio::test(start_paused = true)]
async fn the_applications_of_another_argo_cd_stay_and_so_does_their_definition() {
    let outside = bootstrapped().await;
    let theirs = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": {},
        "metadata": {"name": "theirs", "namespace": "team", "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
    });
    outside.put(theirs);
    detach(&outside, "detach").await.unwrap();
    let left = outside.of_kind("Application");
    assert_eq!(left.iter().map(|object| object.name()).collect::<Vec<_>>(), ["theirs"]);
    assert_eq!(left[0].at("/metadata/finalizers").unwrap().as_array().unwrap().len(), 1);
    let definitions: Vec<String> = outside.of_kind("CustomResourceDefinition").iter().map(|object| object.name().to_owned()).collect();
    assert_eq!(definitions, ["applications.argoproj.io"]);
}

#[tokio::test(start_paused = true)]
async fn the_definitions_and_the_key_stay_if_that_was_asked_for() {
    let outside = bootstrapped().await;
    let run = run(&outside, "detach", Faults::default());
    run.world.note_detachment(|detachment| (detachment.keep_definitions, detachment.keep_key) = (true, true));
    engine::run(&StepId::DETACH, &run.world).await.unwrap();
    assert_eq!(outside.of_kind("CustomResourceDefinition").len(), 2);
    assert_eq!(outside.keys().len(), 1);
    assert_eq!(outside.of_kind("Application"), []);
}
