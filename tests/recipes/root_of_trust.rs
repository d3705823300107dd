//! The root of trust: found in a cluster, and restored into another one before anything else.

use std::sync::Arc;

use gitops_bootstrap::discover;
use gitops_bootstrap::domain::bundle::{Bundle, Why};
use gitops_bootstrap::domain::declaration::RootOfTrust;
use gitops_bootstrap::domain::{Object, Secret};
use gitops_bootstrap::engine;
use gitops_bootstrap::error::Kind;
use gitops_bootstrap::manifest::bundle as format;
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::steps::faults::{Death, FaultPoint, Faults, Position};
use serde_json::{Value, json};

use super::fleet;
use super::init::run_as;
use super::memory::{MemoryCluster, Outside, facts, private_key};

const RECIPE: [StepId; 5] = [StepId::Ns, StepId::Lease, StepId::RootOfTrust, StepId::SecretCreate, StepId::Release];

/// The Secrets of a cluster that ran for a while; each value is unlike every other.
fn put_secrets(outside: &Outside) {
    let put = |namespace: &str, name: &str, metadata: Value, data: Value| {
        let mut value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "type": "Opaque", "stringData": data});
        for (field, part) in metadata.as_object().unwrap() {
            value["metadata"][field] = part.clone();
        }
        outside.put(value);
    };
    let labelled = |label: &str, value: &str| json!({"labels": {label: value}});
    let argocd = |value: &str| labelled("argocd.argoproj.io/secret-type", value);
    put(
        "argocd",
        "repo-acme-fleet",
        argocd("repository"),
        json!({"type": "git", "url": fleet::REPOSITORY, "sshPrivateKey": private_key(77)}),
    );
    put("argocd", "all-of-acme", argocd("repo-creds"), json!({"url": "https://github.com/acme/", "password": "the password of all"}));
    put("argocd", "spoke", argocd("cluster"), json!({"server": "https://spoke.invalid", "config": "{\"bearerToken\": \"of the spoke\"}"}));
    put("argocd", "argocd-secret", json!({}), json!({"server.secretkey": "k".repeat(44), "admin.password": "a hash"}));
    put("argocd", "argocd-redis", json!({}), json!({"auth": "made by Argo CD"}));
    put("argocd", "argocd-initial-admin-secret", json!({}), json!({"password": "made by Argo CD"}));
    put("argocd", "oidc", json!({}), json!({"client": "of the identity provider"}));
    put("argocd", "sops-age", json!({}), json!({"keys.txt": "AGE-SECRET-KEY-1QQQQ"}));
    let sealing = |value| labelled("sealedsecrets.bitnami.com/sealed-secrets-key", value);
    put("kube-system", "sealed-secrets-old", sealing("active"), json!({"tls.key": "the old key", "tls.crt": "certificate"}));
    put("kube-system", "sealed-secrets-new", sealing("active"), json!({"tls.key": "the new key", "tls.crt": "certificate"}));
    let owned =
        json!({"ownerReferences": [{"kind": "SealedSecret", "name": "db"}], "labels": {"argocd.argoproj.io/secret-type": "repository"}});
    put("argocd", "unsealed", owned, json!({"password": "unsealed"}));
    put("shop", "named", json!({}), json!({"token": "asked for by name"}));
    put("shop", "not-named", json!({}), json!({"token": "nobody asked"}));
    outside.put(settings());
}

fn settings() -> Value {
    let data = json!({"oidc.config": "clientSecret: $oidc:client"});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"}, "data": data})
}

async fn packed(outside: &Arc<Outside>) -> Bundle {
    let asked = RootOfTrust { secrets: vec!["shop/named".parse().unwrap()], ..RootOfTrust::default() };
    let found = discover::root_of_trust(&MemoryCluster(outside.clone()), &asked).await.unwrap();
    assert_eq!(found.warnings, [] as [String; 0]);
    Bundle {
        cluster: "staging".parse().unwrap(),
        identity: facts().identity,
        made: jiff::Timestamp::UNIX_EPOCH,
        entries: found.chosen.entries,
    }
}

async fn bundle() -> Bundle {
    let outside = Outside::new();
    put_secrets(&outside);
    packed(&outside).await
}

fn names(bundle: &Bundle) -> Vec<(String, Why)> {
    bundle.entries.iter().map(|entry| (entry.object.full_name().to_string(), entry.why)).collect()
}

