//! The way from a kubeconfig to a cluster: which context is meant, who is trusted, and what is sent to whom.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gitops_bootstrap::adapters::kubernetes::{ConnectOptions, KubernetesCluster, contexts};
use gitops_bootstrap::domain::Resource;
use gitops_bootstrap::ports::Cluster;
use gitops_bootstrap::ports::cluster::ClusterError;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::kubernetes::kinds;

/// Writes a kubeconfig with one context for each server, and gives the options to use it.
fn kubeconfig(folder: &Path, servers: &[(&str, &str)], user: Value) -> ConnectOptions {
    let named = |servers: &[(&str, &str)], entry: &dyn Fn(&str, &str) -> Value| -> Vec<Value> {
        servers.iter().map(|(name, server)| entry(name, server)).collect()
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": servers[0].0,
        "clusters": named(servers, &|name, server| json!({ "name": name, "cluster": { "server": server } })),
        "contexts": named(servers, &|name, _| json!({ "name": name, "context": { "cluster": name, "user": "me" } })),
        "users": [{ "name": "me", "user": user }],
    });
    let file = folder.join("kubeconfig");
    std::fs::write(&file, config.to_string()).unwrap();
    ConnectOptions { kubeconfig: vec![file], ..ConnectOptions::default() }
}

async fn connect_error(options: ConnectOptions) -> ClusterError {
    match KubernetesCluster::connect(options).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_facts_of_a_cluster_are_its_uid_version_and_address() {
    let server = MockServer::start().await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kube-system", "uid": "0b6b2a9c" } });
    let version = json!({ "major": "1", "minor": "33+", "gitVersion": "v1.33.4-eks" });
    for (where_, answer) in [("/api/v1", kinds("/api/v1").unwrap()), ("/api/v1/namespaces/kube-system", namespace), ("/version", version)] {
        let template = ResponseTemplate::new(200).set_body_json(answer);
        Mock::given(path(where_)).and(header("authorization", "Bearer t0ken")).respond_with(template).mount(&server).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = kubeconfig(folder.path(), &[("kind-staging", &server.uri())], json!({ "token": "t0ken" }));
    let facts = KubernetesCluster::connect(options).await.unwrap().facts().await.unwrap();
    assert_eq!((facts.context.as_str(), facts.server.as_str()), ("kind-staging", server.uri().as_str()));
    assert_eq!((facts.identity.kube_system_uid.as_str(), facts.identity.ca_sha256), ("0b6b2a9c", None));
    assert_eq!((facts.version, facts.git_version.as_str()), ((1, 33), "v1.33.4-eks"));
}

#[tokio::test]
async fn with_several_contexts_and_none_named_they_are_listed_and_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let servers = [("one", "https://user:hunter2@one.test:6443"), ("two", "https://two.test")];
    let options = kubeconfig(folder.path(), &servers, json!({}));
    let choices = contexts(&options.kubeconfig).unwrap();
    let shown: Vec<_> = choices.iter().map(|choice| (choice.name.as_str(), choice.server.as_str(), choice.current)).collect();
    assert_eq!(shown, [("one", "https://one.test:6443", true), ("two", "https://two.test", false)]);
    let error = connect_error(options.clone()).await;
    assert!(matches!(&error, ClusterError::Kubeconfig(message) if message.ends_with("one, two")), "{error}");
    let error = connect_error(ConnectOptions { context: Some("three".to_owned()), ..options }).await;
    assert!(matches!(&error, ClusterError::Kubeconfig(message) if message.contains("`three`") && message.ends_with("one, two")), "{error}");
}

#[tokio::test]
async fn plain_http_to_another_machine_and_an_unchecked_certificate_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = connect_error(kubeconfig(folder.path(), &[("far", "http://192.0.2.1:8080")], json!({}))).await;
    assert!(matches!(error, ClusterError::Untrusted { .. }), "{error}");

    let text = r#"{"clusters":[{"name":"c","cluster":{"server":"https://192.0.2.1","insecure-skip-tls-verify":true}}],
        "contexts":[{"name":"c","context":{"cluster":"c"}}]}"#;
    let file = folder.path().join("insecure");
    std::fs::write(&file, text).unwrap();
    let options = ConnectOptions { kubeconfig: vec![file], ..ConnectOptions::default() };
    let error = connect_error(options.clone()).await;
    assert!(matches!(error, ClusterError::Untrusted { .. }), "{error}");
    assert!(KubernetesCluster::connect(ConnectOptions { allow_insecure_tls: true, ..options }).await.is_ok());
}

