//! `sandbox`.

use std::ffi::OsStr;
use std::path::Path;

use super::Context;
use crate::cli::Output;
use crate::cli::sandbox::{Action, Arguments};
use crate::domain::SandboxName;
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::report::{self, Circumstances, Line, Paint};
use crate::sandbox::{Sandbox, State, engine, names};

/// Runs `sandbox`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    match arguments.action {
        Action::Up(which) => up(which.name, context).await,
        Action::Down { all: true, .. } => down(names(&context.environment)?, context).await,
        Action::Down { which, .. } => down(vec![which.name], context).await,
        Action::Status(which) => status(which.name, context).await,
        Action::List => list(context),
        Action::Kubectl { of, arguments } => hand_over(of.name, &["kubectl"], &arguments, context).await,
        Action::Logs { of, component, follow } => {
            let command: &[&str] = if follow { &["logs", "--follow"] } else { &["logs"] };
            hand_over(of.name, command, component.as_slice(), context).await
        }
        Action::Forge { of, switches } => hand_over(of.name, &["forge", "set"], &switches, context).await,
    }
}

async fn up(name: SandboxName, context: &Context) -> Result<()> {
    let state = open(name, context).await?.up(context).await?;
    for (name, text) in facts(&state) {
        context.events.send(Event::Fact { name, text });
    }
    let next = format!("gitops-bootstrap init staging --sandbox{}", name_flag(&state.name, " --sandbox-name "));
    context.events.send(Event::Fact { name: "next", text: next });
    finish(&state, context)
}

async fn down(names: Vec<SandboxName>, context: &Context) -> Result<()> {
    let mut ended = Vec::new();
    for name in names {
        let found = is_there(&name, context)? && open(name.clone(), context).await?.down(context).await?;
        let text = if found { format!("`{name}` is gone") } else { format!("there is no sandbox `{name}`") };
        context.events.send(Event::Fact { name: "sandbox", text });
        if found {
            ended.push(name);
        }
    }
    finish(&serde_json::json!({ "ended": ended }), context)
}

async fn status(name: SandboxName, context: &Context) -> Result<()> {
    let sandbox = open_existing(name, context).await?;
    let state = sandbox.status(context).await?.ok_or_else(|| none(sandbox.name()))?;
    show(&table(&state), context);
    finish(&state, context)
}

fn list(context: &Context) -> Result<()> {
    let names = names(&context.environment)?;
    show(&names.iter().map(|name| Line::of(name.as_str())).collect::<Vec<_>>(), context);
    finish(&names, context)
}

/// Becomes a command of the engine, so that its streams, its signals and its exit status are the person's own.
async fn hand_over(name: SandboxName, command: &[&str], arguments: &[String], context: &Context) -> Result<()> {
    let sandbox = open_existing(name, context).await?;
    let mut all: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
    all.extend([OsStr::new("--folder"), sandbox.folder().as_os_str(), OsStr::new("--")]);
    all.extend(arguments.iter().map(OsStr::new));
    let mut failure = None;
    context.events.suspend(&mut || failure = Some(sandbox.engine().become_command(&all, context)));
    Err(failure.unwrap_or_else(|| Failure::bug("the sandbox's engine was not started")))
}

async fn open(name: SandboxName, context: &Context) -> Result<Sandbox> {
    Sandbox::new(engine::locate(context).await?, name, context)
}

/// The same for a sandbox that must be there. No engine is looked for, or built, for one that is not.
async fn open_existing(name: SandboxName, context: &Context) -> Result<Sandbox> {
    if is_there(&name, context)? { open(name, context).await } else { Err(none(&name)) }
}

fn is_there(name: &SandboxName, context: &Context) -> Result<bool> {
    Ok(names(&context.environment)?.contains(name))
}

fn none(name: &SandboxName) -> Failure {
    Failure::usage(format!("there is no sandbox `{name}`"))
        .hint(format!("start it: `gitops-bootstrap sandbox up{}`", name_flag(name.as_str(), " ")))
        .hint("see which there are: `gitops-bootstrap sandbox list`")
}

fn finish(result: &impl serde::Serialize, context: &Context) -> Result<()> {
    let result = serde_json::to_value(result).map_err(|error| Failure::bug("the result cannot be written as JSON").because(error))?;
    context.events.send(Event::Finished { result });
    Ok(())
}

/// What a person has to know of a sandbox to use it.
fn facts(state: &State) -> Vec<(&'static str, String)> {
    let kubectl = format!("gitops-bootstrap sandbox kubectl{} -- get pods -A", name_flag(&state.name, " --name "));
    let kubernetes = state.versions.get("kubernetes").map(|version| format!("Kubernetes {version} at ")).unwrap_or_default();
    let mut facts = vec![
        ("sandbox", format!("{}, in {}", state.name, state.folder.display())),
        ("API server", format!("{kubernetes}{}", state.server)),
        ("kubeconfig", format!("{} (context {})", state.kubeconfig.display(), state.context)),
        ("kubectl", kubectl),
        ("forge", format!("{} (REST API {})", state.forge.http, state.forge.api)),
        ("forge tokens", tokens_folder(state)),
    ];
    facts.extend(state.argocd.as_ref().map(|argocd| ("Argo CD", argocd.url.clone())));
    facts
}

fn tokens_folder(state: &State) -> String {
    state.forge.tokens.values().next().and_then(|path| path.parent()).unwrap_or(Path::new("")).display().to_string()
}

/// Shows data to people; programs read it in the last event.
fn show(lines: &[Line], context: &Context) {
    if context.global.output == Output::Text {
        report::show(lines, &report::style(&Circumstances::of(&context.global, &context.environment)));
    }
}

fn table(state: &State) -> Vec<Line> {
    let running = if state.ready {
        "ready"
    } else if state.is_running() {
        "starting"
    } else {
        "stopped"
    };
    let fact = |name: &str, text: &str| Line::new().with(Paint::Faint, format!("{name:<14}")).plain(text).hanging(14);
    let mut lines = vec![fact("state", running)];
    lines.extend(facts(state).iter().map(|(name, text)| fact(name, text)));
    lines.push(Line::new());
    lines.push(Line::new().with(Paint::Strong, format!("{:<34}{:>9}  {:<6}{:>9}  SINCE", "COMPONENT", "PROCESS", "READY", "RESTARTS")));
    lines.extend(state.components.iter().map(|component| {
        let ready = if component.ready { "yes" } else { "no" };
        let since = component.since.get(..19).unwrap_or(&component.since);
        Line::of(format!("{:<34}{:>9}  {ready:<6}{:>9}  {since}", component.name, component.pid, component.restarts))
    }));
    lines
}

/// What names the sandbox in a command to type; nothing for the one that is meant without it.
fn name_flag(name: &str, flag: &str) -> String {
    if name == SandboxName::default().as_str() { String::new() } else { format!("{flag}{name}") }
}
