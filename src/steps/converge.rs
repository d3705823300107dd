//! `converge`: every Application Synced and Healthy at the expected commit, the declared ones all there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use tokio::time::Instant;

use super::world::Credential;
use super::{Step, World};
use crate::domain::application::Application;
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use crate::domain::{Commit, Object, ObjectRef};
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, How};
use crate::plan::diagnosis::{State, verdict};
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{Change, ClusterError};

/// How long nothing may change before what is left counts as unable to come right by itself: longer than the longest pause between two
/// syncs that the Applications of a new fleet make.
const PATIENCE: Duration = Duration::from_secs(240);

/// The shortest pause between two requests to Argo CD about the same Application.
const PAUSE: Duration = Duration::from_secs(10);

/// Waits until the whole tree is well, asking for a sync where Argo CD has given up.
pub struct Converge;

/// How each Application stands; those that are declared and not there are Unknown.
pub type Seen = Option<BTreeMap<ObjectRef, State>>;

impl Step for Converge {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Converge
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        if world.cluster.served(&Application::resource()).await?.is_none() {
            return Ok(None);
        }
        let mut watched = Watched::new(world);
        watched.restart(world, world.cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await?.iter());
        Ok(Some(watched.states()))
    }

    fn decide(&self, _world: &World, seen: &Seen) -> Result<Verdict> {
        let Some(states) = seen else { return Ok(Verdict::needed("Argo CD is not there yet")) };
        let converged = states.values().filter(|state| state.is_converged()).count();
        Ok(if converged == states.len() {
            Verdict::satisfied(format!("{converged} Applications"))
        } else {
            Verdict::needed(format!("{} of {} Applications are not there yet", states.len() - converged, states.len()))
        })
    }

    async fn apply(&self, world: &World, _seen: Seen) -> Result<()> {
        let mut changes = world.cluster.watch(&Application::resource(), Some(ARGOCD_NAMESPACE));
        let mut watched = Watched::new(world);
        let mut last_change = Instant::now();
        loop {
            world.events.send(Event::Progress {
                step: self.id(),
                done: watched.converged(),
                total: watched.applications.len(),
                what: "applications",
            });
            if watched.is_converged() {
                return Ok(());
            }
            world.waiting(self.id(), watched.describe());
            watched.ask(world).await?;
            if last_change.elapsed() > PATIENCE {
                return Err(watched.given_up());
            }
            // Waking now and then is for asking again; what happens is seen by the watch.
            let change = tokio::select! {
                change = world.wait(changes.next(), || watched.describe()) => change.map_err(|failure| watched.blame(failure))?,
                () = tokio::time::sleep(PAUSE) => continue,
            };
            let before = watched.states();
            match change {
                Some(Ok(Change::Restarted(objects))) => watched.restart(world, objects.iter().map(AsRef::as_ref)),
                Some(Ok(Change::Applied(object))) => watched.note(world, &object),
                Some(Ok(Change::Deleted(gone))) => watched.remove(&gone),
                Some(Err(_)) => continue,
                None => return Err(Failure::bug("a watch ended")),
            }
            if watched.states() != before {
                last_change = Instant::now();
            }
        }
    }
}

/// What is known of one Application.
struct Known {
    state: State,
    has_error: bool,
    at_another_commit: bool,
    sync_options: serde_json::Value,
    retry: serde_json::Value,
    prune: bool,
    asked: Option<Instant>,
    times_asked: u32,
}

struct Watched {
    applications: BTreeMap<ObjectRef, Known>,
    declared: BTreeSet<ObjectRef>,
    seen_once: bool,
}

impl Watched {
    fn new(world: &World) -> Self {
        let declared = world.followed().applications.iter();
        let declared: BTreeSet<ObjectRef> = declared
            .map(|application| ObjectRef::namespaced(ARGOCD_API_VERSION, "Application", ARGOCD_NAMESPACE, application.object.name()))
            .collect();
        let applications = declared.iter().map(|reference| (reference.clone(), Known::absent())).collect();
        Self { applications, declared, seen_once: false }
    }

