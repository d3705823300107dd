//! An Application as Argo CD reports it (`pkg/apis/application/v1alpha1/types.go` of Argo CD).

#[cfg(test)]
pub(crate) mod samples;
mod status;
mod sync_options;

use std::fmt;

use serde::{Deserialize, Deserializer};

pub use self::status::{
    Condition, Health, HealthStatus, ManagedObject, ObjectResult, Operation, Phase, Status, Sync, SyncResult, SyncStatus,
};
pub use self::sync_options::{CREATE_NAMESPACE, SERVER_SIDE_APPLY, is_same_option, sync_options};
use super::glob::name_fits;
use super::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use super::{Object, RepositoryUrl, Resource};

/// Which Application: Argo CD lets them live in several namespaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ApplicationRef {
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

impl fmt::Display for ApplicationRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace == ARGOCD_NAMESPACE {
            formatter.write_str(&self.name)
        } else {
            write!(formatter, "{}/{}", self.namespace, self.name)
        }
    }
}

/// An Application with what Argo CD says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// Which one.
    pub reference: ApplicationRef,
    /// The Application that it came from, by the tracking annotation.
    pub tracked_by: Option<String>,
    /// Whether it is being deleted.
    pub is_being_deleted: bool,
    /// Whether Argo CD was told to leave it alone (`argocd.argoproj.io/skip-reconcile`).
    pub is_skipped: bool,
    /// Whether a refresh was asked for and is not done.
    pub is_refreshing: bool,
    /// Whether a sync was asked for and has not begun.
    pub sync_is_requested: bool,
    /// What is wanted.
    pub spec: Spec,
    /// What there is; none if no controller has looked yet.
    pub status: Option<Status>,
    /// The sync windows of its project that are about it; see [`Application::with_windows`].
    pub windows: Vec<SyncWindow>,
}

/// The cluster that an Argo CD runs in, as its Applications and projects name it.
pub const THIS_CLUSTER: &str = "https://kubernetes.default.svc";

/// A document that is not an Application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Application {name} cannot be understood: {message}")]
pub struct InvalidApplication {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub message: String,
}

/// What is wanted of an Application.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The AppProject.
    #[serde(deserialize_with = "or_default")]
    pub project: String,
    /// Where its objects go.
    #[serde(deserialize_with = "or_default")]
    pub destination: Destination,
    /// Where its objects come from, if that is one place.
    pub source: Option<Source>,
    /// Where its objects come from, if those are several places.
    #[serde(deserialize_with = "or_default")]
    pub sources: Vec<Source>,
    /// How it is synced.
    #[serde(deserialize_with = "or_default")]
    pub sync_policy: SyncPolicy,
}

/// Where an Application's objects go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Destination {
    /// The address of the API server.
    pub server: Option<String>,
    /// The name of the cluster, instead of its address.
    pub name: Option<String>,
    /// The namespace for objects that name none.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
}

/// Where an Application's objects come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// The repository.
    #[serde(rename = "repoURL", deserialize_with = "or_default")]
    pub repository: String,
    /// The branch, tag, commit or chart version.
    #[serde(deserialize_with = "or_default")]
    pub target_revision: String,
    /// The folder in the repository.
    pub path: Option<String>,
    /// The chart, if the repository is one of Helm charts.
    pub chart: Option<String>,
}

/// How an Application is synced.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SyncPolicy {
    /// Syncs without being asked, unless it is switched off.
    pub automated: Option<Automated>,
    /// How failed syncs are tried again.
    pub retry: Option<Retry>,
}

/// How an Application is synced without being asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Automated {
    /// False switches it off and keeps the rest (since Argo CD 3.1).
    pub enabled: Option<bool>,
    /// Whether objects that left Git are removed.
    #[serde(deserialize_with = "or_default")]
    pub prune: bool,
    /// Whether changes by hand are undone.
    #[serde(deserialize_with = "or_default")]
    pub self_heal: bool,
}

/// How failed syncs are tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// How often; below zero, for ever.
    #[serde(deserialize_with = "or_default")]
    pub limit: i64,
}

/// A time in which an AppProject allows or forbids syncs.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncWindow {
    /// `allow` or `deny`.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// When it begins, in cron's form.
    #[serde(deserialize_with = "or_default")]
    pub schedule: String,
    /// How long it lasts, as in `8h`.
    #[serde(deserialize_with = "or_default")]
    pub duration: String,
    /// The time zone; empty means UTC.
    #[serde(deserialize_with = "or_default")]
    pub time_zone: String,
    /// Patterns of the Applications that it is about.
    #[serde(deserialize_with = "or_default", skip_serializing)]
    pub applications: Vec<String>,
    /// Patterns of the destination namespaces that it is about.
    #[serde(deserialize_with = "or_default", skip_serializing)]
    pub namespaces: Vec<String>,
    /// Patterns of the destination clusters that it is about.
    #[serde(deserialize_with = "or_default", skip_serializing)]
    pub clusters: Vec<String>,
}

