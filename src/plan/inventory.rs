//! What goes and what must stay when Argo CD is taken out of a cluster, and the proof that it has stayed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::domain::{Object, ObjectRef, Resource};

/// How one object is told from another of the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Its UID.
    pub uid: String,
    /// For a pod, how often its containers were restarted, together.
    pub restarts: Option<u64>,
}

/// What goes and what must stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The UIDs of the ApplicationSets, Applications and AppProjects.
    pub applications: BTreeSet<String>,
    /// The objects of Argo CD.
    pub goes: BTreeMap<ObjectRef, Mark>,
    /// The objects that must be the same afterwards.
    pub stays: BTreeMap<ObjectRef, Mark>,
}

/// How an object that must stay is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is not there any more.
    Gone,
    /// Another one has its name.
    Replaced,
    /// Containers of the pod were restarted.
    Restarted,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gone => "is gone",
            Self::Replaced => "was replaced by another of the same name",
            Self::Restarted => "was restarted",
        })
    }
}

impl Mark {
    /// The mark of an object that came from a server.
    pub fn of(object: &Object) -> Option<Self> {
        let restarts = (object.kind() == "Pod").then(|| {
            let statuses = object.at("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten();
            statuses.filter_map(|status| status.get("restartCount")?.as_u64()).sum()
        });
        Some(Self { uid: object.uid()?.to_owned(), restarts })
    }

    /// How the object that has this mark differs from what is there now; none if it is the same.
    pub fn change(&self, now: Option<&Self>) -> Option<Change> {
        match now {
            None => Some(Change::Gone),
            Some(now) if now.uid != self.uid => Some(Change::Replaced),
            Some(now) if now.restarts > self.restarts => Some(Change::Restarted),
            Some(_) => None,
        }
    }
}

/// Whether an object comes and goes by itself, so that nothing is proven by it: pods that have ended, and what a Job or a CronJob has made.
pub fn is_passing(object: &Object) -> bool {
    let ended = object.kind() == "Pod" && matches!(object.text("/status/phase"), Some("Succeeded" | "Failed"));
    let owners = object.at("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let mut kinds = owners.filter_map(|owner| owner.get("kind")?.as_str());
    ended || object.is_being_deleted() || kinds.any(|kind| matches!(kind, "Job" | "CronJob"))
}

impl Inventory {
    /// Whether nothing of Argo CD is there.
    pub fn is_empty(&self) -> bool {
        self.applications.is_empty() && self.goes.is_empty()
    }

    /// Whether this is what a run has written down that has already removed some of `live`, the Applications that are there: then they do not
    /// tell any more what must stay. What was written down by a run that has removed nothing, or before the cluster was bootstrapped again, is old.
    pub fn is_of_a_run_under_way(&self, live: &BTreeSet<String>) -> bool {
        !self.applications.is_empty() && live.len() < self.applications.len() && live.is_subset(&self.applications)
    }

    /// How many objects must stay, by kind, the most first.
    pub fn kinds_that_stay(&self) -> Vec<(&str, usize)> {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for object in self.stays.keys() {
            *kinds.entry(&object.resource.kind).or_default() += 1;
        }
        let mut kinds: Vec<(&str, usize)> = kinds.into_iter().collect();
        kinds.sort_by_key(|(kind, number)| (std::cmp::Reverse(*number), *kind));
        kinds
    }

    /// The namespaces of what must stay.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.stays.keys().filter_map(|object| object.namespace.as_deref()).collect()
    }

    /// As lines of text, each an Application or an object.
    pub fn to_lines(&self) -> Vec<String> {
        let applications = self.applications.iter().map(|uid| format!("application\t{uid}"));
        let goes = self.goes.iter().map(|(object, mark)| line("goes", object, mark));
        let stays = self.stays.iter().map(|(object, mark)| line("stays", object, mark));
        applications.chain(goes).chain(stays).collect()
    }

    /// Reads what [`Inventory::to_lines`] has written; none if it is not whole.
    pub fn from_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut inventory = Self::default();
        for line in lines {
            let mut words = line.split('\t');
            match words.next()? {
                "application" => {
                    inventory.applications.insert(words.next()?.to_owned());
                }
                "goes" => inventory.goes.extend([object(&mut words)?]),
                "stays" => inventory.stays.extend([object(&mut words)?]),
                _ => return None,
            }
        }
        Some(inventory)
    }
}

