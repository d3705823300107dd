//! The recipes of `rotate-key --to`: before and after the change of the address in Git.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use gitops_bootstrap::domain::tree::Tree;
use gitops_bootstrap::engine;
use gitops_bootstrap::error::{Kind, Result};
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::steps::World;
use gitops_bootstrap::steps::credential::{Access, WantedApp};
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use gitops_bootstrap::steps::world::Rotation;
use serde_json::json;

use super::fleet::{self, REPOSITORY as SSH};
use super::init::{init, run_as};
use super::memory::{MemoryApps, Outside};

const HTTPS: &str = "https://github.com/acme/fleet.git";

/// One way of a move.
#[derive(Clone, Copy)]
struct Way {
    from: &'static str,
    to: &'static str,
    kind: &'static str,
}

const WAYS: [Way; 2] = [Way { from: SSH, to: HTTPS, kind: "a GitHub App" }, Way { from: HTTPS, to: SSH, kind: "a deploy key" }];

fn access(address: &str, private_key: Option<&str>) -> Access {
    let number = |number| NonZeroU64::new(number).unwrap();
    match address {
        HTTPS => Access::GitHubApp(WantedApp {
            id: number(12),
            installation: private_key.map(|_| number(34)),
            private_key: private_key.map(Into::into),
            api: None,
        }),
        _ => Access::DeployKey,
    }
}

/// What the clone has before the address is changed, and after it: then the projects permit both.
fn trees(way: Way) -> (Tree, Tree) {
    (fleet::tree_at(&fleet::commit('a'), way.from, &[way.from]), fleet::tree_at(&fleet::commit('b'), way.to, &[way.from, way.to]))
}

fn world(outside: &Arc<Outside>, holder: &str, tree: &Tree, way: Way, faults: Faults) -> World {
    let run = run_as(outside, holder, faults, |wanted| {
        wanted.tree = tree.clone();
        wanted.commit = tree.commit.clone();
    });
    let key = outside.of_kind("Secret").iter().all(|secret| secret.name() != "repo-acme-fleet-github-app").then_some("key");
    let world = run.world.with_access(access(way.to, key), Arc::new(MemoryApps(outside.clone())));
    world.moving(way.from.parse().unwrap(), way.to.parse().unwrap())
}

/// A cluster that was bootstrapped at the old address.
async fn bootstrapped(way: Way) -> Arc<Outside> {
    let outside = Outside::new();
    outside.let_app_in(&["key"]);
    let (before, _) = trees(way);
    outside.push_tree(&before);
    let run = run_as(&outside, "init", Faults::default(), |wanted| wanted.tree = before);
    let world = run.world.with_access(access(way.from, Some("key")), Arc::new(MemoryApps(outside.clone())));
    engine::run(&StepId::INIT, &world).await.unwrap();
    assert!(outside.has_access());
    outside
}

async fn prepare(outside: &Arc<Outside>, way: Way, faults: Faults) -> Result<()> {
    let world = world(outside, "prepare", &trees(way).0, way, faults);
    engine::survey(&StepId::PREPARE_MOVE, &world).await?;
    engine::run(&StepId::PREPARE_MOVE, &world).await.map(drop)
}

async fn finish(outside: &Arc<Outside>, way: Way, faults: Faults) -> Result<Rotation> {
    let world = world(outside, "finish", &trees(way).1, way, faults);
    engine::survey(&StepId::FINISH_MOVE, &world).await?;
    engine::run(&StepId::FINISH_MOVE, &world).await.map(|_| world.rotation())
}

/// What of a recipe there would be to do.
async fn needed(outside: &Arc<Outside>, recipe: &[StepId], tree: &Tree, way: Way) -> Vec<StepId> {
    let world = world(outside, "looking", tree, way, Faults::default());
    let planned = engine::survey(recipe, &world).await.unwrap();
    planned.into_iter().filter(|planned| planned.needed).map(|planned| planned.step).collect()
}

fn secret_names(outside: &Outside) -> Vec<String> {
    outside.of_kind("Secret").iter().map(|secret| secret.name().to_owned()).collect()
}