/// A field that is `null` is as good as absent.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Application {
    /// Reads an Application from what the API server gave.
    pub fn read(object: &Object) -> Result<Self, InvalidApplication> {
        let invalid = |message: String| InvalidApplication { name: object.name().to_owned(), message };
        if object.kind() != "Application" || object.resource().group() != "argoproj.io" {
            return Err(invalid(format!("it is a {} of {}", object.kind(), object.api_version())));
        }
        let part = |pointer| object.at(pointer).filter(|value| !value.is_null());
        let spec =
            part("/spec").map_or_else(|| Ok(Spec::default()), Spec::deserialize).map_err(|error| invalid(format!("spec: {error}")))?;
        let status = part("/status").map(Status::deserialize).transpose().map_err(|error| invalid(format!("status: {error}")))?;
        Ok(Self {
            reference: ApplicationRef {
                namespace: object.namespace().unwrap_or(ARGOCD_NAMESPACE).to_owned(),
                name: object.name().to_owned(),
            },
            tracked_by: object
                .annotation("argocd.argoproj.io/tracking-id")
                .and_then(|id| id.split_once(':'))
                .map(|(application, _)| application.to_owned()),
            is_being_deleted: object.is_being_deleted(),
            is_skipped: object.annotation("argocd.argoproj.io/skip-reconcile") == Some("true"),
            is_refreshing: object.annotation("argocd.argoproj.io/refresh").is_some(),
            sync_is_requested: part("/operation").is_some(),
            spec,
            status,
            windows: Vec::new(),
        })
    }

    /// The kind, as a client names it.
    pub fn resource() -> Resource {
        Resource::new(ARGOCD_API_VERSION, "Application")
    }

    /// Keeps those sync windows of the AppProjects that are about this Application.
    #[must_use]
    pub fn with_windows(mut self, projects: &[Object]) -> Self {
        let windows = projects
            .iter()
            .find(|project| project.name() == self.spec.project)
            .and_then(|project| project.at("/spec/syncWindows"))
            .and_then(|windows| Vec::<SyncWindow>::deserialize(windows).ok())
            .unwrap_or_default();
        self.windows = windows.into_iter().filter(|window| window.is_about(&self)).collect();
        self
    }

    /// Where its objects come from.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.spec.source.iter().chain(&self.spec.sources)
    }

    /// Whether it takes its objects from `branch` of `repository`, so that its commit can be compared with the branch's.
    pub fn follows(&self, repository: &RepositoryUrl, branch: &str) -> bool {
        self.sources().any(|source| {
            source.chart.is_none()
                && (source.target_revision == branch || matches!(source.target_revision.as_str(), "" | "HEAD"))
                && repository.is_named_by(&source.repository)
        })
    }

    /// How it compares with Git.
    pub fn sync(&self) -> SyncStatus {
        self.status.as_ref().map_or(SyncStatus::Unknown, |status| status.sync.status)
    }

    /// How its objects are.
    pub fn health(&self) -> HealthStatus {
        self.status.as_ref().map_or(HealthStatus::Unknown, |status| status.health.status)
    }

    /// The commits or chart versions that it was compared with.
    pub fn revisions(&self) -> impl Iterator<Item = &str> {
        let sync = self.status.as_ref().map(|status| &status.sync);
        sync.into_iter()
            .flat_map(|sync| std::iter::once(&sync.revision).chain(&sync.revisions))
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// The last sync, or the one that runs.
    pub fn operation(&self) -> Option<&Operation> {
        self.status.as_ref()?.operation_state.as_ref()
    }

    /// Its errors, without the warnings.
    pub fn errors(&self) -> impl Iterator<Item = &Condition> {
        self.status.iter().flat_map(|status| &status.conditions).filter(|condition| condition.name.ends_with("Error"))
    }

    /// Whether its objects are in the cluster in which Argo CD runs.
    pub fn is_in_cluster(&self) -> bool {
        let Destination { server, name, .. } = &self.spec.destination;
        match (server.as_deref(), name.as_deref()) {
            (Some(server), _) if !server.is_empty() => server == THIS_CLUSTER,
            (_, name) => matches!(name, None | Some("" | "in-cluster")),
        }
    }

    /// Its objects.
    pub fn objects(&self) -> &[ManagedObject] {
        self.status.as_ref().map_or(&[], |status| status.resources.as_slice())
    }

    /// Whether it is synced without being asked.
    pub fn is_automated(&self) -> bool {
        self.spec.sync_policy.automated.as_ref().is_some_and(|automated| automated.enabled != Some(false))
    }
}

