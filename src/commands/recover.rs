//! `recover`: a cluster that was lost, rebuilt from a clone.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use super::Context;
use super::bootstrap::{
    applications, compare_clone, confirm, faults, forge, holder, named_folder, pinned_hosts, remote_head, started, tell_facts, with_way_on,
    without_token,
};
use super::connect::{Connected, connect_to, sandbox_up};
use crate::adapters::git::{GitRemote, GitWorktree};
use crate::adapters::ssh_key::SshKeyMaker;
use crate::cli::recover::Arguments;
use crate::engine::{self, StepReport};
use crate::error::{Failure, Result};
use crate::event::{Event, Outcome, PlannedStep};
use crate::plan::StepId;
use crate::plan::recovery::{ApplicationEvidence, End, FORMAT, KeyEvidence, Phase, Recovery, Target};
use crate::ports::cluster::ClusterFacts;
use crate::ports::{Cluster, KeyMaker, Remote, Worktree};
use crate::preflight::{self, Fleet};
use crate::sandbox::State;
use crate::steps::World;
use crate::steps::world::{Credential, Wanted, interrupted};

/// Runs `recover`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let recovery = recover(&arguments, context).await.map_err(|failure| with_way_on(failure, context))?;
    if let Some(failure) = recovery.failure {
        return Err(with_way_on(failure, context));
    }
    context.events.send(Event::Finished { result: serde_json::to_value(&recovery).unwrap_or_default() });
    Ok(())
}

