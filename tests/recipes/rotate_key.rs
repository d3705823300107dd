//! The recipes of `rotate-key`.

use std::sync::Arc;
use std::time::Duration;

use gitops_bootstrap::domain::PublicKey;
use gitops_bootstrap::engine;
use gitops_bootstrap::error::{Kind, Result};
use gitops_bootstrap::event::Event;
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use serde_json::json;

use super::init::{Run, assert_stops_well, init, run_as};
use super::memory::{Outside, Recorded};

const RECIPES: [(bool, [StepId; 9]); 2] = [(false, StepId::ROTATE), (true, StepId::REVOKE_AND_ROTATE)];

async fn bootstrapped() -> Arc<Outside> {
    let outside = Outside::new();
    init(&outside, "init").await.unwrap();
    outside
}

fn rotation(outside: &Arc<Outside>, holder: &str, revoke_first: bool, faults: Faults) -> Run {
    let run = run_as(outside, holder, faults, |_| {});
    run.world.note_rotation(|rotation| rotation.revoke_first = revoke_first);
    run
}

async fn rotate(outside: &Arc<Outside>, holder: &str) -> Result<Vec<engine::StepReport>> {
    let run = rotation(outside, holder, false, Faults::default());
    engine::survey(&StepId::ROTATE, &run.world).await?;
    engine::run(&StepId::ROTATE, &run.world).await
}

/// One Secret, one key, they belong together, and nothing of the rotation is left.
fn assert_one_key(outside: &Outside, after: &str) {
    assert_eq!(outside.of_kind("Secret").len(), 1, "after {after}: one Secret");
    assert_eq!(outside.keys().len(), 1, "after {after}: one deploy key: {:?}", outside.keys());
    assert!(outside.keys()[0].read_only, "after {after}: a key that may only read");
    assert!(outside.has_access(), "after {after}: the key in the Secret opens the repository");
}

fn warnings(events: &Recorded) -> Vec<String> {
    let events = events.0.lock().unwrap();
    events.iter().filter_map(|event| if let Event::Warning { message, .. } = event { Some(message.clone()) } else { None }).collect()
}

