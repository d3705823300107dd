//! Reads a live cluster for an audit: whole only what has to be, and the rest by its metadata. Reads alone; a right that is missing is noted.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};

use crate::discover;
use crate::domain::bundle::{Bundle, Index};
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use crate::domain::{Object, ObjectRef, Resource, Secret};
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, Events};
use crate::manifest::bundle as format;
use crate::plan::audit::{ArgoCdKeys, BACKUPS, CLUSTER_WIDE, SETTINGS, Trust, Unseen};
use crate::ports::Cluster;
use crate::ports::cluster::{ClusterError, ClusterFacts};
use crate::preflight::Fleet;

/// How many kinds are read at the same time.
const AT_ONCE: usize = 8;

/// Argo CD's own kinds.
const ARGOCD: [&str; 3] = ["ApplicationSet", "Application", "AppProject"];

/// The kinds that every server serves, for one that cannot tell which kinds it serves: a broken extension API is enough for that.
const USUAL: [(&str, &str); 14] = [
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
];

/// Kinds whose objects come and go so fast, or are so many, that they are not even listed.
const PASSING: [&str; 4] = ["Event", "EndpointSlice", "Endpoints", "Lease"];

/// What was read of a live cluster.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) applications: Vec<Object>,
    pub(super) settings: Vec<Object>,
    pub(super) argocd_secret: Option<ArgoCdKeys>,
    pub(super) trust: Option<Trust>,
    pub(super) namespaces: Vec<Object>,
    pub(super) objects: Vec<Object>,
    pub(super) backups: Vec<Object>,
    pub(super) unseen: Vec<Unseen>,
    pub(super) warnings: Vec<String>,
}

/// How much of each object is read.
#[derive(Clone, Copy)]
enum Depth {
    Whole,
    Metadata,
}

impl Live {
    /// Reads the cluster.
    ///
    /// # Errors
    /// Those of the cluster, apart from missing rights.
    pub(super) async fn read(
        cluster: &dyn Cluster,
        fleet: &Fleet,
        bundle: Option<&Index>,
        facts: &ClusterFacts,
        events: &Events,
    ) -> Result<Self> {
        let mut live = Self::default();
        let whole = |kinds: &[(&str, &str)]| kinds.iter().map(|(version, kind)| Resource::new(version, kind)).collect::<Vec<_>>();
        let own = ARGOCD.map(|kind| (ARGOCD_API_VERSION, kind));
        live.applications = live.list(cluster, whole(&own), None, Depth::Whole, None).await?;
        live.backups = live.list(cluster, whole(&BACKUPS), None, Depth::Whole, None).await?;
        live.settings = live.list(cluster, whole(&[("v1", "ConfigMap")]), Some(ARGOCD_NAMESPACE), Depth::Whole, None).await?;
        live.settings.retain(|object| SETTINGS.contains(&object.name()));
        live.namespaces = live.list(cluster, whole(&[("v1", "Namespace")]), None, Depth::Metadata, None).await?;
        let mut kinds = live.kinds(cluster).await?;
        kinds.extend(whole(&CLUSTER_WIDE));
        live.objects = live.list(cluster, kinds, None, Depth::Metadata, Some(events)).await?;
        live.read_trust(cluster, fleet, bundle, facts).await?;
        live.unseen.sort_by(|one, other| one.resource.cmp(&other.resource));
        live.unseen.dedup_by(|one, other| one.resource == other.resource);
        Ok(live)
    }

    /// The kinds in namespaces that are looked through.
    async fn kinds(&mut self, cluster: &dyn Cluster) -> Result<Vec<Resource>> {
        let kinds = match cluster.namespaced_kinds().await {
            Ok(kinds) => kinds,
            Err(error @ (ClusterError::Unauthorized(_) | ClusterError::Untrusted { .. } | ClusterError::Kubeconfig(_))) => {
                return Err(error.into());
            }
            Err(error) => {
                self.warnings
                    .push(format!("the server does not tell which kinds it serves, so only the usual ones are looked at: {error}"));
                USUAL.iter().map(|(version, kind)| Resource::new(version, kind)).collect()
            }
        };
        let is_argocds = |kind: &Resource| kind.group() == "argoproj.io" && ARGOCD.contains(&kind.kind.as_str());
        Ok(kinds.into_iter().filter(|kind| !is_argocds(kind) && !PASSING.contains(&kind.kind.as_str())).collect())
    }

    /// All objects of some kinds, as far as they are served and may be listed. How far it is goes to `events`.
    async fn list(
        &mut self,
        cluster: &dyn Cluster,
        kinds: Vec<Resource>,
        namespace: Option<&str>,
        depth: Depth,
        events: Option<&Events>,
    ) -> Result<Vec<Object>> {
        let total = kinds.len() as u64;
        let lists = kinds.into_iter().map(|kind| async move {
            let listed = match cluster.served(&kind).await {
                Ok(Some(_)) => match depth {
                    Depth::Whole => cluster.list(&kind, namespace, None).await,
                    Depth::Metadata => cluster.list_metadata(&kind, namespace).await,
                },
                Ok(None) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
            (kind, listed)
        });
        let mut lists = stream::iter(lists.collect::<Vec<_>>()).buffered(AT_ONCE);
        let mut objects = Vec::new();
        let mut done = 0;
        while let Some((kind, listed)) = lists.next().await {
            match listed {
                Ok(listed) => objects.extend(listed),
                Err(ClusterError::NotServed(_)) => {}
                Err(ClusterError::Forbidden(why)) => self.unseen.push(Unseen { resource: kind, why }),
                Err(error) => return Err(error.into()),
            }
            done += 1;
            if let Some(events) = events {
                events.send(Event::Work { message: "looking at the cluster".to_owned(), done, total });
            }
        }
        Ok(objects)
    }

    /// Reads the root of trust: nothing of it is kept but names, and hashes that only the cluster and the bundle can make.
    async fn read_trust(&mut self, cluster: &dyn Cluster, fleet: &Fleet, bundle: Option<&Index>, facts: &ClusterFacts) -> Result<()> {
        let secrets = Resource::new("v1", "Secret");
        let asked = fleet.declaration.as_ref().map(|declaration| declaration.root_of_trust.clone()).unwrap_or_default();
        let found = match discover::root_of_trust(cluster, &asked).await {
            Ok(found) => found,
            Err(Failure { kind: Kind::Denied, message, .. }) => {
                self.unseen.push(Unseen { resource: secrets, why: message.into_owned() });
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        self.warnings.extend(found.warnings);
        let entries = found.chosen.entries;
        let is_own = |secret: &&Secret| secret.labels.get("app.kubernetes.io/managed-by").map(String::as_str) == Some("gitops-bootstrap");
        let own: BTreeSet<_> = entries.iter().map(|entry| &entry.object).filter(is_own).map(Secret::full_name).collect();
        let argocd = ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, "argocd-secret");
        let argocd = entries.iter().map(|entry| &entry.object).find(|secret| secret.full_name().reference() == argocd);
        self.argocd_secret = argocd.map(ArgoCdKeys::read);
        let bundled = Bundle {
            cluster: fleet.reading.tree.cluster.clone(),
            identity: facts.identity.clone(),
            made: bundle.map(|index| index.made).unwrap_or_default(),
            entries,
        };
        let recipients = bundle.map(|index| index.recipients.clone()).unwrap_or_default();
        self.trust = Some(Trust { index: format::index(&bundled, &recipients, String::new()), own });
        Ok(())
    }
}
