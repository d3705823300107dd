//! Runs a recipe: look, decide, apply, look again; emits events, and stops when told to.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::Instant;

use crate::error::{Failure, Kind, Result};
use crate::event::{Event, Outcome, PlannedStep};
use crate::plan::preview::Preview;
use crate::plan::{StepId, Verdict};
use crate::steps::faults::Position;
use crate::steps::world::interrupted;
use crate::steps::{
    Step, World, applications::Applications, applications::Finalizers, census::Census, converge::Converge, definitions::Definitions,
    fetch::Fetch, gates::Gates, infrastructure::Infrastructure, install::Crds, install::Install, key_register::KeyRegister,
    key_remove::KeyRemove, key_verify::KeyVerify, known_hosts::KnownHosts, lease, lease::Lease, lease::Release, leave::Leave,
    marker::Marker, namespace::Namespace, next_key::NextKey, next_key::Settle, old_key::OldKey, old_secret::OldSecret, projects::Projects,
    proof::Proof, prune_keys::PruneKeys, record::Record, refresh::Refresh, remove::Remove, rollout::Rollout, root_app::RootApp,
    root_of_trust::RootOfTrust, secret_create::SecretCreate, secret_swap::SecretSwap, serve_clone::ServeClone, serve_clone::ServeEnd,
    stop::Stop, webhook::Webhook, webhook::WebhookRemove,
};

/// How long requests under way may take to end once the run was told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// How much later than another process of the same terminal a signal may be noticed.
const SIGNAL_DELAY: Duration = Duration::from_millis(100);

/// How long a step took and what came of it.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Which.
    pub step: StepId,
    /// What came of it.
    pub outcome: Outcome,
    /// In a few words.
    pub because: String,
    /// In milliseconds.
    pub milliseconds: u64,
}

/// A step whose own types are hidden.
#[async_trait]
trait Runnable: Send + Sync {
    async fn survey(&self, world: &World) -> Result<Verdict>;
    async fn preview(&self, world: &World) -> Result<(Result<Verdict>, Preview)>;
    async fn ensure(&self, world: &World) -> Result<(Outcome, String)>;
}

#[async_trait]
impl<S: Step> Runnable for S {
    async fn survey(&self, world: &World) -> Result<Verdict> {
        let seen = self.look(world).await?;
        self.decide(world, &seen)
    }

    async fn preview(&self, world: &World) -> Result<(Result<Verdict>, Preview)> {
        let seen = self.look(world).await?;
        let verdict = self.decide(world, &seen);
        match self.preview(world, seen).await {
            // Of a step that must not be made, no more need be known.
            Err(_) if verdict.is_err() => Ok((verdict, Preview::default())),
            preview => Ok((verdict, preview?)),
        }
    }

    async fn ensure(&self, world: &World) -> Result<(Outcome, String)> {
        let seen = self.look(world).await?;
        if let Verdict::Satisfied { because } = self.decide(world, &seen)? {
            return Ok((Outcome::InPlace, because));
        }
        // A run that was told to stop still gives the lock back.
        if self.id() != StepId::Release {
            world.go_on()?;
            if world.holds_lease() {
                lease::check(world).await?;
            }
        }
        let mut seen = seen;
        for _ in 1..rounds(self.id()) {
            until_cancelled(world, self.apply(world, seen)).await?;
            seen = self.look(world).await?;
            if let Verdict::Satisfied { because } = self.decide(world, &seen)? {
                return Ok((Outcome::Changed, because));
            }
        }
        until_cancelled(world, self.apply(world, seen)).await?;
        match self.survey(world).await? {
            Verdict::Satisfied { because } => Ok((Outcome::Changed, because)),
            Verdict::Needed { because, changes } => {
                Err(Failure::new(Kind::Transient, format!("`{}` did not stay as it was made: {because}", self.id()))
                    .because(if changes.is_empty() {
                        "somebody else changes the same objects".to_owned()
                    } else {
                        format!("somebody else changes {}", changes.join(", "))
                    })
                    .hint("find out who; then run the same command again"))
            }
        }
    }
}

/// How often a step is applied at most until it stays. Argo CD comes back to a parent whose children have just come up, and may find that one was not ready
/// yet, or different for a moment: that is waited for again.
fn rounds(step: StepId) -> u32 {
    if matches!(step, StepId::Gates | StepId::Converge) { 5 } else { 1 }
}

