//! One file a verb: settings, adapters, recipe, engine and report, wired together.

mod access;
pub mod ask;
mod asked;
pub mod audit;
mod bootstrap;
pub mod bundle;
mod change;
pub mod completions;
pub mod connect;
pub mod detach;
pub mod doctor;
pub mod drill;
mod fleet;
mod forge;
pub mod init;
pub mod lint;
mod login;
pub mod man;
pub mod new;
pub mod pack;
pub mod plan;
pub mod promote;
pub mod recover;
pub mod render;
pub mod rotate_key;
pub mod sandbox;
mod serve_clone;
pub mod status;
pub mod unpack;

use crate::cli::{Cli, Verb};
pub use crate::context::Context;
use crate::error::{Failure, Result};

/// Runs a verb.
pub async fn run(cli: Cli, context: Context) -> Result<()> {
    if !matches!(cli.verb, Verb::New(_)) {
        refuse_missing_folder(&context)?;
    }
    match cli.verb {
        Verb::New(arguments) => new::run(arguments, &context).await,
        Verb::Init(arguments) => init::run(arguments, &context).await,
        Verb::Recover(arguments) => recover::run(arguments, &context).await,
        Verb::RotateKey(arguments) => rotate_key::run(arguments, &context).await,
        Verb::Detach(arguments) => detach::run(arguments, &context).await,
        Verb::Doctor(arguments) => doctor::run(arguments, &context).await,
        Verb::Audit(arguments) => audit::run(arguments, &context).await,
        Verb::Drill(arguments) => drill::run(arguments, &context).await,
        Verb::Plan(arguments) => plan::run(arguments, &context).await,
        Verb::Status(arguments) => status::run(arguments, &context).await,
        Verb::Lint(arguments) => lint::run(arguments, &context).await,
        Verb::Render(arguments) => render::run(arguments, &context).await,
        Verb::Promote(arguments) => promote::run(arguments, &context).await,
        Verb::Pack(arguments) => pack::run(arguments, &context).await,
        Verb::Unpack(arguments) => unpack::run(arguments, &context).await,
        Verb::Sandbox(arguments) => sandbox::run(arguments, &context).await,
        Verb::Completions { shell } => completions::run(shell, &context),
        Verb::Man { folder } => man::run(folder.as_deref(), &context),
    }
}

/// Refuses a folder that is named and is not there, before each verb says in its own words what it misses in it.
fn refuse_missing_folder(context: &Context) -> Result<()> {
    match &context.global.fleet {
        Some(folder) if !context.environment.folder.join(folder).is_dir() => {
            Err(Failure::usage(format!("there is no folder `{}`", folder.display()))
                .hint("name the folder of the fleet repository: `--fleet FOLDER`, or GITOPS_BOOTSTRAP_FLEET"))
        }
        _ => Ok(()),
    }
}
