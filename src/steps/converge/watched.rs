//! The Applications as they are watched: how each stands, what is to be expected of it, and when it came up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::Instant;

use super::Scope;
use super::first_syncs::FirstSync;
use super::rest::Rest;
use crate::domain::application::{Application, HealthStatus, Phase, SyncStatus};
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use crate::domain::{Commit, Object, ObjectRef};
use crate::error::Failure;
use crate::plan::diagnosis::{State, last_failure, verdict};
use crate::plan::first_sync::{first_sync, hand_back, namespace_ahead};
use crate::plan::prospect::{Prospect, prospect};
use crate::steps::World;

/// What is known of one Application.
pub(super) struct Known {
    pub(super) state: State,
    /// Whether nothing more of it is waited for.
    is_enough: bool,
    pub(super) has_error: bool,
    /// Whether it names the address that the cluster moves away from.
    pub(super) is_left_behind: bool,
    pub(super) at_another_commit: bool,
    pub(super) sync_options: Value,
    pub(super) retry: Value,
    pub(super) prune: bool,
    /// The number of the try that Argo CD makes next, while it waits to make it, and since when that is known.
    pub(super) next_try: Option<(i64, Instant)>,
    /// How often Argo CD has repeated the sync that runs.
    repeated: u32,
    /// Since when nothing comes of what was applied, or of an error that may have passed.
    pub(super) rest: Option<Rest>,
    /// Whether its objects were found not to work.
    is_degraded: bool,
    /// What is to be sent about its first sync, in a recovery.
    pub(super) first_sync: Option<FirstSync>,
    /// How often that was done.
    pub(super) times_first_sync: u32,
    /// Whether it is as Git has it, and only the health of its objects is open.
    is_synced: bool,
    /// The Application that it came from.
    parent: Option<String>,
    /// Why its last sync that ended did not work.
    last_failure: Option<String>,
    pub(super) asked: Option<Instant>,
    pub(super) times_asked: u32,
}

/// The Applications of a scope.
pub(super) struct Watched {
    pub(super) applications: BTreeMap<ObjectRef, Known>,
    declared: BTreeSet<ObjectRef>,
    left_out: BTreeSet<String>,
    /// The Application of which it is enough that its objects work.
    taking_over: Option<String>,
    projects: Vec<Object>,
    /// When an Application last converged.
    pub(super) last_success: Option<Instant>,
    seen_once: bool,
}

impl Watched {
    pub(super) fn new(world: &World, scope: &Scope) -> Self {
        let tree = world.followed();
        let left_out = scope.left_out(tree);
        let names = tree.applications.iter().map(|application| application.object.name()).filter(|name| !left_out.contains(*name));
        let declared: BTreeSet<ObjectRef> =
            names.map(|name| ObjectRef::namespaced(ARGOCD_API_VERSION, "Application", ARGOCD_NAMESPACE, name)).collect();
        let applications = declared.iter().map(|reference| (reference.clone(), Known::absent())).collect();
        let projects = tree.projects.iter().map(|project| project.object.clone()).collect();
        let taking_over = scope.taking_over(tree).map(str::to_owned);
        Self { applications, declared, left_out, taking_over, projects, last_success: None, seen_once: false }
    }

