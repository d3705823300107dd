//! Which kinds the server serves. Only the group and version that is asked for is read, so one broken APIService does no harm.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::Deserialize;

use super::answer::{self, Subject};
use super::transport::{Call, Transport};
use crate::domain::Resource;
use crate::ports::cluster::{ClusterError, Scope};

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
    if !answer.is_success() {
        return Err(answer::refusal(transport, &answer, Subject::Kind(resource)));
    }
    let list: ResourceList = serde_json::from_value(answer::json(transport, &answer)?)
        .map_err(|_| transport.unintelligible(format!("a list of resources of {} without their names", resource.api_version)))?;
    // A name with a slash is a subresource, which has its parent's kind or another.
    let resources = list.resources.into_iter().filter(|listed| !listed.name.contains('/'));
    Ok(resources
        .map(|listed| {
            let scope = if listed.namespaced { Scope::Namespaced } else { Scope::Cluster };
            (listed.kind, Served { plural: listed.name, scope })
        })
        .collect())
}
