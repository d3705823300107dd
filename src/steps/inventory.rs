//! What goes and what must stay when Argo CD is taken out of a cluster, as the cluster has it now.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{World, apply::CONCURRENCY, install, next_key, secret_create};
use crate::domain::application::Application;
use crate::domain::glob::name_fits;
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::{Failure, Result};
use crate::plan::compare::is_made_by_us;
use crate::plan::inventory::{Inventory, Mark, is_passing};
use crate::ports::cluster::{ClusterError, Scope};

/// Argo CD's own kinds, in the order in which their objects go: an ApplicationSet would make its Applications again, and a project is held by the
/// Applications in it.
pub const KINDS: [&str; 3] = ["ApplicationSet", "Application", "AppProject"];

/// Secrets that Argo CD makes when it first runs (`argocd admin redis-initial-password`, `util/settings/settings.go` of Argo CD).
const MADE_AT_RUN_TIME: [&str; 2] = ["argocd-redis", "argocd-initial-admin-secret"];

/// The kinds of which every object in the namespaces of the Applications must stay, whoever made it.
const WORKLOADS: [(&str, &str); 8] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
];

/// All objects of a kind; none if the kind is not served (any more).
pub(super) async fn all(world: &World, resource: &Resource, namespace: Option<&str>) -> Result<Vec<Object>> {
    if world.cluster.served(resource).await?.is_none() {
        return Ok(Vec::new());
    }
    match world.cluster.list(resource, namespace, None).await {
        Err(ClusterError::NotServed(_)) => Ok(Vec::new()),
        objects => Ok(objects?),
    }
}

/// The ApplicationSets, Applications and AppProjects of this Argo CD, in the order of [`KINDS`]. It looks after those in its own namespace, and in
/// those that `application.namespaces` names (docs/operator-manual/app-any-namespace.md of Argo CD); all others are another Argo CD's.
pub(super) async fn applications(world: &World) -> Result<Vec<Object>> {
    let parameters = ObjectRef::namespaced("v1", "ConfigMap", ARGOCD_NAMESPACE, "argocd-cmd-params-cm");
    let parameters = world.cluster.get(&parameters).await?;
    let parameters = parameters.as_ref().and_then(|parameters| parameters.at("/data"));
    let patterns: Vec<&str> = ["application.namespaces", "applicationsetcontroller.namespaces"]
        .into_iter()
        .filter_map(|name| parameters?.get(name)?.as_str())
        .flat_map(|patterns| patterns.split(',').map(str::trim))
        .collect();
    let is_ours = |object: &Object| {
        let namespace = object.namespace().unwrap_or_default();
        namespace == ARGOCD_NAMESPACE || patterns.iter().any(|pattern| name_fits(pattern, namespace))
    };
    let mut found = Vec::new();
    for kind in KINDS {
        found.extend(all(world, &Resource::new(ARGOCD_API_VERSION, kind), None).await?.into_iter().filter(|object| is_ours(object)));
    }
    Ok(found)
}

/// The UIDs of objects.
pub(super) fn uids(objects: &[Object]) -> BTreeSet<String> {
    objects.iter().filter_map(Object::uid).map(str::to_owned).collect()
}

/// What goes and what must stay, given the ApplicationSets, Applications and AppProjects that there are.
pub(super) async fn take(world: &World, objects: &[Object]) -> Result<Inventory> {
    let applications: Vec<Application> = objects.iter().filter_map(|object| Application::read(object).ok()).collect();
    let goes = goes(world, &applications).await?;
    let stays = stays(world, &applications, &goes).await?;
    Ok(Inventory { applications: uids(objects), goes, stays })
}