    pub(super) fn restart<'a>(&mut self, world: &World, objects: impl Iterator<Item = &'a Object>) {
        let objects: Vec<&Object> = objects.collect();
        let there: BTreeSet<ObjectRef> = objects.iter().map(|object| object.reference()).collect();
        let gone: Vec<ObjectRef> = self.applications.keys().filter(|reference| !there.contains(reference)).cloned().collect();
        gone.iter().for_each(|reference| self.remove(reference));
        objects.into_iter().for_each(|object| self.note(world, object));
        self.seen_once = true;
    }

    pub(super) fn note(&mut self, world: &World, object: &Object) {
        if self.left_out.contains(object.name()) {
            return;
        }
        let Ok(application) = Application::read(object) else { return };
        let application = application.with_windows(&self.projects);
        let tree = world.followed();
        let commit = world.followed_commit();
        let expected = Some(&commit).filter(|_| application.follows(&tree.repository, &tree.revision));
        let before = self.applications.get(&object.reference());
        let running = application.operation().filter(|operation| operation.is_running());
        let next_try = running.filter(|operation| operation.finished_at.is_some()).map(|operation| {
            let same = before.and_then(|known| known.next_try).filter(|(number, _)| *number == operation.retry_count);
            same.unwrap_or((operation.retry_count, Instant::now()))
        });
        let operation = application.operation();
        let is_resting = match application.sync() {
            SyncStatus::Synced => application.health() == HealthStatus::Progressing && operation.is_none_or(|last| !last.is_running()),
            // It was synced, and Argo CD has not seen yet that it was, or lets a pause pass before it syncs again.
            SyncStatus::OutOfSync => operation.is_some_and(|last| last.phase == Phase::Succeeded),
            SyncStatus::Unknown => application.errors().next().is_some(),
        };
        let last_failure = last_failure(&application, before.and_then(|known| known.last_failure.clone()));
        let state = standing(world, &application, expected).after(last_failure.as_deref());
        let is_taking_over = self.taking_over.as_deref() == Some(object.name())
            && application.health() == HealthStatus::Healthy
            && matches!(state, State::Progressing { .. });
        let known = Known {
            is_enough: state.is_converged() || is_taking_over,
            state,
            has_error: application.errors().next().is_some(),
            is_left_behind: is_left_behind(world, &application),
            at_another_commit: expected.is_some_and(|expected| {
                application.status.is_some() && application.revisions().next().is_some_and(|revision| revision != expected.as_str())
            }),
            sync_options: object.at("/spec/syncPolicy/syncOptions").cloned().unwrap_or_default(),
            retry: object.at("/spec/syncPolicy/retry").cloned().unwrap_or_default(),
            prune: application.spec.sync_policy.automated.as_ref().is_some_and(|automated| automated.prune),
            next_try,
            repeated: running.map_or(0, |operation| u32::try_from(operation.retry_count).unwrap_or(0)),
            rest: is_resting.then(|| before.and_then(|known| known.rest).unwrap_or_else(|| Rest::begun(Instant::now()))),
            is_degraded: application.health() == HealthStatus::Degraded,
            first_sync: expected.filter(|_| world.wanted.recovery.as_ref().is_some_and(|recovery| !recovery.validate)).and_then(|commit| {
                match first_sync(&application, object, commit) {
                    Some(patch) => Some(FirstSync { patch, namespace: namespace_ahead(&application, object, &self.projects) }),
                    None => hand_back(&application, object).map(|patch| FirstSync { patch, namespace: None }),
                }
            }),
            times_first_sync: before.map_or(0, |known| known.times_first_sync),
            is_synced: application.sync() == SyncStatus::Synced,
            parent: application.tracked_by.clone(),
            last_failure,
            asked: before.and_then(|known| known.asked),
            times_asked: before.map_or(0, |known| known.times_asked),
        };
        if known.state.is_converged() && before.is_none_or(|before| !before.state.is_converged()) {
            self.last_success = Some(Instant::now());
        }
        world.note_application(object.name(), known.state.is_converged(), known.last_failure.clone());
        self.applications.insert(object.reference(), known);
    }

    pub(super) fn remove(&mut self, reference: &ObjectRef) {
        if self.declared.contains(reference) {
            self.applications.insert(reference.clone(), Known::absent());
        } else {
            self.applications.remove(reference);
        }
    }

    /// What is to be expected of each Application; of those that move, also what they do. As long as this stays the same, nothing happens.
    pub(super) fn outlook(&self) -> BTreeMap<ObjectRef, (Prospect, Option<State>)> {
        let outlook = |known: &Known| {
            let prospect = known.prospect();
            (prospect, Some(known.state.clone()).filter(|_| prospect == Prospect::Moving))
        };
        self.applications.iter().map(|(reference, known)| (reference.clone(), outlook(known))).collect()
    }

    pub(super) fn converged(&self) -> usize {
        self.applications.values().filter(|known| known.is_enough).count()
    }

    pub(super) fn is_converged(&self) -> bool {
        self.seen_once && self.converged() == self.applications.len()
    }

    /// When Argo CD is next to look at one of them again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.applications.values().filter_map(|known| known.rest).map(Rest::ends).min()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&ObjectRef, &Known)> {
        self.applications.iter().filter(|(_, known)| !known.is_enough)
    }

    /// The same without those that wait for nothing but an Application that they have brought, which is open itself.
    pub(super) fn causes(&self) -> impl Iterator<Item = (&ObjectRef, &Known)> {
        let parents: BTreeSet<&str> = self.open().filter_map(|(_, known)| known.parent.as_deref()).collect();
        self.open().filter(move |(reference, known)| !known.is_synced || known.has_error || !parents.contains(reference.name.as_str()))
    }

    /// The first few that are not there yet, and why.
    pub(super) fn describe(&self) -> String {
        const FEW: usize = 3;
        let few: Vec<String> = self.causes().take(FEW).map(|(reference, known)| format!("{}: {}", reference.name, known.brief())).collect();
        let more = self.causes().count().saturating_sub(FEW);
        if more == 0 { few.join("; ") } else { format!("{}; and {more} more", few.join("; ")) }
    }

    /// `failure` with what is not there, and why, as its causes.
    pub(super) fn blame(&self, failure: Failure) -> Failure {
        const MOST: usize = 20;
        let failure = self.causes().take(MOST).fold(failure, |failure, (reference, known)| {
            failure.because(format!("{}: {}", reference.name, known.state.reason().unwrap_or("it is not there")))
        });
        failure.hint("`gitops-bootstrap status` shows the tree with the cause of each stall")
    }
}

