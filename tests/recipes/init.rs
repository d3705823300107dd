//! The recipe of `init`.

use std::sync::Arc;
use std::time::Duration;

use gitops_bootstrap::domain::Object;
use gitops_bootstrap::engine;
use gitops_bootstrap::error::{Kind, Result};
use gitops_bootstrap::event::{Event, Events, How, Outcome};
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::steps::World;
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use gitops_bootstrap::steps::fleet_clone::FleetClone;
use gitops_bootstrap::steps::world::Wanted;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::fleet;
use super::memory::{CountedKeys, MemoryClone, MemoryCluster, MemoryForge, MemoryRemote, Outside, Recorded, facts};

pub(super) struct Run {
    pub(super) world: World,
    pub(super) events: Recorded,
    cancel: CancellationToken,
}

pub(super) fn run_as(outside: &Arc<Outside>, holder: &str, faults: Faults, adjust: impl FnOnce(&mut Wanted)) -> Run {
    let events = Recorded::default();
    let cancel = CancellationToken::new();
    let commit = fleet::commit('a');
    let mut wanted = Wanted {
        cluster: "staging".parse().unwrap(),
        tree: fleet::tree(&commit),
        commit,
        facts: facts(),
        hosts: fleet::hosts(),
        bundle: None,
        recovery: None,
        take_ownership: false,
        fix_key: false,
        wait_for_lock: false,
        holder: holder.to_owned(),
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    adjust(&mut wanted);
    let world = World::new(
        Arc::new(MemoryCluster(outside.clone())),
        Some(Arc::new(MemoryForge(outside.clone()))),
        Arc::new(MemoryRemote(outside.clone())),
        Arc::new(CountedKeys(outside.clone())),
        Events::new(events.clone()),
        cancel.clone(),
        tokio::time::Instant::now() + Duration::from_secs(3600),
        Arc::new(faults),
        wanted,
    );
    Run { world, events, cancel }
}

pub(crate) async fn init(outside: &Arc<Outside>, holder: &str) -> Result<Vec<engine::StepReport>> {
    engine::run(&StepId::INIT, &run_as(outside, holder, Faults::default(), |_| {}).world).await
}

async fn needed(outside: &Arc<Outside>) -> Vec<StepId> {
    let run = run_as(outside, "looking", Faults::default(), |_| {});
    engine::survey(&StepId::INIT, &run.world)
        .await
        .unwrap()
        .into_iter()
        .filter(|planned| planned.needed)
        .map(|planned| planned.step)
        .collect()
}

/// One Secret, one key, they belong together, everything converged, the lock free.
async fn assert_converged(outside: &Arc<Outside>, after: &str) {
    let secrets = outside.of_kind("Secret");
    assert_eq!(secrets.len(), 1, "after {after}: one repository Secret");
    assert_eq!(outside.keys().len(), 1, "after {after}: one deploy key");
    assert!(outside.keys()[0].read_only, "after {after}: a key that may only read");
    assert_eq!(needed(outside).await, [], "after {after}: nothing is left to do");
}

#[tokio::test(start_paused = true)]
async fn an_empty_cluster_ends_converged_and_a_second_run_changes_nothing() {
    let outside = Outside::new();
    let reports = init(&outside, "first").await.unwrap();
    assert!(reports.iter().filter(|report| report.outcome == Outcome::Changed).count() > 8, "{reports:?}");
    assert_converged(&outside, "a run").await;

    let (writes, forge_writes) = (outside.writes().len(), outside.forge_writes());
    assert_eq!(needed(&outside).await, []);
    assert_eq!(outside.writes().len(), writes, "looking writes nothing");
    assert_eq!(outside.forge_writes(), forge_writes);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_and_position_one_more_run_converges() {
    for step in StepId::INIT {
        for position in [Position::Before, Position::Sent, Position::After] {
            let point = FaultPoint { step, position };
            let outside = Outside::new();
            let killed = run_as(&outside, "killed", Faults::at(point, Death::Unwind), |_| {});
            assert!(engine::run(&StepId::INIT, &killed.world).await.is_err(), "{point}: the run dies");
            let writes = outside.writes().len();
            drop(killed);
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(outside.writes().len(), writes, "{point}: the dead do not write");
            init(&outside, "again").await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
            assert_converged(&outside, &point.to_string()).await;
            assert_eq!(outside.forge_writes(), 1, "{point}: one key was registered, once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_root_application_goes_in_last() {
    let outside = Outside::new();
    init(&outside, "first").await.unwrap();
    let writes = outside.writes();
    let at = |what: &str| writes.iter().position(|write| write.contains(what)).unwrap_or_else(|| panic!("{what} in {writes:?}"));
    let root = at("apply Application argocd/argocd-app-of-apps");
    for earlier in
        ["create Secret argocd/repo-acme-fleet", "ConfigMap argocd/argocd-ssh-known-hosts-cm", "AppProject argocd/services", "Deployment"]
    {
        assert!(at(earlier) < root, "{earlier} before the root");
    }
}

/// Has a workload of Argo CD read the password of Redis.
fn with_redis(wanted: &mut Wanted) {
    let controller = wanted.tree.argocd.iter_mut().find(|rendered| rendered.object.kind() == "StatefulSet").unwrap();
    let mut value = controller.object.clone().into_value();
    let password = json!({"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "argocd-redis", "key": "auth"}}});
    value["spec"]["template"]["spec"]["containers"][0]["env"] = json!([password]);
    controller.object = Object::new(value).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_password_of_redis_is_there_before_the_pods_that_read_it_and_is_made_once() {
    const MADE: &str = "create Secret argocd/argocd-redis";
    let run = async |outside: &Arc<Outside>, adjust: fn(&mut Wanted)| {
        let run = run_as(outside, "any", Faults::default(), adjust);
        engine::run(&StepId::INIT, &run.world).await.unwrap();
        outside.writes().iter().filter(|write| *write == MADE).count()
    };
    let outside = Outside::new();
    assert_eq!(run(&outside, with_redis).await, 1);
    let place = |what: &str| outside.writes().iter().position(|write| write.contains(what)).unwrap();
    assert!(place(MADE) < place("StatefulSet"));
    assert_eq!(run(&outside, with_redis).await, 1, "a second run finds it");
    outside.delete("Secret", "argocd-redis");
    assert_eq!(run(&outside, with_redis).await, 1, "a Redis that runs has a password");
    assert_eq!(run(&Outside::new(), |_| {}).await, 0, "nothing reads it");
    let outside = Outside::new();
    outside.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-redis", "namespace": "argocd"}}));
    assert_eq!(run(&outside, with_redis).await, 0, "somebody has made it");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_of_argo_cd_has_its_mark_and_nothing_is_sent_for_the_mark_alone() {
    let outside = Outside::new();
    outside.put(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "argocd-repo-server", "namespace": "argocd"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "argocd", "image": "quay.io/argoproj/argocd:v3.5.7"}]}}}}));
    init(&outside, "first").await.unwrap();
    let mark = |kind: &str| {
        let objects = outside.of_kind(kind);
        let object = objects.iter().find(|object| object.name().starts_with("argocd-") || kind == "CustomResourceDefinition").unwrap();
        object.annotation("argocd.argoproj.io/tracking-id").map(str::to_owned)
    };
    assert_eq!(mark("StatefulSet").as_deref(), Some("argocd:apps/StatefulSet:argocd/argocd-application-controller"));
    assert_eq!(mark("ConfigMap").as_deref(), Some("argocd:/ConfigMap:argocd/argocd-ssh-known-hosts-cm"));
    assert_eq!((mark("Deployment"), mark("CustomResourceDefinition")), (None, None), "Argo CD marks no definitions");
    assert_eq!(needed(&outside).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_or_edited_by_hand_is_put_right_and_said() {
    let outside = Outside::new();
    init(&outside, "first").await.unwrap();
    let key = outside.keys()[0].key.clone();

    outside.remove_keys();
    assert_eq!(needed(&outside).await[..2], [StepId::Lease, StepId::KeyRegister]);
    init(&outside, "second").await.unwrap();
    assert_eq!(outside.keys()[0].key, key, "the same key is registered again");

    outside.delete("Deployment", "argocd-repo-server");
    outside.change("AppProject", "services", json!({"spec": {"sourceRepos": ["*"]}}));
    let run = run_as(&outside, "third", Faults::default(), |_| {});
    engine::run(&StepId::INIT, &run.world).await.unwrap();
    let changed: Vec<(String, How)> = run
        .events
        .0
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::Changed { object, how, .. } => Some((object.clone(), *how)),
            _ => None,
        })
        .collect();
    assert_eq!(
        changed,
        [("Deployment argocd/argocd-repo-server".to_owned(), How::Created), ("AppProject argocd/services".to_owned(), How::Updated)]
    );
    assert_converged(&outside, "drift").await;

    outside.delete("Secret", "repo-acme-fleet");
    init(&outside, "fourth").await.unwrap();
    assert_eq!(outside.of_kind("Secret").len(), 1);
    assert_eq!(needed(&outside).await, []);
}

#[tokio::test(start_paused = true)]
async fn deploy_keys_that_are_disabled_stop_the_run_before_argo_cd_and_the_same_key_is_used_later() {
    let outside = Outside::new();
    outside.forbid_deploy_keys(true);
    let failure = init(&outside, "first").await.unwrap_err();
    assert_eq!(failure.kind, Kind::Denied);
    assert!(outside.of_kind("Deployment").is_empty());
    let secret = outside.of_kind("Secret");
    outside.forbid_deploy_keys(false);
    init(&outside, "second").await.unwrap();
    assert_eq!(outside.of_kind("Secret")[0].value()["stringData"], secret[0].value()["stringData"]);
    assert_converged(&outside, "a refusal").await;
}

#[tokio::test(start_paused = true)]
async fn a_key_with_write_access_is_refused_and_fixed_on_request() {
    let outside = Outside::new();
    init(&outside, "first").await.unwrap();
    outside.let_keys_write();
    assert_eq!(init(&outside, "second").await.unwrap_err().kind, Kind::Conflict);
    let fixing = run_as(&outside, "third", Faults::default(), |wanted| wanted.fix_key = true);
    engine::run(&StepId::INIT, &fixing.world).await.unwrap();
    assert_converged(&outside, "fixing the key").await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_key_with_our_title_stays() {
    let outside = Outside::new();
    outside.add_foreign_key("gitops-bootstrap staging 0c0ffee0");
    init(&outside, "first").await.unwrap();
    let keys = outside.keys();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0].id, 7);
    assert_ne!(keys[0].title, keys[1].title);
}

#[tokio::test(start_paused = true)]
async fn of_runs_at_once_one_goes_on_and_the_others_stop() {
    let outside = Outside::new();
    let runs = (0..8).map(|number| {
        let outside = outside.clone();
        async move { init(&outside, &format!("run {number}")).await }
    });
    let results = futures::future::join_all(runs).await;
    assert!(results.iter().any(Result::is_ok));
    for failure in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(failure.kind, Kind::Locked, "{failure}");
    }
    assert_converged(&outside, "a race").await;
    assert_eq!(outside.forge_writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_with_a_time_in_the_future_or_with_rubbish_is_judged_by_what_is_observed() {
    for renewed in ["2099-01-01T00:00:00.000000Z", "rubbish"] {
        let outside = Outside::new();
        outside.put(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "gitops-bootstrap", "namespace": "argocd"},
            "spec": {"holderIdentity": "somebody", "renewTime": renewed},
        }));
        init(&outside, "next").await.unwrap();
        assert_converged(&outside, renewed).await;
    }
}