/// The Secrets of the bundle that are in the cluster with all that they hold.
fn restored(outside: &Outside, bundle: &Bundle) -> usize {
    let live: Vec<Secret> = outside.of_kind("Secret").iter().map(|object| Secret::read(object).unwrap()).collect();
    let same = |entry: &&gitops_bootstrap::domain::bundle::Entry| {
        live.iter().any(|live| live.full_name() == entry.object.full_name() && format::same_content(live, &entry.object))
    };
    bundle.entries.iter().filter(same).count()
}

#[tokio::test(start_paused = true)]
async fn what_git_cannot_hold_is_found_with_its_reason_and_nothing_else_is() {
    let expected = [
        ("argocd/all-of-acme", Why::RepositoryCredentials),
        ("argocd/argocd-secret", Why::ArgoCd),
        ("argocd/oidc", Why::ArgoCdSetting),
        ("argocd/repo-acme-fleet", Why::Repository),
        ("argocd/sops-age", Why::SopsKey),
        ("argocd/spoke", Why::Cluster),
        ("kube-system/sealed-secrets-new", Why::SealingKey),
        ("kube-system/sealed-secrets-old", Why::SealingKey),
        ("shop/named", Why::Named),
    ];
    assert_eq!(names(&bundle().await), expected.map(|(name, why)| (name.to_owned(), why)));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_asked_for_and_missing_is_said() {
    let asked = RootOfTrust { secrets: vec!["shop/gone".parse().unwrap()], ..RootOfTrust::default() };
    let found = discover::root_of_trust(&MemoryCluster(Outside::new()), &asked).await.unwrap();
    assert!(found.warnings[0].contains("shop/gone"), "{:?}", found.warnings);
}

#[tokio::test(start_paused = true)]
async fn the_bundle_is_restored_before_the_repository_secret_is_looked_for_and_a_second_run_changes_nothing() {
    let bundle = bundle().await;
    let outside = Outside::new();
    let run = run_as(&outside, "first", Faults::default(), |wanted| wanted.bundle = Some(bundle.clone()));
    engine::run(&RECIPE, &run.world).await.unwrap();
    assert_eq!(restored(&outside, &bundle), bundle.entries.len());
    let secrets = outside.writes().iter().filter(|write| write.contains(" Secret ")).count();
    assert_eq!(secrets, bundle.entries.len(), "the deploy key of the bundle is taken, and none is made: {:?}", outside.writes());

    let writes = outside.writes().len();
    let again = run_as(&outside, "second", Faults::default(), |wanted| wanted.bundle = Some(bundle.clone()));
    let planned = engine::survey(&[StepId::Ns, StepId::RootOfTrust, StepId::SecretCreate], &again.world).await.unwrap();
    assert!(planned.iter().all(|step| !step.needed), "{planned:?}");
    assert_eq!(outside.writes().len(), writes);
    // With the settings that name one of them, which come from Git.
    outside.put(settings());
    assert_eq!(names(&packed(&outside).await), names(&bundle), "what was restored is packed again");
}

#[tokio::test(start_paused = true)]
async fn killed_anywhere_one_more_run_restores_all_of_it() {
    let bundle = bundle().await;
    for position in [Position::Before, Position::Sent, Position::After] {
        let outside = Outside::new();
        let point = FaultPoint { step: StepId::RootOfTrust, position };
        let killed = run_as(&outside, "killed", Faults::at(point, Death::Unwind), |wanted| wanted.bundle = Some(bundle.clone()));
        assert!(engine::run(&RECIPE, &killed.world).await.is_err(), "{point}");
        drop(killed);
        let again = run_as(&outside, "again", Faults::default(), |wanted| wanted.bundle = Some(bundle.clone()));
        engine::run(&RECIPE, &again.world).await.unwrap_or_else(|failure| panic!("{point}: {failure}"));
        assert_eq!(restored(&outside, &bundle), bundle.entries.len(), "{point}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_secret_of_the_same_name_is_named_and_nothing_at_all_is_written() {
    let bundle = bundle().await;
    let outside = Outside::new();
    let foreign = |name: &str, key: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "kube-system"}, "type": "Opaque", "stringData": {key: "another"}});
    outside.put(foreign("sealed-secrets-old", "tls.key"));
    outside.put(foreign("sealed-secrets-new", "tls.crt"));
    let run = run_as(&outside, "first", Faults::default(), |wanted| wanted.bundle = Some(bundle.clone()));
    let failure = engine::survey(&[StepId::RootOfTrust], &run.world).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Conflict);
    let text = format!("{failure:?}");
    for word in ["kube-system/sealed-secrets-old", "data.tls.key", "kube-system/sealed-secrets-new", "kubectl -n kube-system delete secret"]
    {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains("the old key") && !text.contains("another\""), "no value is told");
    assert_eq!(outside.writes(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn argo_cds_own_secret_that_is_shipped_empty_is_filled_and_one_that_was_changed_since_is_kept() {
    let bundle = bundle().await;
    let outside = Outside::new();
    outside.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "namespace": "argocd", "labels": {"a": "b"}}, "type": "Opaque"}));
    let restore = async |holder: &str| {
        let run = run_as(&outside, holder, Faults::default(), |wanted| wanted.bundle = Some(bundle.clone()));
        engine::run(&RECIPE, &run.world).await.unwrap();
    };
    restore("first").await;
    assert_eq!(restored(&outside, &bundle), bundle.entries.len());
    let own = || Secret::read(outside.of_kind("Secret").iter().find(|secret| secret.name() == "argocd-secret").unwrap()).unwrap();
    assert_eq!(own().labels["a"], "b");

    outside.change("Secret", "argocd-secret", json!({"data": {"admin.password": "bmV3"}}));
    restore("second").await;
    assert_eq!(own().text("admin.password"), Some("new"), "a password that was changed after the recovery stays");
}