#[tokio::test(start_paused = true)]
async fn the_new_key_is_in_use_before_the_old_one_goes() {
    let outside = bootstrapped().await;
    let (old, writes, forge_writes) = (outside.keys()[0].clone(), outside.writes().len(), outside.forge_writes());
    rotate(&outside, "rotate").await.unwrap();
    assert_one_key(&outside, "a rotation");
    let new = &outside.keys()[0];
    assert_ne!(new.key, old.key);
    assert!(new.title.starts_with("gitops-bootstrap staging ") && new.title != old.title, "{new:?}");
    assert_eq!(outside.access_losses(), 0);
    assert_eq!(outside.forge_writes() - forge_writes, 2);
    let writes: Vec<String> = outside.writes().split_off(writes).into_iter().filter(|write| !write.contains("Lease")).collect();
    assert_eq!(
        writes,
        [
            "create Secret argocd/gitops-bootstrap-next-key",
            "replace Secret argocd/repo-acme-fleet",
            "patch Application argocd/argocd-app-of-apps",
            "patch Application argocd/argocd-app-of-apps",
            "delete Secret argocd/gitops-bootstrap-next-key",
        ]
    );
    assert_eq!(outside.of_kind("Secret")[0].text("/stringData/type"), Some("git"), "the rest of the Secret is as it was");

    rotate(&outside, "again").await.unwrap();
    assert_one_key(&outside, "another rotation");
    assert_ne!(outside.keys()[0].title, new.title, "titles are unique");
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_and_position_one_more_run_ends_with_one_key_and_access_is_never_lost() {
    for (revoke_first, recipe) in RECIPES {
        for step in recipe {
            for position in [Position::Before, Position::Sent, Position::After] {
                let point = FaultPoint { step, position };
                let outside = bootstrapped().await;
                let old = outside.keys()[0].key.clone();
                let killed = rotation(&outside, "killed", revoke_first, Faults::at(point, Death::Unwind));
                assert!(engine::run(&recipe, &killed.world).await.is_err(), "{point}: the run dies");
                drop(killed);
                tokio::time::sleep(Duration::from_secs(60)).await;
                let again = rotation(&outside, "again", revoke_first, Faults::default());
                engine::survey(&recipe, &again.world).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
                engine::run(&recipe, &again.world).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
                assert_one_key(&outside, &point.to_string());
                assert_ne!(outside.keys()[0].key, old, "{point}");
                if !revoke_first {
                    assert_eq!(outside.access_losses(), 0, "{point}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_told_to_stop_gives_the_lock_back_and_is_continued() {
    for step in StepId::ROTATE {
        let outside = bootstrapped().await;
        assert_stops_well(&outside, &rotation(&outside, "stopped", false, Faults::default()), &StepId::ROTATE, step).await;
        rotate(&outside, "again").await.unwrap();
        assert_one_key(&outside, step.name());
        assert_eq!(outside.access_losses(), 0, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaked_key_goes_before_there_is_a_new_one() {
    let outside = bootstrapped().await;
    let run = rotation(&outside, "rotate", true, Faults::at(FaultPoint { step: StepId::OldKey, position: Position::After }, Death::Unwind));
    engine::run(&StepId::REVOKE_AND_ROTATE, &run.world).await.unwrap_err();
    assert!(outside.keys().is_empty(), "{:?}", outside.keys());
    assert!(warnings(&run.events).iter().any(|warning| warning.contains("Argo CD cannot fetch")));
}

#[tokio::test(start_paused = true)]
async fn keys_of_others_stay_whatever_their_title() {
    let outside = bootstrapped().await;
    outside.add_foreign_key("gitops-bootstrap staging 0c0ffee0");
    rotate(&outside, "rotate").await.unwrap();
    let keys = outside.keys();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().any(|key| key.id == 7), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_cluster_uses_too_is_left_and_named() {
    let outside = bootstrapped().await;
    outside.rename_keys("gitops-bootstrap production abcdef01");
    let run = rotation(&outside, "rotate", false, Faults::default());
    engine::run(&StepId::ROTATE, &run.world).await.unwrap();
    assert_eq!(outside.keys().len(), 2);
    assert_eq!(run.world.rotation().by_hand.len(), 1);
    assert!(warnings(&run.events).iter().any(|warning| warning.contains("production")), "{:?}", warnings(&run.events));
}

#[tokio::test(start_paused = true)]
async fn init_in_the_middle_of_a_rotation_does_no_harm() {
    for step in [StepId::NextKey, StepId::KeyRegister, StepId::SecretSwap, StepId::OldKey] {
        let outside = bootstrapped().await;
        let point = FaultPoint { step, position: Position::After };
        let killed = rotation(&outside, "killed", false, Faults::at(point, Death::Unwind));
        engine::run(&StepId::ROTATE, &killed.world).await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(60)).await;
        init(&outside, "between").await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
        rotate(&outside, "again").await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
        assert_one_key(&outside, &point.to_string());
        assert_eq!(outside.access_losses(), 0, "{point}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_and_init_at_once_are_made_one_after_the_other() {
    let outside = bootstrapped().await;
    // `init` has something to do, so that it needs the lock.
    outside.delete("Deployment", "argocd-repo-server");
    let waiting = |holder: &str| run_as(&outside, holder, Faults::default(), |wanted| wanted.wait_for_lock = true);
    let (rotation, bootstrap) = (waiting("rotation"), waiting("init"));
    let (rotated, initialised) = tokio::join!(engine::run(&StepId::ROTATE, &rotation.world), engine::run(&StepId::INIT, &bootstrap.world));
    rotated.unwrap();
    initialised.unwrap();
    assert_one_key(&outside, "a race");
    assert_eq!(outside.access_losses(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_somebody_puts_into_the_secret_meanwhile_is_not_overwritten_and_goes_with_the_next_run() {
    let outside = bootstrapped().await;
    let point = FaultPoint { step: StepId::KeyVerify, position: Position::After };
    let killed = rotation(&outside, "killed", false, Faults::at(point, Death::Unwind));
    engine::run(&StepId::ROTATE, &killed.world).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Somebody makes the Secret anew, and `init` registers its key.
    outside.delete("Secret", "repo-acme-fleet");
    init(&outside, "somebody").await.unwrap();
    assert_eq!(outside.keys().len(), 3, "the first one, the one in waiting, and somebody's");
    rotate(&outside, "again").await.unwrap();
    assert_one_key(&outside, "a change in between");
}

#[tokio::test(start_paused = true)]
async fn without_a_token_a_person_registers_the_new_key_and_is_told_which_one_to_remove() {
    let outside = bootstrapped().await;
    let old = outside.keys()[0].key.clone();
    let mut run = rotation(&outside, "rotate", false, Faults::default());
    run.world.forge = None;
    let person = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let told = warnings(&run.events).into_iter().find(|warning| warning.starts_with("register this deploy key"));
            let line = told.as_ref().and_then(|told| told.lines().find(|line| line.starts_with("ssh-ed25519 ")));
            if let Some(key) = line.and_then(|line| PublicKey::from_openssh(line).ok()) {
                return outside.register_by_hand(8, key);
            }
        }
    };
    let (result, ()) = tokio::join!(engine::run(&StepId::ROTATE, &run.world), person);
    result.unwrap();
    assert!(outside.has_access());
    assert_eq!(run.world.rotation().by_hand, std::slice::from_ref(&old));
    let asked = warnings(&run.events).into_iter().find(|warning| warning.starts_with("remove the old deploy key")).unwrap();
    assert!(asked.contains(old.fingerprint().as_str()), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_a_key_of_its_own_has_nothing_to_rotate() {
    let outside = Outside::new();
    let failure = rotate(&outside, "rotate").await.unwrap_err();
    assert_eq!(failure.kind, Kind::Refused, "{failure}");
    assert_eq!(outside.writes(), [] as [String; 0]);

    outside.put(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "app", "namespace": "argocd", "labels": {"argocd.argoproj.io/secret-type": "repository"}},
        "stringData": {"url": super::fleet::REPOSITORY, "githubAppID": "1", "githubAppInstallationID": "2", "githubAppPrivateKey": "key"},
    }));
    let failure = rotate(&outside, "rotate").await.unwrap_err();
    assert_eq!(failure.kind, Kind::Refused, "{failure}");
    assert!(failure.message.contains("GitHub App"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn argo_cd_that_cannot_fetch_keeps_the_old_key() {
    let outside = bootstrapped().await;
    // Whatever it is: the root Application reports an error that no key cures.
    outside.break_fetches(true);
    let failure = rotate(&outside, "rotate").await.unwrap_err();
    assert!(failure.message.contains("does not open"), "{failure}");
    assert_eq!(outside.keys().len(), 2, "the old key and the new one");
    outside.break_fetches(false);
    rotate(&outside, "again").await.unwrap();
    assert_one_key(&outside, "a fault that was cured");
}