    fn restart<'a>(&mut self, world: &World, objects: impl Iterator<Item = &'a Object>) {
        let objects: Vec<&Object> = objects.collect();
        let there: BTreeSet<ObjectRef> = objects.iter().map(|object| object.reference()).collect();
        let gone: Vec<ObjectRef> = self.applications.keys().filter(|reference| !there.contains(reference)).cloned().collect();
        gone.iter().for_each(|reference| self.remove(reference));
        objects.into_iter().for_each(|object| self.note(world, object));
        self.seen_once = true;
    }

    fn note(&mut self, world: &World, object: &Object) {
        let Ok(application) = Application::read(object) else { return };
        let tree = world.followed();
        let commit = world.followed_commit();
        let expected = Some(&commit).filter(|_| application.follows(&tree.repository, &tree.revision));
        let before = self.applications.get(&object.reference());
        let known = Known {
            state: standing(world, &application, expected),
            has_error: application.errors().next().is_some(),
            at_another_commit: expected.is_some_and(|expected| {
                application.status.is_some() && application.revisions().next().is_some_and(|revision| revision != expected.as_str())
            }),
            sync_options: object.at("/spec/syncPolicy/syncOptions").cloned().unwrap_or_default(),
            retry: object.at("/spec/syncPolicy/retry").cloned().unwrap_or_default(),
            prune: application.spec.sync_policy.automated.as_ref().is_some_and(|automated| automated.prune),
            asked: before.and_then(|known| known.asked),
            times_asked: before.map_or(0, |known| known.times_asked),
        };
        self.applications.insert(object.reference(), known);
    }

    fn remove(&mut self, reference: &ObjectRef) {
        if self.declared.contains(reference) {
            self.applications.insert(reference.clone(), Known::absent());
        } else {
            self.applications.remove(reference);
        }
    }

    fn states(&self) -> BTreeMap<ObjectRef, State> {
        self.applications.iter().map(|(reference, known)| (reference.clone(), known.state.clone())).collect()
    }

    fn converged(&self) -> usize {
        self.applications.values().filter(|known| known.state.is_converged()).count()
    }

    fn is_converged(&self) -> bool {
        self.seen_once && self.converged() == self.applications.len()
    }

    fn open(&self) -> impl Iterator<Item = (&ObjectRef, &Known)> {
        self.applications.iter().filter(|(_, known)| !known.state.is_converged())
    }

    /// The first few that are not there yet, and why.
    fn describe(&self) -> String {
        const FEW: usize = 3;
        let few: Vec<String> = self.open().take(FEW).map(|(reference, known)| format!("{}: {}", reference.name, known.brief())).collect();
        let more = self.open().count().saturating_sub(FEW);
        if more == 0 { few.join("; ") } else { format!("{}; and {more} more", few.join("; ")) }
    }

    /// Asks Argo CD to look again where it is at another commit or holds on to an error, and to sync where it has given up.
    async fn ask(&mut self, world: &World) -> Result<()> {
        if self.applications.values().any(|known| known.at_another_commit && known.times_asked > 0) {
            follow_the_branch(world).await?;
        }
        let now = Instant::now();
        for (reference, known) in &mut self.applications {
            let pause = PAUSE * 2u32.saturating_pow(known.times_asked.saturating_sub(1).min(3));
            if known.asked.is_some_and(|asked| now.duration_since(asked) < pause) {
                continue;
            }
            let patch = match &known.state {
                State::Stalled { kickable: true, .. } => {
                    world.count_kick();
                    sync_request(known)
                }
                _ if known.at_another_commit => json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}),
                State::Failed { .. } if known.has_error => json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "hard"}}}),
                _ => continue,
            };
            world.go_on()?;
            known.asked = Some(now);
            known.times_asked += 1;
            match world.cluster.merge_patch(reference, &patch).await {
                Ok(_) => world.changed(StepId::Converge, reference, How::Kicked),
                Err(ClusterError::NotFound(_) | ClusterError::Stale(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn given_up(&self) -> Failure {
        self.blame(Failure::new(
            Kind::Deadline,
            format!("{} of {} Applications cannot come right by themselves", self.open().count(), self.applications.len()),
        ))
        .hint("correct the cause in Git and push: Argo CD takes it from there; then run the same command again")
    }

    fn blame(&self, failure: Failure) -> Failure {
        const MOST: usize = 20;
        let failure = self.open().take(MOST).fold(failure, |failure, (reference, known)| {
            failure.because(format!("{}: {}", reference.name, known.state.reason().unwrap_or("it is not there")))
        });
        failure.hint("`gitops-bootstrap status` shows the tree with the cause of each stall")
    }
}

impl Known {
    /// Why it is not there yet, in a few words.
    fn brief(&self) -> &str {
        match &self.state {
            State::Unknown => "Argo CD has not come to it yet",
            state => state.reason().unwrap_or("well"),
        }
    }

    fn absent() -> Self {
        Self {
            state: State::Unknown,
            has_error: false,
            at_another_commit: false,
            sync_options: serde_json::Value::Null,
            retry: serde_json::Value::Null,
            prune: false,
            asked: None,
            times_asked: 0,
        }
    }
}

/// Asks for a sync. A request inherits neither the options nor the retries of the Application: without them a sync would fall back to client-side
/// apply, which fails for large objects.
fn sync_request(known: &Known) -> serde_json::Value {
    json!({"operation": {
        "initiatedBy": {"username": "gitops-bootstrap"},
        "retry": known.retry,
        "sync": {"prune": known.prune, "syncOptions": known.sync_options, "syncStrategy": {"hook": {}}},
    }})
}

/// How an Application stands. One that still goes to the place that the tree has left is not there yet, however well it is.
fn standing(world: &World, application: &Application, expected: Option<&Commit>) -> State {
    let left = world.left();
    match verdict(application, expected) {
        State::Converged if application.sources().any(|source| left.is_named_by(&source.repository)) => {
            State::Progressing { why: format!("it still takes its objects from {left}") }
        }
        state => state,
    }
}

/// If the branch has moved since the run began, its new commit is the one that counts.
async fn follow_the_branch(world: &World) -> Result<()> {
    let Some(Credential::DeployKey { private, .. }) = world.credential() else { return Ok(()) };
    let tree = &world.wanted.tree;
    let Ok(Some(head)) = world.remote.branch_head(&tree.repository, &tree.revision, &private, &world.wanted.hosts).await else {
        return Ok(());
    };
    if head != world.commit() {
        world.events.warn(format!("{} moved to {} during the run: that is what the cluster goes to", tree.revision, head.short()), None);
        world.note_commit(head);
    }
    Ok(())
}