/// Runs `apply` to its end; once the run was told to stop, for no longer than [`GRACE`].
async fn until_cancelled(world: &World, apply: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::pin!(apply);
    tokio::select! {
        result = &mut apply => match result {
            Err(failure) if failure.kind == Kind::Transient && is_cancelled_now(world).await => Err(interrupted()),
            result => result,
        },
        () = world.cancel.cancelled() => match tokio::time::timeout(GRACE, apply).await {
            Ok(Err(failure)) if failure.kind != Kind::Transient => Err(failure),
            _ => Err(interrupted()),
        },
    }
}

/// Whether the run is told to stop at this moment. A program that it has started, such as git, gets the same Ctrl-C, and may end by it before that is
/// noticed here.
async fn is_cancelled_now(world: &World) -> bool {
    tokio::time::timeout(SIGNAL_DELAY, world.cancel.cancelled()).await.is_ok()
}

fn step(id: StepId) -> Box<dyn Runnable> {
    match id {
        StepId::Ns => Box::new(Namespace),
        StepId::Lease => Box::new(Lease),
        StepId::Record => Box::new(Record),
        StepId::RootOfTrust => Box::new(RootOfTrust),
        StepId::SecretCreate => Box::new(SecretCreate),
        StepId::KeyRegister => Box::new(KeyRegister),
        StepId::KeyVerify => Box::new(KeyVerify),
        StepId::Crds => Box::new(Crds),
        StepId::Install => Box::new(Install),
        StepId::KnownHosts => Box::new(KnownHosts),
        StepId::Rollout => Box::new(Rollout),
        StepId::ServeClone => Box::new(ServeClone),
        StepId::Projects => Box::new(Projects),
        StepId::Infrastructure => Box::new(Infrastructure),
        StepId::Gates => Box::new(Gates),
        StepId::RootApp => Box::new(RootApp),
        StepId::Converge => Box::new(Converge),
        StepId::ServeEnd => Box::new(ServeEnd),
        StepId::PruneKeys => Box::new(PruneKeys),
        StepId::Webhook => Box::new(Webhook),
        StepId::WebhookRemove => Box::new(WebhookRemove),
        StepId::Marker => Box::new(Marker),
        StepId::Release => Box::new(Release),
        StepId::NextKey => Box::new(NextKey),
        StepId::SecretSwap => Box::new(SecretSwap),
        StepId::Fetch => Box::new(Fetch),
        StepId::OldKey => Box::new(OldKey),
        StepId::Settle => Box::new(Settle),
        StepId::Refresh => Box::new(Refresh),
        StepId::OldSecret => Box::new(OldSecret),
        StepId::Census => Box::new(Census),
        StepId::Stop => Box::new(Stop),
        StepId::Finalizers => Box::new(Finalizers),
        StepId::Applications => Box::new(Applications),
        StepId::KeyRemove => Box::new(KeyRemove),
        StepId::Remove => Box::new(Remove),
        StepId::Definitions => Box::new(Definitions),
        StepId::Proof => Box::new(Proof),
        StepId::Leave => Box::new(Leave),
    }
}

/// Reads the world and says what a run of `recipe` would do. Changes nothing.
///
/// # Errors
/// What would stop the run: of several failures that of the first step.
pub async fn survey(recipe: &[StepId], world: &World) -> Result<Vec<PlannedStep>> {
    let mut planned = in_turn(recipe, |id| async move {
        let verdict = world.wait(step(id).survey(world), || an_answer_on(id)).await??;
        Ok(planned(id, verdict, world))
    })
    .await?;
    leave_idle_lock(&mut planned);
    Ok(planned)
}

/// The same, with what would become of each object and each deploy key, by dry runs on the API server. Changes nothing.
///
/// What would stop the run is in the preview, the first step's first, so that all of it can be shown.
///
/// # Errors
/// What keeps the world from being read.
pub async fn preview(recipe: &[StepId], world: &World) -> Result<(Vec<PlannedStep>, Preview)> {
    let looked = in_turn(recipe, |id| async move {
        let (verdict, preview) = world.wait(step(id).preview(world), || an_answer_on(id)).await??;
        Ok(match verdict {
            Ok(verdict) => (planned(id, verdict, world), preview),
            Err(failure) => {
                let verdict = Verdict::needed(failure.message.clone());
                let stopped = Preview { failures: vec![failure], ..Preview::default() };
                (planned(id, verdict, world), Preview::all([stopped, preview]))
            }
        })
    })
    .await?;
    let (mut steps, previews): (Vec<PlannedStep>, Vec<Preview>) = looked.into_iter().unzip();
    leave_idle_lock(&mut steps);
    let mut preview = Preview::all(previews).with_each_object_once();
    let is_idle = |id: StepId| steps.iter().any(|step| step.step == id && !step.needed);
    preview.objects.retain(|object| object.step != StepId::Lease || !object.is_sent() || !is_idle(StepId::Lease));
    Ok((steps, preview))
}

