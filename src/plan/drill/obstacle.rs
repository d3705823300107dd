//! What keeps a cluster from booting from zero, each with the file and the line where it is written.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::HeldUp;
use crate::domain::application::{Application, ManagedObject, ObjectResult};
use crate::domain::tree::{Rendered, Tree};
use crate::domain::{ApplicationRef, RepositoryPath};
use crate::manifest::places::{Named, Place, Places};
use crate::plan::cause::{self, Evidence};
use crate::plan::diagnosis::State;
use crate::plan::plain_words;

/// Something that keeps the cluster from booting from zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Obstacle {
    /// What sort of thing it is.
    pub kind: Kind,
    /// The Application that is not up because of it; none if it was found without running anything.
    pub application: Option<String>,
    /// The object, as in `Certificate web/site`.
    pub object: Option<String>,
    /// The file of the fleet repository.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// What is wrong, in a sentence without its full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What sort of thing keeps a cluster from booting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A custom resource whose definition is not there, or comes too late.
    MissingDefinition,
    /// A Secret that nobody makes.
    MissingSecret,
    /// A custom resource that nothing in a sandbox acts on, and that nobody stands in for.
    NobodyActs,
    /// An object that is there and does not become healthy.
    NotHealthy,
    /// An object that the API server does not take, or a hook that fails.
    NotApplied,
    /// An Application that is held back: by a sync window, or because it is synced only by hand.
    HeldBack,
    /// Anything else that Argo CD complains about.
    #[default]
    Refused,
    /// The recovery itself ended before it was done.
    Recovery,
    /// What `lint` says of the files.
    Lint,
}

impl Kind {
    /// The kind in a few words, as a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::MissingDefinition => "its definition is missing",
            Self::MissingSecret => "a Secret is missing",
            Self::NobodyActs => "nobody acts on it",
            Self::NotHealthy => "it does not become healthy",
            Self::NotApplied => "it cannot be applied",
            Self::HeldBack => "it is held back",
            Self::Refused => "Argo CD refuses it",
            Self::Recovery => "the recovery ended",
            Self::Lint => "it cannot boot from zero",
        }
    }
}

impl Obstacle {
    /// Where it is, what it is about, and what is wrong, in one line.
    pub fn sentence(&self) -> String {
        let place = self.place().map(|place| format!("{place}: ")).unwrap_or_default();
        let object = self.object.as_ref().or(self.application.as_ref()).map(|object| format!("{object}: ")).unwrap_or_default();
        format!("{place}{object}{}", self.message)
    }

    /// The file and the line, as editors and compilers write them.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(self.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
    }

    #[must_use]
    fn at(mut self, place: Option<&Place>) -> Self {
        self.file = place.map(|place| place.file.to_string());
        self.line = place.map(|place| place.line);
        self
    }
}

/// What is known at the end of a recovery that did not bring everything up.
pub struct Remains<'a> {
    /// The Applications, each with how it stands.
    pub applications: &'a [(Application, State)],
    /// What the cluster shows of their objects.
    pub evidence: &'a Evidence,
    /// The tree that was recovered.
    pub tree: &'a Tree,
    /// Where its objects are written.
    pub places: &'a Places,
}

/// What keeps Applications from being up, and those that only wait for one of these.
pub fn obstacles(remains: &Remains<'_>) -> (Vec<Obstacle>, Vec<HeldUp>) {
    let mut found = Vec::new();
    let mut held_up = Vec::new();
    let unwell: BTreeSet<&ApplicationRef> =
        remains.applications.iter().filter(|(_, state)| !state.is_converged()).map(|(application, _)| &application.reference).collect();
    for (application, state) in remains.applications.iter().filter(|(_, state)| !state.is_converged()) {
        let about = About { application, state, folders: folders(application), remains };
        let mut own = about.obstacles();
        if own.is_empty() {
            let waits_for_others = application.objects().iter().any(|object| {
                let namespace = if object.namespace.is_empty() { &application.reference.namespace } else { &object.namespace };
                let child = ApplicationRef { namespace: namespace.clone(), name: object.name.clone() };
                object.is_application() && child != application.reference && (unwell.contains(&child) || !is_there(&child, remains))
            });
            let why = state.reason().unwrap_or("it is not well").to_owned();
            if waits_for_others {
                held_up.push(HeldUp { application: application.reference.to_string(), why });
                continue;
            }
            own.push(about.obstacle(Kind::NotHealthy, why).at(about.own_place()));
        }
        found.append(&mut own);
    }
    found
        .sort_by(|left, right| (left.kind, &left.file, left.line, &left.object).cmp(&(right.kind, &right.file, right.line, &right.object)));
    found.dedup_by(|left, right| {
        left.object.is_some() && (left.kind, &left.object, &left.message) == (right.kind, &right.object, &right.message)
    });
    (found, held_up)
}

