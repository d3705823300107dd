//! `init`: the main job.

mod result;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use super::Context;
use super::ask::ask;
use super::connect::{Connected, connect_to, sandbox_up};
use super::new::{self, Existing};
use crate::adapters::git::{GitRemote, GitWorktree};
use crate::adapters::github::{GitHub, GitHubOptions};
use crate::adapters::ssh_key::SshKeyMaker;
use crate::adapters::token::{self, TokenSources};
use crate::cli::init::Arguments;
use crate::domain::declaration::{Flavour, Repository};
use crate::domain::{ClusterName, Declaration, HostKeys, RepositoryUrl};
use crate::engine;
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event, PlannedStep};
use crate::manifest::scaffold::{ARGOCD_VERSION, Choices};
use crate::plan::StepId;
use crate::ports::cluster::ClusterFacts;
use crate::ports::{Cluster, Forge, KeyMaker, Remote, Worktree};
use crate::preflight::{self, Fleet};
use crate::sandbox::{State, demo};
use crate::steps::World;
use crate::steps::faults::{Death, FaultPoint, Faults};
use crate::steps::world::{Credential, Wanted, interrupted};

/// The cluster of a demo fleet, if none was named.
const DEMO_CLUSTER: &str = "staging";

/// Runs `init`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    bootstrap(&arguments, context).await.map_err(|failure| with_way_on(failure, context))
}

fn with_way_on(failure: Failure, context: &Context) -> Failure {
    match failure.kind {
        Kind::Interrupted | Kind::Terminated => failure.hint(format!("to go on from here: {}", context.environment.command_line())),
        _ => failure,
    }
}

async fn bootstrap(arguments: &Arguments, context: &Context) -> Result<()> {
    let begin = Instant::now();
    let cluster_name = arguments.cluster.as_ref().map(ToString::to_string);
    context.events.send(Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb: "init", cluster: cluster_name });

    let sandbox = sandbox_up(&arguments.target, context).await?;
    let folder = fleet_folder(arguments, sandbox.as_ref(), context).await?;
    let name = cluster_name_of(arguments, &folder, sandbox.is_some(), context).await?;
    // Looking changes nothing, so there is nothing to end well.
    let (world, connected, planned) = tokio::select! {
        looked = look(arguments, context, &name, &folder, sandbox) => looked?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    context.events.send(Event::Planned { steps: planned.clone() });
    confirm(&planned, &world, connected.sandbox.is_some(), context).await?;
    let steps = if planned.iter().any(|step| step.needed) { engine::run(&StepId::INIT, &world).await? } else { Vec::new() };
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
    let deadline = Instant::now() + arguments.timeout;
    let worktree = Arc::new(GitWorktree::new(folder));
    let (fleet, connected) = tokio::try_join!(
        preflight::load(worktree.as_ref(), name, arguments.commit.as_ref()),
        connect_to(&arguments.target, sandbox, context, Some(deadline))
    )?;
    for warning in &fleet.reading.warnings {
        context.events.warn(warning.clone(), None);
    }
    let world = check(arguments, context, name, worktree, fleet, &connected, deadline).await?;
    let planned = engine::survey(&StepId::INIT, &world).await?;
    Ok((world, connected, planned))
}

/// The folder of the fleet repository. With a sandbox and no fleet repository here, a demo one is made.
async fn fleet_folder(arguments: &Arguments, sandbox: Option<&State>, context: &Context) -> Result<PathBuf> {
    let folder = match &context.global.fleet {
        Some(folder) => context.environment.folder.join(folder),
        None => context.environment.folder.clone(),
    };
    let Some(state) = sandbox.filter(|_| !is_fleet(&folder)) else { return Ok(folder) };
    let cluster = match &arguments.cluster {
        Some(cluster) => cluster.clone(),
        None => DEMO_CLUSTER.parse().map_err(|_| Failure::bug("a constant name"))?,
    };
    let scaffold = async |folder: &Path, repository: &Repository| {
        let (install_manifest, argocd) = new::install_manifest(ARGOCD_VERSION, Flavour::Standard, true, folder, context).await?;
        let clusters = BTreeSet::from([cluster.clone()]);
        let choices = Choices { repository: repository.clone(), clusters, argocd, install_manifest, examples: true };
        new::scaffold(folder, &choices, Existing::Refuse, context).await.map(drop)
    };
    Ok(demo::ensure(&folder.join(demo::FOLDER), state, context, scaffold).await?.folder)
}

