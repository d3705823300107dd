//! The cluster adapter against an API server that says what a test wants it to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use gitops_bootstrap::adapters::kubernetes::KubernetesCluster;
use gitops_bootstrap::domain::{Object, ObjectRef, Resource};
use gitops_bootstrap::ports::Cluster;
use gitops_bootstrap::ports::cluster::{ApplyOptions, Change, ClusterError, DeleteOptions, Dependents, FieldConflict, Right, Scope};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

/// One request as the API server saw it.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    content_type: String,
    accept: String,
    body: Value,
}

impl Seen {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

type Requests = Arc<Mutex<Vec<Seen>>>;

/// What the API server answers.
enum Say {
    Json(u16, Value),
    Text(u16, String),
    After(u64, u16),
    Cut,
    Nothing,
}

/// A cluster whose API server answers with `say`; kinds of `v1`, `apps/v1` and `argoproj.io/v1alpha1` are served without asking it.
fn cluster(say: impl FnMut(&Seen) -> Say + Send + 'static) -> (KubernetesCluster, Requests) {
    cluster_until(None, say)
}

fn cluster_until(deadline: Option<Instant>, mut say: impl FnMut(&Seen) -> Say + Send + 'static) -> (KubernetesCluster, Requests) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let requests = Requests::default();
    let log = requests.clone();
    tokio::spawn(async move {
        let mut never_answered = Vec::new();
        while let Some((request, answer)) = handle.next_request().await {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
            let seen = Seen {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                query: url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
                content_type: header("content-type"),
                accept: header("accept"),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            if let Some(kinds) = kinds(&seen.path) {
                answer.send_response(Response::new(Body::from(kinds.to_string().into_bytes())));
                continue;
            }
            log.lock().unwrap().push(seen.clone());
            let response = Response::builder();
            match say(&seen) {
                Say::Json(status, value) => {
                    answer.send_response(response.status(status).body(Body::from(value.to_string().into_bytes())).unwrap());
                }
                Say::Text(status, text) => answer.send_response(response.status(status).body(Body::from(text.into_bytes())).unwrap()),
                Say::After(seconds, status) => {
                    let response = response.status(status).header("Retry-After", seconds.to_string());
                    answer.send_response(response.body(Body::empty()).unwrap());
                }
                Say::Cut => answer.send_error(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
                Say::Nothing => never_answered.push(answer),
            }
        }
    });
    let client = kube::Client::new(service, "default");
    (KubernetesCluster::over(client, "https://cluster.test", Duration::from_secs(45), deadline), requests)
}

pub(super) fn kinds(path: &str) -> Option<Value> {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({ "name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"] });
    let resources = match path {
        "/api/v1" => json!([
            resource("namespaces", "Namespace", false),
            resource("namespaces/status", "Namespace", false),
            resource("configmaps", "ConfigMap", true),
            resource("secrets", "Secret", true),
        ]),
        "/apis/apps/v1" => json!([resource("deployments", "Deployment", true), resource("deployments/scale", "Scale", true)]),
        _ => return None,
    };
    Some(json!({ "kind": "APIResourceList", "resources": resources }))
}

fn status(code: u16, reason: &str, message: &str, details: Value) -> Say {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
        "details": details });
    Say::Json(code, status)
}

fn config_map(name: &str) -> Object {
    Object::new(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "argocd" } })).unwrap()
}

const APPLY: ApplyOptions<'static> = ApplyOptions { manager: "gitops-bootstrap", force: false };

fn calls(requests: &Requests) -> Vec<Seen> {
    requests.lock().unwrap().clone()
}

