//! The recipe of `recover`, and the guard of its target.

use std::sync::Arc;
use std::time::Duration;

use gitops_bootstrap::domain::bundle::{Bundle, Entry, Why};
use gitops_bootstrap::domain::{Declaration, Gate, Identity, Object, ObjectRef, Secret};
use gitops_bootstrap::engine;
use gitops_bootstrap::error::{Kind, Result};
use gitops_bootstrap::event::{Event, Events};
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::preflight::{Allowed, Found, check_target};
use gitops_bootstrap::steps::World;
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use gitops_bootstrap::steps::world::Recovering;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fleet;
use super::init::{Run, run_as};
use super::memory::{MemoryCluster, Outside, Recorded, facts};

fn bundle() -> Bundle {
    let object = Object::new(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "sealing-key", "namespace": "kube-system", "labels": {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}},
        "stringData": {"tls.key": "private", "tls.crt": "public"},
    }));
    Bundle {
        cluster: "staging".parse().unwrap(),
        identity: Identity { kube_system_uid: "deadbeef-0000-4000-8000-000000000000".to_owned(), ca_sha256: None },
        made: jiff::Timestamp::UNIX_EPOCH,
        entries: vec![Entry { object: Secret::read(&object.unwrap()).unwrap(), why: Why::SealingKey }],
    }
}

fn run_with(outside: &Arc<Outside>, holder: &str, faults: Faults, recovering: Recovering) -> Run {
    run_as(outside, holder, faults, |wanted| {
        wanted.bundle = Some(bundle());
        wanted.recovery = Some(recovering);
    })
}

fn run(outside: &Arc<Outside>, holder: &str) -> Run {
    run_with(outside, holder, Faults::default(), Recovering::default())
}

/// The world of a run with a bundle.
pub(super) fn world(outside: &Arc<Outside>, holder: &str) -> World {
    run(outside, holder).world
}

async fn recover(run: &Run) -> Result<Vec<engine::StepReport>> {
    engine::run(&StepId::RECOVER, &run.world).await
}

fn warnings(run: &Run) -> Vec<String> {
    let warning = |event: &Event| match event {
        Event::Warning { message, .. } => Some(message.clone()),
        _ => None,
    };
    run.events.0.lock().unwrap().iter().filter_map(warning).collect()
}

fn place(writes: &[String], what: &str) -> usize {
    writes.iter().position(|write| write.contains(what)).expect(what)
}

