//! `init`: the main job.

mod questions;
mod result;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use self::questions::Start;
use super::Context;
use super::access::access;
use super::asked::Asked;
use super::bootstrap::{compare_clone, confirm, declared_webhook, holder, pinned_hosts, remote, started, tell_facts, with_way_on, world};
use super::connect::{Connected, connect_to, sandbox_up};
use super::new::{self, Existing};
use super::serve_clone;
use crate::adapters::git::GitWorktree;
use crate::cli::init::Arguments;
use crate::domain::ClusterName;
use crate::domain::declaration::{Flavour, Repository};
use crate::engine;
use crate::error::Result;
use crate::event::{Event, PlannedStep};
use crate::manifest::scaffold::{ARGOCD_VERSION, Choices};
use crate::plan::StepId;
use crate::ports::Worktree;
use crate::preflight::{self, Fleet};
use crate::sandbox::{State, demo};
use crate::steps::World;
use crate::steps::credential::Access;
use crate::steps::world::{Wanted, interrupted};

/// Runs `init`.
pub async fn run(mut arguments: Arguments, context: &Context) -> Result<()> {
    bootstrap(&mut arguments, context).await.map_err(|failure| with_way_on(failure, context))
}

async fn bootstrap(arguments: &mut Arguments, context: &Context) -> Result<()> {
    let cluster_name = arguments.cluster.as_ref().map(ToString::to_string);
    context.events.send(started("init", cluster_name));

    let Some(start) = questions::start(arguments, context).await? else { return Ok(()) };
    let begin = Instant::now();
    let sandbox = sandbox_up(&arguments.run.change.target, context).await?;
    let folder = fleet_folder(&start, sandbox.as_ref(), context).await?;
    // Looking changes nothing, so there is nothing to end well.
    let (world, connected, planned) = tokio::select! {
        looked = look(arguments, context, &start.cluster, &folder, sandbox) => looked?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    context.events.send(Event::Planned { steps: planned.clone() });
    confirm(&planned, &world, connected.sandbox.is_some(), context).await?;
    let steps = if planned.iter().any(|step| step.needed) { engine::run(&serve_clone::steps(&planned), &world).await? } else { Vec::new() };
    result::report(&world, &steps, arguments, &connected, &folder, begin.elapsed(), context).await
}

/// Reads the fleet repository, the cluster and the forge, and says what there is to do. The time of the run counts from here: what comes before is
/// for this machine alone, and may have to build the sandbox's engine.
async fn look(
    arguments: &Arguments,
    context: &Context,
    name: &ClusterName,
    folder: &Path,
    sandbox: Option<State>,
) -> Result<(World, Connected, Vec<PlannedStep>)> {
    let (world, connected) = prepare(arguments, context, name, folder, sandbox).await?;
    let planned = serve_clone::survey(&StepId::INIT, &world).await?;
    Ok((world, connected, planned))
}

/// Reads the fleet repository, and checks all that is checked before the first write.
pub(super) async fn prepare(
    arguments: &Arguments,
    context: &Context,
    name: &ClusterName,
    folder: &Path,
    sandbox: Option<State>,
) -> Result<(World, Connected)> {
    let deadline = Instant::now() + arguments.run.change.timeout;
    let worktree = Arc::new(GitWorktree::new(folder));
    let (fleet, connected) = tokio::try_join!(
        preflight::load(worktree.as_ref(), name, arguments.run.commit.as_ref()),
        connect_to(&arguments.run.change.target, sandbox, context, Some(deadline))
    )?;
    for warning in &fleet.reading.warnings {
        context.events.warn(warning.clone(), None);
    }
    let world = check(arguments, context, name, worktree, fleet, &connected, deadline).await?;
    Ok((world, connected))
}

/// The folder of the fleet repository. With a sandbox and no fleet repository here, a demo one is made.
async fn fleet_folder(start: &Start, sandbox: Option<&State>, context: &Context) -> Result<PathBuf> {
    let Some(state) = sandbox.filter(|_| !start.is_fleet) else { return Ok(start.folder.clone()) };
    let scaffold = async |folder: &Path, repository: &Repository| {
        let (install_manifest, argocd) = new::install_manifest(ARGOCD_VERSION, Flavour::Standard, true, folder, context).await?;
        let clusters = BTreeSet::from([start.cluster.clone()]);
        let choices = Choices { repository: repository.clone(), clusters, argocd, install_manifest, examples: true };
        new::scaffold(folder, &choices, Existing::Refuse, context).await.map(drop)
    };
    Ok(demo::ensure(&start.folder.join(demo::FOLDER), state, context, scaffold).await?.folder)
}

/// All that is checked before the first write.
async fn check(
    arguments: &Arguments,
    context: &Context,
    name: &ClusterName,
    worktree: Arc<dyn Worktree>,
    fleet: Fleet,
    connected: &Connected,
    deadline: Instant,
) -> Result<World> {
    let tree = &fleet.reading.tree;
    let cluster = &connected.cluster;
    let flags = &arguments.run;
    let remote = remote(context, &tree.repository, connected.sandbox.as_ref())?;
    let declaration = fleet.declaration.as_ref();
    let hosts = pinned_hosts(declaration)?;
    let asked = Asked {
        flags: &flags.change.login,
        declared: declaration.map(|declaration| &declaration.repository),
        repository: &tree.repository,
        sandbox: connected.sandbox.as_ref(),
        deadline,
    };
    let (access, apps) = access(&flags.access, &asked, context).await?;
    let webhook = flags.webhook.clone().or_else(|| declared_webhook(declaration, name));
    let has_key = matches!(access, Access::DeployKey);
    // A GitHub App needs no token of a person: it gets its own.
    let forge = match !flags.paste_key && (has_key || webhook.is_some()) {
        true => asked.forge(context).await?,
        false => None,
    };
    if forge.is_none() && has_key && !flags.paste_key && !context.environment.interactive {
        return Err(asked.without_token_for_key());
    }

    let facts = preflight::check_cluster(cluster, name, declaration, tree).await?;
    tell_facts(&facts, tree.commit.short(), context);

    let wanted = Wanted {
        cluster: name.clone(),
        tree: tree.clone(),
        commit: tree.commit.clone(),
        facts,
        hosts,
        bundle: None,
        recovery: None,
        take_ownership: flags.take_ownership,
        fix_key: flags.fix_key,
        wait_for_lock: flags.change.wait,
        holder: holder(context),
        now: jiff::Timestamp::now(),
    };
    let world = world(connected, forge, remote, wanted, &flags.change, deadline, context)?.with_access(access, apps).with_webhook(webhook);
    let forge_check = async {
        match &world.forge {
            Some(forge) if has_key => {
                preflight::check_forge(forge.as_ref(), &tree.repository, flags.change.accept_rename, &context.events).await
            }
            Some(forge) => {
                preflight::check_repository(forge.as_ref(), &tree.repository, flags.change.accept_rename, &context.events).await.map(drop)
            }
            None => Ok(()),
        }
    };
    let own_key = connected.sandbox.as_ref().and_then(|state| state.forge.user_key().ok());
    let ((), _, (), head) = tokio::try_join!(
        preflight::check_trees(cluster, tree),
        preflight::check_rights(cluster, tree),
        forge_check,
        preflight::head_of_remote(&world, own_key.as_ref()),
    )?;
    compare_clone(&world, worktree, &fleet, head, flags.commit.as_ref(), context).await?;
    Ok(world)
}
