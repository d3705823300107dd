//! `status` on a cluster that is only read: what it finds, how it bears missing rights, how it watches, and that it changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "a test that cannot be set up has failed; the port decides how large its error is"
)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use gitops_bootstrap::commands::status::{News, Viewer, read, watch};
use gitops_bootstrap::domain::{ClusterName, Identity, Object, ObjectRef, Resource};
use gitops_bootstrap::plan::diagnosis::State;
use gitops_bootstrap::plan::status::Status;
use gitops_bootstrap::plan::status::change::between;
use gitops_bootstrap::ports::Cluster;
use gitops_bootstrap::ports::cluster::{ApplyOptions, Change, ClusterError, ClusterFacts, DeleteOptions, Right, Scope};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A cluster with fixed objects. It refuses every change.
#[derive(Default)]
struct Fixed {
    objects: Vec<Object>,
    has_argocd: bool,
    forbidden: Vec<(&'static str, Option<&'static str>)>,
    lists: Mutex<BTreeMap<String, usize>>,
    /// What each watch of the Applications sees, one after the other, before it falls silent.
    watches: Mutex<VecDeque<Vec<Result<Change, ClusterError>>>>,
}

impl Fixed {
    fn with(objects: Vec<Value>) -> Self {
        Self { objects: objects.into_iter().map(|object| Object::new(object).unwrap()).collect(), has_argocd: true, ..Self::default() }
    }

    async fn status(&self, name: Option<&str>) -> Status {
        let name: Option<ClusterName> = name.map(|name| name.parse().unwrap());
        read(self, name.as_ref()).await.unwrap().unwrap()
    }
}

fn refused<T>() -> Result<T, ClusterError> {
    Err(ClusterError::Forbidden("status changes nothing".to_owned()))
}

#[async_trait]
impl Cluster for Fixed {
    async fn facts(&self) -> Result<ClusterFacts, ClusterError> {
        Ok(ClusterFacts {
            context: "kind-staging".to_owned(),
            server: "https://127.0.0.1:6443".to_owned(),
            identity: Identity { kube_system_uid: "0d9c3a52-7a10-4a3e-9f43-b0c5e2b0a001".to_owned(), ca_sha256: None },
            version: (1, 36),
            git_version: "v1.36.1".to_owned(),
        })
    }

    async fn served(&self, _: &Resource) -> Result<Option<Scope>, ClusterError> {
        Ok(Some(Scope::Namespaced).filter(|_| self.has_argocd))
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Object>, ClusterError> {
        Ok(self.objects.iter().find(|found| found.reference() == *object).cloned())
    }

    async fn list(&self, resource: &Resource, namespace: Option<&str>, _: Option<&str>) -> Result<Vec<Object>, ClusterError> {
        *self.lists.lock().unwrap().entry(format!("{} in {}", resource.kind, namespace.unwrap_or("all"))).or_default() += 1;
        if self.forbidden.iter().any(|(kind, place)| *kind == resource.kind && *place == namespace) {
            return Err(ClusterError::Forbidden(format!("cannot list {}", resource.kind)));
        }
        let wanted =
            |object: &&Object| object.resource() == *resource && namespace.is_none_or(|namespace| object.namespace() == Some(namespace));
        Ok(self.objects.iter().filter(wanted).cloned().collect())
    }

    async fn create(&self, _: &Object) -> Result<Object, ClusterError> {
        refused()
    }

    async fn apply(&self, _: &Object, _: ApplyOptions<'_>) -> Result<(), ClusterError> {
        refused()
    }

    async fn dry_run(&self, _: &Object, _: ApplyOptions<'_>) -> Result<Object, ClusterError> {
        refused()
    }

    async fn replace(&self, _: &Object) -> Result<Object, ClusterError> {
        refused()
    }

    async fn merge_patch(&self, _: &ObjectRef, _: &Value) -> Result<Object, ClusterError> {
        refused()
    }

    async fn delete(&self, _: &ObjectRef, _: DeleteOptions<'_>) -> Result<(), ClusterError> {
        refused()
    }

    async fn namespaced_kinds(&self) -> Result<Vec<Resource>, ClusterError> {
        refused()
    }

    async fn missing_rights(&self, _: &[Right]) -> Result<Vec<Right>, ClusterError> {
        refused()
    }

    fn watch(&self, resource: &Resource, _: Option<&str>) -> BoxStream<'static, Result<Change, ClusterError>> {
        let seen = if resource.kind == "Application" { self.watches.lock().unwrap().pop_front() } else { None };
        futures::stream::iter(seen.unwrap_or_default()).chain(futures::stream::pending()).boxed()
    }
}