fn is_there(application: &ApplicationRef, remains: &Remains<'_>) -> bool {
    remains.applications.iter().any(|(there, _)| there.reference == *application)
}

/// The folders of the fleet repository that an Application takes its objects from.
fn folders(application: &Application) -> Vec<RepositoryPath> {
    application.sources().filter_map(|source| source.path.as_deref()?.parse().ok()).collect()
}

struct About<'a> {
    application: &'a Application,
    state: &'a State,
    folders: Vec<RepositoryPath>,
    remains: &'a Remains<'a>,
}

impl About<'_> {
    fn obstacle(&self, kind: Kind, message: impl Into<String>) -> Obstacle {
        Obstacle { kind, application: Some(self.application.reference.to_string()), message: message.into(), ..Obstacle::default() }
    }

    /// Where the Application itself is written.
    fn own_place(&self) -> Option<&Place> {
        let namespace = self.application.reference.namespace.as_str();
        let own = Named { group: Some("argoproj.io"), kind: "Application", namespace, name: &self.application.reference.name };
        self.remains.places.find(own, &[])
    }

    fn obstacles(&self) -> Vec<Obstacle> {
        let failed = self.application.operation().and_then(|operation| operation.sync_result.as_ref());
        let failed: Vec<&ObjectResult> = failed.iter().flat_map(|result| &result.resources).filter(|result| result.is_failed()).collect();
        if !failed.is_empty() {
            return failed.into_iter().map(|result| self.not_applied(result)).collect();
        }
        if let State::Waiting { why } = self.state {
            let hint = "let it sync by itself, or bring it up by hand after a recovery".to_owned();
            return vec![Obstacle { hint: Some(hint), ..self.obstacle(Kind::HeldBack, why).at(self.own_place()) }];
        }
        let ignored = cause::ignored(self.application, self.state, self.remains.evidence);
        if !ignored.is_empty() {
            return ignored.iter().map(|object| self.nobody_acts(object)).collect();
        }
        if let Some((object, cause)) = cause::culprit(self.application, self.state, self.remains.evidence) {
            return vec![self.not_healthy(&object, &cause)];
        }
        match self.state {
            State::Failed { cause } | State::Stalled { cause, .. } if self.application.errors().next().is_some() => {
                vec![self.obstacle(Kind::Refused, cause).at(self.own_place())]
            }
            State::Unknown => vec![self.obstacle(Kind::Refused, self.state.reason().unwrap_or_default()).at(self.own_place())],
            _ => Vec::new(),
        }
    }

    fn not_applied(&self, result: &ObjectResult) -> Obstacle {
        let named = Named { group: None, kind: &result.kind, namespace: &result.namespace, name: &result.name };
        let place = self.remains.places.find(named, &self.folders).or_else(|| self.own_place());
        let object = Some(title(&result.kind, &result.namespace, &result.name));
        match missing_kind(&result.message) {
            Some((group, kind)) => {
                let (message, hint) = self.missing_definition(&group, &kind);
                Obstacle { object, hint: Some(hint), ..self.obstacle(Kind::MissingDefinition, message).at(place) }
            }
            None => Obstacle { object, ..self.obstacle(Kind::NotApplied, plain_words::explain(&result.message)).at(place) },
        }
    }

    fn missing_definition(&self, group: &str, kind: &str) -> (String, String) {
        match self.remains.places.definition(group, kind) {
            None => (
                format!("nothing in the repository defines the kind {kind} of {group}"),
                format!("commit its CustomResourceDefinition, in an Application of an earlier wave than `{}`", self.application.reference),
            ),
            Some(place) => {
                let definer = self.remains.tree.applications.iter().find(|application| takes(application, &place.file));
                let by = definer.map(|definer| format!(" by `{}`", definer.object.name())).unwrap_or_default();
                (
                    format!(
                        "the kind {kind} of {group} was never there: {}:{} defines it{by}, which did not come up in time",
                        place.file, place.line
                    ),
                    "give what defines it an earlier sync wave, and what uses it a `retry` that does not end".to_owned(),
                )
            }
        }
    }

    fn nobody_acts(&self, object: &ManagedObject) -> Obstacle {
        let message = "it has no status: its controller does not run in a sandbox, and nobody stands in for it";
        let hint = format!("write a stage for {} of {} and name its folder with `--stand-ins`", object.kind, object.group);
        Obstacle {
            object: Some(title(&object.kind, &object.namespace, &object.name)),
            hint: Some(hint),
            ..self.obstacle(Kind::NobodyActs, message).at(self.place(object))
        }
    }

    fn not_healthy(&self, object: &ManagedObject, cause: &str) -> Obstacle {
        Obstacle {
            object: Some(title(&object.kind, &object.namespace, &object.name)),
            ..self.obstacle(Kind::NotHealthy, cause).at(self.place(object))
        }
    }

    fn place(&self, object: &ManagedObject) -> Option<&Place> {
        let named = Named { group: Some(&object.group), kind: &object.kind, namespace: &object.namespace, name: &object.name };
        self.remains.places.find(named, &self.folders).or_else(|| self.own_place())
    }
}

