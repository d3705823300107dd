//! What a run would do, object by object and key by key, told before it is done.

use std::collections::BTreeMap;

use serde::Serialize;

use super::StepId;
use crate::domain::{ClusterName, Commit, FieldConflict, Fingerprint, Identity, ObjectRef, RepositoryUrl};
use crate::error::Failure;

/// What a run would do to an object, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The server refuses it as it is declared, which stops the run.
    Refused,
    /// It is somebody else's, which stops the run.
    Conflict,
    /// It is not there and is made.
    Create,
    /// It is there, nobody of ours made it, and it is taken over.
    Adopt,
    /// It is ours and different.
    Change,
    /// It is removed.
    Remove,
    /// It is ours and as declared, but for fields that others own, which are left to them.
    LeftAlone,
    /// It is there as declared.
    InPlace,
}

/// What a run would do to one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedObject {
    /// In which step.
    pub step: StepId,
    /// Which object.
    pub object: ObjectRef,
    /// What is done to it.
    pub action: Action,
    /// The fields that are taken back from those who changed them by hand, or from other managers on request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<FieldConflict>,
    /// The fields that are left to their owners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<FieldConflict>,
    /// What changes, as a unified diff of YAML; no value of a Secret is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Why the server cannot say yet what would become of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_after_apply: Option<String>,
    /// Why the server refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

impl PlannedObject {
    /// An object of which no more is known than what is done to it.
    pub fn new(step: StepId, object: ObjectRef, action: Action) -> Self {
        Self { step, object, action, taken: Vec::new(), left: Vec::new(), diff: None, known_after_apply: None, refusal: None }
    }

    /// The same, where only a later step makes known what the server says to it.
    #[must_use]
    pub fn known_after_apply(mut self, because: impl Into<String>) -> Self {
        self.known_after_apply = Some(because.into());
        self
    }

    /// Whether the run would send it.
    pub const fn is_sent(&self) -> bool {
        matches!(self.action, Action::Create | Action::Adopt | Action::Change | Action::Remove)
    }
}

/// What a run would do with a deploy key at the forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAction {
    /// It is registered.
    Register,
    /// A person is asked to register it: there is no token.
    RegisterByHand,
    /// It stays as it is.
    Keep,
    /// It is removed.
    Remove,
}

/// A deploy key in a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedKey {
    /// What is done with it.
    pub action: KeyAction,
    /// Its title at the forge; none if it was registered by hand under a title that is not known.
    pub title: Option<String>,
    /// Its number at the forge, if it is registered.
    pub id: Option<u64>,
    /// Its fingerprint; none if it is made by the run.
    pub fingerprint: Option<Fingerprint>,
}

/// What one step, or a whole run, would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// The objects.
    pub objects: Vec<PlannedObject>,
    /// The deploy keys.
    pub keys: Vec<PlannedKey>,
    /// What would stop the run.
    pub failures: Vec<Failure>,
}

impl Preview {
    /// The preview of one object.
    pub fn of(object: PlannedObject) -> Self {
        Self { objects: vec![object], ..Self::default() }
    }

    /// The preview of one object that would stop the run.
    pub fn stopped_by(object: PlannedObject, failure: Failure) -> Self {
        Self { failures: vec![failure], ..Self::of(object) }
    }

    /// The preview of one deploy key.
    pub fn of_key(action: KeyAction, title: Option<String>, id: Option<u64>, fingerprint: Option<Fingerprint>) -> Self {
        Self { keys: vec![PlannedKey { action, title, id, fingerprint }], ..Self::default() }
    }

    /// Several previews as one.
    pub fn all(previews: impl IntoIterator<Item = Self>) -> Self {
        previews.into_iter().fold(Self::default(), |mut all, preview| {
            all.objects.extend(preview.objects);
            all.keys.extend(preview.keys);
            all.failures.extend(preview.failures);
            all
        })
    }

    /// The same with each object once: of several steps that send it, the first that has something to do with it counts.
    #[must_use]
    pub fn with_each_object_once(mut self) -> Self {
        let mut places: BTreeMap<ObjectRef, usize> = BTreeMap::new();
        let mut once: Vec<PlannedObject> = Vec::with_capacity(self.objects.len());
        for object in self.objects {
            match places.get(&object.object) {
                Some(&place) if once[place].action > object.action => once[place] = object,
                Some(_) => {}
                None => {
                    places.insert(object.object.clone(), once.len());
                    once.push(object);
                }
            }
        }
        self.objects = once;
        self
    }
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// Which.
    pub step: StepId,
    /// Whether it has anything to do.
    pub needed: bool,
    /// Why, or why not.
    pub because: String,
    /// The objects that it would change, if that is known before.
    pub changes: Vec<String>,
    /// Why the step exists, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// How the clone stands to what the remote serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Equality {
    /// The remote serves the clone's commit.
    SameCommit,
    /// It serves another commit, in which the files of this cluster are the same.
    SameFiles,
    /// Nothing can tell before the deploy key works.
    KnownAfterApply,
    /// It was not compared, since the commit was named.
    Named,
    /// The tree comes from the clone itself.
    Served,
}

/// The Git side of a plan. Nothing is ever written there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GitSide {
    /// The fleet repository.
    pub repository: RepositoryUrl,
    /// The branch that the root follows.
    pub revision: String,
    /// The commit that the clone is at.
    pub clone: Commit,
    /// The commit that the cluster will end up at.
    pub commit: Commit,
    /// How the two stand to each other.
    pub remote: Equality,
}

/// Everything that a run would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The verb that would do it.
    pub run: &'static str,
    /// The cluster's name.
    pub cluster: ClusterName,
    /// The context of the kubeconfig.
    pub context: String,
    /// The address of the API server.
    pub server: String,
    /// What tells the cluster from others.
    pub identity: Identity,
    /// The Git side.
    pub git: GitSide,
    /// The deploy keys at the forge.
    pub keys: Vec<PlannedKey>,
    /// The objects, each once, in the order in which they are sent.
    pub objects: Vec<PlannedObject>,
    /// The objects of Argo CD's folder that are left to Argo CD, each with the reason.
    pub skipped: Vec<String>,
    /// The steps.
    pub steps: Vec<PlannedStep>,
}

impl Plan {
    /// Whether a run would have anything to do.
    pub fn is_needed(&self) -> bool {
        self.steps.iter().any(|step| step.needed)
    }

    /// The objects that one thing is done to.
    pub fn having(&self, action: Action) -> impl Iterator<Item = &PlannedObject> {
        self.objects.iter().filter(move |object| object.action == action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_several_steps_counts_once_and_for_what_is_done_to_it() {
        let object = |name: &str| ObjectRef::namespaced("v1", "ConfigMap", "argocd", name);
        let planned = |step, name, action| Preview::of(PlannedObject::new(step, object(name), action));
        let all = Preview::all([
            planned(StepId::Install, "hosts", Action::InPlace),
            planned(StepId::Record, "marker", Action::Create),
            planned(StepId::KnownHosts, "hosts", Action::Change),
            planned(StepId::Marker, "marker", Action::Create),
        ]);
        let once: Vec<(StepId, Action)> =
            all.with_each_object_once().objects.into_iter().map(|object| (object.step, object.action)).collect();
        assert_eq!(once, [(StepId::KnownHosts, Action::Change), (StepId::Record, Action::Create)]);
    }
}