/// Looks at the steps of `recipe`: at those up to the one that finds what the others need, as the credential, in their order, and at the others at the
/// same time.
async fn in_turn<T, F: Future<Output = Result<T>>>(recipe: &[StepId], look: impl Fn(StepId) -> F) -> Result<Vec<T>> {
    let split = recipe.iter().position(|id| id.informs_others()).map_or(0, |place| place + 1);
    let (first, others) = recipe.split_at_checked(split).unwrap_or((recipe, &[]));
    let mut looked = Vec::with_capacity(recipe.len());
    for &id in first {
        looked.push(look(id).await?);
    }
    // Of several failures it is that of the first step that is told.
    for result in join_all(others.iter().map(|&id| look(id))).await {
        looked.push(result?);
    }
    Ok(looked)
}

/// The lock is for runs that change something.
fn leave_idle_lock(planned: &mut [PlannedStep]) {
    let others = planned.iter().any(|planned| planned.needed && planned.step != StepId::Lease);
    if let Some(lock) = planned.iter_mut().find(|planned| planned.step == StepId::Lease)
        && !others
    {
        lock.needed = false;
        lock.because = "nothing is to be changed".to_owned();
    }
}

fn an_answer_on(id: StepId) -> String {
    format!("an answer on {}", id.title())
}

fn planned(id: StepId, verdict: Verdict, world: &World) -> PlannedStep {
    let (needed, because, changes) = match verdict {
        Verdict::Satisfied { because } => (false, because, Vec::new()),
        Verdict::Needed { because, changes } => (true, because, changes),
    };
    PlannedStep { step: id, needed, because, changes, why: world.why(id) }
}

/// Runs the steps of `recipe` in their order. On a failure the lock is given back, as far as the cluster lets it.
pub async fn run(recipe: &[StepId], world: &World) -> Result<Vec<StepReport>> {
    let mut reports = Vec::with_capacity(recipe.len());
    run_into(&mut reports, recipe, world).await?;
    Ok(reports)
}

/// The same; the steps that are over are in `reports` also if a later one fails.
pub async fn run_into(reports: &mut Vec<StepReport>, recipe: &[StepId], world: &World) -> Result<()> {
    let steps = async {
        for &id in recipe {
            reports.push(run_step(id, world).await?);
        }
        Ok(())
    };
    tokio::pin!(steps);
    let mut keeper: Option<tokio::task::JoinHandle<Failure>> = None;
    let result = loop {
        let result = tokio::select! {
            result = &mut steps => Some(result),
            () = tokio::time::sleep(Duration::from_secs(1)), if keeper.is_none() => None,
            lost = async { match keeper.as_mut() { Some(keeper) => keeper.await.ok(), None => std::future::pending().await } } => lost.map(Err),
        };
        match result {
            Some(result) => break result,
            None if world.holds_lease() && keeper.is_none() => {
                keeper = Some(tokio::spawn(lease::keep(world.cluster.clone(), world.wanted.holder.clone())));
            }
            None => {}
        }
    };
    if let Some(keeper) = keeper {
        keeper.abort();
    }
    if let Err(failure) = &result
        && failure.kind != Kind::Locked
        && !world.faults.is_dead()
        && world.holds_lease()
    {
        // A lock that cannot be given back runs out by itself.
        let _ = tokio::time::timeout(GRACE, step(StepId::Release).ensure(world)).await;
    }
    result
}

async fn run_step(id: StepId, world: &World) -> Result<StepReport> {
    world.go_on()?;
    let begin = Instant::now();
    world.faults.enter(id);
    world.events.send(Event::StepStarted { step: id, title: id.title().to_owned(), why: world.why(id) });
    world.faults.hit(id, Position::Before)?;
    let (outcome, because) = step(id).ensure(world).await?;
    world.faults.hit(id, Position::Sent)?;
    world.faults.hit(id, Position::After)?;
    let milliseconds = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    world.events.send(Event::StepFinished { step: id, outcome, because: because.clone(), milliseconds });
    Ok(StepReport { step: id, outcome, because, milliseconds })
}