fn application(name: &str, health: &str, resources: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "project": "services", "destination": {"namespace": name},
            "source": {"repoURL": "git@github.com:acme/fleet.git", "targetRevision": "main"},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        },
        "status": {
            "sync": {"status": "Synced", "revision": "4f2c9d1e0a7b3c5d6e8f90123456789abcdef012"}, "health": {"status": health},
            "reconciledAt": "2026-11-21T10:01:12Z", "resources": resources,
        },
    })
}

fn root() -> Value {
    let child = |name| json!({"group": "argoproj.io", "version": "v1alpha1", "kind": "Application", "namespace": "argocd", "name": name, "status": "Synced"});
    application("root", "Healthy", &json!([child("web"), child("api")]))
}

fn workload(ready: u64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "argocd-server", "namespace": "argocd"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": "quay.io/argoproj/argocd:v3.5.7"}]}}},
        "status": {"readyReplicas": ready},
    })
}

fn record(cluster: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gitops-bootstrap", "namespace": "argocd"},
        "data": {"cluster": cluster, "repository": "git@github.com:acme/fleet.git", "commit": "4f2c9d1e0a7b3c5d6e8f90123456789abcdef012",
            "toolVersion": "0.1.0", "argocdVersion": "v3.5.7", "time": "2026-11-21T10:01:12Z"},
    })
}

fn well() -> Vec<Value> {
    vec![root(), application("web", "Healthy", &json!([])), application("api", "Healthy", &json!([])), workload(1), record("staging")]
}

/// An Application `web` whose one Pod cannot pull its image.
fn image_cannot_be_pulled() -> Vec<Value> {
    let owner = |kind: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": uid, "controller": true}]);
    vec![
        application(
            "web",
            "Progressing",
            &json!([{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "web", "name": "web", "status": "Synced"}]),
        ),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "web", "uid": "d-1"}, "spec": {"replicas": 1}}),
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-6d9f", "namespace": "web", "uid": "r-1", "ownerReferences": owner("Deployment", "d-1")}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-6d9f-x2x4q", "namespace": "web", "uid": "p-1", "ownerReferences": owner("ReplicaSet", "r-1")},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}], "containerStatuses": [{
                "name": "web", "image": "nginx:nope", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"nginx:nope\""}}}]}}),
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "web"}, "reason": "Failed", "type": "Warning",
            "involvedObject": {"kind": "Pod", "name": "web-6d9f-x2x4q", "uid": "p-1"}, "lastTimestamp": "2026-11-21T10:01:12Z",
            "message": "Failed to pull image \"nginx:nope\": rpc error: code = NotFound desc = failed to resolve reference \"docker.io/library/nginx:nope\": not found"}),
    ]
}