#[tokio::test]
async fn an_object_is_applied_by_server_side_apply_with_strict_validation() {
    let (cluster, requests) = cluster(|seen| Say::Json(200, seen.body.clone()));
    let object = config_map("a");
    let forced = ApplyOptions { force: true, ..APPLY };
    assert_eq!(cluster.dry_run(&object, forced).await.unwrap(), object);
    let [seen] = calls(&requests).try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("PATCH", "/api/v1/namespaces/argocd/configmaps/a"));
    assert_eq!(seen.content_type, "application/apply-patch+yaml");
    assert_eq!(seen.query("fieldManager"), Some("gitops-bootstrap"));
    assert_eq!(seen.query("fieldValidation"), Some("Strict"));
    assert_eq!((seen.query("force"), seen.query("dryRun")), (Some("true"), Some("All")));
    assert_eq!(&seen.body, object.value());

    cluster.apply(&object, APPLY).await.unwrap();
    let seen = calls(&requests).remove(1);
    assert_eq!((seen.query("force"), seen.query("dryRun")), (None, None), "nothing is forced unless asked for");
}

#[tokio::test]
async fn a_cluster_scoped_kind_has_no_namespace_in_its_path_and_a_namespaced_one_needs_it() {
    let (cluster, requests) = cluster(|_| Say::Json(200, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" } })));
    cluster.get(&ObjectRef::namespaced("v1", "Namespace", "argocd", "a")).await.unwrap();
    assert_eq!(calls(&requests)[0].path, "/api/v1/namespaces/a");
    let error = cluster.get(&ObjectRef::cluster_wide("v1", "ConfigMap", "a")).await.unwrap_err();
    assert!(matches!(error, ClusterError::Invalid { .. }), "{error}");
    assert_eq!(calls(&requests).len(), 1);
}

#[tokio::test]
async fn a_name_cannot_leave_its_place_in_the_path() {
    let (cluster, requests) = cluster(|_| status(404, "NotFound", "not found", json!({ "name": "x" })));
    cluster.get(&ObjectRef::namespaced("v1", "ConfigMap", "argocd", "../secrets/x?watch=1")).await.unwrap();
    assert_eq!(calls(&requests)[0].path, "/api/v1/namespaces/argocd/configmaps/..%2Fsecrets%2Fx%3Fwatch%3D1");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_served_is_none() {
    let (cluster, _) = cluster(|seen| match seen.path.as_str() {
        "/apis/argoproj.io/v1alpha1" => Say::Text(404, "404 page not found\n".to_owned()),
        _ => status(404, "NotFound", "configmaps \"a\" not found", json!({ "name": "a", "kind": "configmaps" })),
    });
    let application = Resource::new("argoproj.io/v1alpha1", "Application");
    assert_eq!(cluster.get(&config_map("a").reference()).await, Ok(None));
    assert_eq!(cluster.get(&ObjectRef::namespaced("argoproj.io/v1alpha1", "Application", "argocd", "root")).await, Ok(None));
    assert_eq!(cluster.served(&application).await, Ok(None));
    assert_eq!(cluster.list(&application, None, None).await, Err(ClusterError::NotServed(application)));
}

#[tokio::test]
async fn a_kind_is_asked_for_once_until_it_is_missed() {
    let mut asked = 0;
    let (cluster, requests) = cluster(move |_| {
        asked += 1;
        let resources = if asked == 1 { json!([]) } else { json!([{ "name": "applications", "kind": "Application", "namespaced": true }]) };
        Say::Json(200, json!({ "resources": resources }))
    });
    let application = Resource::new("argoproj.io/v1alpha1", "Application");
    assert_eq!(cluster.served(&application).await, Ok(None));
    assert_eq!(cluster.served(&application).await, Ok(Some(Scope::Namespaced)), "a kind that was missing is asked for again");
    assert_eq!(cluster.served(&application).await, Ok(Some(Scope::Namespaced)));
    assert_eq!(calls(&requests).len(), 2, "a known kind is not asked for again");
}

#[tokio::test]
async fn fields_of_other_managers_are_named_with_their_owners() {
    let causes = json!({ "causes": [
        { "reason": "FieldManagerConflict", "message": "conflict with \"kubectl-edit\" using apps/v1", "field": ".spec.replicas" },
        { "reason": "FieldManagerConflict", "message": "conflict with \"helm\" using apps/v1", "field": ".spec.paused" },
    ] });
    let (cluster, _) = cluster(move |_| status(409, "Conflict", "Apply failed with 2 conflicts", causes.clone()));
    let object = config_map("a");
    let conflict = |manager: &str, field: &str| FieldConflict { manager: manager.to_owned(), field: field.to_owned() };
    assert_eq!(
        cluster.apply(&object, APPLY).await,
        Err(ClusterError::FieldConflict {
            object: object.reference(),
            fields: vec![conflict("kubectl-edit", ".spec.replicas"), conflict("helm", ".spec.paused")],
        })
    );
}

#[tokio::test]
async fn each_refusal_is_told_from_the_others() {
    let object = config_map("a");
    let reference = object.reference();
    let refuse = |code: u16, reason: &'static str, message: &'static str, details: Value| {
        let (cluster, _) = cluster(move |_| status(code, reason, message, details.clone()));
        let object = object.clone();
        async move { cluster.create(&object).await.unwrap_err() }
    };
    let exists = refuse(409, "AlreadyExists", "configmaps \"a\" already exists", json!({ "name": "a" })).await;
    assert_eq!(exists, ClusterError::AlreadyExists(reference.clone()));
    let cause = json!({ "causes": [{ "reason": "NamespaceTerminating", "message": "namespace argocd is being terminated" }] });
    let terminating = refuse(403, "Forbidden", "unable to create new content", cause).await;
    assert_eq!(terminating, ClusterError::Terminating("argocd".to_owned()));
    let forbidden = refuse(403, "Forbidden", "configmaps is forbidden: User \"me\" cannot create", json!({})).await;
    assert!(matches!(&forbidden, ClusterError::Forbidden(message) if message.contains("cannot create")), "{forbidden}");
    let missing = refuse(404, "NotFound", "namespaces \"argocd\" not found", json!({ "name": "argocd", "kind": "namespaces" })).await;
    assert_eq!(missing, ClusterError::NotFound(ObjectRef::cluster_wide("v1", "Namespace", "argocd")));
    let invalid = refuse(422, "Invalid", "ConfigMap \"a\" is invalid", json!({})).await;
    assert_eq!(invalid, ClusterError::Invalid { object: reference.clone(), message: "ConfigMap \"a\" is invalid".to_owned() });
    let words = "failed to create typed patch object (argocd/a; /v1, Kind=ConfigMap): .datax: field not declared in schema";
    let unknown_field = refuse(500, "", words, Value::Null).await;
    assert_eq!(unknown_field, ClusterError::Invalid { object: reference.clone(), message: words.to_owned() });
    let too_large = refuse(413, "RequestEntityTooLarge", "limit is 3145728", json!({})).await;
    assert!(matches!(too_large, ClusterError::Invalid { .. }), "{too_large}");
}

#[tokio::test]
async fn a_replace_of_an_old_version_is_stale_but_an_apply_goes_on() {
    let mut left = 2;
    let (cluster, requests) = cluster(move |seen| {
        let conflict = status(409, "Conflict", "the object has been modified", json!({}));
        if seen.method == "PUT" || left > 0 {
            left -= usize::from(seen.method == "PATCH");
            conflict
        } else {
            Say::Json(200, seen.body.clone())
        }
    });
    let object = config_map("a");
    assert_eq!(cluster.replace(&object).await, Err(ClusterError::Stale(object.reference())));
    assert_eq!(cluster.apply(&object, APPLY).await, Ok(()));
    assert_eq!(calls(&requests).len(), 4, "one PUT and three PATCHes");
}

#[tokio::test(start_paused = true)]
async fn passing_faults_are_borne_and_retry_after_is_obeyed() {
    let mut answers = vec![Say::After(7, 429), Say::Cut, Say::Text(503, String::new()), Say::Text(500, "{}".to_owned())];
    answers.reverse();
    let (cluster, requests) = cluster(move |seen| answers.pop().unwrap_or_else(|| Say::Json(200, seen.body.clone())));
    let begun = Instant::now();
    cluster.apply(&config_map("a"), APPLY).await.unwrap();
    assert_eq!(calls(&requests).len(), 5);
    assert!(begun.elapsed() >= Duration::from_secs(7), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn patience_has_an_end_and_the_last_fault_is_named() {
    let (cluster, _) = cluster(|_| {
        status(500, "InternalError", "Internal error occurred: failed calling webhook \"check.example\"", json!({ "causes": [] }))
    });
    let begun = Instant::now();
    let error = cluster.apply(&config_map("a"), APPLY).await.unwrap_err();
    let ClusterError::Transient { message, .. } = &error else { panic!("{error}") };
    assert!(message.contains("check.example"), "{message}");
    assert!(begun.elapsed() <= Duration::from_secs(45), "{:?}", begun.elapsed());
    assert!(begun.elapsed() >= Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_longer_than_the_deadline_is_not_begun() {
    let begun = Instant::now();
    let (cluster, requests) = cluster_until(Some(begun + Duration::from_secs(20)), |_| Say::After(30, 429));
    let error = cluster.apply(&config_map("a"), APPLY).await.unwrap_err();
    assert!(matches!(error, ClusterError::Transient { retry_after: Some(after), .. } if after.as_secs() == 30), "{error}");
    assert_eq!((calls(&requests).len(), begun.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_left_at_the_deadline() {
    let begun = Instant::now();
    let (cluster, _) = cluster_until(Some(begun + Duration::from_secs(40)), |_| Say::Nothing);
    let error = cluster.apply(&config_map("a"), APPLY).await.unwrap_err();
    assert!(matches!(error, ClusterError::Transient { .. }), "{error}");
    assert!(begun.elapsed() <= Duration::from_secs(40), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_a_create_finds_its_own_object() {
    let mut created = false;
    let (cluster, _) = cluster(move |_| match std::mem::replace(&mut created, true) {
        false => Say::Cut,
        true => status(409, "AlreadyExists", "exists", json!({ "name": "a" })),
    });
    let object = config_map("a");
    assert_eq!(cluster.create(&object).await, Err(ClusterError::AlreadyExists(object.reference())));
}

#[tokio::test]
async fn what_no_api_server_answers_is_not_understood_and_not_asked_for_again() {
    let deep = "[".repeat(10_000);
    for (code, text) in [
        (200, "<html>hello</html>".to_owned()),
        (200, "{\"apiVersion\":\"v1\",\"kind\":".to_owned()),
        (200, deep),
        (200, "{}".to_owned()),
        (302, String::new()),
        (200, " ".repeat((64 << 20) + 1)),
    ] {
        let shown: String = text.chars().take(30).collect();
        let too_large = text.len() > 64 << 20;
        let is_json = text == "{}";
        let (cluster, requests) = cluster(move |_| Say::Text(code, text.clone()));
        let error = cluster.get(&config_map("a").reference()).await.unwrap_err();
        assert!(matches!(error, ClusterError::Unintelligible { .. }), "{code} {shown}: {error}");
        assert!(!error.to_string().contains("hello"), "a page is not quoted: {error}");
        assert_eq!(error.to_string().contains("more than 64 MiB"), too_large, "{error}");
        assert_eq!(calls(&requests).len(), 1, "{code} {shown}");
        // Of the answer to an apply no more is wanted than that it is JSON: what has become of the object is looked at afterwards.
        let applied = cluster.apply(&config_map("a"), APPLY).await;
        assert!(matches!(applied, Err(ClusterError::Unintelligible { .. })) != is_json, "{code} {shown}: {applied:?}");
    }
}

#[tokio::test]
async fn a_list_has_all_pages_and_its_items_say_what_they_are() {
    let mut expired = false;
    let (cluster, requests) = cluster(move |seen| {
        let item = |name: &str| json!({ "metadata": { "name": name, "namespace": "argocd" } });
        match seen.query("continue") {
            None => Say::Json(200, json!({ "metadata": { "continue": "p2" }, "items": [item("a"), item("b")] })),
            Some("p2") if !std::mem::replace(&mut expired, true) => status(410, "Expired", "too old", json!({})),
            Some(_) => Say::Json(200, json!({ "metadata": {}, "items": [item("c")] })),
        }
    });
    let found = cluster.list(&Resource::new("v1", "ConfigMap"), Some("argocd"), Some("a=b,c=d")).await.unwrap();
    let names: Vec<_> = found.iter().map(|object| (object.kind(), object.name())).collect();
    assert_eq!(names, [("ConfigMap", "a"), ("ConfigMap", "b"), ("ConfigMap", "c")], "pages of a list that expired count once");
    let first = calls(&requests).remove(0);
    assert_eq!((first.query("labelSelector"), first.query("limit")), (Some("a=b,c=d"), Some("500")));
}

#[tokio::test]
async fn metadata_alone_is_asked_for_page_by_page() {
    let (cluster, requests) = cluster(|seen| {
        let item = |name: &str| json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": { "name": name } });
        let (metadata, name) = if seen.query("continue").is_none() { (json!({ "continue": "p2" }), "a") } else { (json!({}), "b") };
        Say::Json(200, json!({ "kind": "PartialObjectMetadataList", "metadata": metadata, "items": [item(name)] }))
    });
    let found = cluster.list_metadata(&Resource::new("v1", "Secret"), None).await.unwrap();
    let names: Vec<_> = found.iter().map(|object| (object.api_version(), object.kind(), object.name())).collect();
    assert_eq!(names, [("v1", "Secret", "a"), ("v1", "Secret", "b")], "each says what it is, not how it was asked for");
    let calls = calls(&requests);
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.accept.starts_with("application/json;as=PartialObjectMetadataList")), "{calls:?}");
}

#[tokio::test]
async fn only_the_object_that_is_meant_is_deleted_and_one_that_is_gone_is_no_error() {
    let (cluster, requests) = cluster(|seen| match seen.path.rsplit('/').next() {
        Some("there") => Say::Json(200, json!({ "kind": "Status", "status": "Success" })),
        Some("another") => status(409, "Conflict", "the UID in the precondition does not match", json!({ "name": "another" })),
        _ => status(404, "NotFound", "not found", json!({ "name": "gone" })),
    });
    let object = |name: &str| ObjectRef::namespaced("v1", "ConfigMap", "argocd", name);
    let options = DeleteOptions { uid: Some("u-1"), dependents: Dependents::Orphaned };
    assert_eq!(cluster.delete(&object("there"), options).await, Ok(()));
    assert_eq!(cluster.delete(&object("gone"), options).await, Ok(()));
    assert_eq!(cluster.delete(&object("another"), options).await, Err(ClusterError::Stale(object("another"))));
    let seen = calls(&requests).remove(0);
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("DELETE", "/api/v1/namespaces/argocd/configmaps/there"));
    assert_eq!((&seen.body["preconditions"]["uid"], &seen.body["propagationPolicy"]), (&json!("u-1"), &json!("Orphan")));

    let unserved = ObjectRef::namespaced("example.com/v1", "Thing", "argocd", "a");
    assert_eq!(cluster.delete(&unserved, DeleteOptions { uid: None, dependents: Dependents::Deleted }).await, Ok(()), "no such kind");
}

#[tokio::test]
async fn all_kinds_in_namespaces_are_found_and_a_group_that_does_not_answer_is_an_error() {
    let groups = |name: &'static str| {
        move |seen: &Seen| match seen.path.as_str() {
            "/apis" => Say::Json(200, json!({ "groups": [{ "name": "g", "preferredVersion": { "groupVersion": name } }] })),
            _ => status(503, "ServiceUnavailable", "the server is currently unable to handle the request", json!({})),
        }
    };
    let (cluster, _) = self::cluster(groups("apps/v1"));
    let kinds = cluster.namespaced_kinds().await.unwrap();
    let names: Vec<&str> = kinds.iter().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(names, ["ConfigMap", "Secret", "Deployment"], "no Namespace, and no subresource");

    let deadline = Some(Instant::now() + Duration::from_secs(1));
    let (cluster, _) = cluster_until(deadline, groups("metrics.k8s.io/v1beta1"));
    assert!(cluster.namespaced_kinds().await.is_err());
}

#[tokio::test]
async fn all_missing_rights_are_found_in_their_order() {
    let (cluster, requests) = cluster(|seen| {
        let resource = seen.body.pointer("/spec/resourceAttributes/resource").and_then(Value::as_str);
        Say::Json(201, json!({ "status": { "allowed": resource == Some("secrets") } }))
    });
    let right = |resource: &str| Right {
        verb: "create",
        group: String::new(),
        resource: resource.to_owned(),
        namespace: Some("argocd".to_owned()),
        name: None,
    };
    let rights = [right("pods/log"), right("secrets"), right("configmaps")];
    assert_eq!(cluster.missing_rights(&rights).await, Ok(vec![right("pods/log"), right("configmaps")]));
    let asked: Vec<_> = calls(&requests).iter().map(|seen| seen.body.pointer("/spec/resourceAttributes").cloned().unwrap()).collect();
    let log = asked.iter().find(|asked| asked["resource"] == "pods").unwrap();
    assert_eq!((&log["subresource"], &log["verb"], &log["namespace"]), (&json!("log"), &json!("create"), &json!("argocd")));
}

#[tokio::test(start_paused = true)]
async fn a_watch_lists_follows_and_lists_again_when_it_is_too_far_behind() {
    let object = |name: &str, version: &str| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "argocd", "resourceVersion": version,
            "managedFields": [{ "manager": "x" }] }, "data": { "n": 1, "deep": { "kept": [true, null] } } })
    };
    let line = |kind: &str, object: &Value| json!({ "type": kind, "object": object }).to_string() + "\n";
    let gone = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old" });
    let events = [line("MODIFIED", &object("a", "11")), line("DELETED", &object("a", "12")), line("ERROR", &gone)].concat();
    let mut items = vec![object("b", "20"), object("a", "10")];
    for item in &mut items {
        let fields = item.as_object_mut().unwrap();
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    let mut watched = false;
    let (cluster, _) = cluster(move |seen| match seen.query("watch") {
        None => {
            let version = if items.len() == 2 { "10" } else { "20" };
            Say::Json(
                200,
                json!({ "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": version },
                "items": [items.pop().unwrap()] }),
            )
        }
        Some(_) if std::mem::replace(&mut watched, true) => Say::Nothing,
        Some(_) => Say::Text(200, events.clone()),
    });
    let mut watch = cluster.watch(&Resource::new("v1", "ConfigMap"), Some("argocd"));
    let first = watch.next().await.unwrap().unwrap();
    let Change::Restarted(objects) = first else { panic!("{first:?}") };
    assert_eq!((objects[0].name(), objects[0].kind(), objects[0].api_version()), ("a", "ConfigMap", "v1"));
    assert_eq!(objects[0].at("/data"), Some(&json!({ "n": 1, "deep": { "kept": [true, null] } })));
    assert_eq!(objects[0].at("/metadata/managedFields"), None);
    let second = watch.next().await.unwrap().unwrap();
    assert!(matches!(&second, Change::Applied(object) if object.resource_version() == Some("11")), "{second:?}");
    let third = watch.next().await.unwrap().unwrap();
    assert!(matches!(&third, Change::Deleted(object) if object.name == "a"), "{third:?}");
    let fourth = watch.next().await.unwrap().unwrap();
    assert!(matches!(&fourth, Change::Restarted(objects) if objects[0].name() == "b"), "{fourth:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_kind_that_comes_later_says_so_and_waits() {
    let mut asked = 0;
    let (cluster, _) = cluster(move |seen| match seen.path.as_str() {
        "/apis/argoproj.io/v1alpha1" => {
            asked += 1;
            let kinds = if asked == 1 { json!([]) } else { json!([{ "name": "applications", "kind": "Application", "namespaced": true }]) };
            Say::Json(200, json!({ "resources": kinds }))
        }
        _ if seen.query("watch").is_some() => Say::Nothing,
        _ => Say::Json(200, json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": [] })),
    });
    let application = Resource::new("argoproj.io/v1alpha1", "Application");
    let mut watch = cluster.watch(&application, None);
    assert_eq!(watch.next().await.unwrap().unwrap_err(), ClusterError::NotServed(application));
    let second = watch.next().await.unwrap().unwrap();
    assert!(matches!(&second, Change::Restarted(objects) if objects.is_empty()), "{second:?}");
}
