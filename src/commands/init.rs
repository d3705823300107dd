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
use crate::error::{Failure, Result};
use crate::event::{Event, PlannedStep};
use crate::manifest::scaffold::{ARGOCD_VERSION, Choices};
use crate::plan::StepId;
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
    let opened = open(arguments, context, name, folder, sandbox).await?;
    let world = &opened.world;
    let survey = async {
        let recipe = serve_clone::checked_recipe(&StepId::INIT, world).await?;
        let planned = engine::survey(&recipe, world).await?;
        Ok::<_, Failure>((recipe, planned))
    };
    // Both only read, and ask others than each other for the most part. What a check refuses counts, whatever else was seen; the checks begin first, since
    // the survey needs what they ask the remote.
    let before = world.commit();
    let ((), surveyed) = tokio::try_join!(check(&opened, arguments, context), async { Ok(survey.await) })?;
    let (recipe, mut planned) = surveyed?;
    if !world.is_compared() || world.commit() != before {
        planned = engine::survey(&recipe, world).await?;
    }
    Ok((opened.world, opened.connected, planned))
}

/// What a run is about, opened and not yet checked.
struct Opened {
    world: World,
    connected: Connected,
    worktree: Arc<GitWorktree>,
    fleet: Fleet,
    has_key: bool,
}

/// Reads the fleet repository, and checks all that is checked before the first write.
pub(super) async fn prepare(
    arguments: &Arguments,
    context: &Context,
    name: &ClusterName,
    folder: &Path,
    sandbox: Option<State>,
) -> Result<World> {
    let opened = open(arguments, context, name, folder, sandbox).await?;
    check(&opened, arguments, context).await?;
    Ok(opened.world)
}

/// Reads the fleet repository, and finds the way to the cluster, the forge and the remote.
async fn open(arguments: &Arguments, context: &Context, name: &ClusterName, folder: &Path, sandbox: Option<State>) -> Result<Opened> {
    let deadline = Instant::now() + arguments.run.change.timeout;
    let worktree = Arc::new(GitWorktree::new(folder));
    let (fleet, connected) = tokio::try_join!(
        preflight::load(worktree.as_ref(), name, arguments.run.commit.as_ref()),
        connect_to(&arguments.run.change.target, sandbox, context, Some(deadline))
    )?;
    for warning in &fleet.reading.warnings {
        context.events.warn(warning.clone(), None);
    }
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
    let world = world(&connected, forge, remote, wanted, &flags.change, deadline, context)?.with_access(access, apps).with_webhook(webhook);
    Ok(Opened { world, connected, worktree, fleet, has_key })
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
async fn check(opened: &Opened, arguments: &Arguments, context: &Context) -> Result<()> {
    let Opened { world, connected, worktree, fleet, has_key } = opened;
    let (cluster, tree, flags) = (&connected.cluster, &fleet.reading.tree, &arguments.run);
    let forge_check = async {
        match &world.forge {
            Some(forge) if *has_key => {
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
        preflight::head_of_remote(world, own_key.as_ref()),
    )?;
    compare_clone(world, worktree.clone(), fleet, head, flags.commit.as_ref(), context).await
}
