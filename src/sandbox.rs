//! The sandbox: a real control plane, a real Argo CD and a Git forge on this machine, without Docker and without root.
//!
//! [`engine`] finds or builds the one program that holds all of it, [`Sandbox`] starts and ends one, and [`State`] says how it is reached.

pub mod demo;
pub mod engine;
mod program;
pub mod seed;
mod state;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use engine::Engine;
pub use state::{ArgoCd, Component, Forge, State, Supervisor};

use crate::context::Context;
use crate::domain::SandboxName;
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::settings::Environment;

/// How long a server on this machine may take to accept a connection.
const ANSWER: Duration = Duration::from_millis(500);

/// One sandbox of this person on this machine, whether it runs or not.
#[derive(Clone, Debug)]
pub struct Sandbox {
    engine: Engine,
    name: SandboxName,
    folder: PathBuf,
}

/// What a sandbox is like, beyond what all are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// The hosts that its forge answers for, as Argo CD sees it.
    pub hosts: Vec<String>,
    /// Whether the controllers are stood in for that cannot run in it.
    pub stands_in: bool,
    /// Folders with further stages that stand in for controllers. They win over those of the engine.
    pub stand_ins: Vec<PathBuf>,
}

/// A sandbox that ends with this process, however that ends; [`Held::down`] also removes what it wrote.
#[derive(Debug)]
pub struct Held {
    program: program::Held,
}

impl Held {
    /// Ends `sandbox`, which this holds, and removes its folder.
    pub async fn down(self, sandbox: &Sandbox, context: &Context) -> Result<()> {
        self.program.end().await;
        sandbox.down(context).await.map(drop)
    }
}

impl Sandbox {
    /// The sandbox called `name`.
    pub fn new(engine: Engine, name: SandboxName, context: &Context) -> Result<Self> {
        let folder = folder_of_all(&context.environment)?.join(name.as_str());
        Ok(Self { engine, name, folder })
    }

    /// Its name.
    pub fn name(&self) -> &SandboxName {
        &self.name
    }

    /// Its folder; everything that it writes is below it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Starts it, with what it had when it ran last, or finds it running; returns when it can be used. It stays when this process ends.
    pub async fn up(&self, context: &Context) -> Result<State> {
        self.up_as(&Setup::default(), context).await
    }

    /// The same for a sandbox that is like `setup` says, unless it runs.
    pub async fn up_as(&self, setup: &Setup, context: &Context) -> Result<State> {
        if let Some(state) = self.running_as_written().await {
            return Ok(state);
        }
        self.make_folder()?;
        let mut arguments = self.up_arguments(setup);
        arguments.push("--detach".into());
        let finished = self.engine.run(arguments, context, self.teller(context)).await?;
        if finished.success {
            return State::parse(&finished.output);
        }
        Err(self.engine.failed(&format!("start the sandbox `{}`", self.name), &finished).hint(format!(
            "see `gitops-bootstrap sandbox logs supervisor --name {0}`; to make it anew: `gitops-bootstrap sandbox down {0}`, then `gitops-bootstrap sandbox up {0}`",
            self.name
        )))
    }

    /// Starts it, which must not run, for as long as what is returned is held, and no longer than this process.
    pub async fn hold(&self, setup: &Setup, context: &Context) -> Result<(Held, State)> {
        self.make_folder()?;
        let parse = |output: &[u8]| State::parse(output).ok();
        match self.engine.hold(self.up_arguments(setup), context, self.teller(context), parse).await? {
            Ok((program, state)) => Ok((Held { program }, state)),
            Err(finished) => Err(self.engine.failed(&format!("start the sandbox `{}`", self.name), &finished)),
        }
    }

    /// Turns switches of its forge, each as `SWITCH=VALUE`, such as `api_down=true`.
    pub async fn set_forge(&self, switches: &[&str], context: &Context) -> Result<()> {
        let mut arguments = self.arguments(&["forge", "set"]);
        arguments.push("--".into());
        arguments.extend(switches.iter().map(Into::into));
        let finished = self.engine.run(arguments, context, |_| {}).await?;
        if finished.success { Ok(()) } else { Err(self.engine.failed("turn a switch of the sandbox's forge", &finished)) }
    }