#[tokio::test(start_paused = true)]
async fn a_lost_cluster_comes_back_and_a_second_run_changes_nothing() {
    let outside = Outside::new();
    recover(&run(&outside, "first")).await.unwrap();
    let writes = outside.writes();
    let key = place(&writes, "create Secret kube-system/sealing-key");
    assert!(key < place(&writes, "Deployment"), "the root of trust comes before every controller");
    assert!(place(&writes, "create Secret argocd/repo-acme-fleet") < place(&writes, "Deployment"));
    assert!(place(&writes, "infrastructure-app-of-apps") < place(&writes, "argocd-app-of-apps"), "the root comes after the gates");
    place(&writes, "apply Application argocd/services-app-of-apps");
    let names: Vec<String> = outside.of_kind("Application").iter().map(|object| object.name().to_owned()).collect();
    assert_eq!(names, ["argocd", "argocd-app-of-apps", "infrastructure-app-of-apps", "services-app-of-apps", "web"]);

    let planned = engine::survey(&StepId::RECOVER, &run(&outside, "second").world).await.unwrap();
    assert_eq!(planned.iter().filter(|step| step.needed).map(|step| step.step).collect::<Vec<_>>(), []);
    assert_eq!((outside.writes(), outside.forge_writes()), (writes, 1));
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_and_position_one_more_run_ends_as_if_it_had_not_been() {
    let undisturbed = Outside::new();
    recover(&run(&undisturbed, "first")).await.unwrap();
    for step in StepId::RECOVER {
        for position in [Position::Before, Position::Sent, Position::After] {
            let point = FaultPoint { step, position };
            let outside = Outside::new();
            let killed = run_with(&outside, "killed", Faults::at(point, Death::Unwind), Recovering::default());
            assert!(recover(&killed).await.is_err(), "{point}: the run dies");
            drop(killed);
            let found = target(&outside, Allowed::default()).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
            assert_eq!(found.begun, position_in_recipe(point) > position_in_recipe(RECORDED), "{point}: the recovery is known for its own");
            recover(&run(&outside, "again")).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
            assert_eq!(outside.end_state(), undisturbed.end_state(), "{point}: the same end state");
            assert_eq!((outside.keys().len(), outside.forge_writes()), (1, 1), "{point}: one key, registered once");
        }
    }
}

/// The last point at which nothing tells yet that a recovery has begun.
const RECORDED: FaultPoint = FaultPoint { step: StepId::Record, position: Position::Before };

fn position_in_recipe(point: FaultPoint) -> (usize, usize) {
    let step = StepId::RECOVER.iter().position(|step| *step == point.step).unwrap();
    let position = [Position::Before, Position::Sent, Position::After].iter().position(|position| *position == point.position).unwrap();
    (step, position)
}

#[tokio::test(start_paused = true)]
async fn the_services_come_only_when_the_gates_hold() {
    let outside = Outside::new();
    let database = ObjectRef::namespaced("v1", "Database", "shop", "main");
    let gates = vec![Gate::Claims { namespace: "shop".to_owned() }, Gate::Condition { object: database, condition: "Restored".to_owned() }];
    let recovering = Recovering { gates, ..Recovering::default() };
    let run = run_with(&outside, "first", Faults::default(), recovering);
    let has = |name: &str| outside.of_kind("Application").iter().any(|object| object.name() == name);
    let release = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(has("argocd") && !has("services-app-of-apps") && !has("argocd-app-of-apps"), "the services are held back");
        outside.put(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"}, "status": {"phase": "Bound"}}));
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(!has("argocd-app-of-apps"), "one of the gates holds");
        outside.put(json!({"apiVersion": "v1", "kind": "Database", "metadata": {"name": "main", "namespace": "shop"},
            "status": {"conditions": [{"type": "Restored", "status": "True"}]}}));
    };
    let (result, ()) = tokio::join!(recover(&run), release);
    result.unwrap();
    assert!(has("web"));
    let waited = run.events.0.lock().unwrap().iter().any(
        |event| matches!(event, Event::Waiting { step: StepId::Gates, on } if on.contains("claims in namespace shop") && on.contains("none yet")),
    );
    assert!(waited, "what a gate waits for is shown");
}

#[tokio::test(start_paused = true)]
async fn the_services_wait_until_argo_cd_works_but_not_until_it_has_made_its_own_objects_its_own() {
    let outside = Outside::new();
    let syncing = |health: &str| {
        json!({
            "sync": {"status": "OutOfSync", "revision": fleet::commit('a').as_str()}, "health": {"status": health}, "reconciledAt": "2026-01-01T00:00:00Z",
            "operationState": {"phase": "Running", "message": "one or more tasks are running", "syncResult": {"revision": fleet::commit('a').as_str()}},
        })
    };
    outside.set_status("argocd", syncing("Progressing"));
    let run = run(&outside, "first");
    let has = |name: &str| outside.of_kind("Application").iter().any(|object| object.name() == name);
    let take_over = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(has("argocd") && !has("services-app-of-apps") && !has("argocd-app-of-apps"), "the services are held back");
        outside.set_status("argocd", syncing("Healthy"));
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(has("web"), "they come while Argo CD still syncs itself");
        outside.set_status("argocd", Value::Null);
    };
    let (result, ()) = tokio::join!(recover(&run), take_over);
    result.unwrap();
    assert!(warnings(&run).iter().all(|warning| !warning.starts_with("not up")), "{:?}", warnings(&run));
}

fn stalled() -> Value {
    json!({
        "sync": {"status": "OutOfSync", "revision": fleet::commit('a').as_str()}, "health": {"status": "Missing"}, "reconciledAt": "2026-01-01T00:00:00Z",
        "operationState": {"phase": "Failed", "message": "one or more objects failed to apply (retried 5 times).", "syncResult": {"revision": fleet::commit('a').as_str()}},
    })
}

