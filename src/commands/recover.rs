//! `recover`: a cluster that was lost, rebuilt from a clone.

mod check;
mod deploy_key;
mod evidence;

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use self::check::{Checked, check};
use super::Context;
use super::bootstrap::{confirm, named_folder, started, with_way_on};
use super::connect::{Connected, connect_to, sandbox_up};
use super::serve_clone;
use crate::adapters::commands::LocalCommands;
use crate::adapters::git::GitWorktree;
use crate::cli::Output;
use crate::cli::recover::Arguments;
use crate::engine;
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, PlannedStep};
use crate::plan::StepId;
use crate::plan::recovery::{End, Recovery};
use crate::preflight;
use crate::report::{self, Circumstances};
use crate::sandbox::State;
use crate::steps::World;
use crate::steps::world::interrupted;

/// Runs `recover`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let recovery = recover(&arguments, context).await.map_err(|failure| with_way_on(failure, context))?;
    let value = serde_json::to_value(&recovery).map_err(|error| Failure::bug("the evidence cannot be written as JSON").because(error))?;
    context.events.send(Event::Evidence { recovery: value.clone() });
    let files = match &arguments.report {
        Some(folder) => evidence::write(&recovery, &context.environment.folder.join(folder))?,
        None => Vec::new(),
    };
    if context.global.output == Output::Text {
        let style = report::style(&Circumstances::of(&context.global, &context.environment));
        context.events.suspend(&mut || report::recovered(&recovery, &files, &style));
    }
    match (recovery.end, recovery.failure) {
        (_, Some(failure)) => Err(with_way_on(failure, context)),
        (End::Converged, None) => {
            context.events.send(Event::Finished { result: value });
            Ok(())
        }
        (End::Waiting | End::Incomplete, None) => {
            let open = recovery.applications.iter().filter_map(|application| Some((&application.name, application.cause.as_ref()?)));
            let failure = Failure::new(Kind::Found, "the cluster is recovered, and something waits for a time or a person");
            Err(open
                .fold(failure, |failure, (name, cause)| failure.because(format!("{name}: {cause}")))
                .hint("nothing more is to be done by a recovery: Git itself says that these wait"))
        }
    }
}

/// Recovers a cluster and returns the evidence, also if not everything came up: [`Recovery::failure`] says why.
///
/// # Errors
/// What stopped the run before the first write: a refusal, a wrong argument, an unreachable server, a person's no.
pub async fn recover(arguments: &Arguments, context: &Context) -> Result<Recovery> {
    context.events.send(started("recover", Some(arguments.cluster.to_string())));
    let sandbox = sandbox_up(&arguments.run.change.target, context).await?;
    let folder = named_folder(context);
    let began = Instant::now();
    let deadline = began + arguments.run.change.timeout;
    // Looking changes nothing, so there is nothing to end well.
    let (mut checked, connected, planned) = tokio::select! {
        looked = look(arguments, context, &folder, sandbox, deadline) => looked?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    context.events.send(Event::Planned { steps: planned.clone() });
    agree_to_commands(&mut checked, arguments, &connected, &folder, context)?;
    confirm(&planned, &checked.world, connected.sandbox.is_some(), context).await?;
    let mut steps = Vec::new();
    let result = match planned.iter().any(|step| step.needed) {
        true => engine::run_into(&mut steps, &serve_clone::steps(&planned), &checked.world).await,
        false => Ok(()),
    };
    Ok(evidence::gather(&checked, &steps, result.err(), began).await)
}

async fn look(
    arguments: &Arguments,
    context: &Context,
    folder: &Path,
    sandbox: Option<State>,
    deadline: Instant,
) -> Result<(Checked, Connected, Vec<PlannedStep>)> {
    let (checked, connected) = prepare(arguments, context, folder, sandbox, deadline).await?;
    let planned = serve_clone::survey(&StepId::RECOVER, &checked.world).await?;
    Ok((checked, connected, planned))
}

/// What a recovery with these flags begins with, once all is checked that is checked before the first write.
pub(super) async fn world(arguments: &Arguments, context: &Context, folder: &Path, sandbox: Option<State>) -> Result<World> {
    let deadline = Instant::now() + arguments.run.change.timeout;
    let (checked, _) = prepare(arguments, context, folder, sandbox, deadline).await?;
    Ok(checked.world)
}

/// Reads the fleet repository, and checks all that is checked before the first write.
async fn prepare(
    arguments: &Arguments,
    context: &Context,
    folder: &Path,
    sandbox: Option<State>,
    deadline: Instant,
) -> Result<(Checked, Connected)> {
    let worktree = Arc::new(GitWorktree::new(folder));
    let (fleet, connected) = tokio::try_join!(
        preflight::load(worktree.as_ref(), &arguments.cluster, arguments.run.commit.as_ref()),
        connect_to(&arguments.run.change.target, sandbox, context, Some(deadline))
    )?;
    for warning in &fleet.reading.warnings {
        context.events.warn(warning.clone(), None);
    }
    let checked = check(arguments, context, worktree, fleet, &connected, deadline).await?;
    Ok((checked, connected))
}

/// Lets the gates run the commands that gitops.yaml names, if a person has agreed: by the flag, or by the yes that follows on a terminal. They come from the
/// repository, so whoever can write to it could have them run.
fn agree_to_commands(checked: &mut Checked, arguments: &Arguments, connected: &Connected, folder: &Path, context: &Context) -> Result<()> {
    let gates = checked.world.wanted.recovery.iter().flat_map(|recovery| &recovery.gates);
    let commands: Vec<String> = gates.filter_map(crate::domain::Gate::command).collect();
    if commands.is_empty() || arguments.open_gates {
        return Ok(());
    }
    let asked = context.environment.interactive && !context.global.yes && connected.sandbox.is_none();
    if !arguments.run_commands && !asked {
        let failure = Failure::refused("gitops.yaml names commands that are to be run on this machine, and nobody has agreed to that");
        return Err(commands
            .iter()
            .fold(failure, |failure, command| failure.because(format!("recovery.gates: `{command}`")))
            .because("nothing was changed")
            .hint("`--run-commands` agrees; `--open-gates` does without all gates"));
    }
    let kubeconfig = match (&connected.sandbox, &arguments.run.change.target.kubeconfig) {
        (Some(sandbox), _) => vec![sandbox.kubeconfig.clone()],
        (None, Some(file)) => vec![context.environment.folder.join(file)],
        (None, None) => Vec::new(),
    };
    let runner = LocalCommands::new(folder.to_owned(), &context.environment.variables, &kubeconfig);
    checked.world.commands = Some(Arc::new(runner));
    Ok(())
}
