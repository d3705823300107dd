//! Clusters with something made by hand, against a tree that has the rest.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::domain::bundle::{IndexEntry, Why};
use crate::domain::secret::{Secret, SecretName};
use crate::domain::{Identity, RepositoryPath};

/// What is in Git, and what is in the cluster.
struct Scene {
    declared: Vec<Rendered>,
    bundle: Option<Index>,
    trust: Option<Trust>,
    keys: Option<ArgoCdKeys>,
    applications: Vec<Object>,
    settings: Vec<Object>,
    namespaces: Vec<Object>,
    objects: Vec<Object>,
    unseen: Vec<Unseen>,
}

fn object(version: &str, kind: &str, namespace: &str, name: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}})
}

fn taken(value: Value) -> Object {
    Object::new(value).unwrap()
}

fn rendered(path: &str, value: Value) -> Rendered {
    Rendered { path: path.parse::<RepositoryPath>().unwrap(), object: taken(value) }
}

fn application(name: &str, namespace: &str, resources: &Value) -> Value {
    let mut application = object("argoproj.io/v1alpha1", "Application", "argocd", name);
    application["spec"] = json!({
        "project": "services", "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
        "source": {"repoURL": "git@github.com:acme/fleet.git", "path": format!("rendered/staging/services/{name}")},
        "syncPolicy": {"syncOptions": ["CreateNamespace=true"]},
    });
    application["status"] = json!({"resources": resources});
    application
}

/// A tree with the Application `shop`, which manages a ConfigMap, and the same in the cluster.
fn scene() -> Scene {
    let managed = json!([{"version": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "prices"}]);
    let mut declared = application("shop", "shop", &json!([]));
    declared["status"].take();
    let namespace = |name: &str| taken(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    Scene {
        declared: vec![
            rendered("rendered/staging/argocd/services/a.yaml", declared),
            rendered(
                "rendered/staging/services/shop/a.yaml",
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prices"}}),
            ),
        ],
        bundle: None,
        trust: None,
        keys: None,
        applications: vec![taken(application("shop", "shop", &managed))],
        settings: Vec::new(),
        namespaces: ["default", "kube-system", "argocd", "shop"].map(namespace).into(),
        objects: vec![taken(object("v1", "ConfigMap", "shop", "prices"))],
        unseen: Vec::new(),
    }
}

impl Scene {
    fn with(mut self, value: Value) -> Self {
        self.objects.push(taken(value));
        self
    }

    fn audit(&self) -> Audit {
        let tree = Tree {
            cluster: "staging".parse().unwrap(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            repository: "git@github.com:acme/fleet.git".parse().unwrap(),
            revision: "main".to_owned(),
            root: self.declared[0].clone(),
            projects: Vec::new(),
            applications: vec![self.declared[0].clone()],
            argocd: Vec::new(),
            paths: Vec::new(),
        };
        audit(&Evidence {
            tree: &tree,
            declared: &self.declared,
            bundle: self.bundle.as_ref(),
            applications: &self.applications,
            settings: &self.settings,
            argocd_secret: self.keys.clone(),
            trust: self.trust.as_ref(),
            namespaces: &self.namespaces,
            objects: &self.objects,
            backups: &[],
            unseen: &self.unseen,
        })
    }

    fn found(&self) -> Vec<(Harm, Concern, String)> {
        self.audit().findings.into_iter().map(|finding| (finding.harm, finding.concern, finding.object)).collect()
    }
}

fn index(entries: &[(&str, &str, Why, &[&str])]) -> Index {
    let entry = |(namespace, name, why, keys): &(&str, &str, Why, &[&str])| IndexEntry {
        namespace: (*namespace).to_owned(),
        name: (*name).to_owned(),
        kind: "Opaque".to_owned(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        why: *why,
        hmac_sha256: Some("1".to_owned()),
    };
    Index {
        version: 1,
        cluster: "staging".parse().unwrap(),
        identity: Identity { kube_system_uid: "1".to_owned(), ca_sha256: None },
        made: jiff::Timestamp::UNIX_EPOCH,
        sha256: String::new(),
        recipients: Vec::new(),
        entries: entries.iter().map(entry).collect(),
    }
}

#[test]
fn a_cluster_that_is_all_in_git_has_nothing_to_lose() {
    let noise = [
        object("v1", "ConfigMap", "shop", "kube-root-ca.crt"),
        object("v1", "ServiceAccount", "shop", "default"),
        object("v1", "Event", "shop", "something"),
        object("coordination.k8s.io/v1", "Lease", "shop", "leader"),
        object("v1", "ConfigMap", "kube-system", "extension"),
        object("velero.io/v1", "Backup", "velero", "of-yesterday"),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:node"}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": [{"kind": "ReplicaSet", "name": "web"}]}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sh.helm.release.v1.web.v1", "namespace": "shop", "labels": {"owner": "helm"}}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "shop", "annotations": {"kubernetes.io/service-account.name": "a"}}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "argocd", "labels": {"app.kubernetes.io/managed-by": "gitops-bootstrap"}}}),
        object("v1", "Secret", "argocd", "argocd-redis"),
    ];
    assert_eq!(noise.into_iter().fold(scene(), Scene::with).found(), []);
}

#[test]
fn each_kind_of_object_has_its_harm() {
    let scene = [
        object("apps/v1", "Deployment", "shop", "web"),
        object("v1", "ConfigMap", "shop", "banner"),
        object("v1", "Secret", "shop", "password"),
        object("v1", "PersistentVolumeClaim", "shop", "data"),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "support"}}),
    ]
    .into_iter()
    .fold(scene(), Scene::with);
    let found: Vec<(Harm, String)> = scene.found().into_iter().map(|(harm, _, object)| (harm, object)).collect();
    let expected = [
        (Harm::LostData, "PersistentVolumeClaim shop/data"),
        (Harm::LostAccess, "Secret shop/password"),
        (Harm::LostWorkload, "Deployment shop/web"),
        (Harm::LostSetting, "ClusterRole support"),
        (Harm::LostSetting, "ConfigMap shop/banner"),
    ];
    assert_eq!(found, expected.map(|(harm, object)| (harm, object.to_owned())));
}

