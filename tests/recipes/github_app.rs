//! The recipe of `init` where Argo CD gets into the repository by a GitHub App.

use std::num::NonZeroU64;
use std::sync::Arc;

use gitops_bootstrap::domain::bundle::{Bundle, Entry, Why};
use gitops_bootstrap::domain::secret::Secret;
use gitops_bootstrap::engine;
use gitops_bootstrap::error::{Failure, Kind, Result};
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::steps::World;
use gitops_bootstrap::steps::credential::{Access, WantedApp};
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use gitops_bootstrap::steps::world::Recovering;

use super::fleet;
use super::init::run_as;
use super::memory::{MemoryApps, Outside};

const URL: &str = "https://github.com/acme/fleet.git";

fn app(private_key: Option<&str>) -> Access {
    let number = |number| NonZeroU64::new(number).unwrap();
    Access::GitHubApp(WantedApp {
        id: number(12),
        installation: private_key.map(|_| number(34)),
        private_key: private_key.map(Into::into),
        api: None,
    })
}

/// A world without a forge's token, in which the repository has an address for https.
fn world(outside: &Arc<Outside>, holder: &str, access: Access, faults: Faults) -> World {
    let tree = fleet::tree_at(&fleet::commit('a'), URL, &[URL]);
    outside.push_tree(&tree);
    let run = run_as(outside, holder, faults, |wanted| wanted.tree = tree);
    let mut world = run.world.with_access(access, Arc::new(MemoryApps(outside.clone())));
    world.forge = None;
    world
}

async fn init(outside: &Arc<Outside>, access: Access) -> Result<()> {
    engine::run(&StepId::INIT, &world(outside, "run", access, Faults::default())).await.map(drop)
}

async fn refusal(outside: &Arc<Outside>, access: Access) -> Failure {
    engine::survey(&StepId::INIT, &world(outside, "looking", access, Faults::default())).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn an_app_lets_argo_cd_in_without_a_token_and_a_rerun_needs_no_private_key_and_changes_nothing() {
    let outside = Outside::new();
    outside.let_app_in(&["key"]);
    init(&outside, app(Some("key"))).await.unwrap();
    let secrets = outside.of_kind("Secret");
    assert_eq!(secrets.len(), 1, "{secrets:?}");
    let secret = &secrets[0];
    assert_eq!(secret.name(), "repo-acme-fleet-github-app");
    assert_eq!(secret.label("argocd.argoproj.io/secret-type"), Some("repository"));
    let values =
        ["url", "githubAppID", "githubAppInstallationID", "githubAppPrivateKey"].map(|name| secret.text(&format!("/stringData/{name}")));
    assert_eq!(values, [Some(URL), Some("12"), Some("34"), Some("key")]);
    assert_eq!((outside.keys().len(), outside.forge_writes()), (0, 0), "no deploy key");

    let writes = outside.writes().len();
    for again in [app(None), app(Some("key")), Access::DeployKey] {
        init(&outside, again).await.unwrap();
    }
    let later = outside.writes().split_off(writes);
    assert!(later.iter().all(|write| write.contains("Lease")), "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn killed_around_the_secret_one_more_run_converges_with_one_secret() {
    for step in [StepId::SecretCreate, StepId::KeyRegister, StepId::KeyVerify] {
        for position in [Position::Before, Position::Sent, Position::After] {
            let point = FaultPoint { step, position };
            let outside = Outside::new();
            outside.let_app_in(&["key"]);
            let killed = world(&outside, "killed", app(Some("key")), Faults::at(point, Death::Unwind));
            assert!(engine::run(&StepId::INIT, &killed).await.is_err(), "{point}");
            init(&outside, app(Some("key"))).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
            assert_eq!(outside.of_kind("Secret").len(), 1, "{point}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_private_key_of_the_app_is_proven_and_then_takes_the_place_of_the_old_one() {
    let outside = Outside::new();
    outside.let_app_in(&["old", "new"]);
    init(&outside, app(Some("old"))).await.unwrap();
    init(&outside, app(Some("new"))).await.unwrap();
    let secrets = outside.of_kind("Secret");
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0].text("/stringData/githubAppPrivateKey"), Some("new"));
    assert_eq!(outside.access_losses(), 0);

    // A key that the App does not have is refused before the Secret is touched.
    let failure = refusal(&outside, app(Some("wrong"))).await;
    assert_eq!(failure.kind, Kind::Denied, "{failure}");
    assert_eq!(outside.of_kind("Secret")[0].text("/stringData/githubAppPrivateKey"), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_open_the_repository_is_refused_before_anything_is_changed() {
    let outside = Outside::new();
    outside.let_app_in(&["key"]);
    let half = refusal(&outside, app(None)).await;
    assert_eq!(half.kind, Kind::Usage, "{half}");
    assert!(half.hints.iter().any(|hint| hint.contains("--github-app-private-key-file")), "{half:?}");
    let wrong = refusal(&outside, app(Some("wrong"))).await;
    assert_eq!(wrong.kind, Kind::Denied, "{wrong}");
    let key = refusal(&outside, Access::DeployKey).await;
    assert_eq!(key.kind, Kind::Refused, "{key}");
    assert!(key.hints.iter().any(|hint| hint.contains("git@github.com:acme/fleet.git")), "{key:?}");
    assert_eq!(outside.writes(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_takes_the_app_from_the_bundle() {
    let outside = Outside::new();
    outside.let_app_in(&["key"]);
    init(&outside, app(Some("key"))).await.unwrap();
    let object = Secret::read(&outside.of_kind("Secret")[0]).unwrap();

    let lost = Outside::new();
    lost.let_app_in(&["key"]);
    let mut world = world(&lost, "recover", app(None), Faults::default());
    world.wanted.recovery = Some(Recovering::default());
    world.wanted.bundle = Some(Bundle {
        cluster: world.wanted.cluster.clone(),
        identity: world.wanted.facts.identity.clone(),
        made: world.wanted.now,
        entries: vec![Entry { object, why: Why::Repository }],
    });
    engine::run(&StepId::RECOVER, &world).await.unwrap();
    let secrets = lost.of_kind("Secret");
    assert_eq!(secrets.len(), 1);
    assert_eq!((secrets[0].name(), lost.forge_writes()), ("repo-acme-fleet-github-app", 0));
}
