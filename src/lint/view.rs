//! One cluster as the rules see it: its objects, its Applications, and which Application takes which object.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Repository;
use super::parsed::{Document, Parsed};
use crate::domain::application::sync_options;
use crate::domain::{ClusterName, RepositoryPath, RepositoryUrl, Resource};

/// Files that make a folder one that a tool builds, so that what Argo CD makes of it is not seen here.
const MADE_BY_TOOLS: [&str; 4] = ["kustomization.yaml", "kustomization.yml", "Kustomization", "Chart.yaml"];

/// The paths of a repository, for quick questions.
#[derive(Debug)]
pub(super) struct Paths<'a>(BTreeSet<&'a str>);

/// A cluster.
pub(super) struct Cluster<'a> {
    /// What it is called.
    pub(super) name: &'a ClusterName,
    /// The whole repository.
    pub(super) repository: &'a Repository<'a>,
    /// The folder of its rendered files.
    pub(super) folder: RepositoryPath,
    /// The paths of the whole repository.
    pub(super) paths: &'a Paths<'a>,
    /// What its rendered folder holds.
    pub(super) parsed: &'a Parsed<'a>,
    /// Its Applications, in the order of their files.
    pub(super) applications: Vec<Application<'a>>,
    /// For each document, the Applications that take it, by index.
    owners: Vec<Vec<usize>>,
    /// The Applications that hold themselves, by index.
    pub(super) roots: Vec<usize>,
    /// The address from which the root takes the tree.
    pub(super) url: Option<RepositoryUrl>,
    /// The branch that the tree follows.
    pub(super) branch: String,
    /// Whether some Application takes objects that are not in the rendered files, so that not finding one there says nothing.
    pub(super) has_unseen_objects: bool,
}

/// An Application of the cluster.
pub(super) struct Application<'a> {
    /// Its document.
    pub(super) document: &'a Document<'a>,
    /// Where it takes its objects from.
    pub(super) sources: Vec<Source<'a>>,
    /// How many of the rendered objects it takes.
    pub(super) objects: usize,
    /// The Application that holds this one, by index; none for the root, and for one that nobody takes.
    parent: Option<usize>,
}

/// One source of an Application.
pub(super) struct Source<'a> {
    /// What is written.
    pub(super) value: &'a Value,
    /// The JSON pointer to it.
    pub(super) pointer: String,
    /// Whether it is in the fleet repository, whatever the transport.
    pub(super) is_own: bool,
    /// The folder; none if it names none, or none that can be there.
    pub(super) path: Option<RepositoryPath>,
    /// Whether objects in folders below that one are taken too.
    is_recursive: bool,
    /// Whether a tool makes the objects from what is in the folder.
    pub(super) is_built: bool,
}

impl<'a> Paths<'a> {
    /// Those of a repository.
    pub(super) fn of(repository: &Repository<'a>) -> Self {
        Self(repository.files.iter().map(|file| file.path.as_str()).collect())
    }

    /// Whether a file is there.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// Whether a folder has anything in it.
    pub(super) fn has_folder(&self, folder: &RepositoryPath) -> bool {
        let below = if folder.as_str() == "." { String::new() } else { format!("{folder}/") };
        self.0.range(below.as_str()..).next().is_some_and(|path| path.starts_with(&below))
    }
}

impl<'a> Cluster<'a> {
    /// Looks at the parsed files of a cluster.
    pub(super) fn new(
        name: &'a ClusterName,
        folder: RepositoryPath,
        repository: &'a Repository<'a>,
        paths: &'a Paths<'a>,
        parsed: &'a Parsed<'a>,
    ) -> Self {
        let documents = parsed.documents.iter().enumerate().filter(|(_, document)| is_of_argocd(document, "Application"));
        let (numbers, mut applications): (Vec<usize>, Vec<_>) = documents
            .map(|(number, document)| (number, Application { document, sources: sources(document, paths), objects: 0, parent: None }))
            .unzip();
        let roots: Vec<usize> = (0..applications.len()).filter(|&index| applications[index].holds_itself()).collect();
        let root = roots.first().map(|&index| &applications[index]);
        let declared = repository.declaration.map(|declaration| &declaration.repository);
        let url = root.and_then(|root| root.sources.first()?.url()).or_else(|| declared.map(|declared| declared.url.clone()));
        let followed =
            || root.and_then(|root| root.sources.first()?.revision()).unwrap_or("HEAD").trim_start_matches("refs/heads/").to_owned();
        let branch = declared.map_or_else(followed, |declared| declared.branch.clone());
        for source in applications.iter_mut().flat_map(|application| &mut application.sources) {
            source.is_own = source.url().zip(url.as_ref()).is_some_and(|(one, other)| one.is_same_repository(other));
        }
        let owners = owners(parsed, &applications);
        for &owner in owners.iter().flatten() {
            applications[owner].objects += 1;
        }
        for (child, number) in numbers.into_iter().enumerate() {
            applications[child].parent = owners[number].first().copied().filter(|&parent| parent != child);
        }
        let is_unseen = |source: &Source<'_>| source.value.get("ref").is_none() && (!source.is_own || source.is_built);
        let has_unseen_objects = applications.iter().flat_map(|application| &application.sources).any(is_unseen);
        Self { name, repository, folder, paths, parsed, applications, owners, roots, url, branch, has_unseen_objects }
    }

