//! A forge with a fleet, and the cluster that is lost and brought back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use gitops_bootstrap::adapters::kubernetes::{ConnectOptions, KubernetesCluster};
use gitops_bootstrap::domain::application::Application;
use gitops_bootstrap::domain::{Object, ObjectRef};
use gitops_bootstrap::ports::Cluster as _;
use gitops_bootstrap::ports::cluster::Change;
use serde_json::Value;

use crate::contestant::Contestant;
use crate::kubectl;
use crate::processes::{ProcessorTime, of_sandbox};
use crate::support::{Fleet, TestSandbox};

/// How long one recovery may take at most.
const LIMIT: Duration = Duration::from_secs(1800);

/// What of a cluster is needed to bring it back by hand: the repository Secret, whose key the forge knows, and the host keys of the forge.
const BY_HAND: [[&str; 2]; 2] =
    [["secrets", "argocd.argoproj.io/secret-type=repository"], ["configmaps", "app.kubernetes.io/name=argocd-ssh-known-hosts-cm"]];

/// The forge, the fleet, and the cluster.
pub(crate) struct Site {
    sandbox: TestSandbox,
    fleet: Fleet,
    kubectl: PathBuf,
    /// The objects of [`BY_HAND`], as files.
    by_hand: Vec<PathBuf>,
}

impl Site {
    /// One with `size` Applications, each a Deployment of two in a namespace of its own, beside those of the demonstration fleet. It is brought up once, by
    /// which the caches of Git and of the machine are warm for all.
    pub(crate) fn with(size: usize) -> Self {
        let sandbox = TestSandbox::start();
        let fleet = Fleet::of(&sandbox);
        let mut entries = String::from("applications:\n");
        for number in 0..size {
            fleet.write(&format!("src/services/app-{number}/manifest.yaml"), &deployment(number));
            // Writing to a string does not fail.
            let _ = writeln!(entries, "  app-{number}: {{enabled: true}}");
        }
        fleet.replace("src/argocd/services/values.yaml", "applications:\n", &entries);
        sandbox.cli(&["render"]).in_folder(fleet.folder()).within(LIMIT).run().exits(0);
        fleet.commit("applications");
        fleet.push();
        let mut site = Self { sandbox, fleet, kubectl: kubectl::build(), by_hand: Vec::new() };
        // One that comes back by hand needs a key that the forge knows.
        site.recover();
        site.keep();
        site
    }

    /// Loses the cluster, brings it back, and tells how long that took and what computed how much meanwhile.
    pub(crate) fn measure(&mut self, contestant: Contestant) -> (Duration, Vec<ProcessorTime>) {
        self.sandbox.lose_cluster_for(contestant.cluster());
        let before = of_sandbox(&self.sandbox.state);
        let begin = Instant::now();
        match contestant {
            Contestant::ArgoCd => self.by_hand(),
            Contestant::Elsewhere | Contestant::Drill => self.recover(),
        }
        let took = begin.elapsed();
        let used = ProcessorTime::since(&before, of_sandbox(&self.sandbox.state));
        (took, used)
    }

    fn recover(&self) {
        let recover = ["recover", "staging", "--sandbox", "--old-cluster-is-gone", "--timeout", "30m", "--output", "json"];
        let result = self.sandbox.cli(&recover).in_folder(self.fleet.folder()).within(LIMIT).run().exits(0).result();
        let seconds = |phase: &Value| phase["milliseconds"].as_f64().unwrap() / 1000.0;
        let long = result["phases"].as_array().unwrap().iter().filter(|phase| seconds(phase) >= 1.0);
        let long: Vec<String> = long.map(|phase| format!("{} {:.1} s", phase["step"].as_str().unwrap(), seconds(phase))).collect();
        println!("recover: {}", long.join(", "));
    }