impl SyncWindow {
    fn is_about(&self, application: &Application) -> bool {
        let destination = &application.spec.destination;
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| name_fits(pattern, text));
        any(&self.applications, &application.reference.name)
            || any(&self.namespaces, &destination.namespace)
            || destination.server.iter().chain(&destination.name).any(|cluster| any(&self.clusters, cluster))
    }
}

impl fmt::Display for SyncWindow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = if self.time_zone.is_empty() { "UTC" } else { &self.time_zone };
        write!(formatter, "{} from `{}` for {} ({zone})", self.kind, self.schedule, self.duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_application_is_read_as_argo_cd_writes_it() {
        let application = samples::read(samples::healthy("web"));
        assert_eq!(application.reference.to_string(), "web");
        assert_eq!(application.tracked_by.as_deref(), Some("services"));
        assert_eq!((application.sync(), application.health()), (SyncStatus::Synced, HealthStatus::Healthy));
        assert_eq!(application.operation().unwrap().phase, Phase::Succeeded);
        assert_eq!(application.revisions().collect::<Vec<_>>(), [samples::COMMIT]);
        assert_eq!(application.objects()[1].resource(), Resource::new("apps/v1", "Deployment"));
        assert!(application.is_automated());
    }

    #[test]
    fn null_words_of_later_versions_and_absent_fields_are_no_error() {
        let strange = json!({"spec": {"sources": [], "project": "default"}, "status": {
            "conditions": [], "health": {"status": "Hibernating"}, "sync": {"status": "Drifting"}, "operationState": {"phase": "Dreaming"},
        }});
        let mut document = samples::patched(samples::healthy("web"), &strange);
        document["status"]["resources"] = serde_json::Value::Null;
        document["spec"]["source"] = serde_json::Value::Null;
        let application = samples::read(document);
        assert_eq!((application.sync(), application.health()), (SyncStatus::Unknown, HealthStatus::Unknown));
        assert_eq!(application.operation().unwrap().phase, Phase::Running);
        assert!(application.objects().is_empty());
    }

    #[test]
    fn what_is_not_an_application_is_refused_with_the_reason() {
        let read = |document| Application::read(&Object::new(document).unwrap()).unwrap_err().to_string();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}});
        assert_eq!(read(pod), "Application web cannot be understood: it is a Pod of v1");
        let broken = samples::patched(samples::healthy("web"), &json!({"status": {"resources": "none"}}));
        assert!(read(broken).starts_with("Application web cannot be understood: status: invalid type"));
    }

    #[test]
    fn only_an_application_of_the_fleets_branch_follows_it() {
        let fleet: RepositoryUrl = "ssh://git@github.com/acme/fleet".parse().unwrap();
        let follows =
            |source| samples::read(samples::patched(samples::healthy("web"), &json!({"spec": {"source": source}}))).follows(&fleet, "main");
        assert!(follows(json!({})));
        assert!(follows(json!({"targetRevision": "HEAD"})));
        assert!(!follows(json!({"targetRevision": "v1.2.3"})));
        assert!(!follows(json!({"repoURL": "git@github.com:acme/other.git"})));
        assert!(!follows(json!({"repoURL": "https://charts.example.org", "chart": "web"})));
    }

    #[test]
    fn a_sync_window_is_about_whom_its_patterns_name() {
        let project =
            Object::new(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "services"}, "spec": {
                "syncWindows": [
                    {"kind": "deny", "schedule": "0 22 * * *", "duration": "8h", "applications": ["we*"]},
                    {"kind": "allow", "schedule": "0 8 * * *", "duration": "1h", "namespaces": ["other"], "timeZone": "Europe/Berlin"},
                ],
            }}))
            .unwrap();
        let application = samples::read(samples::healthy("web")).with_windows(std::slice::from_ref(&project));
        let windows: Vec<String> = application.windows.iter().map(ToString::to_string).collect();
        assert_eq!(windows, ["deny from `0 22 * * *` for 8h (UTC)"]);
        assert!(samples::read(samples::healthy("api")).with_windows(&[project]).windows.is_empty());
    }
}