/// Whether an Application takes its objects from the folder of `file`.
fn takes(application: &Rendered, file: &RepositoryPath) -> bool {
    let path = application.object.text("/spec/source/path").and_then(|path| path.parse::<RepositoryPath>().ok());
    path.is_some_and(|path| file.is_within(&path))
}

fn title(kind: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}

/// The group and the kind that were not served, by what Argo CD says of an object that it could not apply (`sync_context.go` of its engine,
/// and the API machinery's "no matches for kind").
fn missing_kind(message: &str) -> Option<(String, String)> {
    if let Some((_, rest)) = message.split_once("could not find ")
        && message.contains("CRD is installed")
    {
        let (group, kind) = rest.split_whitespace().next()?.rsplit_once('/')?;
        return Some((group.to_owned(), kind.to_owned()));
    }
    let (_, rest) = message.split_once("no matches for kind \"")?;
    let (kind, rest) = rest.split_once('"')?;
    let version = rest.split_once("in version \"")?.1.split('"').next()?;
    Some((version.rsplit_once('/').map_or(version, |(group, _)| group).to_owned(), kind.to_owned()))
}

/// For each Application, those that define kinds of which it has objects.
pub fn needs(tree: &Tree, places: &Places) -> BTreeMap<String, BTreeSet<String>> {
    let folder = |application: &Rendered| application.object.text("/spec/source/path").and_then(|path| path.parse::<RepositoryPath>().ok());
    let definers: BTreeMap<(&str, &str), &str> = places
        .definitions()
        .filter_map(|(defined, place)| {
            let definer = tree.applications.iter().find(|application| takes(application, &place.file))?;
            Some((defined, definer.object.name()))
        })
        .collect();
    tree.applications
        .iter()
        .filter_map(|application| {
            let folder = folder(application)?;
            let name = application.object.name();
            let needed = places.kinds_within(&folder).filter_map(|kind| definers.get(&kind)).filter(|definer| **definer != name);
            Some((name.to_owned(), needed.map(|definer| (*definer).to_owned()).collect::<BTreeSet<_>>()))
        })
        .filter(|(_, needed)| !needed.is_empty())
        .collect()
}
