//! `plan`: everything that `init` or `recover` would do, from the same looks and decisions, with nothing written anywhere.

use super::bootstrap::{named_folder, started};
use super::connect::sandbox_running;
use super::{Context, init, recover, serve_clone};
use crate::cli::Output;
use crate::cli::plan::Arguments;
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, Events, Reporter};
use crate::plan::StepId;
use crate::plan::preview::{Action, Equality, GitSide, Plan, Preview};
use crate::report::{self, Circumstances, ShownPlan};
use crate::sandbox::State;
use crate::steps::World;
use crate::steps::world::interrupted;

/// Runs `plan`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    context.events.send(started("plan", Some(arguments.run.cluster.to_string())));
    let sandbox = sandbox_running(&arguments.run.run.change.target, context).await?;
    let (plan, failures) = tokio::select! {
        planned = plan(&arguments, sandbox, context) => planned?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    context.events.send(Event::Plan { plan: Box::new(plan.clone()) });
    // With the flags of the plan, but for those that only a plan takes.
    let command = context.environment.command_line_as("plan", plan.run, &["--recover", "--exit-code"]);
    if context.global.output == Output::Text {
        let style = report::style(&Circumstances::of(&context.global, &context.environment));
        let shown = ShownPlan { whole: context.global.verbose > 0, next: failures.is_empty().then_some(command.as_str()) };
        context.events.suspend(&mut || report::plan(&plan, &shown, &style));
    }
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure.because(format!("`{}` would stop here; nothing was changed", plan.run)));
    }
    let count = |action| plan.having(action).count();
    context.events.send(Event::Finished {
        result: serde_json::json!({
            "run": plan.run,
            "needed": plan.is_needed(),
            "create": count(Action::Create),
            "adopt": count(Action::Adopt),
            "change": count(Action::Change),
            "remove": count(Action::Remove),
            "leftAlone": count(Action::LeftAlone),
            "inPlace": count(Action::InPlace),
        }),
    });
    if arguments.exit_code && plan.is_needed() {
        return Err(Failure::new(Kind::Found, "there is something to do").hint(format!("to carry it out: {command}")));
    }
    Ok(())
}

/// Reads everything that the run would read, and says what it would do and what would stop it.
async fn plan(arguments: &Arguments, sandbox: Option<State>, context: &Context) -> Result<(Plan, Vec<Failure>)> {
    let folder = named_folder(context);
    let (run, recipe, mut world) = if arguments.recover {
        ("recover", &StepId::RECOVER[..], recover::world(&arguments.run, context, &folder, sandbox).await?)
    } else {
        ("init", &StepId::INIT[..], init::prepare(&arguments.as_init(), context, &arguments.run.cluster, &folder, sandbox).await?)
    };
    world.events = Events::new(WithoutLeftAlone(context.events.clone()));
    let (steps, preview) = serve_clone::preview(recipe, &world).await?;
    let Preview { objects, keys, failures } = preview;
    let facts = &world.wanted.facts;
    let plan = Plan {
        run,
        cluster: world.wanted.cluster.clone(),
        context: facts.context.clone(),
        server: facts.server.clone(),
        identity: facts.identity.clone(),
        git: git_side(&world, arguments.run.run.commit.is_some()),
        keys,
        objects,
        skipped: world.skipped(),
        steps,
    };
    Ok((plan, failures))
}

fn git_side(world: &World, is_named: bool) -> GitSide {
    let tree = &world.wanted.tree;
    let commit = world.commit();
    let remote = if world.served.is_some() {
        Equality::Served
    } else if is_named {
        Equality::Named
    } else if !world.is_compared() {
        Equality::KnownAfterApply
    } else if commit == tree.commit {
        Equality::SameCommit
    } else {
        Equality::SameFiles
    };
    GitSide { repository: tree.repository.clone(), revision: tree.revision.clone(), clone: tree.commit.clone(), commit, remote }
}

/// Passes everything on but the fields that are left to their owners: they stand in the plan, at their object.
struct WithoutLeftAlone(Events);

impl Reporter for WithoutLeftAlone {
    fn on(&mut self, event: &Event) {
        if !matches!(event, Event::LeftAlone { .. }) {
            self.0.send(event.clone());
        }
    }
}
