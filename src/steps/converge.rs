//! `converge`: every Application Synced and Healthy at the expected commit, the declared ones all there.

mod asking;
mod first_syncs;
mod rest;
mod watched;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::Instant;

use self::asking::PAUSE;
use self::first_syncs::FirstSyncs;
use self::watched::Watched;
use super::{Step, World};
use crate::domain::application::Application;
use crate::domain::tree::{ARGOCD_NAMESPACE, Tree};
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::plan::diagnosis::State;
use crate::plan::prospect::Prospect;
use crate::plan::tiers::Tiers;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::Change;

/// How long nothing may change before what moves counts as unable to come right by itself: longer than the longest pause between two
/// syncs that the Applications of a new fleet make.
const PATIENCE: Duration = Duration::from_secs(240);

/// The same once nothing moves any more: all that is left has failed often enough.
const PATIENCE_WITH_STUCK: Duration = Duration::from_secs(45);

/// The same where all that is left waits for a time or a person.
const PATIENCE_WITH_WAITING: Duration = Duration::from_secs(20);

/// Waits until the whole tree is well, asking for a sync where Argo CD has given up.
pub struct Converge;

/// Which Applications are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that are declared, and all that are there.
    Everything,
    /// The same without the root and the services, which are held back. Of Argo CD's own Application it is enough that Argo CD finds its objects
    /// healthy: they were applied from this commit and run, and that Argo CD makes them its own changes nothing that a service could need.
    Foundation,
}

impl Scope {
    fn left_out(self, tree: &Tree) -> BTreeSet<String> {
        match self {
            Self::Everything => BTreeSet::new(),
            Self::Foundation => {
                let held = Tiers::of(tree).held_names(tree);
                held.into_iter().chain([tree.root.object.name()]).map(str::to_owned).collect()
            }
        }
    }

    /// The Application of which it is enough that its objects work.
    fn taking_over(self, tree: &Tree) -> Option<&str> {
        match self {
            Self::Everything => None,
            Self::Foundation => tree.argocd_application().map(|application| application.object.name()),
        }
    }
}

/// How the Applications stand; those that are declared and not there are Unknown.
pub struct Standing {
    watched: Watched,
}

impl Standing {
    /// The Applications that have not converged, each with the reason.
    pub fn open(&self) -> Vec<String> {
        let reason = |state: &State| state.reason().unwrap_or("it is not there").to_owned();
        self.watched.causes().map(|(reference, known)| format!("{}: {}", reference.name, reason(&known.state))).collect()
    }

    /// Whether all that is left waits for a time or a person, as Git itself says.
    pub fn only_waits(&self) -> bool {
        self.watched.causes().all(|(_, known)| known.prospect() == Prospect::Waiting)
    }

    /// Whether all of them are fetched by the address that they are to be fetched by, however they are otherwise.
    pub fn is_moved(&self) -> bool {
        self.watched.open().all(|(_, known)| !known.is_left_behind && !known.has_error)
    }

    /// The failure of a run that needs all of them.
    pub fn given_up(&self) -> Failure {
        let (open, all) = (self.watched.causes().count(), self.watched.applications.len());
        self.watched
            .blame(Failure::new(Kind::Deadline, format!("{open} of {all} Applications cannot come right by themselves")))
            .hint("correct the cause in Git and push: Argo CD takes it from there; then run the same command again")
    }
}

impl Step for Converge {
    type Seen = Option<Standing>;

    fn id(&self) -> StepId {
        StepId::Converge
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        if world.cluster.served(&Application::resource()).await?.is_none() {
            return Ok(None);
        }
        let mut watched = Watched::new(world, &Scope::Everything);
        watched.restart(world, world.cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await?.iter());
        Ok(Some(Standing { watched }))
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        let Some(standing) = seen else { return Ok(Verdict::needed("Argo CD is not there yet")) };
        let (converged, all) = (standing.watched.converged(), standing.watched.applications.len());
        Ok(if converged == all {
            Verdict::satisfied(format!("{converged} Applications"))
        } else if world.is_left_waiting() && standing.only_waits() {
            Verdict::satisfied(format!("{converged} of {all} Applications; what is left waits for a time or a person"))
        } else if world.is_left_waiting() && world.moved_from.is_some() && standing.is_moved() {
            Verdict::satisfied(format!("{all} Applications have moved; {} of them are not well", all - converged))
        } else {
            Verdict::needed(format!("{} of {all} Applications are not there yet", all - converged))
        })
    }

    async fn apply(&self, world: &World, _seen: Self::Seen) -> Result<()> {
        let settled = until_settled(world, self.id(), Scope::Everything).await?;
        if settled.watched.is_converged() {
            return Ok(());
        }
        // What is not well for another reason does not keep a cluster from moving.
        let has_moved = world.moved_from.is_some() && settled.is_moved();
        // A recovery has done its work where Git itself says that the rest waits.
        if has_moved || (world.wanted.recovery.is_some() && settled.only_waits()) {
            settled.open().into_iter().for_each(|open| world.events.warn(format!("not up: {open}"), None));
            world.note_left_waiting();
            return Ok(());
        }
        Err(settled.given_up())
    }
}

/// Waits until all Applications in `scope` have converged, or until nothing can be expected of those that have not.
pub async fn until_settled(world: &World, step: StepId, scope: Scope) -> Result<Standing> {
    let mut changes = world.cluster.watch(&Application::resource(), Some(ARGOCD_NAMESPACE));
    let mut watched = Watched::new(world, &scope);
    let mut first_syncs = FirstSyncs::new(world, step);
    let mut last_change = Instant::now();
    loop {
        world.events.send(Event::Progress { step, done: watched.converged(), total: watched.applications.len(), what: "applications" });
        if watched.is_converged() {
            return Ok(Standing { watched });
        }
        world.waiting(step, watched.describe());
        first_syncs.ask(&mut watched);
        asking::ask(&mut watched, world, step).await?;
        if last_change.elapsed() > patience(&watched) {
            return Ok(Standing { watched });
        }
        let before = watched.outlook();
        // Waking now and then is for asking again; what happens is seen by the watch.
        let change = tokio::select! {
            change = world.wait(changes.next(), || watched.describe()) => change.map_err(|failure| watched.blame(failure))?,
            answered = first_syncs.answered() => {
                answered?;
                continue;
            }
            () = tokio::time::sleep_until(wake(&watched)) => continue,
        };
        match change {
            Some(Ok(Change::Restarted(objects))) => watched.restart(world, objects.iter().map(AsRef::as_ref)),
            Some(Ok(Change::Applied(object))) => watched.note(world, &object),
            Some(Ok(Change::Deleted(gone))) => watched.remove(&gone),
            Some(Err(_)) => continue,
            None => return Err(Failure::bug("a watch ended")),
        }
        if watched.outlook() != before {
            last_change = Instant::now();
        }
    }
}

/// When to ask again at the latest.
fn wake(watched: &Watched) -> Instant {
    let latest = Instant::now() + PAUSE;
    watched.next_look().map_or(latest, |look| look.min(latest))
}

/// How long nothing may change.
fn patience(watched: &Watched) -> Duration {
    let open: BTreeSet<Prospect> = watched.causes().map(|(_, known)| known.prospect()).collect();
    if open.contains(&Prospect::Moving) {
        PATIENCE
    } else if open.contains(&Prospect::Stuck) {
        PATIENCE_WITH_STUCK
    } else {
        PATIENCE_WITH_WAITING
    }
}
