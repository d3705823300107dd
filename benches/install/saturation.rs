//! The limit: a client that keeps the API server busy with nothing but the writes that have to be made.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use gitops_bootstrap::domain::Object;
use http::Request;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::manifest::Manifest;

/// How many requests are under way at the same time; more gain nothing on two cores.
const CONNECTIONS: usize = 8;

/// How often it asks whether the kinds are served. Less often would cost the limit time, more often would cost the server time.
const PACE: Duration = Duration::from_millis(10);

/// Sends the namespace, then all objects with the definitions first, and waits until the definitions' kinds are served.
pub(crate) async fn install(manifest: &Manifest, kubeconfig: &Path) {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
    apply(&client, &Object::new(namespace).unwrap()).await;
    let mut objects: Vec<&Object> = manifest.objects.iter().collect();
    objects.sort_by_key(|object| object.kind() != "CustomResourceDefinition");
    let sent = stream::iter(objects.into_iter().map(|object| apply(&client, object))).buffer_unordered(CONNECTIONS).collect::<Vec<()>>();
    sent.await;
    served(&client).await;
}

async fn apply(client: &kube::Client, object: &Object) {
    let path = format!("{}?fieldManager=argocd-controller&fieldValidation=Strict&force=true", path(object));
    let request = Request::patch(path).header("content-type", "application/apply-patch+yaml").header("accept", "application/json");
    let answer = client.send(request.body(Body::from(object.value().to_string().into_bytes())).unwrap()).await.unwrap();
    assert!(answer.status().is_success(), "{}: {}", object.reference(), answer.status());
    // The answer is read to its end, or the connection could not be used again.
    answer.into_body().collect_bytes().await.unwrap();
}

/// Asks until the kinds that Argo CD's definitions define are listed, which they are once the definitions are Established.
async fn served(client: &kube::Client) {
    loop {
        let request = Request::get("/apis/argoproj.io/v1alpha1").body(Body::empty()).unwrap();
        let answer = client.send(request).await.unwrap();
        if answer.status().is_success() {
            let list: Value = serde_json::from_slice(&answer.into_body().collect_bytes().await.unwrap()).unwrap();
            let kinds = ["Application", "ApplicationSet", "AppProject"];
            let resources = list["resources"].as_array().unwrap();
            if kinds.iter().all(|kind| resources.iter().any(|resource| resource["kind"] == **kind)) {
                return;
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Where an object is. The plurals of the manifest's kinds are regular but for one.
fn path(object: &Object) -> String {
    let resource = object.resource();
    let group = if resource.group().is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", resource.api_version) };
    let kind = resource.kind.to_lowercase();
    let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
    match object.namespace() {
        Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}/{}", object.name()),
        None => format!("{group}/{plural}/{}", object.name()),
    }
}
