//! Reads what tells why Applications are not well. The judgement is in [`crate::plan::cause`].

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use crate::domain::{Application, ApplicationRef};
use crate::plan::cause::{self, Evidence, List};
use crate::plan::diagnosis::State;
use crate::ports::Cluster;

/// How many lists are read at once.
const AT_ONCE: usize = 8;

/// The most lists that are read in all; Applications beyond keep what Argo CD says of them.
const MOST_LISTS: usize = 200;

/// The deepest cause of each of `applications` for which the cluster shows one that Argo CD does not name. Reads what [`evidence`] says.
pub async fn causes(cluster: &dyn Cluster, applications: &[(Application, State)]) -> BTreeMap<ApplicationRef, String> {
    let evidence = evidence(cluster, applications).await;
    applications
        .iter()
        .filter_map(|(application, state)| Some((application.reference.clone(), cause::deepest(application, state, &evidence)?)))
        .collect()
}

/// What the cluster shows of the objects of `applications` that are not well.
///
/// Reads at most [`cause::MOST_LISTS`] lists for one Application, shared between those in the same namespace. A list that cannot be read, for
/// want of a right or because its kind is gone, is left out: this never fails.
pub async fn evidence(cluster: &dyn Cluster, applications: &[(Application, State)]) -> Evidence {
    let mut lists: BTreeSet<List> = BTreeSet::new();
    for (application, state) in applications {
        lists.extend(cause::lists(application, state));
        if lists.len() >= MOST_LISTS {
            break;
        }
    }
    futures::stream::iter(lists)
        .map(|list| async move {
            let (resource, namespace) = &list;
            let objects = cluster.list(resource, namespace.as_deref(), None).await.ok()?;
            Some((list, objects))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}