    fn make_folder(&self) -> Result<()> {
        make_private(&self.folder).map_err(|error| {
            Failure::usage(format!("cannot make the sandbox's folder `{}`", self.folder.display()))
                .because(error)
                .hint("set XDG_STATE_HOME to a folder that can be written to")
        })
    }

    fn up_arguments(&self, setup: &Setup) -> Vec<OsString> {
        let mut arguments = self.arguments(&["up", "--name", self.name.as_str(), "--output", "json"]);
        for host in &setup.hosts {
            arguments.extend(["--serve-host".into(), host.into()]);
        }
        if setup.stands_in {
            arguments.extend(["--stand-ins".into(), "default".into()]);
        }
        for folder in &setup.stand_ins {
            arguments.extend(["--stand-ins".into(), folder.into()]);
        }
        arguments
    }

    /// Tells people what the engine says while it starts.
    fn teller(&self, context: &Context) -> impl FnMut(&str) {
        let message = format!("starting the sandbox `{}`", self.name);
        context.events.send(Event::Work { message: message.clone(), done: 0, total: 0 });
        move |line: &str| context.events.send(Event::Work { message: format!("{message}: {line}"), done: 0, total: 0 })
    }

    /// Whether it runs, by all that can be seen from here.
    pub async fn is_running(&self) -> bool {
        self.running_as_written().await.is_some()
    }

    /// What it has written of itself, if it runs by all that can be seen from here: to ask the engine would take longer than all else of a second run.
    async fn running_as_written(&self) -> Option<State> {
        let state = State::parse(&std::fs::read(self.folder.join(State::FILE)).ok()?).ok()?;
        let server = state.server.strip_prefix("https://")?;
        let answers = tokio::time::timeout(ANSWER, tokio::net::TcpStream::connect(server)).await.is_ok_and(|connected| connected.is_ok());
        (state.ready && state.supervisor.is_alive() && answers).then_some(state)
    }

    /// Ends all of its processes and removes its folder. Whether there was anything.
    pub async fn down(&self, context: &Context) -> Result<bool> {
        if !self.exists() {
            return Ok(false);
        }
        let finished = self.engine.run(self.arguments(&["down"]), context, |_| {}).await?;
        if !finished.success {
            return Err(self.engine.failed(&format!("end the sandbox `{}`", self.name), &finished).hint("run the same command again"));
        }
        // The folders around it go with the last sandbox; one with anything in it stays.
        for above in self.folder.ancestors().skip(1).take(2) {
            let _stays = std::fs::remove_dir(above);
        }
        Ok(true)
    }

    /// Describes it as it is now; none if there is no such sandbox.
    pub async fn status(&self, context: &Context) -> Result<Option<State>> {
        if !self.exists() {
            return Ok(None);
        }
        let finished = self.engine.run(self.arguments(&["status", "--output", "json"]), context, |_| {}).await?;
        if finished.success {
            return State::parse(&finished.output).map(Some);
        }
        Err(self.engine.failed(&format!("describe the sandbox `{}`", self.name), &finished))
    }

    /// Where its Argo CD is opened, by what it has written of its pods; none if there is none yet.
    pub fn argocd_url(&self) -> Option<String> {
        state::argocd_url(&std::fs::read(self.folder.join(state::PODS_FILE)).ok()?)
    }

    /// Whether there is a sandbox, running or not: a folder with anything in it.
    fn exists(&self) -> bool {
        self.folder.read_dir().is_ok_and(|mut entries| entries.next().is_some())
    }

    /// The arguments of an engine's command for this sandbox.
    fn arguments(&self, command: &[&str]) -> Vec<OsString> {
        command.iter().map(Into::into).chain(["--folder".into(), self.folder.clone().into()]).collect()
    }
}

/// The names of all sandboxes of this person, running or not.
pub fn names(environment: &Environment) -> Result<Vec<SandboxName>> {
    let entries = match folder_of_all(environment)?.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::usage("cannot read the folder of the sandboxes").because(error)),
    };
    let mut names: Vec<SandboxName> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    names.sort();
    Ok(names)
}

fn folder_of_all(environment: &Environment) -> Result<PathBuf> {
    let state = environment
        .state_folder()
        .ok_or_else(|| Failure::usage("there is no folder for sandboxes: neither HOME nor XDG_STATE_HOME is set").hint("set HOME"))?;
    Ok(state.join("sandboxes"))
}

/// Makes the folder and those above it, all of them closed to others where they are new: there are keys in them.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