/// Tells a run to stop when a step begins, and checks that it does so in time and gives the lock back.
pub(crate) async fn assert_stops_well(outside: &Outside, run: &Run, recipe: &[StepId], step: StepId) {
    let stop = async {
        loop {
            tokio::task::yield_now().await;
            let events = run.events.0.lock().unwrap().clone();
            if events.iter().any(|event| matches!(event, Event::StepStarted { step: started, .. } if *started == step)) {
                return run.cancel.cancel();
            }
        }
    };
    let begin = tokio::time::Instant::now();
    let (result, ()) = tokio::join!(engine::run(recipe, &run.world), stop);
    if let Err(failure) = result {
        assert_eq!(failure.kind, Kind::Interrupted, "{step}: {failure}");
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{step}: stopped in {:?}", begin.elapsed());
    let held = outside.of_kind("Lease").iter().any(|lease| lease.text("/spec/holderIdentity").is_some_and(|holder| !holder.is_empty()));
    assert!(!held, "{step}: the lock is free");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_told_to_stop_gives_the_lock_back_and_is_continued() {
    for step in StepId::INIT {
        let outside = Outside::new();
        let run = run_as(&outside, "stopped", Faults::default(), |_| {});
        assert_stops_well(&outside, &run, &StepId::INIT, step).await;
        init(&outside, "again").await.unwrap();
        assert_converged(&outside, step.name()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_secrets_for_one_repository_are_a_conflict() {
    let outside = Outside::new();
    init(&outside, "first").await.unwrap();
    let mut second = outside.of_kind("Secret")[0].clone().into_value();
    second["metadata"]["name"] = "another".into();
    outside.put(second);
    let failure = init(&outside, "second").await.unwrap_err();
    assert_eq!(failure.kind, Kind::Conflict);
    assert!(failure.message.contains("another"), "{failure}");
}

/// A clone of which nothing could tell whether it is what the remote serves.
fn uncompared(differing: &'static [&'static str]) -> FleetClone {
    FleetClone { worktree: Arc::new(MemoryClone { differing }), head: fleet::commit('a'), used: vec!["rendered/staging".parse().unwrap()] }
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_could_not_be_compared_is_compared_once_the_key_works_and_before_argo_cd() {
    let outside = Outside::new();
    outside.push(fleet::commit('b'));
    let run = run_as(&outside, "first", Faults::default(), |_| {});
    run.world.note_uncompared(uncompared(&["rendered/staging/services/web/Deployment.web.yaml"]));
    let failure = engine::run(&StepId::INIT, &run.world).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Refused, "{failure}");
    assert!(
        failure.message.contains("the clone is at aaaaaaaaaa, but main of git@github.com:acme/fleet.git is at bbbbbbbbbb"),
        "{failure}"
    );
    assert!(failure.causes.iter().any(|cause| cause.ends_with("Deployment.web.yaml")), "{failure}");
    assert!(failure.causes.iter().any(|cause| cause.contains("Argo CD was not touched")), "{failure}");
    assert!(outside.of_kind("CustomResourceDefinition").is_empty() && outside.of_kind("Deployment").is_empty());
    assert!(outside.of_kind("Lease")[0].text("/spec/holderIdentity").is_none_or(str::is_empty), "the lock is free");

    // The key is there now, so the next look refuses by itself.
    let run = run_as(&outside, "second", Faults::default(), |_| {});
    run.world.note_uncompared(uncompared(&["rendered/staging/services/web/Deployment.web.yaml"]));
    let writes = outside.writes().len();
    let failure = engine::survey(&StepId::INIT, &run.world).await.unwrap_err();
    assert_eq!((failure.kind, outside.writes().len()), (Kind::Refused, writes), "{failure}");
    assert!(failure.causes.contains(&"nothing was changed".to_owned()), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_clone_with_the_same_files_goes_to_the_commit_of_the_remote() {
    let outside = Outside::new();
    outside.push(fleet::commit('b'));
    let run = run_as(&outside, "first", Faults::default(), |_| {});
    run.world.note_uncompared(uncompared(&[]));
    engine::run(&StepId::INIT, &run.world).await.unwrap();
    assert_eq!(run.world.commit(), fleet::commit('b'));
    let warned =
        run.events.0.lock().unwrap().iter().any(|event| matches!(event, Event::Warning { message, .. } if message.contains("moved")));
    assert!(!warned, "the branch has not moved during the run");
}

/// What Argo CD says of an Application while it has missed that all is well.
fn missed() -> [Value; 3] {
    let revision = fleet::commit('a');
    let synced = |sync: &str, health: &str| {
        json!({
            "sync": {"status": sync, "revision": revision.as_str()}, "health": {"status": health}, "reconciledAt": "2026-01-01T00:00:00Z",
            "operationState": {"phase": "Succeeded", "syncResult": {"revision": revision.as_str()}},
        })
    };
    let no_project = json!({
        "sync": {"status": "Unknown"}, "health": {"status": "Unknown"}, "reconciledAt": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "InvalidSpecError", "message": "application references project services which does not exist"}],
    });
    [synced("OutOfSync", "Healthy"), synced("Synced", "Progressing"), no_project]
}

#[tokio::test(start_paused = true)]
async fn what_argo_cd_has_missed_is_looked_at_again_within_seconds() {
    for status in missed() {
        let outside = Outside::new();
        outside.set_status("web", status.clone());
        let run = run_as(&outside, "first", Faults::default(), |_| {});
        let comes_right = async {
            while outside.of_kind("Application").iter().all(|object| object.name() != "web") {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            outside.comes_right_unseen("web");
            tokio::time::Instant::now()
        };
        let (result, right) = tokio::join!(engine::run(&StepId::INIT, &run.world), comes_right);
        result.unwrap();
        assert!(right.elapsed() < Duration::from_secs(3), "{status}: {:?}", right.elapsed());
        assert_eq!(run.world.kicks(), 0, "{status}: nothing had to be started again");
    }
}