#[tokio::test(start_paused = true)]
async fn infrastructure_that_cannot_come_up_holds_the_services_back_only_where_gates_are_named() {
    let outside = Outside::new();
    outside.set_status("argocd", stalled());
    let gates = vec![Gate::Claims { namespace: "shop".to_owned() }];
    let held = run_with(&outside, "first", Faults::default(), Recovering { gates, ..Recovering::default() });
    let begin = Instant::now();
    let failure = recover(&held).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(600), "{:?}", begin.elapsed());
    assert_eq!(failure.kind, Kind::Deadline, "{failure}");
    assert!(
        failure.causes.iter().any(|cause| cause.starts_with("argocd: ")) && failure.hints.iter().any(|hint| hint.contains("--open-gates"))
    );
    assert!(outside.of_kind("Application").iter().all(|object| object.name() != "argocd-app-of-apps"));

    let run = run(&outside, "second");
    let failure = recover(&run).await.unwrap_err();
    assert!(failure.causes.iter().any(|cause| cause.starts_with("argocd: ")), "{failure}");
    assert!(warnings(&run).iter().any(|warning| warning.contains("released although")), "{:?}", warnings(&run));
    assert!(outside.of_kind("Application").iter().any(|object| object.name() == "web"), "everything else is up");
    assert!(run.world.kicks() >= 3, "a spent retry is not waited for: {}", run.world.kicks());
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_time_is_named_and_not_waited_for() {
    let outside = Outside::new();
    let skipped = json!({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}});
    recover(&run(&outside, "first")).await.unwrap();
    outside.change("Application", "web", skipped);
    // Its parents are not healthy either, for no other reason.
    let marked =
        json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "services-app-of-apps:argoproj.io/Application:argocd/web"}}});
    outside.change("Application", "web", marked);
    let revision = fleet::commit('a');
    outside.set_status("services-app-of-apps", json!({
        "sync": {"status": "Synced", "revision": revision.as_str()}, "health": {"status": "Progressing"}, "reconciledAt": "2026-01-01T00:00:00Z",
        "operationState": {"phase": "Succeeded", "syncResult": {"revision": revision.as_str()}},
    }));
    let run = run(&outside, "second");
    let begin = Instant::now();
    recover(&run).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert!(warnings(&run).iter().any(|warning| warning.starts_with("not up: web:")), "{:?}", warnings(&run));
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_before_the_next_try_is_cut_short_once_something_has_come_up() {
    let outside = Outside::new();
    let revision = fleet::commit('a');
    outside.set_status(
        "web",
        json!({
            "sync": {"status": "OutOfSync", "revision": revision.as_str()}, "health": {"status": "Missing"}, "reconciledAt": "2026-01-01T00:00:00Z",
            "operationState": {"phase": "Running", "message": "failed. Retrying attempt #1", "retryCount": 1, "finishedAt": "2026-01-01T00:00:00Z",
                "syncResult": {"revision": revision.as_str()}},
        }),
    );
    outside.set_status("services-app-of-apps", stalled());
    let run = run(&outside, "first");
    let come_up = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let tries = || outside.writes().iter().filter(|write| *write == "patch Application argocd/web").count();
        let before = tries();
        assert_eq!(before, 1, "one try in each run");
        outside.set_status("services-app-of-apps", Value::Null);
        while tries() == before {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        outside.set_status("web", Value::Null);
    };
    let (result, ()) = tokio::join!(recover(&run), come_up);
    result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_of_the_cluster_that_is_gone_are_removed_only_by_their_numbers() {
    let outside = Outside::new();
    outside.add_key(7, "gitops-bootstrap staging deadbeef", 200, None);
    outside.add_key(8, "gitops-bootstrap staging cafecafe", 201, None);
    recover(&run(&outside, "first")).await.unwrap();
    assert_eq!(outside.keys().len(), 3, "nothing is removed unasked");
    let pruning = Recovering { prune_keys: [7].into(), ..Recovering::default() };
    recover(&run_with(&outside, "second", Faults::default(), pruning)).await.unwrap();
    assert_eq!(outside.keys().iter().map(|key| key.id).filter(|id| *id < 100).collect::<Vec<_>>(), [8]);
}

async fn target(outside: &Arc<Outside>, allowed: Allowed) -> Result<Found> {
    target_of(outside, allowed, None).await
}

async fn target_of(outside: &Arc<Outside>, allowed: Allowed, declaration: Option<&Declaration>) -> Result<Found> {
    let cluster = MemoryCluster(outside.clone());
    let events = Events::new(Recorded::default());
    check_target(&cluster, &"staging".parse().unwrap(), declaration, &fleet::tree(&fleet::commit('a')), allowed, &events).await
}

fn record(fields: &Value) -> Value {
    let mut data =
        json!({"cluster": "staging", "repository": fleet::REPOSITORY, "identity": facts().identity.kube_system_uid, "recovery": "begun"});
    for (name, value) in fields.as_object().unwrap() {
        data[name] = value.clone();
    }
    data.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gitops-bootstrap", "namespace": "argocd"}, "data": data})
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_empty_or_not_ours_is_refused_without_a_write() {
    let pod = |namespace: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": namespace}});
    let definition = fleet::tree(&fleet::commit('a')).argocd[0].object.value().clone();
    let deleted = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web", "namespace": "argocd",
        "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["resources-finalizer.argocd.argoproj.io"]}, "spec": {}});
    let cases = [
        ("workloads of others", vec![pod("shop")], "is not empty"),
        ("another Argo CD", vec![definition.clone()], "is not empty"),
        ("the old cluster itself", vec![record(&json!({"recovery": null}))], "and it is there"),
        ("another cluster's record", vec![record(&json!({"cluster": "production"}))], "leads to the cluster `production`"),
        ("another repository's record", vec![record(&json!({"repository": "git@github.com:acme/other.git"}))], "another repository"),
        ("a record that was copied", vec![record(&json!({"identity": "deadbeef"}))], "was written in another one"),
        ("half-deleted Applications", vec![record(&json!({})), definition, deleted], "half deleted"),
    ];
    for (what, objects, message) in cases {
        let outside = Outside::new();
        objects.into_iter().for_each(|object| outside.put(object));
        let failure = target(&outside, Allowed::default()).await.expect_err(what);
        assert_eq!(failure.kind, Kind::Refused, "{what}: {failure}");
        assert!(failure.message.contains(message), "{what}: {failure}");
        assert!(failure.causes.iter().any(|cause| cause == "nothing was changed") && !failure.hints.is_empty(), "{what}: {failure:?}");
        assert_eq!(outside.writes().len(), 0, "{what}");
    }
    let outside = Outside::new();
    outside.put(pod("shop"));
    let allowed = Allowed { into_non_empty: true, ..Allowed::default() };
    assert!(!target(&outside, allowed).await.unwrap().begun, "whoever says that they know may go on");
    let outside = Outside::new();
    outside.put(pod("kube-system"));
    outside.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault", "namespace": "external-secrets"}}));
    target(&outside, Allowed::default()).await.expect("a cluster that somebody prepared with a Secret is empty");
}

#[tokio::test(start_paused = true)]
async fn a_pinned_identity_is_another_ones_or_needs_a_word() {
    let pinned = |staging: &str, production: &str| {
        let identity = |uid: &str| format!("{{identity: {{kubeSystemUid: {uid}}}}}");
        let text = format!(
            "version: 1\nrepository: {{url: '{}'}}\nargocd: {{version: v3.5.7, sha256: {}}}\nclusters: {{staging: {}, production: {}}}\n",
            fleet::REPOSITORY,
            "a".repeat(64),
            identity(staging),
            identity(production)
        );
        gitops_bootstrap::manifest::declaration::parse(&text, "gitops.yaml").unwrap()
    };
    let (this, other) = (facts().identity.kube_system_uid, "deadbeef-0000-4000-8000-000000000000");
    let outside = Outside::new();
    let knows = Allowed { new_identity: true, ..Allowed::default() };
    let third = "cafecafe-0000-4000-8000-000000000000";
    assert!(target_of(&outside, Allowed::default(), Some(&pinned(&this, other))).await.unwrap().pinned.is_none());
    let failure = target_of(&outside, Allowed::default(), Some(&pinned(other, third))).await.unwrap_err();
    assert!(failure.hints.iter().any(|hint| hint.contains("--new-identity")), "{failure:?}");
    assert!(target_of(&outside, knows, Some(&pinned(other, third))).await.unwrap().pinned.is_some());
    let failure = target_of(&outside, knows, Some(&pinned(other, &this))).await.unwrap_err();
    assert!(failure.message.contains("leads to the cluster `production`"), "no flag makes production staging: {failure}");
}

#[tokio::test(start_paused = true)]
async fn the_first_sync_of_an_application_is_asked_for_and_with_validate_it_is_not() {
    for (validate, times) in [(false, 1), (true, 0)] {
        let outside = Outside::new();
        let fresh = json!({
            "sync": {"status": "OutOfSync", "revision": fleet::commit('a').as_str()}, "health": {"status": "Missing"}, "reconciledAt": "2026-01-01T00:00:00Z",
        });
        outside.set_status("web", fresh);
        let run = run_with(&outside, "first", Faults::default(), Recovering { validate, ..Recovering::default() });
        let come_up = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            outside.set_status("web", Value::Null);
        };
        let (result, ()) = tokio::join!(recover(&run), come_up);
        result.unwrap();
        let asked = outside.writes().iter().filter(|write| *write == "patch Application argocd/web").count();
        assert_eq!(asked.min(1), times, "{:?}", outside.writes());
        let made = outside.writes().iter().filter(|write| *write == "create Namespace web").count();
        assert_eq!(made, times, "its namespace is made ahead: {:?}", outside.writes());
        assert!(asked < 5, "an answer that is not what was asked for is no reason to ask for ever: {asked}");
        assert_eq!(run.world.kicks(), 0);
    }
}