    /// What Argo CD's documentation has, then the root.
    fn by_hand(&self) {
        let rendered = |path: &str| self.fleet.folder().join("rendered/staging").join(path).to_str().unwrap().to_owned();
        let apply = ["apply", "--server-side", "--force-conflicts", "--namespace", "argocd", "--filename"];
        let apply = |file: &str| self.kubectl(&[&apply[..], &[file]].concat());
        self.kubectl(&["create", "namespace", "argocd"]);
        apply(&rendered("infrastructure/argocd"));
        self.by_hand.iter().for_each(|file| apply(file.to_str().unwrap()));
        self.kubectl(&["wait", "--for=condition=Established", "crd/applications.argoproj.io", "crd/appprojects.argoproj.io"]);
        for project in ["argocd", "infrastructure", "services"] {
            apply(&rendered(&format!("argocd/argocd/AppProject.{project}.yaml")));
        }
        apply(&rendered("argocd/argocd/Application.argocd-app-of-apps.yaml"));
        tokio::runtime::Runtime::new().unwrap().block_on(until_up(&self.sandbox.state.kubeconfig, self.declared()));
    }

    /// How many Applications Git has.
    fn declared(&self) -> usize {
        self.fleet.git(&["ls-files", "rendered/staging/argocd/*/Application.*.yaml"]).lines().count()
    }

    /// Keeps what a cluster needs that comes back by hand.
    fn keep(&mut self) {
        for [kind, selector] in BY_HAND {
            let list = self.output(&["get", kind, "--namespace", "argocd", "--selector", selector, "--output", "json"]);
            let Value::Array(items) = serde_json::from_str::<Value>(&list).unwrap()["items"].take() else { panic!("no list of {kind}") };
            assert_eq!(items.len(), 1, "one of {kind}");
            for mut object in items {
                let metadata = object["metadata"].as_object_mut().unwrap();
                metadata.retain(|name, _| ["name", "labels"].contains(&name.as_str()));
                let file = self.sandbox.home().path().join(format!("{kind}.json"));
                std::fs::write(&file, object.to_string()).unwrap();
                self.by_hand.push(file);
            }
        }
    }

    fn kubectl(&self, arguments: &[&str]) {
        self.output(arguments);
    }

    fn output(&self, arguments: &[&str]) -> String {
        run(&self.kubectl, &self.sandbox.state.kubeconfig, self.sandbox.home().path(), arguments)
    }
}

/// Waits until `count` Applications are Synced and Healthy, and the sync of each has succeeded. By a watch: to ask again and again would cost the API server, and so
/// Argo CD, time that `recover` does not cost it.
async fn until_up(kubeconfig: &Path, count: usize) {
    let options = ConnectOptions { kubeconfig: vec![kubeconfig.to_owned()], patience: LIMIT, ..ConnectOptions::default() };
    let cluster = KubernetesCluster::connect(options).await.unwrap();
    let mut changes = cluster.watch(&Application::resource(), Some("argocd"));
    let mut up: BTreeMap<ObjectRef, bool> = BTreeMap::new();
    while up.len() < count || up.values().any(|up| !up) {
        match changes.next().await {
            Some(Ok(Change::Restarted(objects))) => up = objects.iter().map(|object| (object.reference(), is_up(object))).collect(),
            Some(Ok(Change::Applied(object))) => drop(up.insert(object.reference(), is_up(&object))),
            Some(Ok(Change::Deleted(gone))) => drop(up.remove(&gone)),
            Some(Err(_)) => {}
            None => panic!("the watch ended"),
        }
    }
}

fn is_up(application: &Object) -> bool {
    let is = |field: &str, wanted: &str| application.text(&format!("/status/{field}")) == Some(wanted);
    is("sync/status", "Synced") && is("health/status", "Healthy") && is("operationState/phase", "Succeeded")
}

/// What kubectl prints.
#[expect(clippy::disallowed_methods, reason = "a benchmark starts programs of its own")]
fn run(kubectl: &Path, kubeconfig: &Path, home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(kubectl);
    command.args(arguments).env_clear().env("HOME", home).env("KUBECONFIG", kubeconfig).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn deployment(number: usize) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: app-{number}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: app-{number}}}}}
  template:
    metadata: {{labels: {{app: app-{number}}}}}
    spec:
      containers:
      - {{name: app, image: registry.k8s.io/pause:3.10}}
"
    )
}