/// No name of an object has a tab or a newline in it.
fn line(what: &str, object: &ObjectRef, mark: &Mark) -> String {
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let restarts = mark.restarts.map(|restarts| restarts.to_string()).unwrap_or_default();
    let Resource { api_version, kind } = &object.resource;
    format!("{what}\t{api_version}\t{kind}\t{namespace}\t{}\t{}\t{restarts}", object.name, mark.uid)
}

fn object<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<(ObjectRef, Mark)> {
    let resource = Resource::new(words.next()?, words.next()?);
    let namespace = Some(words.next()?.to_owned()).filter(|namespace| !namespace.is_empty());
    let reference = ObjectRef { resource, namespace, name: words.next()?.to_owned() };
    let uid = words.next()?.to_owned();
    let restarts = match words.next()? {
        "" => None,
        restarts => Some(restarts.parse().ok()?),
    };
    Some((reference, Mark { uid, restarts }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inventory() -> Inventory {
        let mark = |uid: &str, restarts| Mark { uid: uid.to_owned(), restarts };
        Inventory {
            applications: ["a", "b"].map(str::to_owned).into(),
            goes: [(ObjectRef::cluster_wide("rbac.authorization.k8s.io/v1", "ClusterRole", "argocd-server"), mark("1", None))].into(),
            stays: [
                (ObjectRef::namespaced("v1", "Pod", "web", "web-0"), mark("2", Some(3))),
                (ObjectRef::namespaced("apps/v1", "Deployment", "web", "web"), mark("3", None)),
            ]
            .into(),
        }
    }

    #[test]
    fn what_was_written_down_is_read_again() {
        let lines = inventory().to_lines();
        assert_eq!(Inventory::from_lines(lines.iter().map(String::as_str)), Some(inventory()));
        assert_eq!(Inventory::from_lines(["stays\tv1\tPod\tweb"].into_iter()), None, "a line that breaks off");
        assert_eq!(Inventory::from_lines(["something else"].into_iter()), None);
    }

    #[test]
    fn what_was_written_down_counts_only_for_a_run_that_has_removed_something() {
        let live = |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect::<BTreeSet<_>>();
        assert!(inventory().is_of_a_run_under_way(&live(&["b"])));
        assert!(inventory().is_of_a_run_under_way(&live(&[])));
        assert!(!inventory().is_of_a_run_under_way(&live(&["a", "b"])), "nothing was removed yet");
        assert!(!inventory().is_of_a_run_under_way(&live(&["c"])), "the cluster was bootstrapped again");
        assert!(!Inventory::default().is_of_a_run_under_way(&live(&[])));
    }

    #[test]
    fn an_object_is_the_same_if_it_has_the_same_uid_and_was_not_restarted() {
        let before = Mark { uid: "1".to_owned(), restarts: Some(1) };
        let now = |uid: &str, restarts| Mark { uid: uid.to_owned(), restarts: Some(restarts) };
        assert_eq!(before.change(Some(&now("1", 1))), None);
        assert_eq!(before.change(Some(&now("1", 2))), Some(Change::Restarted));
        assert_eq!(before.change(Some(&now("2", 0))), Some(Change::Replaced));
        assert_eq!(before.change(None), Some(Change::Gone));
    }

    #[test]
    fn pods_that_end_by_themselves_prove_nothing() {
        let pod = |status: Value, owner: &str| {
            Object::new(json!({
                "apiVersion": "v1", "kind": "Pod", "status": status,
                "metadata": {"name": "p", "namespace": "n", "uid": "1", "ownerReferences": [{"kind": owner}]},
            }))
            .unwrap()
        };
        assert!(is_passing(&pod(json!({"phase": "Succeeded"}), "ReplicaSet")));
        assert!(is_passing(&pod(json!({"phase": "Running"}), "Job")));
        let running = pod(json!({"phase": "Running", "containerStatuses": [{"restartCount": 1}, {"restartCount": 2}]}), "ReplicaSet");
        assert!(!is_passing(&running));
        assert_eq!(Mark::of(&running), Some(Mark { uid: "1".to_owned(), restarts: Some(3) }));
    }
}