#[tokio::test(start_paused = true)]
async fn without_a_bundle_the_step_has_nothing_to_do() {
    let outside = Outside::new();
    let run = run_as(&outside, "first", Faults::default(), |_| {});
    let planned = engine::survey(&[StepId::RootOfTrust], &run.world).await.unwrap();
    assert!(!planned[0].needed);
}

#[tokio::test(start_paused = true)]
async fn a_bundle_survives_being_written_and_read_and_its_index_tells_no_value() {
    let bundle = bundle().await;
    let plain = format::to_plain(&bundle).unwrap();
    let read = format::from_plain(&plain, "bundles/staging.age").unwrap();
    assert_eq!(names(&read), names(&bundle));
    for (one, other) in bundle.entries.iter().zip(&read.entries) {
        assert!(format::same_content(&one.object, &other.object));
        assert_eq!((&one.object.labels, &one.object.annotations), (&other.object.labels, &other.object.annotations));
    }
    // Anybody can restore it: it is what kubectl takes.
    let list: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&"List".into(), &"Secret".into()));

    let index = format::index(&bundle, &["age1a".to_owned()], "0".repeat(64));
    let text = format::index_to_text(&index).unwrap();
    assert_eq!(format::index_from_text(&text, "bundles/staging.index.yaml").unwrap(), index);
    assert_eq!(format::index(&read, &index.recipients, index.sha256.clone()), index, "the same content has the same index");
    for entry in &bundle.entries {
        for (_, value) in entry.object.values() {
            let value = std::str::from_utf8(value).unwrap();
            assert!(value == "git" || !text.contains(value), "{value} in\n{text}");
        }
    }
    assert!(!format!("{bundle:?}").contains("the old key"), "a bundle cannot be printed");
}

#[tokio::test(start_paused = true)]
async fn the_deploy_key_of_a_repository_is_found_however_its_address_is_written() {
    let bundle = bundle().await;
    let found = |url: &str| bundle.deploy_key_for(&url.parse().unwrap()).map(|entry| entry.object.name.clone());
    assert_eq!(found("ssh://git@github.com/acme/fleet"), Some("repo-acme-fleet".to_owned()));
    assert_eq!(found("git@github.com:acme/other.git"), None);
    assert_eq!(found("https://github.com/acme/fleet"), None);
}

#[test]
fn a_plain_text_that_is_no_bundle_is_refused_without_being_quoted() {
    for text in ["", "{}", "secret words", r#"{"apiVersion": "v1", "kind": "List", "items": []}"#] {
        let failure = format::from_plain(text.as_bytes(), "bundles/staging.age").unwrap_err();
        assert_eq!(failure.kind, Kind::Unverified);
        assert!(!failure.to_string().contains("secret words"));
    }
    let object = Object::new(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}, "data": {"a": "not base64!"}}),
    );
    assert!(!Secret::read(&object.unwrap()).unwrap_err().to_string().contains("not base64!"));
}