#[test]
fn an_object_that_says_that_it_may_be_lost_is_only_counted() {
    let mut claim = object("v1", "PersistentVolumeClaim", "shop", "cache");
    claim["metadata"]["annotations"] = json!({EXPENDABLE: "it fills itself"});
    let audit = scene().with(claim).audit();
    assert_eq!((audit.findings.len(), audit.allowed.len(), audit.score()), (0, 1, 100));
    assert_eq!(audit.allowed[0].allowed.as_deref(), Some("it fills itself"));
}

#[test]
fn an_application_by_hand_is_one_finding_with_all_that_it_manages() {
    let managed = json!([{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "shadow"}]);
    let mut scene = scene().with(object("apps/v1", "Deployment", "shop", "shadow"));
    scene.applications.push(taken(application("shadow", "shop", &managed)));
    assert_eq!(scene.found(), [(Harm::LostWorkload, Concern::ApplicationByHand, "Application argocd/shadow".to_owned())]);
    assert!(scene.audit().findings[0].why.ends_with("and with it the object that it manages"));
}

#[test]
fn what_applications_and_application_sets_of_git_make_comes_back() {
    let mut scene = scene();
    let child = json!([{"group": "argoproj.io", "version": "v1alpha1", "kind": "Application", "namespace": "argocd", "name": "child"}]);
    scene.applications[0] =
        taken(application("shop", "shop", &json!([scene.applications[0].at("/status/resources/0").unwrap(), child[0]])));
    let managed = json!([{"version": "v1", "kind": "Service", "namespace": "below", "name": "web"}]);
    scene.applications.push(taken(application("child", "below", &managed)));
    let mut generated = application("generated", "shop", &json!([]));
    generated["metadata"]["ownerReferences"] = json!([{"kind": "ApplicationSet", "name": "all"}]);
    scene.applications.push(taken(generated));
    scene.namespaces.push(taken(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "below"}})));
    assert_eq!(scene.with(object("v1", "Service", "below", "web")).found(), []);
}

#[test]
fn a_namespace_by_hand_tells_what_is_in_it_and_one_that_git_needs_is_worse_than_an_empty_one() {
    let namespace = |name: &str| taken(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let mut scene = scene().with(object("apps/v1", "Deployment", "test", "web")).with(object("apps/v1", "Deployment", "test", "db"));
    scene.namespaces.extend(["test", "empty"].map(namespace));
    let found = scene.audit().findings;
    assert_eq!(found.len(), 2);
    assert!(
        found[0].object == "Namespace test" && found[0].why.ends_with("2 Deployment") && found[0].harm == Harm::LostWorkload,
        "{found:?}"
    );
    assert!(found[1].object == "Namespace empty" && found[1].harm == Harm::LostSetting, "{found:?}");
}

#[test]
fn the_root_of_trust_counts_only_where_the_bundle_has_it_not() {
    let live = index(&[
        ("argocd", "argocd-secret", Why::ArgoCd, &["server.secretkey"]),
        ("argocd", "charts", Why::Repository, &["password"]),
        ("argocd", "own", Why::Repository, &["sshPrivateKey"]),
        ("kube-system", "sealing", Why::SealingKey, &["tls.key"]),
    ]);
    let own: BTreeSet<SecretName> = [SecretName::new("argocd", "own")].into();
    let mut scene = scene();
    scene.trust = Some(Trust { index: live.clone(), own });
    let missing = [
        (Harm::LostData, Concern::NotInBundle, "Secret kube-system/sealing".to_owned()),
        (Harm::LostAccess, Concern::NotInBundle, "Secret argocd/charts".to_owned()),
    ];
    assert_eq!(scene.found(), missing);
    let mut old = live.clone();
    old.entries[1].hmac_sha256 = Some("2".to_owned());
    scene.bundle = Some(old);
    assert_eq!(scene.found(), [(Harm::LostAccess, Concern::BundleOutOfDate, "Secret argocd/charts".to_owned())]);
    scene.bundle = Some(live);
    assert_eq!(scene.found(), []);
}

#[test]
fn what_was_put_into_argo_cds_secret_is_named_by_its_key_and_its_value_by_nothing() {
    let secret = Secret::read(&taken(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "namespace": "argocd"},
        "stringData": {
            "server.secretkey": "s3cret", "admin.password": "s3cret", "admin.passwordMtime": "now", "tls.key": "s3cret", "empty": "",
            "accounts.ci.tokens": r#"[{"id": "s3cret"}]"#, "accounts.old.tokens": "[]", "accounts.ci.password": "s3cret", "accounts.ci.passwordMtime": "now",
            "webhook.github.secret": "s3cret", "dex.github.clientSecret": "s3cret",
        },
    })))
    .unwrap();
    let mut scene = scene();
    scene.keys = Some(ArgoCdKeys::read(&secret));
    let found: Vec<(Harm, Concern)> = scene.found().into_iter().map(|(harm, concern, _)| (harm, concern)).collect();
    let expected = [
        (Harm::LostAccess, Concern::LocalAccount),
        (Harm::LostAccess, Concern::ApiToken),
        (Harm::LostAccess, Concern::ArgoCdSecret),
        (Harm::LostSetting, Concern::Webhook),
    ];
    assert_eq!(found, expected);
    assert!(!format!("{:?}", scene.audit()).contains("s3cret"));
    let keys = ["accounts.ci.tokens", "accounts.ci.password", "webhook.github.secret", "dex.github.clientSecret"];
    scene.bundle = Some(index(&[("argocd", "argocd-secret", Why::ArgoCd, &keys)]));
    assert_eq!(scene.found(), []);
}

