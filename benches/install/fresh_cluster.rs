//! A control plane that has just started, and on which nothing but the install is going on.

use std::path::PathBuf;
use std::time::Duration;

use gitops_bootstrap::adapters::kubernetes::{ConnectOptions, KubernetesCluster};
use gitops_bootstrap::domain::{Object, Resource};
use gitops_bootstrap::ports::Cluster as _;
use serde_json::json;

use crate::manifest::Manifest;
use crate::support::TestSandbox;

/// A sandbox of its own.
pub(crate) struct FreshCluster {
    sandbox: TestSandbox,
}

impl FreshCluster {
    /// Starts one. Its nodes take no pods: on a real cluster Argo CD starts on other machines, and here it would take its share of this one's
    /// cores while the install is measured.
    pub(crate) async fn start() -> Self {
        let sandbox = tokio::task::spawn_blocking(TestSandbox::start).await.unwrap();
        let fresh = Self { sandbox };
        let cluster = fresh.connect().await;
        for node in cluster.list(&Resource::new("v1", "Node"), None, None).await.unwrap() {
            cluster.merge_patch(&node.reference(), &json!({"spec": {"unschedulable": true}})).await.unwrap();
        }
        fresh
    }

    /// The host and the port of its API server.
    pub(crate) fn server(&self) -> String {
        self.sandbox.state.server.trim_start_matches("https://").to_owned()
    }

    /// A kubeconfig for it, which leads through a proxy at `port` of this machine if there is one.
    pub(crate) fn kubeconfig(&self, port: Option<u16>) -> PathBuf {
        let own = &self.sandbox.state.kubeconfig;
        let Some(port) = port else { return own.clone() };
        let text = std::fs::read_to_string(own).unwrap();
        let through = self.sandbox.home().path().join("kubeconfig");
        std::fs::write(&through, text.replace(&self.sandbox.state.server, &format!("https://127.0.0.1:{port}"))).unwrap();
        through
    }

    /// Checks that everything is there.
    pub(crate) async fn assert_installed(&self, manifest: &Manifest) {
        let cluster = self.connect().await;
        for object in &manifest.objects {
            assert!(cluster.get(&object.reference()).await.unwrap().is_some(), "{} is not there", object.reference());
        }
        let definitions = cluster.list(&Resource::new("apiextensions.k8s.io/v1", "CustomResourceDefinition"), None, None).await.unwrap();
        let established = |definition: &&Object| definition.value()["status"]["conditions"].to_string().contains(r#""Established""#);
        assert_eq!(definitions.iter().filter(established).count(), 3);
    }

    async fn connect(&self) -> KubernetesCluster {
        connect(self.sandbox.state.kubeconfig.clone()).await
    }
}

/// Connects as `init` does.
pub(crate) async fn connect(kubeconfig: PathBuf) -> KubernetesCluster {
    let options = ConnectOptions { kubeconfig: vec![kubeconfig], patience: Duration::from_secs(10), ..ConnectOptions::default() };
    KubernetesCluster::connect(options).await.unwrap()
}