async fn assert_prepared(outside: &Arc<Outside>, way: Way, after: &str) {
    assert_eq!(secret_names(outside), ["repo-acme-fleet", "repo-acme-fleet-github-app"], "{after}");
    assert_eq!(outside.keys().len(), 1, "{after}: one deploy key");
    assert_eq!(outside.access_losses(), 0, "{after}");
    assert_eq!(needed(outside, &StepId::PREPARE_MOVE, &trees(way).0, way).await, [], "{after}");
}

async fn assert_moved(outside: &Arc<Outside>, way: Way, after: &str) {
    let (secret, keys) = if way.to == HTTPS { ("repo-acme-fleet-github-app", 0) } else { ("repo-acme-fleet", 1) };
    assert_eq!((secret_names(outside), outside.keys().len()), (vec![secret.to_owned()], keys), "{after}");
    let addresses: Vec<String> =
        outside.of_kind("Application").iter().map(|object| object.text("/spec/source/repoURL").unwrap().to_owned()).collect();
    assert_eq!(addresses, [way.to; 5], "{after}");
    assert!(outside.has_access(), "{after}");
    assert_eq!(outside.access_losses(), 0, "{after}: Argo CD never lost access");
    assert_eq!(needed(outside, &StepId::FINISH_MOVE, &trees(way).1, way).await, [], "{after}: nothing is left to do");
}

#[tokio::test(start_paused = true)]
async fn before_git_names_the_new_address_the_other_credential_is_made_and_nothing_else_is_touched() {
    for way in WAYS {
        let outside = bootstrapped(way).await;
        let writes = outside.writes().len();
        prepare(&outside, way, Faults::default()).await.unwrap();
        let writes: Vec<String> = outside.writes().split_off(writes).into_iter().filter(|write| !write.contains("Lease")).collect();
        assert_eq!(writes.len(), 1, "{}: {writes:?}", way.kind);
        assert!(writes[0].starts_with("create Secret argocd/repo-acme-fleet"), "{writes:?}");
        assert_prepared(&outside, way, way.kind).await;
    }
}

