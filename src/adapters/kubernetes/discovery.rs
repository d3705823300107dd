//! Which kinds the server serves. Only the group and version that is asked for is read, so one broken APIService does no harm.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use super::answer::{Answer, Subject};
use super::transport::{Call, Transport};
use crate::domain::Resource;
use crate::ports::cluster::{ClusterError, Scope};

/// How many groups are asked for at the same time.
const GROUPS_AT_ONCE: usize = 8;

/// How a kind is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// The name of the resource in paths, as in `deployments`.
    pub(super) plural: String,
    pub(super) scope: Scope,
}

/// The kinds of one group and version, by their names.
type Kinds = HashMap<String, Served>;

/// What is known of one group and version.
#[derive(Default)]
struct Group {
    kinds: Kinds,
    /// When the server last said so.
    answered: Option<Instant>,
}

/// A group and version, locked while it is asked for.
type Known = Arc<tokio::sync::Mutex<Group>>;

/// What was found so far.
#[derive(Default)]
pub(super) struct Discovery {
    groups: Mutex<HashMap<String, Known>>,
}

/// `APIResourceList`, as far as it is used.
#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<ListedResource>,
}

#[derive(Deserialize)]
struct ListedResource {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// `APIGroupList`, as far as it is used.
#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    groups: Vec<ListedGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedGroup {
    preferred_version: GroupVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
}

impl Discovery {
    /// How `resource` is served; none if it is not. A kind that is not known is asked for again each time, but callers at the same time ask once.
    pub(super) async fn find(&self, transport: &Transport, resource: &Resource) -> Result<Option<Served>, ClusterError> {
        let known = match self.groups.lock() {
            Ok(mut groups) => groups.entry(resource.api_version.clone()).or_default().clone(),
            Err(_) => Known::default(),
        };
        let begun = Instant::now();
        let mut known = known.lock().await;
        if !known.kinds.contains_key(&resource.kind) && known.answered.is_none_or(|answered| answered <= begun) {
            *known = Group { kinds: ask(transport, resource).await?, answered: Some(Instant::now()) };
        }
        Ok(known.kinds.get(&resource.kind).cloned())
    }

    /// Forgets a group and version, because the server denied a kind of it.
    pub(super) fn forget(&self, resource: &Resource) {
        if let Ok(mut groups) = self.groups.lock() {
            groups.remove(&resource.api_version);
        }
    }
}

async fn ask(transport: &Transport, resource: &Resource) -> Result<Kinds, ClusterError> {
    let answer = transport.send(&Call::get(super::group_path(resource))).await?;
    if answer.status == http::StatusCode::NOT_FOUND {
        return Ok(Kinds::new());
    }
    Ok(listed(&answer, resource)?
        .map(|listed| {
            let scope = if listed.namespaced { Scope::Namespaced } else { Scope::Cluster };
            (listed.kind, Served { plural: listed.name, scope })
        })
        .collect())
}

/// The kinds in an answer to [`ask`].
fn listed(answer: &Answer, resource: &Resource) -> Result<impl Iterator<Item = ListedResource> + use<>, ClusterError> {
    if !answer.is_success() {
        return Err(answer.refusal(Subject::Kind(resource)));
    }
    let list: ResourceList = serde_json::from_value(answer.json()?)
        .map_err(|_| answer.unintelligible(format!("a list of resources of {} without their names", resource.api_version)))?;
    // A name with a slash is a subresource, which has its parent's kind or another.
    Ok(list.resources.into_iter().filter(|listed| !listed.name.contains('/')))
}

/// All kinds in namespaces that can be listed, of all groups in the version that the server prefers.
pub(super) async fn namespaced(transport: &Transport) -> Result<Vec<Resource>, ClusterError> {
    let answer = transport.send(&Call::get("/apis".to_owned())).await?;
    if !answer.is_success() {
        return Err(answer.refusal(Subject::Kind(&Resource::new("v1", "APIGroupList"))));
    }
    let list: GroupList =
        serde_json::from_value(answer.json()?).map_err(|_| answer.unintelligible("a list of API groups without their versions"))?;
    let versions = std::iter::once("v1".to_owned()).chain(list.groups.into_iter().map(|group| group.preferred_version.group_version));
    let asked = versions.map(|version| async move {
        let resource = Resource::new(&version, "APIResourceList");
        let answer = transport.send(&Call::get(super::group_path(&resource))).await?;
        let kinds = listed(&answer, &resource)?;
        let kinds = kinds.filter(|listed| listed.namespaced && listed.verbs.iter().any(|verb| verb == "list"));
        Ok::<_, ClusterError>(kinds.map(|listed| Resource::new(&version, &listed.kind)).collect::<Vec<_>>())
    });
    let kinds: Vec<Vec<Resource>> = stream::iter(asked).buffered(GROUPS_AT_ONCE).try_collect().await?;
    Ok(kinds.into_iter().flatten().collect())
}