fn is_fleet(folder: &Path) -> bool {
    ["gitops.yaml", "rendered", "kubernetes/rendered"].iter().any(|name| folder.join(name).exists())
}

/// The name of the cluster: as given, the only one that there is, or as chosen.
async fn cluster_name_of(arguments: &Arguments, folder: &Path, in_sandbox: bool, context: &Context) -> Result<ClusterName> {
    if let Some(name) = &arguments.cluster {
        return Ok(name.clone());
    }
    let names = declared_clusters(folder);
    if names.is_empty() && in_sandbox {
        return DEMO_CLUSTER.parse().map_err(|_| Failure::bug("a constant name"));
    }
    if names.is_empty() || !context.environment.interactive {
        let failure = Failure::usage("no cluster was named").hint("gitops-bootstrap init CLUSTER");
        let listed: Vec<&str> = names.iter().map(ClusterName::as_str).collect();
        return Err(if names.is_empty() { failure } else { failure.hint(format!("gitops.yaml has: {}", listed.join(", "))) });
    }
    let items: Vec<String> = names.iter().map(ToString::to_string).collect();
    let place =
        ask(context, move || dialoguer::Select::new().with_prompt("Which cluster of the fleet?").items(&items).default(0).interact())
            .await?;
    names.into_iter().nth(place).ok_or_else(|| Failure::bug("a choice that was not offered"))
}

/// The clusters of the declaration in the working tree, to choose from; the run itself reads the commit.
fn declared_clusters(folder: &Path) -> Vec<ClusterName> {
    let text = std::fs::read_to_string(folder.join("gitops.yaml")).unwrap_or_default();
    let declaration: Option<Declaration> = crate::manifest::declaration::parse(&text, "gitops.yaml").ok();
    declaration.map(|declaration| declaration.clusters.into_keys().collect()).unwrap_or_default()
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
    let keys: Arc<dyn KeyMaker> = Arc::new(SshKeyMaker);
    let remote: Arc<dyn Remote> = Arc::new(GitRemote::new(context.environment.variables.clone()));
    let hosts = pinned_hosts(fleet.declaration.as_ref())?;
    let forge = forge(arguments, context, fleet.declaration.as_ref(), &tree.repository, connected.sandbox.as_ref(), deadline).await?;

    let facts = preflight::check_cluster(cluster, name, fleet.declaration.as_ref(), tree).await?;
    tell_facts(&facts, tree.commit.short(), context);

    let wanted = Wanted {
        cluster: name.clone(),
        tree: tree.clone(),
        commit: tree.commit.clone(),
        facts,
        hosts,
        take_ownership: arguments.take_ownership,
        fix_key: arguments.fix_key,
        wait_for_lock: arguments.wait,
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
        Arc::new(faults(arguments)?),
        wanted,
    );
    let forge_check = async {
        match &world.forge {
            Some(forge) => preflight::check_forge(forge.as_ref(), &tree.repository, arguments.accept_rename, &context.events).await,
            None => Ok(()),
        }
    };
    let own_key = connected.sandbox.as_ref().and_then(|state| state.forge.user_key().ok());
    let ((), (), (), head) = tokio::try_join!(
        preflight::check_trees(cluster, tree),
        preflight::check_rights(cluster, tree),
        forge_check,
        preflight::head_of_remote(&world, own_key.as_ref()),
    )?;
    let clone = preflight::clone_of(worktree, &fleet);
    let commit = preflight::check_clone(&clone, &fleet, head.as_ref(), arguments.commit.as_ref()).await?;
    if head.is_none() && arguments.commit.is_none() {
        world.note_uncompared(clone);
        context.events.warn(not_asked(&world), None);
    }
    if commit != tree.commit {
        world.note_commit(commit);
    }
    Ok(world)
}

fn pinned_hosts(declaration: Option<&Declaration>) -> Result<HostKeys> {
    let lines = declaration.map(|declaration| declaration.repository.known_hosts.as_slice()).unwrap_or_default();
    HostKeys::pinned(lines.iter().map(String::as_str))
        .map_err(|error| Failure::repository(format!("gitops.yaml: repository.knownHosts: {error}")))
}

