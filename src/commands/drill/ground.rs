//! Where a recovery is rehearsed: a sandbox of its own, whose forge answers for the repository's own.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::adapters::files::absolute;
use crate::cli::drill::{Arguments, ForgeDown};
use crate::commands::Context;
use crate::commands::bootstrap::named_folder;
use crate::domain::tree::Tree;
use crate::domain::{ClusterName, SandboxName};
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::preflight::Fleet;
use crate::sandbox::seed::seed;
use crate::sandbox::{Held, Sandbox, Setup, State, engine};

/// A sandbox that nobody else uses.
pub(super) struct Ground {
    pub(super) name: SandboxName,
    pub(super) state: State,
    sandbox: Sandbox,
    /// None if it stays when the drill is over.
    held: Option<Held>,
}

impl Ground {
    /// Starts a sandbox. What a drill that was killed has left of one is removed first.
    pub(super) async fn prepare(arguments: &Arguments, fleet: &Fleet, context: &Context) -> Result<Self> {
        let name = name(arguments);
        let sandbox = Sandbox::new(engine::locate(context).await?, name.clone(), context)?;
        if sandbox.is_running().await {
            return Err(Failure::refused(format!("the sandbox `{name}` runs: another drill is under way, or one was kept"))
                .because("nothing was changed")
                .hint(format!("if it is one that was kept: `gitops-bootstrap sandbox down {name}`"))
                .hint("to rehearse beside it: `--sandbox-name NAME`"));
        }
        sandbox.down(context).await?;
        let setup = setup(arguments, fleet, context);
        let started = match arguments.keep {
            true => sandbox.up_as(&setup, context).await.map(|state| (None, state)),
            false => sandbox.hold(&setup, context).await.map(|(held, state)| (Some(held), state)),
        };
        match started {
            Ok((held, state)) => Ok(Self { name, state, sandbox, held }),
            Err(failure) => {
                sandbox.down(&uncancelled(context)).await?;
                Err(failure)
            }
        }
    }

    /// Puts the commit on its forge.
    pub(super) async fn seed(&self, clone: &Path, tree: &Tree, context: &Context) -> Result<()> {
        let message = format!("copying {} to the sandbox's forge", tree.commit.short());
        context.events.send(Event::Work { message, done: 0, total: 0 });
        tokio::select! {
            seeded = seed(&self.state, clone, tree) => seeded,
            () = context.cancel.cancelled() => Err(crate::steps::world::interrupted()),
        }
    }

    /// Switches off what is to be off.
    pub(super) async fn switch(&self, down: Option<ForgeDown>, context: &Context) -> Result<()> {
        match down {
            None => Ok(()),
            Some(ForgeDown::Api) => self.sandbox.set_forge(&["api_down=true"], context).await,
            Some(ForgeDown::Git) => self.sandbox.set_forge(&["git_down=true"], context).await,
            Some(ForgeDown::Both) => self.sandbox.set_forge(&["api_down=true", "git_down=true"], context).await,
        }
    }

    /// Takes it down, whatever happened and whoever interrupted; or leaves it and says how it is looked at.
    pub(super) async fn leave(self, keep: bool, context: &Context) -> Result<()> {
        if keep {
            let fact = |text: String| context.events.send(Event::Fact { name: "kept", text });
            fact(format!("gitops-bootstrap sandbox kubectl --name {} -- get applications -n argocd", self.name));
            fact(format!("gitops-bootstrap sandbox down {} ends it", self.name));
            return Ok(());
        }
        let context = uncancelled(context);
        context.events.send(Event::Work { message: format!("ending the sandbox `{}`", self.name), done: 0, total: 0 });
        match self.held {
            Some(held) => held.down(&self.sandbox, &context).await,
            None => self.sandbox.down(&context).await.map(drop),
        }
    }
}

/// What the sandbox has to be like for this fleet.
fn setup(arguments: &Arguments, fleet: &Fleet, context: &Context) -> Setup {
    let own = arguments.stand_ins.iter().map(|folder| context.environment.folder.join(folder));
    let declared = fleet.declaration.iter().flat_map(|declaration| &declaration.drill.stand_ins);
    let declared = declared.map(|folder| absolute(&named_folder(context), folder));
    Setup {
        hosts: vec![fleet.reading.tree.repository.host().to_ascii_lowercase()],
        stands_in: !arguments.no_stand_ins,
        stand_ins: own.chain(declared).filter(|_| !arguments.no_stand_ins).collect(),
    }
}

/// The same for what has to be done although the run was told to stop.
fn uncancelled(context: &Context) -> Context {
    Context { cancel: CancellationToken::new(), ..context.clone() }
}

/// The name of the sandbox: never that of one that a person works with.
fn name(arguments: &Arguments) -> SandboxName {
    arguments.sandbox_name.clone().unwrap_or_else(|| default_name(&arguments.cluster))
}

fn default_name(cluster: &ClusterName) -> SandboxName {
    /// The longest name of a sandbox.
    const LONGEST: usize = 32;
    let name = format!("drill-{cluster}");
    let fitting = name.get(..LONGEST).unwrap_or(&name).trim_end_matches('-');
    fitting.parse().unwrap_or_else(|_| unreachable!("a cluster's name is made of the same characters"))
}

/// What of the forge is down, in words.
pub(super) const fn described(down: ForgeDown) -> &'static str {
    match down {
        ForgeDown::Api => "the forge's API",
        ForgeDown::Git => "the forge's Git",
        ForgeDown::Both => "the forge, its API and its Git,",
    }
}
