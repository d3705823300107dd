//! Who installs Argo CD.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gitops_bootstrap::adapters::git::GitRemote;
use gitops_bootstrap::adapters::ssh_key::SshKeyMaker;
use gitops_bootstrap::domain::tree::{Rendered, Tree};
use gitops_bootstrap::domain::{Commit, HostKeys, Object};
use gitops_bootstrap::engine;
use gitops_bootstrap::event::{Event, Events, Reporter};
use gitops_bootstrap::plan::StepId;
use gitops_bootstrap::ports::Cluster as _;
use gitops_bootstrap::steps::World;
use gitops_bootstrap::steps::faults::Faults;
use gitops_bootstrap::steps::world::Wanted;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::manifest::Manifest;
use crate::{fresh_cluster, saturation};

/// A way to install Argo CD: the namespace and all objects of the manifest, until the kinds that it defines are served.
#[derive(Clone, Copy)]
pub(crate) enum Contestant {
    /// The steps of `init`: look, plan, apply, wait, look again.
    Ours,
    /// A client that does nothing but send.
    Limit,
    /// `kubectl`, as Argo CD's documentation has it, with server-side apply.
    Kubectl,
}

impl Contestant {
    /// All of them, in the order of their turns.
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Limit, Self::Kubectl];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "gitops-bootstrap",
            Self::Limit => "limit: 8 connections that only send",
            Self::Kubectl => "kubectl apply --server-side",
        }
    }

    /// Installs, and tells how long it took, from the first connection on.
    pub(crate) async fn install(self, manifest: &Manifest, kubeconfig: &Path, kubectl: &Path) -> Duration {
        let begin = Instant::now();
        match self {
            Self::Ours => ours(manifest, kubeconfig).await,
            Self::Limit => saturation::install(manifest, kubeconfig).await,
            Self::Kubectl => by_kubectl(manifest, kubeconfig, kubectl),
        }
        begin.elapsed()
    }
}

async fn ours(manifest: &Manifest, kubeconfig: &Path) {
    let cluster = fresh_cluster::connect(kubeconfig.to_owned()).await;
    let facts = cluster.facts().await.unwrap();
    let tree = tree(manifest);
    let wanted = Wanted {
        cluster: tree.cluster.clone(),
        commit: tree.commit.clone(),
        tree,
        facts,
        hosts: HostKeys::pinned([]).unwrap(),
        bundle: None,
        recovery: None,
        take_ownership: false,
        fix_key: false,
        wait_for_lock: false,
        holder: "benchmark".to_owned(),
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let world = World::new(
        Arc::new(cluster),
        None,
        Arc::new(GitRemote::new(Default::default())),
        Arc::new(SshKeyMaker),
        Events::new(Nobody),
        CancellationToken::new(),
        tokio::time::Instant::now() + Duration::from_secs(120),
        Arc::new(Faults::default()),
        wanted,
    );
    engine::run(&[StepId::Ns, StepId::Crds, StepId::Install], &world).await.unwrap();
}

fn tree(manifest: &Manifest) -> Tree {
    let commit: Commit = "a".repeat(40).parse().unwrap();
    let rendered = |object: Object| Rendered { path: "rendered/bench/argocd/install.yaml".parse().unwrap(), object };
    let root = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "root", "namespace": "argocd"}});
    Tree {
        cluster: "bench".parse().unwrap(),
        commit,
        repository: "git@github.com:acme/fleet.git".parse().unwrap(),
        revision: "main".to_owned(),
        root: rendered(Object::new(root).unwrap()),
        projects: Vec::new(),
        applications: Vec::new(),
        argocd: manifest.objects.iter().cloned().map(rendered).collect(),
        paths: Vec::new(),
    }
}

struct Nobody;

impl Reporter for Nobody {
    fn on(&mut self, _event: &Event) {}
}

fn by_kubectl(manifest: &Manifest, kubeconfig: &Path, kubectl: &Path) {
    let home = tempfile::tempdir().unwrap();
    let file = manifest.file.to_str().unwrap();
    let definitions: Vec<String> = manifest
        .objects
        .iter()
        .filter(|object| object.kind() == "CustomResourceDefinition")
        .map(|object| format!("crd/{}", object.name()))
        .collect();
    let mut wait = vec!["wait", "--for=condition=Established"];
    wait.extend(definitions.iter().map(String::as_str));
    for arguments in [&["create", "namespace", "argocd"][..], &["apply", "--server-side", "-n", "argocd", "-f", file], &wait] {
        run(kubectl, kubeconfig, home.path(), arguments);
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark starts programs of its own")]
fn run(kubectl: &Path, kubeconfig: &Path, home: &Path, arguments: &[&str]) {
    let mut command = Command::new(kubectl);
    command.args(arguments).env_clear().env("HOME", home).env("KUBECONFIG", kubeconfig).stdout(Stdio::null());
    assert!(command.status().unwrap().success(), "kubectl {}", arguments.join(" "));
}