/// Recovers a cluster and returns the evidence, also if not everything came up: [`Recovery::failure`] says why.
///
/// # Errors
/// What stopped the run before the first write: a refusal, a wrong argument, an unreachable server.
pub async fn recover(arguments: &Arguments, context: &Context) -> Result<Recovery> {
    context.events.send(started("recover", Some(arguments.cluster.to_string())));
    let sandbox = sandbox_up(&arguments.run.target, context).await?;
    let folder = named_folder(context);
    let began = Instant::now();
    let deadline = began + arguments.run.timeout;
    // Looking changes nothing, so there is nothing to end well.
    let (world, connected, planned) = tokio::select! {
        looked = look(arguments, context, &folder, sandbox, deadline) => looked?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    context.events.send(Event::Planned { steps: planned.clone() });
    confirm(&planned, &world, connected.sandbox.is_some(), context).await?;
    let mut steps = Vec::new();
    let result = match planned.iter().any(|step| step.needed) {
        true => engine::run_into(&mut steps, &StepId::RECOVER, &world).await,
        false => Ok(()),
    };
    evidence(&world, &steps, result.err(), began).await
}

async fn look(
    arguments: &Arguments,
    context: &Context,
    folder: &Path,
    sandbox: Option<State>,
    deadline: Instant,
) -> Result<(World, Connected, Vec<PlannedStep>)> {
    let worktree = Arc::new(GitWorktree::new(folder));
    let (fleet, connected) = tokio::try_join!(
        preflight::load(worktree.as_ref(), &arguments.cluster, arguments.run.commit.as_ref()),
        connect_to(&arguments.run.target, sandbox, context, Some(deadline))
    )?;
    for warning in &fleet.reading.warnings {
        context.events.warn(warning.clone(), None);
    }
    let world = check(arguments, context, worktree, fleet, &connected, deadline).await?;
    let planned = engine::survey(&StepId::RECOVER, &world).await?;
    Ok((world, connected, planned))
}

/// All that is checked before the first write.
async fn check(
    arguments: &Arguments,
    context: &Context,
    worktree: Arc<dyn Worktree>,
    fleet: Fleet,
    connected: &Connected,
    deadline: Instant,
) -> Result<World> {
    let flags = &arguments.run;
    let tree = &fleet.reading.tree;
    let declaration = fleet.declaration.as_ref();
    let cluster = &connected.cluster;
    let keys: Arc<dyn KeyMaker> = Arc::new(SshKeyMaker);
    let remote: Arc<dyn Remote> = Arc::new(GitRemote::new(context.environment.variables.clone()));
    let hosts = pinned_hosts(declaration)?;
    let forge = forge(flags, context, declaration, &tree.repository, connected.sandbox.as_ref(), deadline).await?;
    if forge.is_none() && !flags.paste_key && !context.environment.interactive {
        return Err(without_token(flags, declaration, &tree.repository));
    }
    let facts = async {
        let facts = preflight::check_cluster(cluster, &arguments.cluster, declaration, tree).await?;
        tokio::try_join!(preflight::check_trees(cluster, tree), preflight::check_rights(cluster, tree))?;
        Ok::<ClusterFacts, Failure>(facts)
    };
    let forge_check = async {
        match &forge {
            Some(forge) => preflight::check_forge(forge.as_ref(), &tree.repository, flags.accept_rename, &context.events).await,
            None => Ok(()),
        }
    };
    let host_keys = preflight::check_host_keys(remote.as_ref(), keys.as_ref(), &tree.repository, &tree.revision, &hosts);
    let remote_head = remote_head(remote.as_ref(), &tree.repository, &tree.revision, &hosts, connected.sandbox.as_ref());
    let (facts, (), (), head) = tokio::try_join!(facts, forge_check, host_keys, async { Ok(remote_head.await) })?;
    tell_facts(&facts, tree.commit.short(), context);
    let wanted = Wanted {
        cluster: arguments.cluster.clone(),
        tree: tree.clone(),
        commit: tree.commit.clone(),
        facts,
        hosts,
        bundle: None,
        take_ownership: flags.take_ownership,
        fix_key: flags.fix_key,
        wait_for_lock: flags.wait,
        holder: holder(context),
        now: jiff::Timestamp::now(),
    };
    let world = World::new(
        Arc::new(cluster.clone()) as Arc<dyn Cluster>,
        forge,
        remote,
        keys,
        context.events.clone(),
        context.cancel.clone(),
        deadline,
        Arc::new(faults(flags)?),
        wanted,
    );
    compare_clone(&world, worktree, &fleet, head, flags.commit.as_ref(), context).await?;
    Ok(world)
}

/// What the run came to.
async fn evidence(world: &World, steps: &[StepReport], failure: Option<Failure>, began: Instant) -> Result<Recovery> {
    let facts = &world.wanted.facts;
    let registered = world.registered();
    let key = match world.credential() {
        Some(Credential::DeployKey { public, .. }) => Some(KeyEvidence {
            fingerprint: public.fingerprint(),
            restored: false,
            id: registered.as_ref().map(|registered| registered.id),
            title: registered.map(|registered| registered.title),
        }),
        _ => None,
    };
    let applications = applications(world).await.unwrap_or_default();
    let applications = applications.into_iter().map(|(application, state)| ApplicationEvidence {
        name: application.reference.to_string(),
        parent: application.tracked_by.clone(),
        state: state.word(),
        cause: state.reason().map(str::to_owned),
        seen: None,
        converged: None,
        kicks: 0,
    });
    Ok(Recovery {
        format: FORMAT,
        tool: env!("CARGO_PKG_VERSION"),
        cluster: world.wanted.cluster.to_string(),
        end: if failure.is_some() { End::Incomplete } else { End::Converged },
        failure,
        began: world.wanted.now.to_string(),
        milliseconds: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        repository: world.wanted.tree.repository.clone(),
        commit: world.commit(),
        argocd_version: world.wanted.tree.argocd_version(),
        target: Target {
            context: facts.context.clone(),
            server: facts.server.clone(),
            kubernetes: facts.git_version.clone(),
            identity: facts.identity.clone(),
        },
        old_identity: None,
        key,
        stale_keys: Vec::new(),
        restored: Vec::new(),
        phases: steps.iter().map(phase).collect(),
        applications: applications.collect(),
        kicks: world.kicks(),
        skipped: world.skipped(),
        losses: Vec::new(),
        needs_person: Vec::new(),
    })
}

fn phase(report: &StepReport) -> Phase {
    let outcome = match report.outcome {
        Outcome::Changed => "changed",
        Outcome::InPlace => "in-place",
        Outcome::Skipped => "skipped",
    };
    Phase { step: report.step, outcome, because: report.because.clone(), milliseconds: report.milliseconds }
}
