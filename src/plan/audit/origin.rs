//! Where live objects come from: Git, a bundle, a controller, Kubernetes itself; or a person's hand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Evidence;
use crate::domain::Object;
use crate::domain::application::{Application, CREATE_NAMESPACE, ManagedObject, sync_options};
use crate::domain::namespaces::is_brought;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::plan::losses;

/// How a document names an object, whatever the version that it is read in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

/// Labels and annotations by which controllers, Helm and this tool mark what they make, and make again. An empty value stands for any.
const MARKS: [(&str, &str); 13] = [
    ("app.kubernetes.io/managed-by", "gitops-bootstrap"),
    ("app.kubernetes.io/managed-by", "kyverno"),
    ("cert-manager.io/certificate-name", ""),
    ("cert-manager.io/next-private-key", ""),
    ("control-plane.alpha.kubernetes.io/leader", ""),
    ("kubernetes.io/bootstrapping", ""),
    ("kubernetes.io/service-account.name", ""),
    ("owner", "helm"),
    ("reconcile.external-secrets.io/managed", "true"),
    ("reflector.v1.k8s.emberstack.com/reflects", ""),
    ("sealedsecrets.bitnami.com/managed", "true"),
    ("service-ca.operator.openshift.io/originating-service-name", ""),
    ("trust.cert-manager.io/bundle", ""),
];

/// What Kubernetes makes in every namespace: the kind and the name.
const OF_EVERY_NAMESPACE: [(&str, &str); 5] = [
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("ConfigMap", "istio-ca-root-cert"),
    ("ServiceAccount", "default"),
    ("Service", "kubernetes"),
];

/// What Git brings back, and what it does not.
pub(super) struct Origin<'a> {
    /// The ApplicationSets, Applications and AppProjects that Git has itself.
    declared: BTreeMap<Place, &'a Object>,
    /// Those that Git brings back.
    from_git: BTreeSet<Place>,
    brought_back: BTreeSet<Key>,
    /// What Applications that Git has not manage.
    of_hand: BTreeSet<Key>,
    /// The Secrets that controllers make for what is in Git, by namespace and name.
    made: BTreeSet<(String, String)>,
    /// The namespaces that Git makes, or has Argo CD make.
    pub(super) namespaces: BTreeSet<String>,
    /// The namespaces that Applications of Git put something into.
    pub(super) destinations: BTreeSet<String>,
    evidence: &'a Evidence<'a>,
}

