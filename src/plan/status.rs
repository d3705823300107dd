//! What `status` found, as one document: what people see as a screen, and programs as the result of the run.

pub mod change;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::application::Application;
use crate::domain::{ApplicationRef, ClusterName, Identity, Object};

use super::cause;
use super::diagnosis::State;
use super::tree::{ApplicationTree, Node};

/// How many of the Applications below one are named as what it waits for.
const NAMED: usize = 3;

/// How a cluster stands. Its JSON form is the `result` of `status --output json`; fields may be added within a version of the event format.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The cluster's name: as it was typed, else as its record has it.
    pub cluster: Option<ClusterName>,
    /// The context of the kubeconfig.
    pub context: String,
    /// The address of the API server.
    pub server: String,
    /// What tells the cluster from others.
    pub identity: Identity,
    /// The version of Kubernetes.
    pub kubernetes: String,
    /// Argo CD's own state.
    pub argocd: ArgoCd,
    /// The record of the bootstrap; none if it was not this tool's, or did not get so far.
    pub bootstrap: Option<Bootstrap>,
    /// The commit that the root Application was compared with.
    pub commit: Option<String>,
    /// Whether all Applications have converged and Argo CD's workloads are ready.
    pub converged: bool,
    /// All Applications by namespace and name; those that are not made yet come last.
    pub applications: Vec<ApplicationStatus>,
    /// What a person should know beside that.
    pub warnings: Vec<String>,
    /// The same Applications as a tree.
    #[serde(skip)]
    pub tree: ApplicationTree,
}

/// How an Application stands.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// Its place and its state.
    #[serde(flatten)]
    pub node: Node,
    /// The deepest cause, where the cluster shows one that Argo CD does not name; for one that only waits for those below it, which they are.
    pub deepest_cause: Option<String>,
}

impl ApplicationStatus {
    /// Why it has not converged, as deep as it is known.
    pub fn reason(&self) -> Option<&str> {
        self.deepest_cause.as_deref().or_else(|| self.node.state.reason())
    }
}

/// Argo CD's own state.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArgoCd {
    /// Its version, by the tag of its image.
    pub version: Option<String>,
    /// Its Deployments and StatefulSets.
    pub workloads: Vec<Workload>,
}

/// A Deployment or StatefulSet of Argo CD.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How many of its Pods are ready.
    pub ready: u64,
    /// How many are wanted.
    pub wanted: u64,
}

/// The record that a bootstrap leaves in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bootstrap {
    /// The cluster's name then.
    pub cluster: String,
    /// The fleet repository.
    pub repository: String,
    /// The commit that was bootstrapped.
    pub commit: String,
    /// The version of this tool that did it.
    pub tool_version: String,
    /// When.
    pub time: String,
    /// The commit that is served from a clone inside of the cluster, as long as the tree comes from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_commit: Option<String>,
}

impl ArgoCd {
    /// Reads Argo CD's state from the workloads in its namespace.
    pub fn read(workloads: &[Object]) -> Self {
        let images = workloads.iter().filter_map(|workload| workload.text("/spec/template/spec/containers/0/image"));
        let version = images.filter_map(|image| image.split('@').next()?.split_once("argocd:")).map(|(_, tag)| tag.to_owned()).next();
        let number = |workload: &Object, pointer: &str| workload.at(pointer).and_then(serde_json::Value::as_u64);
        let workloads = workloads
            .iter()
            .map(|workload| Workload {
                kind: workload.kind().to_owned(),
                name: workload.name().to_owned(),
                ready: number(workload, "/status/readyReplicas").unwrap_or(0),
                wanted: number(workload, "/spec/replicas").unwrap_or(1),
            })
            .collect();
        Self { version, workloads }
    }

    /// The workloads that are not ready.
    pub fn not_ready(&self) -> impl Iterator<Item = &Workload> {
        self.workloads.iter().filter(|workload| workload.ready < workload.wanted)
    }
}

impl Bootstrap {
    /// Reads the record.
    pub fn read(record: &Object) -> Self {
        let text = |name: &str| record.text(&format!("/data/{name}")).unwrap_or_default().to_owned();
        Self {
            cluster: text("cluster"),
            repository: text("repository"),
            commit: text("commit"),
            tool_version: text("toolVersion"),
            time: text("time"),
            served_commit: record.text("/data/servedCommit").map(str::to_owned),
        }
    }
}

impl ApplicationTree {
    /// Which Applications directly below one are not well, in a sentence; none if all are.
    fn unsettled_below(&self, node: &Node) -> Option<String> {
        let unsettled: Vec<&str> =
            self.children(node).filter(|child| !child.is_settled()).map(|child| child.application.name.as_str()).collect();
        let more = unsettled.len().saturating_sub(NAMED);
        Some(match (unsettled.as_slice(), more) {
            ([], _) => return None,
            ([one], _) => format!("`{one}` below it is not well"),
            (few, 0) => format!("{} below it are not well", quoted(few)),
            (many, more) => format!("{} and {more} more below it are not well", quoted(&many[..NAMED])),
        })
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Status {
    /// Puts the Applications, each with how it stands, and their deepest causes into the document.
    #[must_use]
    pub fn with_applications(mut self, applications: &[(Application, State)], causes: &BTreeMap<ApplicationRef, String>) -> Self {
        self.tree = ApplicationTree::grow(applications);
        let waiting: BTreeSet<&ApplicationRef> = applications
            .iter()
            .filter(|(application, state)| cause::is_below(application, state))
            .map(|(application, _)| &application.reference)
            .collect();
        let deepest = |node: &Node| {
            let below = || Some(node).filter(|node| waiting.contains(&node.application)).and_then(|node| self.tree.unsettled_below(node));
            causes.get(&node.application).cloned().or_else(below)
        };
        self.applications =
            self.tree.nodes().iter().map(|node| ApplicationStatus { node: node.clone(), deepest_cause: deepest(node) }).collect();
        self.commit = self.tree.roots().max_by_key(|root| self.tree.children(root).len()).and_then(|root| root.revision.clone());
        self.converged =
            !self.applications.is_empty() && self.tree.converged() == self.applications.len() && self.argocd.not_ready().next().is_none();
        self
    }

    /// The deepest causes by Application.
    pub fn causes(&self) -> BTreeMap<ApplicationRef, String> {
        let known = self.applications.iter().filter_map(|status| Some((status.node.application.clone(), status.deepest_cause.clone()?)));
        known.collect()
    }

    /// How many Applications have not converged.
    pub fn not_converged(&self) -> usize {
        self.applications.len() - self.tree.converged()
    }
}
