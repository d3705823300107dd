//! Recovery while the forge is down, and the way back to it.

use std::sync::Arc;
use std::time::Duration;

use gitops_bootstrap::domain::Commit;
use gitops_bootstrap::engine;
use gitops_bootstrap::error::{Kind, Result};
use gitops_bootstrap::manifest::{git_server, served};
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::ports::git::{Pack, PackedCommit};
use gitops_bootstrap::preflight::check_follows_forge;
use gitops_bootstrap::steps::World;
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use gitops_bootstrap::steps::serve_clone::recipe;
use gitops_bootstrap::steps::world::{Recovering, Served};
use serde_json::json;

use super::fleet;
use super::init::run_as;
use super::memory::{MemoryCluster, Outside};

/// The commit that is served from the clone.
fn served_commit() -> Commit {
    fleet::commit('b')
}

fn served() -> Served {
    let tree = fleet::tree(&fleet::commit('a'));
    let pack = Pack { name: "d".repeat(40), content: vec![1], index: vec![2] };
    let packed = PackedCommit { commit: served_commit(), packs: vec![pack] };
    let objects = git_server::objects(&packed, &tree).unwrap();
    Served { tree: served::tree(&tree, served_commit(), &git_server::address()), objects }
}

/// A recovery, from the clone or from the forge.
fn world(outside: &Arc<Outside>, from_clone: bool, faults: Faults) -> World {
    let holder = format!("{from_clone} {faults:?}");
    let mut world = run_as(outside, &holder, faults, |wanted| wanted.recovery = Some(Recovering::default())).world;
    if !from_clone {
        return world;
    }
    world.forge = None;
    let served = served();
    outside.serve(&served.tree);
    world.serving(Some(served))
}

async fn recover(outside: &Arc<Outside>, from_clone: bool, faults: Faults) -> Result<()> {
    let world = world(outside, from_clone, faults);
    let recipe = recipe(&StepId::RECOVER, &world).await?;
    engine::run(&recipe, &world).await.map(drop)
}

async fn steps(outside: &Arc<Outside>, from_clone: bool) -> Vec<StepId> {
    recipe(&StepId::RECOVER, &world(outside, from_clone, Faults::default())).await.unwrap()
}

async fn needed(outside: &Arc<Outside>, from_clone: bool) -> Vec<StepId> {
    let world = world(outside, from_clone, Faults::default());
    let recipe = recipe(&StepId::RECOVER, &world).await.unwrap();
    let planned = engine::survey(&recipe, &world).await.unwrap();
    planned.into_iter().filter(|planned| planned.needed).map(|planned| planned.step).collect()
}

/// Everything comes from the clone, and the forge was not written.
async fn assert_served(outside: &Arc<Outside>, after: &str) {
    for application in outside.of_kind("Application") {
        let (url, revision) = (application.text("/spec/source/repoURL"), application.text("/status/sync/revision"));
        assert_eq!(url, Some(git_server::address().as_str()), "after {after}: {}", application.name());
        assert_eq!(revision, Some(served_commit().as_str()), "after {after}: {}", application.name());
    }
    let record = outside.of_kind("ConfigMap").into_iter().find(|object| object.name() == "gitops-bootstrap").unwrap();
    assert_eq!(record.text("/data/servedCommit"), Some(served_commit().as_str()), "after {after}");
    assert_eq!(record.text("/data/commit"), Some(fleet::commit('a').as_str()), "after {after}: the record has the fleet's own commit");
    assert_eq!(outside.of_kind("Secret").len(), 1, "after {after}: the key is made");
    assert_eq!(outside.forge_writes(), 0, "after {after}: and registered later");
    assert_eq!(needed(outside, true).await, [], "after {after}: nothing is left to do");
    let refused = check_follows_forge(&MemoryCluster(outside.clone()), &"staging".parse().unwrap()).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Refused, "after {after}: the key is not rotated, and Argo CD not taken out, before the tree is back");
}