    /// The objects that Argo CD takes, each with the first Application that takes it.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&'a Document<'a>, &Application<'a>)> {
        let taken = self.parsed.documents.iter().zip(&self.owners);
        taken.filter_map(|(document, owners)| Some((document, &self.applications[*owners.first()?])))
    }

    /// The objects that Argo CD takes, each with all Applications that take it, by index.
    pub(super) fn all_owners(&self) -> impl Iterator<Item = (&'a Document<'a>, &[usize])> {
        self.parsed.documents.iter().zip(self.owners.iter().map(Vec::as_slice)).filter(|(_, owners)| !owners.is_empty())
    }

    /// The objects of one of Argo CD's own kinds, whoever takes them.
    pub(super) fn of_argocd(&self, kind: &'static str) -> impl Iterator<Item = &'a Document<'a>> {
        self.parsed.documents.iter().filter(move |document| is_of_argocd(document, kind))
    }

    /// The root app-of-apps.
    pub(super) fn root(&self) -> Option<&Application<'a>> {
        self.roots.first().map(|&index| &self.applications[index])
    }

    /// The turns that lead to an object: those of the Applications that hold it, from the root on, and its own.
    fn turns(&self, document: &Document<'_>, application: &Application<'a>) -> Vec<(String, i64)> {
        let mut turns = vec![(document.cited(), document.wave())];
        let mut next = Some(application);
        while let Some(application) = next {
            // Applications that hold each other have no first one.
            if turns.len() > self.applications.len() + 1 {
                break;
            }
            turns.push((application.document.object.name().to_owned(), application.document.wave()));
            next = application.parent.map(|parent| &self.applications[parent]);
        }
        turns.reverse();
        turns
    }

    /// Which of two objects Argo CD applies first, by the waves of the Applications that hold them and their own.
    pub(super) fn order(&self, one: (&Document<'_>, &Application<'a>), other: (&Document<'_>, &Application<'a>)) -> Ordering {
        let (one, other) = (self.turns(one.0, one.1), self.turns(other.0, other.1));
        let first_difference = one.iter().zip(&other).find(|(one, other)| one.0 != other.0);
        first_difference.map_or(Ordering::Equal, |(one, other)| one.1.cmp(&other.1))
    }
}

impl<'a> Application<'a> {
    /// Its name.
    pub(super) fn name(&self) -> &'a str {
        self.document.object.name()
    }

    /// The text at a JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        self.document.object.text(pointer)
    }

    /// Whether it syncs without being asked.
    pub(super) fn is_automated(&self) -> bool {
        let automated = self.document.object.at("/spec/syncPolicy/automated");
        automated.is_some_and(|automated| automated.is_object() && automated.get("enabled") != Some(&Value::Bool(false)))
    }

    /// Whether a switch of its automated sync is on.
    pub(super) fn is_on(&self, switch: &str) -> bool {
        self.document.object.at("/spec/syncPolicy/automated").and_then(|automated| automated.get(switch)) == Some(&Value::Bool(true))
    }

    /// Whether it lists a sync option.
    pub(super) fn has_sync_option(&self, wanted: &str) -> bool {
        sync_options(&self.document.object).contains(&wanted)
    }

    /// Whether it tries again until it succeeds.
    pub(super) fn never_gives_up(&self) -> bool {
        self.document.object.at("/spec/syncPolicy/retry/limit").and_then(Value::as_i64).is_some_and(|limit| limit < 0)
    }

    /// The namespace of those of its objects that name none.
    pub(super) fn namespace(&self) -> Option<&'a str> {
        self.text("/spec/destination/namespace")
    }

    /// Whether the file that it is in is one that it takes.
    fn holds_itself(&self) -> bool {
        let file = self.document.file;
        self.sources.iter().any(|source| source.path.as_ref().is_some_and(|path| source.takes(path, file)))
    }
}