#[tokio::test]
async fn a_cluster_where_all_is_well_is_converged() {
    let status = Fixed::with(well()).status(Some("staging")).await;
    assert!(status.converged, "{status:?}");
    assert_eq!((status.applications.len(), status.argocd.version.as_deref()), (3, Some("v3.5.7")));
    assert_eq!(status.commit.as_deref(), Some("4f2c9d1e0a7b3c5d6e8f90123456789abcdef012"));
    assert_eq!(status.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn the_name_comes_from_the_record_where_none_is_typed() {
    let status = Fixed::with(well()).status(None).await;
    assert_eq!(status.cluster.unwrap().as_str(), "staging");
}

#[tokio::test]
async fn a_cluster_of_another_name_is_a_warning() {
    let status = Fixed::with(well()).status(Some("production")).await;
    assert_eq!(status.warnings, ["this cluster is recorded as `staging`, not as `production`: it may be the wrong context"]);
}

#[tokio::test]
async fn a_tree_that_comes_from_a_clone_is_a_warning_that_says_how_it_moves_back() {
    let mut objects = well();
    for application in &mut objects[..2] {
        application["spec"]["source"]["repoURL"] = "git://gitops-bootstrap-git.argocd.svc:9418/fleet.git".into();
    }
    objects[4]["data"]["servedCommit"] = "5a".repeat(20).into();
    let status = Fixed::with(objects).status(None).await;
    assert_eq!(status.bootstrap.unwrap().served_commit, Some("5a".repeat(20)));
    let [warning] = status.warnings.as_slice() else { panic!("{:?}", status.warnings) };
    assert!(warning.starts_with("2 Applications come from a clone") && warning.ends_with("`gitops-bootstrap init staging`"), "{warning}");
}

#[tokio::test]
async fn without_argo_cd_there_is_nothing_to_show() {
    let empty = Fixed::default();
    assert!(read(&empty, None).await.unwrap().is_none());
}

#[tokio::test]
async fn an_argo_cd_that_is_not_ready_is_not_converged() {
    let mut objects = well();
    objects[3] = workload(0);
    let status = Fixed::with(objects).status(None).await;
    assert!(!status.converged);
    assert_eq!(status.argocd.not_ready().map(|workload| workload.name.as_str()).collect::<Vec<_>>(), ["argocd-server"]);
}

#[tokio::test]
async fn no_application_at_all_is_not_converged() {
    assert!(!Fixed::with(vec![workload(1)]).status(None).await.converged);
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_found_behind_a_progressing_application() {
    let status = Fixed::with(image_cannot_be_pulled()).status(None).await;
    let web = &status.applications[0];
    assert!(matches!(web.node.state, State::Progressing { .. }));
    assert_eq!(
        web.deepest_cause.as_deref(),
        Some("Pod web/web-6d9f-x2x4q: the image `nginx:nope` cannot be pulled: the registry has no such image")
    );
}

#[tokio::test]
async fn applications_in_one_namespace_share_what_is_read_and_healthy_ones_read_nothing() {
    let mut objects = image_cannot_be_pulled();
    let mut second = objects[0].clone();
    second["metadata"]["name"] = json!("web-2");
    objects.push(second);
    objects.extend(well().into_iter().skip(2));
    let cluster = Fixed::with(objects);
    cluster.status(None).await;
    let lists = cluster.lists.lock().unwrap().clone();
    assert!(lists.values().all(|&times| times == 1), "{lists:?}");
    let looked_into: Vec<&str> =
        lists.keys().filter(|list| !list.ends_with("in argocd") && !list.ends_with("in all")).map(String::as_str).collect();
    assert_eq!(looked_into, ["Deployment in web", "Event in web", "Pod in web", "ReplicaSet in web"]);
}

#[tokio::test]
async fn an_account_with_few_rights_is_told_what_is_left_out() {
    let mut cluster = Fixed::with(image_cannot_be_pulled());
    cluster.forbidden = vec![("Application", None), ("AppProject", Some("argocd")), ("Pod", Some("web"))];
    let status = cluster.status(None).await;
    assert_eq!(
        status.warnings,
        [
            "only the Applications in `argocd` are shown: the account may not list those of other namespaces",
            "nothing is known of the AppProjects in `argocd`: the account may not list them",
        ]
    );
    assert_eq!((status.applications.len(), &status.applications[0].deepest_cause), (1, &None));
}

#[tokio::test]
async fn an_account_that_may_not_list_applications_is_denied() {
    let mut cluster = Fixed::with(well());
    cluster.forbidden = vec![("Application", None), ("Application", Some("argocd"))];
    assert_eq!(read(&cluster, None).await.unwrap_err().kind, gitops_bootstrap::error::Kind::Denied);
}

#[tokio::test]
async fn the_json_document_is_flat_and_says_it_all() {
    let mut objects = image_cannot_be_pulled();
    objects.push(root());
    let status = Fixed::with(objects).status(Some("staging")).await;
    let document = serde_json::to_value(&status).unwrap();
    assert_eq!(document["converged"], false);
    assert_eq!(document["identity"]["kubeSystemUid"], "0d9c3a52-7a10-4a3e-9f43-b0c5e2b0a001");
    let web = document["applications"].as_array().unwrap().iter().find(|application| application["application"]["name"] == "web");
    assert_eq!(
        web.unwrap(),
        &json!({
            "application": {"namespace": "argocd", "name": "web"}, "project": "services", "parent": {"namespace": "argocd", "name": "root"},
            "sync": "Synced", "health": "Progressing", "revision": "4f2c9d1e0a7b3c5d6e8f90123456789abcdef012", "syncedAt": null,
            "state": "progressing", "why": "one of its objects is not ready yet",
            "deepestCause": "Pod web/web-6d9f-x2x4q: the image `nginx:nope` cannot be pulled: the registry has no such image",
        })
    );
}

/// Somebody who writes down what is seen, until there is enough of it.
struct Notes {
    seen: Vec<String>,
    enough: usize,
    ticks: usize,
}

impl Notes {
    /// Watches `cluster` until `enough` was seen; what was seen, and how the cluster stood last.
    async fn of(cluster: &Fixed, enough: usize) -> (Vec<String>, Option<Status>) {
        let mut notes = Self { seen: Vec::new(), enough, ticks: 0 };
        let last = watch(cluster, None, &mut notes, &CancellationToken::new()).await.unwrap();
        (notes.seen, last)
    }
}

impl Viewer for Notes {
    fn on(&mut self, news: News<'_>) -> gitops_bootstrap::error::Result<bool> {
        match news {
            News::Stands(status) => self.seen.push(format!("{} not converged", status.not_converged())),
            News::Changed { before, now } => self.seen.extend(between(before, now).iter().filter_map(|change| change.line())),
            News::Lost(why) => self.seen.push(format!("lost: {why}")),
            News::Resumed => self.seen.push("resumed".to_owned()),
            News::Tick(_) => self.ticks += 1,
        }
        Ok(self.seen.len() < self.enough && self.ticks < 60)
    }
}

fn applied(object: Value) -> Result<Change, ClusterError> {
    Ok(Change::Applied(Arc::new(Object::new(object).unwrap())))
}

fn transient() -> Result<Change, ClusterError> {
    Err(ClusterError::Transient {
        server: "https://127.0.0.1:6443".to_owned(),
        message: "connection refused".to_owned(),
        retry_after: None,
    })
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_each_change_with_its_cause_and_ends_with_how_it_stands() {
    let mut cluster = Fixed::with(image_cannot_be_pulled());
    cluster.objects.extend(well().into_iter().skip(2).map(|object| Object::new(object).unwrap()));
    let gone = Object::new(application("api", "Healthy", &json!([]))).unwrap().reference();
    cluster.watches = Mutex::new([vec![applied(application("web", "Healthy", &json!([]))), Ok(Change::Deleted(gone))]].into());
    let (seen, last) = Notes::of(&cluster, 3).await;
    assert_eq!(seen, ["1 not converged", "api: gone", "web: converged"]);
    assert!(last.unwrap().converged);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_one_picture() {
    let cluster = Fixed::with(well());
    let states = ["Progressing", "Degraded"].into_iter().cycle().take(101);
    *cluster.watches.lock().unwrap() = [states.map(|health| applied(application("web", health, &json!([])))).collect()].into();
    let (seen, _) = Notes::of(&cluster, 2).await;
    assert_eq!(seen, ["0 not converged", "web: progressing: one of its objects is not ready yet"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_is_said_once_and_made_again() {
    let cluster = Fixed::with(well());
    let all =
        |objects: Vec<Value>| Ok(Change::Restarted(objects.into_iter().map(|object| Arc::new(Object::new(object).unwrap())).collect()));
    let later = application("later", "Progressing", &json!([]));
    *cluster.watches.lock().unwrap() =
        [vec![transient()], vec![transient()], vec![transient()], vec![all(vec![application("web", "Healthy", &json!([])), later])]].into();
    let (seen, _) = Notes::of(&cluster, 6).await;
    assert_eq!(
        seen,
        [
            "0 not converged",
            "lost: no usable answer from the API server https://127.0.0.1:6443: connection refused",
            "resumed",
            "api: gone",
            "later: new, progressing: one of its objects is not ready yet",
            "root: gone",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_ends_the_watch() {
    let cluster = Fixed::with(well());
    *cluster.watches.lock().unwrap() = [vec![Err(ClusterError::Forbidden("cannot watch applications".to_owned()))]].into();
    let mut notes = Notes { seen: Vec::new(), enough: 9, ticks: 0 };
    let failure = watch(&cluster, None, &mut notes, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(failure.kind, gitops_bootstrap::error::Kind::Denied);
}

#[tokio::test(start_paused = true)]
async fn causes_are_read_every_few_seconds_and_only_as_long_as_something_is_not_well() {
    let lists = |cluster: &Fixed| cluster.lists.lock().unwrap().clone();
    let begin = tokio::time::Instant::now();
    let sick = Fixed::with(image_cannot_be_pulled());
    Notes::of(&sick, 9).await;
    let (seconds, pods) = (begin.elapsed().as_secs(), lists(&sick)["Pod in web"] as u64);
    assert!(seconds > 30 && pods >= seconds / 7 && pods <= seconds / 5 + 1, "read {pods} times in {seconds} s");
    assert_eq!(lists(&sick)["Application in all"], 1, "the Applications are watched");

    let healthy = Fixed::with(well());
    Notes::of(&healthy, 9).await;
    assert!(lists(&healthy).values().all(|&times| times <= 2), "{:?}", lists(&healthy));
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_ends_a_watch_at_once() {
    let cluster = Fixed::with(well());
    let cancel = CancellationToken::new();
    let mut notes = Notes { seen: Vec::new(), enough: 9, ticks: 0 };
    let stop = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cancel.cancel();
    };
    let begin = tokio::time::Instant::now();
    let (last, ()) = tokio::join!(watch(&cluster, None, &mut notes, &cancel), stop);
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert!(last.unwrap().unwrap().converged);
}