impl Key {
    fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self { group: group.to_owned(), kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(super) fn of(object: &Object) -> Self {
        Self::new(object.resource().group(), object.kind(), object.namespace().unwrap_or_default(), object.name())
    }

    fn managed(object: &ManagedObject) -> Self {
        Self::new(&object.group, &object.kind, &object.namespace, &object.name)
    }
}

/// The kind, the namespace and the name of an object of Argo CD's.
type Place = (String, String, String);

fn place(object: &Object) -> Place {
    (object.kind().to_owned(), object.namespace().unwrap_or(ARGOCD_NAMESPACE).to_owned(), object.name().to_owned())
}

/// The owners of an object: the kind and the name of each.
fn owners(object: &Object) -> impl Iterator<Item = (&str, &str)> {
    let owners = object.at("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    owners.filter_map(|owner| Some((owner.get("kind")?.as_str()?, owner.get("name")?.as_str()?)))
}

impl<'a> Origin<'a> {
    /// Finds out what Git brings back.
    pub(super) fn of(evidence: &'a Evidence<'a>) -> Self {
        let placed = losses::placed(evidence.tree, evidence.declared);
        let own = evidence.declared.iter().map(|rendered| &rendered.object).filter(|object| is_argocds(object));
        let declared: BTreeMap<Place, &Object> = own.map(|object| (place(object), object)).collect();
        let mut origin = Self {
            from_git: declared.keys().cloned().collect(),
            declared,
            brought_back: BTreeSet::new(),
            of_hand: BTreeSet::new(),
            made: placed.iter().flat_map(losses::makes).collect(),
            namespaces: BTreeSet::new(),
            destinations: BTreeSet::new(),
            evidence,
        };
        for placed in &placed {
            let object = placed.object();
            // Which kinds live in no namespace is not told by a file.
            for namespace in [placed.namespace(), ""] {
                origin.brought_back.insert(Key::new(object.resource().group(), object.kind(), namespace, object.name()));
            }
            if object.kind() == "Namespace" {
                origin.namespaces.insert(object.name().to_owned());
            }
        }
        for object in evidence.declared.iter().map(|rendered| &rendered.object) {
            if let Ok(application) = Application::read(object) {
                origin.note_destination(object, &application);
            }
        }
        origin.follow_applications();
        origin
    }

    /// Follows the Applications of Git to those that they and ApplicationSets make, and notes what all of them manage.
    fn follow_applications(&mut self) {
        let live: Vec<(&Object, Application)> =
            self.evidence.applications.iter().filter_map(|object| Some((object, Application::read(object).ok()?))).collect();
        loop {
            let known = self.from_git.len();
            for (object, application) in &live {
                let (_, namespace, _) = place(object);
                let made_by = |(kind, name): (&str, &str)| (kind.to_owned(), namespace.clone(), name.to_owned());
                if owners(object).any(|owner| self.from_git.contains(&made_by(owner))) {
                    self.from_git.insert(place(object));
                }
                if self.from_git.contains(&place(object)) {
                    let below = application.objects().iter().filter(|below| below.group == "argoproj.io" && !below.requires_pruning);
                    self.from_git.extend(below.map(|below| (below.kind.clone(), below.namespace.clone(), below.name.clone())));
                }
            }
            if self.from_git.len() == known {
                break;
            }
        }
        for (object, application) in &live {
            let objects = application.objects().iter().filter(|object| !object.requires_pruning);
            if !self.from_git.contains(&place(object)) {
                self.of_hand.extend(objects.map(Key::managed));
                continue;
            }
            self.brought_back.extend(objects.map(Key::managed));
            self.note_destination(object, application);
        }
    }

    /// Notes the namespace that an Application of Git puts its objects into, and whether it has Argo CD make it.
    fn note_destination(&mut self, object: &Object, application: &Application) {
        let destination = &application.spec.destination.namespace;
        if !application.is_in_cluster() || destination.is_empty() {
            return;
        }
        self.destinations.insert(destination.clone());
        if sync_options(object).contains(&CREATE_NAMESPACE) {
            self.namespaces.insert(destination.clone());
        }
    }

    /// Whether Git brings back an ApplicationSet, an Application or an AppProject.
    pub(super) fn brings_back_application(&self, object: &Object) -> bool {
        // What an ApplicationSet makes is told of with it.
        owners(object).any(|(kind, _)| kind == "ApplicationSet") || self.from_git.contains(&place(object))
    }

    /// Whether a live object comes back by itself, or is told of with the Application that manages it.
    pub(super) fn comes_back(&self, object: &Object) -> bool {
        let key = Key::of(object);
        owners(object).next().is_some()
            || object.is_being_deleted()
            || self.brought_back.contains(&key)
            || self.of_hand.contains(&key)
            || is_marked(object)
            || OF_EVERY_NAMESPACE.iter().any(|(kind, name)| object.kind() == *kind && object.name() == *name)
    }

    /// Whether what is in a namespace is nobody's work: the cluster came with it, and Git puts nothing into it.
    pub(super) fn is_left_out(&self, namespace: &str) -> bool {
        is_brought(namespace) && !self.destinations.contains(namespace)
    }

    /// Whether a controller makes a Secret for something that is in Git.
    pub(super) fn makes_secret(&self, secret: &Object) -> bool {
        self.made.contains(&(secret.namespace().unwrap_or_default().to_owned(), secret.name().to_owned()))
    }

    /// The data that Git has for an object in Argo CD's namespace.
    pub(super) fn declared_data(&self, kind: &str, name: &str) -> Option<&'a Value> {
        let is = |object: &Object| {
            object.kind() == kind && object.name() == name && object.namespace().is_none_or(|namespace| namespace == ARGOCD_NAMESPACE)
        };
        let declared = self.evidence.declared.iter().map(|rendered| &rendered.object).find(|object| is(object))?;
        declared.at("/data").or_else(|| declared.at("/stringData"))
    }

    /// What Git has for a live ApplicationSet, Application or AppProject, if it has it itself.
    pub(super) fn declaration_of(&self, live: &Object) -> Option<&'a Object> {
        self.declared.get(&place(live)).copied()
    }
}

fn is_argocds(object: &Object) -> bool {
    object.resource().group() == "argoproj.io" && matches!(object.kind(), "ApplicationSet" | "Application" | "AppProject")
}

fn is_marked(object: &Object) -> bool {
    MARKS.iter().any(|(name, wanted)| {
        let found = object.label(name).or_else(|| object.annotation(name));
        found.is_some_and(|found| wanted.is_empty() || found == *wanted)
    })
}