#[tokio::test(start_paused = true)]
async fn once_git_names_the_new_address_one_credential_is_left_and_access_is_never_lost() {
    for way in WAYS {
        let outside = bootstrapped(way).await;
        prepare(&outside, way, Faults::default()).await.unwrap();
        outside.push_tree(&trees(way).1);
        let rotation = finish(&outside, way, Faults::default()).await.unwrap();
        assert_moved(&outside, way, way.kind).await;
        assert_eq!((rotation.removed_secrets.len(), rotation.retired.len()), (1, usize::from(way.to == HTTPS)), "{rotation:?}");
        let marker = outside.of_kind("ConfigMap").into_iter().find(|object| object.name() == "gitops-bootstrap").unwrap();
        assert_eq!(marker.text("/data/repository"), Some(way.to));
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_and_position_of_either_half_the_same_run_again_ends_it_and_access_is_never_lost() {
    for way in WAYS {
        for (step, is_first) in
            StepId::PREPARE_MOVE.map(|step| (step, true)).into_iter().chain(StepId::FINISH_MOVE.map(|step| (step, false)))
        {
            for position in [Position::Before, Position::Sent, Position::After] {
                let point = FaultPoint { step, position };
                let killed = || Faults::at(point, Death::Unwind);
                let outside = bootstrapped(way).await;
                let said = format!("{point} on the way to {}", way.kind);
                if is_first {
                    assert!(prepare(&outside, way, killed()).await.is_err(), "{said}: the run dies");
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                prepare(&outside, way, Faults::default()).await.unwrap_or_else(|failure| panic!("{said}: {failure}"));
                assert_prepared(&outside, way, &said).await;
                outside.push_tree(&trees(way).1);
                if !is_first {
                    assert!(finish(&outside, way, killed()).await.is_err(), "{said}: the run dies");
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                finish(&outside, way, Faults::default()).await.unwrap_or_else(|failure| panic!("{said}: {failure}"));
                assert_moved(&outside, way, &said).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_that_is_given_up_before_git_was_changed_ends_where_it_began() {
    let outside = bootstrapped(WAYS[0]).await;
    prepare(&outside, WAYS[0], Faults::default()).await.unwrap();
    let back = Way { from: HTTPS, to: SSH, kind: "a deploy key" };
    let world = world(&outside, "back", &trees(WAYS[0]).0, back, Faults::default());
    engine::run(&StepId::FINISH_MOVE, &world).await.unwrap();
    assert_eq!((secret_names(&outside), outside.keys().len()), (vec!["repo-acme-fleet".to_owned()], 1));
    assert_eq!(outside.access_losses(), 0);
    assert_eq!(outside.forge_writes(), 1, "the deploy key was not touched");
}

#[tokio::test(start_paused = true)]
async fn a_first_half_that_was_left_out_is_made_up_for() {
    for way in WAYS {
        let outside = bootstrapped(way).await;
        outside.push_tree(&trees(way).1);
        finish(&outside, way, Faults::default()).await.unwrap();
        assert_moved(&outside, way, way.kind).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_still_names_the_old_address_keeps_the_old_credential() {
    let way = WAYS[0];
    let outside = bootstrapped(way).await;
    prepare(&outside, way, Faults::default()).await.unwrap();
    outside.push_tree(&trees(way).1);
    outside.put(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "by-hand", "namespace": "argocd"},
        "spec": {"project": "argocd", "source": {"repoURL": SSH, "path": "elsewhere", "targetRevision": "main"}},
    }));
    let failure = finish(&outside, way, Faults::default()).await.unwrap_err();
    assert!(failure.causes.iter().any(|cause| cause.contains("by-hand") && cause.contains("old address")), "{failure}");
    assert_eq!((outside.of_kind("Secret").len(), outside.keys().len()), (2, 1), "nothing was removed");
    outside.delete("Application", "by-hand");
    outside.put(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "applicationsets.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced", "names": {"kind": "ApplicationSet", "plural": "applicationsets"}},
    }));
    outside.put(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": "generated", "namespace": "argocd"},
        "spec": {"generators": [{"git": {"repoURL": "ssh://git@github.com/acme/fleet"}}]},
    }));
    let failure = finish(&outside, way, Faults::default()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Conflict, "{failure}");
    assert!(failure.to_string().contains("ApplicationSet generated"), "{failure}");
    assert_eq!((outside.of_kind("Secret").len(), outside.keys().len()), (2, 1), "the Secret and the key were kept");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_well_for_another_reason_does_not_keep_a_cluster_from_moving() {
    let way = WAYS[0];
    let outside = bootstrapped(way).await;
    prepare(&outside, way, Faults::default()).await.unwrap();
    let status = |revision: &str| {
        json!({
            "sync": {"status": "Synced", "revision": revision}, "health": {"status": "Degraded"}, "reconciledAt": "2026-01-01T00:00:00Z",
            "operationState": {"phase": "Succeeded", "syncResult": {"revision": revision}},
        })
    };
    let (_, after) = trees(way);
    outside.push_tree(&after);
    outside.set_status("web", status(after.commit.as_str()));
    finish(&outside, way, Faults::default()).await.unwrap();
    assert_eq!((secret_names(&outside), outside.keys().len()), (vec!["repo-acme-fleet-github-app".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_token_the_old_key_is_left_to_a_person_and_named() {
    let way = WAYS[0];
    let outside = bootstrapped(way).await;
    let old = outside.keys()[0].key.clone();
    prepare(&outside, way, Faults::default()).await.unwrap();
    outside.push_tree(&trees(way).1);
    let mut world = world(&outside, "finish", &trees(way).1, way, Faults::default());
    world.forge = None;
    engine::run(&StepId::FINISH_MOVE, &world).await.unwrap();
    assert_eq!(secret_names(&outside), ["repo-acme-fleet-github-app"]);
    assert_eq!(world.rotation().by_hand, [old]);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_not_let_in_is_refused_before_anything_is_changed() {
    let way = WAYS[0];
    let outside = bootstrapped(way).await;
    outside.let_app_in(&["another"]);
    let writes = outside.writes().len();
    let failure = prepare(&outside, way, Faults::default()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Denied, "{failure}");
    assert_eq!(outside.writes().len(), writes);
}

#[tokio::test(start_paused = true)]
async fn init_in_the_middle_of_a_move_does_no_harm() {
    let way = WAYS[0];
    let outside = bootstrapped(way).await;
    prepare(&outside, way, Faults::default()).await.unwrap();
    init(&outside, "between").await.unwrap();
    assert_prepared(&outside, way, "init").await;
}