#[test]
fn a_setting_of_argo_cd_that_git_has_not_is_named_without_its_value() {
    let mut scene = scene();
    let mut settings = object("v1", "ConfigMap", "argocd", "argocd-cm");
    settings["data"] = json!({"accounts.ci": "apiKey", "ui.bannercontent": "s3cret", "url": "https://argocd.acme.com"});
    let mut declared = settings.clone();
    declared["data"] = json!({"url": "https://argocd.acme.com"});
    scene.declared.push(rendered("rendered/staging/infrastructure/argocd/cm.yaml", declared));
    scene.settings.push(taken(settings));
    let found: Vec<(Harm, Concern)> = scene.found().into_iter().map(|(harm, concern, _)| (harm, concern)).collect();
    assert_eq!(found, [(Harm::LostAccess, Concern::LocalAccount), (Harm::LostSetting, Concern::ArgoCdSetting)]);
    assert!(!format!("{:?}", scene.audit()).contains("s3cret"));
}

#[test]
fn what_could_not_be_looked_at_is_as_bad_as_the_worst_of_its_kind() {
    let mut scene = scene();
    let unseen = |version: &str, kind: &str| Unseen { resource: Resource::new(version, kind), why: "no right".to_owned() };
    scene.unseen = vec![
        unseen("v1", "PersistentVolumeClaim"),
        unseen("v1", "Secret"),
        unseen("apps/v1", "Deployment"),
        unseen("v1", "ConfigMap"),
        unseen("velero.io/v1", "Schedule"),
    ];
    let harms: Vec<Harm> = scene.found().into_iter().map(|(harm, ..)| harm).collect();
    assert_eq!(harms, [Harm::LostData, Harm::LostData, Harm::LostAccess, Harm::LostWorkload, Harm::LostSetting]);
    assert!(!scene.audit().passes(None));
}

fn finding(harm: Harm) -> Finding {
    Finding::new(harm, Concern::ObjectByHand, "ConfigMap shop/prices", "why", "hint")
}

fn audit_of(findings: &[(Harm, usize)]) -> Audit {
    let findings = findings.iter().flat_map(|(harm, count)| vec![finding(*harm); *count]).collect();
    Audit { findings, allowed: Vec::new() }
}

#[test]
fn a_cluster_that_lacks_everything_scores_0() {
    assert_eq!(audit_of(&[]).score(), 100);
    assert_eq!(audit_of(&Harm::ALL.map(|harm| (harm, 1000))).score(), 0);
}

#[test]
fn each_finding_costs_its_weight_and_many_small_ones_never_outweigh_the_large() {
    assert_eq!(audit_of(&[(Harm::LostData, 1), (Harm::LostSetting, 3)]).score(), 87);
    assert_eq!(audit_of(&[(Harm::LostSetting, 10_000)]).score(), 90);
}

#[test]
fn without_a_minimum_only_lost_data_closes_the_gate() {
    let access = audit_of(&[(Harm::LostAccess, 6)]);
    assert!(access.passes(None) && access.passes(Some(70)) && !access.passes(Some(71)));
    let data = audit_of(&[(Harm::LostData, 1)]);
    assert!(!data.passes(None) && data.passes(Some(90)));
}