/// How an Application stands. One that still goes to the place that the tree has left is not there yet, however well it is.
fn standing(world: &World, application: &Application, expected: Option<&Commit>) -> State {
    let left = world.left();
    match verdict(application, expected) {
        State::Converged if is_left_behind(world, application) => {
            State::Progressing { why: "it still takes its objects from the old address".to_owned() }
        }
        State::Converged if application.sources().any(|source| left.is_named_by(&source.repository)) => {
            State::Progressing { why: format!("it still takes its objects from {left}") }
        }
        state => state,
    }
}

/// Whether an Application names the address by which the cluster has got in so far, in a run that moves it to another one.
fn is_left_behind(world: &World, application: &Application) -> bool {
    world.moved_from.as_ref().is_some_and(|old| application.sources().any(|source| old.is_written(&source.repository)))
}

impl Known {
    fn absent() -> Self {
        Self {
            state: State::Unknown,
            is_enough: false,
            has_error: false,
            is_left_behind: false,
            at_another_commit: false,
            sync_options: Value::Null,
            retry: Value::Null,
            prune: false,
            next_try: None,
            rest: None,
            repeated: 0,
            is_degraded: false,
            first_sync: None,
            times_first_sync: 0,
            is_synced: false,
            parent: None,
            last_failure: None,
            asked: None,
            times_asked: 0,
        }
    }

    /// What is to be expected of it.
    pub(super) fn prospect(&self) -> Prospect {
        // What does not work may need nothing but time: nobody has tried to help it.
        let asked = if self.is_degraded && !self.has_error { 0 } else { self.times_asked };
        prospect(&self.state, self.repeated.max(asked))
    }

    /// Why it is not there yet, in a few words.
    fn brief(&self) -> &str {
        match &self.state {
            State::Unknown => "Argo CD has not come to it yet",
            state => state.reason().unwrap_or("well"),
        }
    }
}
