//! Plans: what a run is said to do is what it then does.

use std::collections::BTreeSet;
use std::sync::Arc;

use gitops_bootstrap::engine;
use gitops_bootstrap::error::Kind;
use gitops_bootstrap::event::Event;
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::plan::preview::{Action, KeyAction, Preview};
use gitops_bootstrap::steps::faults::Faults;
use gitops_bootstrap::steps::world::Wanted;
use serde_json::json;

use super::init::{init, run_as};
use super::memory::Outside;
use super::recover;

async fn preview_with(outside: &Arc<Outside>, adjust: impl FnOnce(&mut Wanted)) -> Preview {
    let before = (outside.writes(), outside.forge_writes());
    let run = run_as(outside, "planning", Faults::default(), adjust);
    let (_, preview) = engine::preview(&StepId::INIT, &run.world).await.unwrap();
    assert_eq!((outside.writes(), outside.forge_writes()), before, "a plan writes nothing");
    preview
}

async fn preview(outside: &Arc<Outside>) -> Preview {
    preview_with(outside, |_| {}).await
}

/// The objects that a plan says will be sent.
fn planned(preview: &Preview) -> BTreeSet<String> {
    preview.objects.iter().filter(|object| object.is_sent()).map(|object| object.object.to_string()).collect()
}

/// The objects that were sent since there were `before` writes. The lock is taken and given back, and what Argo CD is asked for is no object of a plan.
fn sent(outside: &Outside, before: usize) -> BTreeSet<String> {
    let writes = outside.writes().split_off(before);
    let written = writes.iter().filter_map(|write| write.split_once(' '));
    written
        .filter(|(verb, object)| *verb != "patch" && !(*verb == "replace" && object.starts_with("Lease")))
        .map(|(_, object)| object.to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_of_init_lists_is_what_init_sends_and_then_nothing_is_left() {
    let outside = Outside::new();
    let first = preview(&outside).await;
    assert!(planned(&first).len() > 8, "{first:?}");
    assert_eq!((first.keys.len(), first.keys[0].action, &first.keys[0].fingerprint), (1, KeyAction::Register, &None));
    init(&outside, "first").await.unwrap();
    assert_eq!(planned(&first), sent(&outside, 0));

    let second = preview(&outside).await;
    assert_eq!(planned(&second), BTreeSet::new());
    assert!(second.objects.iter().all(|object| object.action == Action::InPlace), "{second:?}");
    assert_eq!((second.keys[0].action, second.keys[0].id), (KeyAction::Keep, Some(outside.keys()[0].id)));
}

#[tokio::test(start_paused = true)]
async fn drift_is_listed_exactly_and_put_right_exactly() {
    let outside = Outside::new();
    init(&outside, "first").await.unwrap();
    outside.delete("Deployment", "argocd-repo-server");
    outside.change("AppProject", "services", json!({"spec": {"sourceRepos": ["*"]}}));
    outside.remove_keys();
    let drift = preview(&outside).await;
    let listed: Vec<(Action, String)> = drift
        .objects
        .iter()
        .filter(|object| object.action != Action::InPlace)
        .map(|object| (object.action, object.object.to_string()))
        .collect();
    let expected = [(Action::Create, "Deployment argocd/argocd-repo-server"), (Action::Change, "AppProject argocd/services")]
        .map(|(action, object)| (action, object.to_owned()));
    assert_eq!(listed, expected);
    let project = drift.objects.iter().find(|object| object.action == Action::Change).unwrap();
    let diff = project.diff.as_deref().unwrap();
    assert!(diff.contains("+    - git@github.com:acme/fleet.git") || diff.contains("git@github.com:acme/fleet.git"), "{diff}");
    assert_eq!(drift.keys[0].action, KeyAction::Register);
    assert_eq!(drift.keys[0].fingerprint, Some(only_key(&outside)), "the key in the cluster is known");

    let before = outside.writes().len();
    init(&outside, "second").await.unwrap();
    assert_eq!(planned(&drift), sent(&outside, before));
}

/// The fingerprint of the key in the repository Secret.
fn only_key(outside: &Outside) -> gitops_bootstrap::domain::Fingerprint {
    use gitops_bootstrap::ports::KeyMaker as _;
    let private = outside.of_kind("Secret")[0].text("/stringData/sshPrivateKey").unwrap().to_owned();
    gitops_bootstrap::adapters::ssh_key::SshKeyMaker.public_half(&private.into()).unwrap().fingerprint()
}

#[tokio::test(start_paused = true)]
async fn what_is_somebody_elses_is_listed_with_its_owner_beside_everything_else() {
    let outside = Outside::new();
    let foreign = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "argocd-repo-server", "namespace": "argocd", "managedFields": [
            {"manager": "somebody", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
        "spec": {"replicas": 7, "template": {"spec": {"containers": [{"name": "argocd", "image": "quay.io/argoproj/argocd:v3.5.7"}]}}},
    });
    outside.put(foreign);
    let plan = preview(&outside).await;
    let conflict = plan.objects.iter().find(|object| object.action == Action::Conflict).unwrap();
    assert_eq!(conflict.object.name, "argocd-repo-server");
    assert_eq!((conflict.left[0].manager.as_str(), conflict.left[0].field.as_str()), ("somebody", ".spec.replicas"));
    assert!(planned(&plan).len() > 8, "everything else is listed too");
    let failure = init(&outside, "refused").await.unwrap_err();
    assert_eq!(plan.failures, [failure], "the plan ends with what the run ends with");
    assert_eq!(plan.failures[0].kind, Kind::Conflict);

    let taken = preview_with(&outside, |wanted| wanted.take_ownership = true).await;
    let adopted = taken.objects.iter().find(|object| object.object.name == "argocd-repo-server").unwrap();
    assert_eq!((adopted.action, adopted.taken[0].manager.as_str(), taken.failures.len()), (Action::Adopt, "somebody", 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_of_recover_lists_is_what_recover_sends() {
    let outside = Outside::new();
    let world = recover::world(&outside, "planning");
    let (_, first) = engine::preview(&StepId::RECOVER, &world).await.unwrap();
    assert_eq!(outside.writes(), [] as [String; 0]);
    assert!(planned(&first).contains("Secret kube-system/sealing-key"), "{first:?}");
    assert!(!format!("{first:?}").contains("private"), "no secret is in a plan");
    engine::run(&StepId::RECOVER, &recover::world(&outside, "first")).await.unwrap();
    assert_eq!(planned(&first), sent(&outside, 0));
    let (_, second) = engine::preview(&StepId::RECOVER, &recover::world(&outside, "again")).await.unwrap();
    assert_eq!(planned(&second), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn each_step_says_why_it_exists_where_that_is_asked_for() {
    let outside = Outside::new();
    let quiet = run_as(&outside, "quiet", Faults::default(), |_| {});
    assert!(engine::survey(&StepId::INIT, &quiet.world).await.unwrap().iter().all(|step| step.why.is_none()));

    let mut run = run_as(&outside, "explaining", Faults::default(), |_| {});
    run.world = run.world.explaining(true);
    let planned = engine::survey(&StepId::INIT, &run.world).await.unwrap();
    assert!(planned.iter().all(|step| step.why == Some(step.step.why())), "{planned:?}");
    engine::run(&StepId::INIT, &run.world).await.unwrap();
    let started: Vec<StepId> = run
        .events
        .0
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::StepStarted { step, why, .. } if *why == Some(step.why()) => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(started, StepId::INIT);
}