/// What is said if nothing can tell what the remote serves.
fn not_asked(world: &World) -> String {
    let repository = &world.wanted.tree.repository;
    let asked = format!("{repository} cannot be asked with your own access, nor by the API");
    match world.credential() {
        Some(Credential::Other(what)) => {
            format!("{asked}, and Argo CD uses {what}: whether the clone is what it serves is not checked")
        }
        _ => format!("{asked}: whether the clone is what it serves is checked once the deploy key works, before Argo CD is touched"),
    }
}

/// The forge's API with the token that was found, or none if the key is to be registered by hand.
async fn forge(
    arguments: &Arguments,
    context: &Context,
    declaration: Option<&Declaration>,
    repository: &RepositoryUrl,
    sandbox: Option<&State>,
    deadline: Instant,
) -> Result<Option<Arc<dyn Forge>>> {
    if arguments.paste_key {
        return Ok(None);
    }
    let api = arguments.forge_api.as_deref().or_else(|| declaration.and_then(|declaration| declaration.repository.api.as_deref()));
    let token = match sandbox {
        Some(state) if arguments.token_file.is_none() => state.forge.token("admin")?,
        _ => {
            let host = GitHub::host(repository, api)?;
            let sources = TokenSources {
                file: arguments.token_file.as_deref(),
                environment: &context.environment.variables,
                host: &host,
                interactive: context.environment.interactive,
                events: &context.events,
            };
            match token::find(sources).await? {
                Some(token) => {
                    context.events.send(Event::Fact { name: "token", text: token.origin });
                    token.secret
                }
                None if context.environment.interactive => return Ok(None),
                None => return Err(without_token(&host)),
            }
        }
    };
    let options = GitHubOptions { repository: repository.clone(), api: api.map(str::to_owned), token, deadline };
    Ok(Some(Arc::new(GitHub::connect(options)?)))
}

fn without_token(host: &str) -> Failure {
    Failure::usage(format!("there is no token for {host}"))
        .because("the public half of the deploy key is registered by its API")
        .hint(if host == "github.com" {
            "set GITHUB_TOKEN, or log in with `gh auth login`"
        } else {
            "set GH_ENTERPRISE_TOKEN, or log in with `gh auth login --hostname`"
        })
        .hint("or name a file with the token: `--token-file FILE`")
        .hint("or let somebody register the key by hand: `--paste-key`")
}

fn tell_facts(facts: &ClusterFacts, commit: &str, context: &Context) {
    let fact = |name, text: String| context.events.send(Event::Fact { name, text });
    fact("context", facts.context.clone());
    fact("server", format!("{} (Kubernetes {})", facts.server, facts.git_version));
    fact("identity", facts.identity.to_string());
    fact("commit", commit.to_owned());
}

/// Who this run is: unlike any other, and telling for the person who finds the lock held.
fn holder(context: &Context) -> String {
    let user = context.environment.variable("USER").unwrap_or("somebody");
    let host = hostname::get().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "somewhere".to_owned());
    format!("{user}@{host} {}-{}", std::process::id(), jiff::Timestamp::now().as_millisecond())
}

fn faults(arguments: &Arguments) -> Result<Faults> {
    match &arguments.kill_at {
        None => Ok(Faults::default()),
        Some(text) => {
            let point: FaultPoint =
                text.parse().map_err(|error: crate::steps::faults::InvalidFaultPoint| Failure::usage(error.to_string()))?;
            Ok(Faults::at(point, Death::Kill))
        }
    }
}

/// Asks whether the plan may be carried out: on a terminal, for a cluster that is not a sandbox.
async fn confirm(planned: &[PlannedStep], world: &World, in_sandbox: bool, context: &Context) -> Result<()> {
    if context.global.yes || in_sandbox || !context.environment.interactive || !planned.iter().any(|step| step.needed) {
        return Ok(());
    }
    let question = format!("Carry this out on `{}` ({})?", world.wanted.facts.context, world.wanted.facts.server);
    if ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(false).interact()).await? {
        return Ok(());
    }
    Err(Failure::new(Kind::Interrupted, "nothing was changed, as you said"))
}