/// The objects of Argo CD: those in its folder and those that its own Application manages, if it was made by this tool or by Argo CD, and
/// those that it made when it first ran.
async fn goes(world: &World, applications: &[Application]) -> Result<BTreeMap<ObjectRef, Mark>> {
    let own = world.wanted.tree.argocd_application().map(|own| own.object.name());
    let managed = applications.iter().filter(|application| Some(application.reference.name.as_str()) == own);
    let managed = managed.flat_map(Application::objects).map(|object| object.reference());
    let declared = install::others(world).map(Object::reference);
    let may_go = |object: &ObjectRef| {
        !is_of_argocds_kinds(&object.resource) && !matches!(object.resource.kind.as_str(), "Namespace" | "CustomResourceDefinition")
    };
    let mut candidates = BTreeSet::new();
    for object in declared.chain(managed).filter(may_go) {
        candidates.extend(in_its_place(world, object).await?);
    }
    let reads = candidates.iter().map(|object| world.cluster.get(object));
    let live: Vec<Option<Object>> = stream::iter(reads.collect::<Vec<_>>()).buffered(CONCURRENCY).try_collect().await?;
    let mut objects: Vec<Object> = live.into_iter().flatten().filter(|object| is_made_by_us(object, own)).collect();
    for name in MADE_AT_RUN_TIME.into_iter().chain([next_key::reference().name.as_str()]) {
        objects.extend(world.cluster.get(&ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, name)).await?);
    }
    let is_ours = |secret: &Object| secret.label("app.kubernetes.io/managed-by") == Some("gitops-bootstrap");
    objects.extend(secret_create::find(world).await?.into_iter().map(|found| found.secret).filter(is_ours));
    Ok(objects.iter().filter_map(|object| Some((object.reference(), Mark::of(object)?))).collect())
}

/// Whether a kind is one of those that [`applications`] finds.
pub(super) fn is_of_argocds_kinds(resource: &Resource) -> bool {
    resource.group() == "argoproj.io" && KINDS.contains(&resource.kind.as_str())
}

/// An object with the namespace that it gets; none if its kind is not served.
async fn in_its_place(world: &World, object: ObjectRef) -> Result<Option<ObjectRef>> {
    Ok(match world.cluster.served(&object.resource).await? {
        None => None,
        Some(Scope::Cluster) => Some(ObjectRef { namespace: None, ..object }),
        Some(Scope::Namespaced) => Some(ObjectRef { namespace: object.namespace.or_else(|| Some(ARGOCD_NAMESPACE.to_owned())), ..object }),
    })
}

/// Everything that the Applications manage in this cluster, and every workload in their namespaces.
async fn stays(world: &World, applications: &[Application], goes: &BTreeMap<ObjectRef, Mark>) -> Result<BTreeMap<ObjectRef, Mark>> {
    let here = || applications.iter().filter(|application| application.is_in_cluster());
    let managed: BTreeSet<ObjectRef> = here()
        .flat_map(Application::objects)
        .map(|object| object.reference())
        .filter(|object| !is_of_argocds_kinds(&object.resource) && !goes.contains_key(object))
        .filter(|object| object.resource.kind != "Namespace" || object.name != ARGOCD_NAMESPACE)
        .filter(|object| !is_definition_of_argocd(object))
        .collect();
    let mut namespaces: BTreeSet<&str> = managed.iter().filter_map(|object| object.namespace.as_deref()).collect();
    namespaces.extend(here().map(|application| application.spec.destination.namespace.as_str()));
    // What is there and not managed by an Application is Argo CD's, or is found when the namespace is to go.
    namespaces.remove(ARGOCD_NAMESPACE);
    let workloads = WORKLOADS.map(|(api_version, kind)| Resource::new(api_version, kind));
    let kinds: BTreeSet<&Resource> = managed.iter().map(|object| &object.resource).chain(&workloads).collect();
    let is_wanted = |object: &Object| {
        let is_workload =
            workloads.contains(&object.resource()) && object.namespace().is_some_and(|namespace| namespaces.contains(namespace));
        is_workload || managed.contains(&object.reference())
    };
    marks(world, kinds, |object| is_wanted(object) && !is_passing(object)).await
}

/// The definitions of Argo CD's kinds are managed by its own Application.
fn is_definition_of_argocd(object: &ObjectRef) -> bool {
    object.resource.kind == "CustomResourceDefinition"
        && matches!(object.name.as_str(), "applications.argoproj.io" | "applicationsets.argoproj.io" | "appprojects.argoproj.io")
}

/// The marks of all objects of some kinds that are wanted. Each kind is listed as a whole: that is fewer requests than an object at a time.
pub(super) async fn marks(
    world: &World,
    kinds: BTreeSet<&Resource>,
    is_wanted: impl Fn(&Object) -> bool,
) -> Result<BTreeMap<ObjectRef, Mark>> {
    let lists = kinds.into_iter().map(|kind| all(world, kind, None));
    let mut lists = stream::iter(lists.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY);
    let mut marks = BTreeMap::new();
    while let Some(objects) = lists.try_next().await? {
        let wanted = objects.iter().filter(|object| is_wanted(object));
        marks.extend(wanted.filter_map(|object| Some((object.reference(), Mark::of(object)?))));
    }
    Ok::<_, Failure>(marks)
}