impl Source<'_> {
    /// The address of a Git repository, if it is one.
    pub(super) fn url(&self) -> Option<RepositoryUrl> {
        if self.value.get("chart").is_some() { None } else { self.text("repoURL")?.parse().ok() }
    }

    /// The revision, if it names one.
    pub(super) fn revision(&self) -> Option<&str> {
        self.text("targetRevision")
    }

    /// A text of the source.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key).and_then(Value::as_str)
    }

    /// Whether a file is taken from the folder `path`.
    fn takes(&self, path: &RepositoryPath, file: &RepositoryPath) -> bool {
        file.parent().as_ref() == Some(path) || ((self.is_recursive || self.is_built) && file.is_within(path))
    }
}

/// Whether a document is an object of Argo CD.
fn is_of_argocd(document: &Document<'_>, kind: &str) -> bool {
    document.object.kind() == kind && document.object.resource().group() == "argoproj.io"
}

fn sources<'a>(document: &'a Document<'a>, paths: &Paths<'_>) -> Vec<Source<'a>> {
    let several = document.object.at("/spec/sources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = document.object.at("/spec/source").map(|value| ("/spec/source".to_owned(), value));
    let several = several.iter().enumerate().map(|(index, value)| (format!("/spec/sources/{index}"), value));
    one.into_iter()
        .chain(several)
        .map(|(pointer, value)| {
            let path: Option<RepositoryPath> = value.get("path").and_then(Value::as_str).and_then(|path| path.parse().ok());
            let by_tool = ["helm", "kustomize", "plugin"].iter().any(|tool| value.get(tool).is_some())
                || path.as_ref().is_some_and(|path| MADE_BY_TOOLS.iter().any(|name| paths.has_file(&format!("{path}/{name}"))));
            Source {
                value,
                pointer,
                is_own: false,
                path,
                is_recursive: value.pointer("/directory/recurse") == Some(&Value::Bool(true)),
                is_built: by_tool,
            }
        })
        .collect()
}

/// For each document, the Applications that take it.
fn owners(parsed: &Parsed<'_>, applications: &[Application<'_>]) -> Vec<Vec<usize>> {
    let mut by_folder: BTreeMap<&RepositoryPath, Vec<(usize, &Source<'_>)>> = BTreeMap::new();
    for (index, application) in applications.iter().enumerate() {
        for source in application.sources.iter().filter(|source| source.is_own) {
            if let Some(path) = &source.path {
                by_folder.entry(path).or_default().push((index, source));
            }
        }
    }
    let owners_of = |file: &RepositoryPath| {
        let mut owners = Vec::new();
        let mut folder = file.parent();
        while let Some(this) = folder {
            let here = by_folder.get(&this).map(Vec::as_slice).unwrap_or_default();
            owners.extend(here.iter().filter(|(_, source)| source.takes(&this, file)).map(|(index, _)| *index));
            folder = this.parent();
        }
        owners.sort_unstable();
        owners.dedup();
        owners
    };
    parsed.documents.iter().map(|document| owners_of(document.file)).collect()
}

/// The groups of the API server itself (k8s.io/api).
const BUILT_IN_GROUPS: [&str; 23] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// The kinds in these groups that have no namespace (`kubectl api-resources --namespaced=false`), as far as people write them.
const CLUSTER_WIDE_KINDS: [&str; 28] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Whether the API server, or Argo CD's own definitions, which are there before anything else, know a kind.
pub(super) fn is_built_in(resource: &Resource) -> bool {
    let of_argocd = matches!(resource.kind.as_str(), "Application" | "ApplicationSet" | "AppProject");
    BUILT_IN_GROUPS.contains(&resource.group()) || (resource.group() == "argoproj.io" && of_argocd)
}

/// Whether a kind is a built-in one that has no namespace.
pub(super) fn is_cluster_wide(resource: &Resource) -> bool {
    is_built_in(resource) && CLUSTER_WIDE_KINDS.contains(&resource.kind.as_str())
}