#[tokio::test]
async fn a_broken_kubeconfig_is_never_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken");
    std::fs::write(&file, "users:\n- name: me\n  user:\n    token: s3cret-t0ken\n   bad: [\n").unwrap();
    let error = connect_error(ConnectOptions { kubeconfig: vec![file], ..ConnectOptions::default() }).await.to_string();
    assert!(!error.contains("s3cret"), "{error}");
    assert!(error.contains("line "), "{error}");
    let error =
        connect_error(ConnectOptions { kubeconfig: vec![folder.path().join("none")], ..ConnectOptions::default() }).await.to_string();
    assert!(error.starts_with("there is no kubeconfig at "), "{error}");
}

#[tokio::test]
async fn credentials_from_a_file_are_read_again_once_after_401() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(header("authorization", "Bearer new")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "old").unwrap();
    let options = kubeconfig(folder.path(), &[("c", &server.uri())], json!({ "tokenFile": token }));
    let cluster = KubernetesCluster::connect(options).await.unwrap();
    let kind = Resource::new("v1", "ConfigMap");
    let error = cluster.served(&kind).await.unwrap_err();
    assert!(matches!(error, ClusterError::Unauthorized(_)), "{error}");
    assert_eq!(server.received_requests().await.unwrap().len(), 2, "one renewal, then the end");
    std::fs::write(&token, "new").unwrap();
    assert_eq!(cluster.served(&kind).await, Ok(None));
}

#[tokio::test]
async fn credentials_that_cannot_change_are_tried_once() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(401)).expect(1).mount(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let options = kubeconfig(folder.path(), &[("c", &server.uri())], json!({ "token": "old" }));
    let error = KubernetesCluster::connect(options).await.unwrap().served(&Resource::new("v1", "ConfigMap")).await.unwrap_err();
    assert!(matches!(error, ClusterError::Unauthorized(_)), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_given_up_soon() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let mut options = kubeconfig(folder.path(), &[("c", &address)], json!({}));
    options.patience = Duration::from_millis(400);
    let error = KubernetesCluster::connect(options).await.unwrap().facts().await.unwrap_err();
    assert_eq!(error, ClusterError::Transient { server: address, message: "the connection was refused".to_owned(), retry_after: None });
}

const CA: &str = include_str!("tls/ca.pem");
const OTHER_CA: &str = include_str!("tls/other-ca.pem");

/// An API server over TLS that answers everything with 404, and counts the bytes that reach it inside TLS.
///
/// Its certificate is in `tls/`, signed by `tls/ca.pem`, for 127.0.0.1 and for a hundred years; made with `openssl req -x509 -newkey ec` and
/// `openssl x509 -req`.
fn tls_server() -> (String, Arc<Mutex<usize>>) {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::io::{Read as _, Write as _};
    gitops_bootstrap::adapters::install_tls_provider();
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(0));
    let count = received.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut request = [0; 4096];
            if let Ok(bytes) = stream.read(&mut request) {
                *count.lock().unwrap() += bytes;
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        }
    });
    (address, received)
}

async fn connect_with_ca(server: &str, ca: &str) -> KubernetesCluster {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
    let text = json!({
        "clusters": [{ "name": "c", "cluster": { "server": server, "certificate-authority": "ca.pem" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "me" } }],
        "users": [{ "name": "me", "user": { "token": "t0ken" } }],
    });
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, text.to_string()).unwrap();
    KubernetesCluster::connect(ConnectOptions { kubeconfig: vec![file], ..ConnectOptions::default() }).await.unwrap()
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted_and_gets_no_credentials() {
    let (server, received) = tls_server();
    let kind = Resource::new("v1", "ConfigMap");
    let error = connect_with_ca(&server, OTHER_CA).await.served(&kind).await.unwrap_err();
    assert!(matches!(&error, ClusterError::Untrusted { message, .. } if message.contains("does not verify")), "{error}");
    assert_eq!(*received.lock().unwrap(), 0);
    assert_eq!(connect_with_ca(&server, CA).await.served(&kind).await, Ok(None));
    assert!(*received.lock().unwrap() > 0);
}