/// Everything comes from the forge, with one key, and nothing of the server is left.
async fn assert_back(outside: &Arc<Outside>, after: &str) {
    for application in outside.of_kind("Application") {
        assert_eq!(application.text("/spec/source/repoURL"), Some(fleet::REPOSITORY), "after {after}: {}", application.name());
        assert_eq!(application.text("/status/sync/revision"), Some(fleet::commit('a').as_str()), "after {after}");
    }
    for project in outside.of_kind("AppProject") {
        assert_eq!(project.at("/spec/sourceRepos").unwrap(), &json!([fleet::REPOSITORY]), "after {after}");
    }
    for kind in ["Deployment", "Service", "NetworkPolicy", "ConfigMap"] {
        let left: Vec<String> = outside.of_kind(kind).iter().map(|object| object.name().to_owned()).collect();
        assert!(!left.iter().any(|name| name.starts_with(git_server::NAME)), "after {after}: {left:?}");
        assert!(!left.is_empty() || kind != "Deployment", "Argo CD stays");
    }
    let record = outside.of_kind("ConfigMap").into_iter().find(|object| object.name() == "gitops-bootstrap").unwrap();
    assert_eq!(record.text("/data/servedCommit"), None, "after {after}");
    assert_eq!((outside.keys().len(), outside.of_kind("Secret").len()), (1, 1), "after {after}: one key, in one Secret");
    assert_eq!(needed(outside, false).await, [], "after {after}: nothing is left to do");
    assert_eq!(steps(outside, false).await, StepId::RECOVER, "after {after}: nothing remembers the server");
    check_follows_forge(&MemoryCluster(outside.clone()), &"staging".parse().unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_git_down_the_tree_runs_from_the_clone_and_a_second_run_changes_nothing() {
    let outside = Outside::new();
    outside.take_git_down(true);
    recover(&outside, true, Faults::default()).await.unwrap();
    assert_served(&outside, "a run").await;
    let writes = outside.writes().len();
    needed(&outside, true).await;
    assert_eq!(outside.writes().len(), writes, "looking writes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_later_run_moves_the_tree_back_to_the_forge_and_removes_the_server() {
    let outside = Outside::new();
    outside.take_git_down(true);
    recover(&outside, true, Faults::default()).await.unwrap();
    outside.take_git_down(false);
    assert!(needed(&outside, false).await.contains(&StepId::ServeEnd), "the plan names it");
    recover(&outside, false, Faults::default()).await.unwrap();
    assert_back(&outside, "a run").await;
    let writes = outside.writes();
    let at = |what: &str| writes.iter().rposition(|write| write.contains(what)).unwrap_or_else(|| panic!("{what} in {writes:?}"));
    assert!(at("apply Application argocd/argocd-app-of-apps") < at("apply AppProject"), "the root moves first");
    assert!(at("apply AppProject") < at("delete Service argocd/gitops-bootstrap-git"));
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_while_git_is_down_one_more_run_serves_the_clone() {
    let outside = Outside::new();
    for step in steps(&outside, true).await {
        for position in [Position::Before, Position::Sent, Position::After] {
            let point = FaultPoint { step, position };
            let outside = Outside::new();
            outside.take_git_down(true);
            assert!(recover(&outside, true, Faults::at(point, Death::Unwind)).await.is_err(), "{point}: the run dies");
            tokio::time::sleep(Duration::from_secs(60)).await;
            recover(&outside, true, Faults::default()).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
            assert_served(&outside, &point.to_string()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_while_git_is_down_the_next_run_may_also_find_the_forge_back() {
    let outside = Outside::new();
    for step in steps(&outside, true).await {
        let point = FaultPoint { step, position: Position::After };
        let outside = Outside::new();
        outside.take_git_down(true);
        assert!(recover(&outside, true, Faults::at(point, Death::Unwind)).await.is_err(), "{point}: the run dies");
        tokio::time::sleep(Duration::from_secs(60)).await;
        outside.take_git_down(false);
        recover(&outside, false, Faults::default()).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
        assert_back(&outside, &point.to_string()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_of_the_way_back_one_more_run_is_back() {
    let outside = Outside::new();
    outside.take_git_down(true);
    recover(&outside, true, Faults::default()).await.unwrap();
    for step in steps(&outside, false).await {
        for position in [Position::Before, Position::Sent, Position::After] {
            let point = FaultPoint { step, position };
            let outside = Outside::new();
            outside.take_git_down(true);
            recover(&outside, true, Faults::default()).await.unwrap();
            outside.take_git_down(false);
            assert!(recover(&outside, false, Faults::at(point, Death::Unwind)).await.is_err(), "{point}: the run dies");
            tokio::time::sleep(Duration::from_secs(60)).await;
            recover(&outside, false, Faults::default()).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
            assert_back(&outside, &point.to_string()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_nobody_leads_back_keeps_the_server() {
    let outside = Outside::new();
    outside.take_git_down(true);
    recover(&outside, true, Faults::default()).await.unwrap();
    outside.put(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "by-hand", "namespace": "argocd"},
        "spec": {"project": "services", "source": {"repoURL": git_server::address().as_str(), "path": "any", "targetRevision": "main"}},
    }));
    outside.take_git_down(false);
    let failure = recover(&outside, false, Faults::default()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Deadline, "{failure}");
    assert!(failure.causes.iter().any(|cause| cause.contains("by-hand") && cause.contains("still takes its objects")), "{failure:?}");
    assert!(outside.of_kind("Deployment").iter().any(|object| object.name() == git_server::NAME));
}

#[tokio::test(start_paused = true)]
async fn an_object_of_somebody_else_under_the_servers_name_is_not_touched() {
    let outside = Outside::new();
    let theirs = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": git_server::NAME, "namespace": "argocd"}, "spec": {}});
    outside.put(theirs);
    outside.take_git_down(true);
    let failure = recover(&outside, true, Faults::default()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Conflict, "{failure}");
    assert!(!outside.writes().iter().any(|write| write.contains("Service")));
}
