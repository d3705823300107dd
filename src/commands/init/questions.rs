//! What `init` is not told. On a terminal it asks; elsewhere it names all that is missing at once, each with its flag and its variable.

use std::path::{Path, PathBuf};

use clap::{Args as _, FromArgMatches as _};
use tokio::time::Instant;

use crate::adapters::kubernetes::contexts;
use crate::cli::init::Arguments;
use crate::cli::{Output, new as cli};
use crate::commands::ask::ask;
use crate::commands::asked::Asked;
use crate::commands::bootstrap::named_folder;
use crate::commands::connect::{choose_context, kubeconfigs};
use crate::commands::{Context, fleet, new};
use crate::domain::ClusterName;
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::manifest::declaration;
use crate::sandbox::engine;

/// The cluster of a demo fleet, if none was named.
const DEMO_CLUSTER: &str = "staging";

/// From where a run starts.
pub(super) struct Start {
    /// The folder of the fleet repository, or the one to make a demo fleet in.
    pub(super) folder: PathBuf,
    /// Whether there is a fleet repository in it.
    pub(super) is_fleet: bool,
    /// The cluster that is meant.
    pub(super) cluster: ClusterName,
}

/// A value that would have to be asked for.
struct Missing {
    what: String,
    how: String,
}

/// Finds out from where the run starts, with what the flags say and what the person answers, which is noted in `arguments`. None if the person has to
/// push a new fleet repository first.
pub(super) async fn start(arguments: &mut Arguments, context: &Context) -> Result<Option<Start>> {
    let named = named_folder(context);
    // A commit can be read without its files being checked out.
    let mut found = fleet::around(&named).or_else(|| arguments.run.commit.is_some().then(|| named.clone()));
    if found.is_none() && !arguments.run.change.target.sandbox && asks(context) {
        match offer(context).await? {
            Offer::Sandbox => arguments.run.change.target.sandbox = true,
            Offer::New => match make(&named, arguments, context).await? {
                Some(folder) => found = Some(folder),
                None => return Ok(None),
            },
        }
    }
    refuse_unknown(arguments, found.as_deref())?;
    if !arguments.run.change.target.sandbox {
        let missing = missing(arguments, found.as_deref(), context).await;
        if !missing.is_empty() {
            return Err(lacking(missing));
        }
    }
    let cluster = cluster(arguments, found.as_deref(), context).await?;
    if !arguments.run.change.target.sandbox && context.environment.interactive {
        arguments.run.change.target.context = choose_context(&arguments.run.change.target, context).await?;
    }
    let is_fleet = found.is_some();
    Ok(Some(Start { folder: found.unwrap_or(named), is_fleet, cluster }))
}

/// Whether more can be asked than what is to be said yes or no to.
fn asks(context: &Context) -> bool {
    context.environment.interactive && !context.global.yes && context.global.output == Output::Text
}

/// What `init` can do where there is no fleet repository.
enum Offer {
    New,
    Sandbox,
}

async fn offer(context: &Context) -> Result<Offer> {
    let is_built = engine::find(context).await.is_ok_and(|engine| engine.is_some());
    // Short enough for narrow terminals: a line that wraps is not cleared after the answer.
    let items = [
        "make one, as `gitops-bootstrap new` does",
        if is_built { "try it on a sandbox, on this machine" } else { "try it on a sandbox; it is built first: ten minutes" },
        "stop: mine is in another folder",
    ];
    let prompt = "No fleet repository here. Choose what to do";
    match ask(context, move || dialoguer::Select::new().with_prompt(prompt).items(items).default(0).interact()).await? {
        0 => Ok(Offer::New),
        1 => Ok(Offer::Sandbox),
        _ => Err(Failure::new(Kind::Interrupted, "nothing was changed, as you said")
            .hint("go to the clone of your fleet repository, or name it: `gitops-bootstrap init --fleet FOLDER`")),
    }
}

/// Makes a fleet repository. Its folder, if the remote serves it; else what to do first was told.
async fn make(here: &Path, arguments: &Arguments, context: &Context) -> Result<Option<PathBuf>> {
    let suggested = if is_empty(here) { "." } else { "fleet" };
    let folder =
        ask(context, move || dialoguer::Input::<String>::new().with_prompt("Folder for it").default(suggested.to_owned()).interact_text())
            .await?;
    let mut wanted = by_environment()?;
    wanted.folder = Some(if folder == "." { here.to_owned() } else { here.join(folder) });
    wanted.clusters.extend(arguments.cluster.clone());
    wanted.api = arguments.run.change.login.api.clone();
    let made = new::make(wanted, context).await?;
    if !made.is_pushed() {
        new::report(&made, context);
        return Ok(None);
    }
    context.events.send(Event::Fact { name: "fleet", text: made.folder.display().to_string() });
    Ok(Some(made.folder))
}

/// What `new` takes, as far as variables say it.
fn by_environment() -> Result<cli::Arguments> {
    let matches = cli::Arguments::augment_args(clap::Command::new("new")).try_get_matches_from(["new"]);
    let arguments = matches.and_then(|matches| cli::Arguments::from_arg_matches(&matches));
    arguments.map_err(|error| Failure::usage("a variable for `gitops-bootstrap new` is set to what it cannot be").because(error))
}

/// Whether a folder has nothing in it but, at most, an empty clone.
fn is_empty(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == ".git")))
}

