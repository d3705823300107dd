//! What `status` reads of a cluster, before it asks for causes.

use std::collections::BTreeMap;

use crate::domain::application::{Application, InvalidApplication};
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use crate::domain::{ApplicationRef, ClusterName, Object, ObjectRef, Resource};
use crate::error::Result;
use crate::manifest::git_server;
use crate::plan::diagnosis::{State, verdict};
use crate::plan::status::{ArgoCd, Bootstrap, Status};
use crate::plan::tree::ApplicationTree;
use crate::ports::Cluster;
use crate::ports::cluster::{ClusterError, ClusterFacts};
use crate::steps::marker;

/// The Applications of a cluster, and what is around them.
pub(super) struct Survey {
    name: Option<ClusterName>,
    facts: ClusterFacts,
    surroundings: Surroundings,
    applications: BTreeMap<ObjectRef, Result<Application, InvalidApplication>>,
    /// Whether the Applications are those of all namespaces.
    pub(super) is_everywhere: bool,
}

/// Argo CD itself, its projects, and the record of the bootstrap.
pub(super) struct Surroundings {
    projects: Vec<Object>,
    workloads: Vec<Object>,
    bootstrap: Option<Bootstrap>,
    warnings: Vec<String>,
}

impl Surroundings {
    /// Reads them. What the account may not read is left out, with a warning.
    pub(super) async fn of(cluster: &dyn Cluster) -> Result<Self, ClusterError> {
        let record = marker::reference();
        let (record, projects, deployments, stateful_sets) = tokio::join!(
            cluster.get(&record),
            list_if_allowed(cluster, ARGOCD_API_VERSION, "AppProject"),
            list_if_allowed(cluster, "apps/v1", "Deployment"),
            list_if_allowed(cluster, "apps/v1", "StatefulSet"),
        );
        let mut warnings = Vec::new();
        let [projects, deployments, stateful_sets] = [projects?, deployments?, stateful_sets?].map(|(objects, warning)| {
            warnings.extend(warning);
            objects
        });
        let bootstrap = match record {
            Ok(record) => record.map(|record| Bootstrap::read(&record)),
            Err(ClusterError::Forbidden(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { projects, workloads: deployments.into_iter().chain(stateful_sets).collect(), bootstrap, warnings })
    }
}

impl Survey {
    /// Reads a cluster; none if it has no Argo CD.
    pub(super) async fn of(cluster: &dyn Cluster, name: Option<&ClusterName>) -> Result<Option<Self>> {
        let facts = cluster.facts().await?;
        if cluster.served(&Application::resource()).await?.is_none() {
            return Ok(None);
        }
        let (applications, surroundings) = tokio::join!(applications(cluster), Surroundings::of(cluster));
        let (objects, is_everywhere) = applications?;
        let mut survey = Self { name: name.cloned(), facts, surroundings: surroundings?, applications: BTreeMap::new(), is_everywhere };
        survey.replace(objects.iter());
        Ok(Some(survey))
    }

    /// Takes what was read anew in place of what was around the Applications.
    pub(super) fn renew(&mut self, surroundings: Surroundings) {
        self.surroundings = surroundings;
    }

    /// Takes `objects` in place of all Applications.
    pub(super) fn replace<'a>(&mut self, objects: impl Iterator<Item = &'a Object>) {
        self.applications.clear();
        objects.for_each(|object| self.note(object));
    }

    /// Takes an Application as it is now.
    pub(super) fn note(&mut self, object: &Object) {
        self.applications.insert(object.reference(), Application::read(object));
    }

    /// Forgets an Application.
    pub(super) fn forget(&mut self, gone: &ObjectRef) {
        self.applications.remove(gone);
    }

    /// The Applications that can be understood, each with how it stands.
    pub(super) fn judged(&self) -> Vec<(Application, State)> {
        let understood = self.applications.values().filter_map(|read| read.as_ref().ok().cloned());
        understood
            .map(|application| {
                let application = application.with_windows(&self.surroundings.projects);
                let state = verdict(&application, None);
                (application, state)
            })
            .collect()
    }

    /// The document, with the Applications as they were judged, and their causes.
    pub(super) fn status(&self, judged: &[(Application, State)], causes: &BTreeMap<ApplicationRef, String>) -> Status {
        let bootstrap = self.surroundings.bootstrap.clone();
        let status = Status {
            cluster: self.name.clone().or_else(|| bootstrap.as_ref()?.cluster.parse().ok()),
            context: self.facts.context.clone(),
            server: self.facts.server.clone(),
            identity: self.facts.identity.clone(),
            kubernetes: self.facts.git_version.clone(),
            argocd: ArgoCd::read(&self.surroundings.workloads),
            bootstrap,
            commit: None,
            converged: false,
            applications: Vec::new(),
            warnings: self.warnings(judged),
            tree: ApplicationTree::default(),
        };
        status.with_applications(judged, causes)
    }

    fn warnings(&self, judged: &[(Application, State)]) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.is_everywhere {
            warnings.push(format!(
                "only the Applications in `{ARGOCD_NAMESPACE}` are shown: the account may not list those of other namespaces"
            ));
        }
        warnings.extend(self.surroundings.warnings.iter().cloned());
        let bootstrap = self.surroundings.bootstrap.as_ref();
        if let Some((name, bootstrap)) = self.name.as_ref().zip(bootstrap).filter(|(name, bootstrap)| bootstrap.cluster != name.as_str()) {
            warnings.push(format!("this cluster is recorded as `{}`, not as `{name}`: it may be the wrong context", bootstrap.cluster));
        }
        warnings.extend(self.applications.values().filter_map(|read| read.as_ref().err()).map(ToString::to_string));
        warnings.extend(from_clone(judged.iter().map(|(application, _)| application), bootstrap));
        warnings
    }
}

/// Says that Applications take their objects from a clone that is served inside of the cluster, if any do.
fn from_clone<'a>(applications: impl Iterator<Item = &'a Application>, bootstrap: Option<&Bootstrap>) -> Option<String> {
    let server = git_server::address();
    let readers = applications.filter(|application| application.sources().any(|source| server.is_named_by(&source.repository))).count();
    let init = match bootstrap {
        Some(bootstrap) => format!("gitops-bootstrap init {}", bootstrap.cluster),
        None => "gitops-bootstrap init CLUSTER".to_owned(),
    };
    (readers > 0).then(|| {
        format!("{readers} Applications come from a clone that is served inside of the cluster, not from the forge; once the forge is back: `{init}`")
    })
}

/// The Applications of all namespaces, or of Argo CD's own if more is not allowed; and whether it was all.
async fn applications(cluster: &dyn Cluster) -> Result<(Vec<Object>, bool), ClusterError> {
    match cluster.list(&Application::resource(), None, None).await {
        Err(ClusterError::Forbidden(_)) => Ok((cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await?, false)),
        all => Ok((all?, true)),
    }
}

/// The objects of a kind in Argo CD's namespace; a warning in their place if the account may not list them.
async fn list_if_allowed(cluster: &dyn Cluster, api_version: &str, kind: &str) -> Result<(Vec<Object>, Option<String>), ClusterError> {
    match cluster.list(&Resource::new(api_version, kind), Some(ARGOCD_NAMESPACE), None).await {
        Err(ClusterError::Forbidden(_)) => {
            let warning = format!("nothing is known of the {kind}s in `{ARGOCD_NAMESPACE}`: the account may not list them");
            Ok((Vec::new(), Some(warning)))
        }
        objects => Ok((objects?, None)),
    }
}