/// The name of the cluster: as given, the only one that there is, or as chosen.
async fn cluster(arguments: &Arguments, fleet: Option<&Path>, context: &Context) -> Result<ClusterName> {
    let demo = || DEMO_CLUSTER.parse().map_err(|_| Failure::bug("a constant name"));
    if let Some(name) = &arguments.cluster {
        return Ok(name.clone());
    }
    let Some(fleet) = fleet else { return demo() };
    let mut names = fleet::clusters(fleet);
    if names.len() == 1 || names.is_empty() || !context.environment.interactive {
        return names.pop().filter(|_| names.is_empty()).ok_or_else(|| lacking(vec![no_cluster(&fleet::clusters(fleet))]));
    }
    let items = names.clone();
    let prompt = "Cluster of the fleet";
    let place = ask(context, move || dialoguer::Select::new().with_prompt(prompt).items(&items).default(0).interact()).await?;
    names.into_iter().nth(place).ok_or_else(|| Failure::bug("a choice that was not offered"))
}

/// Refuses a cluster that the fleet does not have. A commit that is named may have others than the working tree, so that is read later.
fn refuse_unknown(arguments: &Arguments, fleet: Option<&Path>) -> Result<()> {
    let declared = fleet.filter(|_| arguments.run.commit.is_none()).and_then(fleet::declared);
    match (&arguments.cluster, declared) {
        (Some(name), Some(declared)) if !declared.clusters.contains_key(name) => Err(declaration::unknown_cluster(name, &declared)),
        _ => Ok(()),
    }
}

fn no_cluster(names: &[ClusterName]) -> Missing {
    let names: Vec<&str> = names.iter().map(ClusterName::as_str).collect();
    let known = if names.is_empty() { String::new() } else { format!("; the fleet has {}", names.join(", ")) };
    Missing {
        what: format!("no cluster was named{known}"),
        how: "name the cluster: `gitops-bootstrap init CLUSTER`, or GITOPS_BOOTSTRAP_CLUSTER".to_owned(),
    }
}

/// All that would have to be asked for where nobody can be asked; on a terminal no more than a fleet repository.
async fn missing(arguments: &Arguments, fleet: Option<&Path>, context: &Context) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut lack = |what: String, how: &str| missing.push(Missing { what, how: how.to_owned() });
    if fleet.is_none() {
        lack(
            format!(
                "`{}` is no fleet repository: it has no gitops.yaml, no rendered/ and no kubernetes/rendered/",
                named_folder(context).display()
            ),
            "name the folder of its clone: `--fleet FOLDER`, or GITOPS_BOOTSTRAP_FLEET; `gitops-bootstrap new` writes a new one",
        );
    }
    if context.environment.interactive {
        return missing;
    }
    let names = fleet.map(fleet::clusters).unwrap_or_default();
    if arguments.cluster.is_none() && names.len() != 1 {
        missing.push(no_cluster(&names));
    }
    missing.extend(missing_context(arguments, context));
    // Alone it is named where it is needed, with more to say about it.
    if let Some(declared) = fleet.filter(|_| !missing.is_empty()).and_then(fleet::declared) {
        let deadline = Instant::now() + arguments.run.change.timeout;
        let repository = &declared.repository;
        let flags = &arguments.run.change.login;
        let asked = Asked { flags, declared: Some(repository), repository: &repository.url, sandbox: None, deadline };
        if !arguments.run.paste_key && matches!(asked.forge(context).await, Ok(None)) && declared.repository.github_app.is_none() {
            missing.push(Missing {
                what: format!("there is no token for {}", declared.repository.url.host()),
                how: "give a token: `--token-file FILE`, GITOPS_BOOTSTRAP_TOKEN_FILE or GITHUB_TOKEN; or let somebody register the key by hand: `--paste-key`"
                    .to_owned(),
            });
        }
    }
    missing
}

fn missing_context(arguments: &Arguments, context: &Context) -> Option<Missing> {
    let target = &arguments.run.change.target;
    match contexts(&kubeconfigs(target, context)) {
        Err(error) => Some(Missing {
            what: error.to_string(),
            how: "name the kubeconfig: `--kubeconfig FILE`, or KUBECONFIG; or use a cluster on this machine: `--sandbox`, or GITOPS_BOOTSTRAP_SANDBOX"
                .to_owned(),
        }),
        Ok(found) if found.len() > 1 && target.context.is_none() => {
            let names: Vec<&str> = found.iter().map(|choice| choice.name.as_str()).collect();
            Some(Missing {
                what: format!("the kubeconfig has several contexts, and none is named: {}", names.join(", ")),
                how: "name the context: `--context NAME`, or GITOPS_BOOTSTRAP_CONTEXT".to_owned(),
            })
        }
        Ok(_) => None,
    }
}

/// The failure of a run that lacks something.
fn lacking(missing: Vec<Missing>) -> Failure {
    let number = missing.len();
    let mut missing = missing.into_iter();
    match missing.next() {
        Some(only) if number == 1 => Failure::usage(only.what).hint(only.how),
        first => {
            let failure = Failure::usage(format!("{number} values are missing, and nobody can be asked for them here"));
            first.into_iter().chain(missing).fold(failure, |failure, missing| failure.because(missing.what).hint(missing.how))
        }
    }
}
