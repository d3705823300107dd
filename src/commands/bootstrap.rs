//! What `init` and `recover` share: from flags to a world, and from a plan to a person's yes.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::time::Instant;

use super::Context;
use super::ask::ask;
use super::connect::Connected;
use crate::adapters::git::{GitRemote, StandIn};
use crate::adapters::ssh_key::SshKeyMaker;
use crate::cli::change::Change;
use crate::domain::application::Application;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{ClusterName, Commit, Declaration, HostKeys, Object, RepositoryUrl, WebhookUrl};
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event, PlannedStep};
use crate::plan::diagnosis::{State as Standing, verdict};
use crate::ports::cluster::ClusterFacts;
use crate::ports::{Cluster, Forge, Remote, Worktree};
use crate::preflight::{self, Fleet};
use crate::sandbox::State;
use crate::steps::World;
use crate::steps::credential::Credential;
use crate::steps::faults::{Death, FaultPoint, Faults, InvalidFaultPoint};
use crate::steps::key_verify::by_stored_key;
use crate::steps::world::Wanted;

/// The first event of a run.
pub(super) fn started(verb: &'static str, cluster: Option<String>) -> Event {
    Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb, cluster }
}

/// A failure of a run that can be continued, with the command that does it.
pub(super) fn with_way_on(failure: Failure, context: &Context) -> Failure {
    match failure.kind {
        Kind::Interrupted | Kind::Terminated => failure.hint(format!("to go on from here: {}", context.environment.command_line())),
        _ => failure,
    }
}

/// The folder that the flags name, or the working directory.
pub(super) fn named_folder(context: &Context) -> PathBuf {
    match &context.global.fleet {
        Some(folder) => context.environment.folder.join(folder),
        None => context.environment.folder.clone(),
    }
}

/// The host keys that are compiled in and those that gitops.yaml names.
pub(super) fn pinned_hosts(declaration: Option<&Declaration>) -> Result<HostKeys> {
    let lines = declaration.map(|declaration| declaration.repository.known_hosts.as_slice()).unwrap_or_default();
    HostKeys::pinned(lines.iter().map(String::as_str))
        .map_err(|error| Failure::repository(format!("gitops.yaml: repository.knownHosts: {error}")))
}

/// The Git servers: as they are, and in a sandbox its forge in the place of the fleet's own.
pub(super) fn remote(context: &Context, repository: &RepositoryUrl, sandbox: Option<&State>) -> Result<Arc<dyn Remote>> {
    let remote = GitRemote::new(context.environment.variables.clone());
    let Some((state, address)) = sandbox.and_then(|state| Some((state, state.forge.stand_in(repository)?))) else {
        return Ok(Arc::new(remote));
    };
    Ok(Arc::new(StandIn { remote, stood_in_for: repository.clone(), address, hosts: state.forge.host_keys()? }))
}

/// The commit that the remote serves, asked with the access that the person has; none if that access does not suffice.
pub(super) async fn remote_head(
    remote: &dyn Remote,
    repository: &RepositoryUrl,
    branch: &str,
    hosts: &HostKeys,
    sandbox: Option<&State>,
) -> Option<Commit> {
    let head = match sandbox.and_then(|state| std::fs::read_to_string(&state.forge.user_key).ok()) {
        Some(key) => remote.branch_head(repository, branch, &SecretString::from(key), hosts).await,
        None => remote.branch_head_as_person(repository, branch).await,
    };
    head.ok().flatten()
}

/// Compares the clone with what the remote serves, and notes the commit that the cluster will end up at. If nothing could tell yet (`head` is none), the
/// clone is compared once the deploy key works.
pub(super) async fn compare_clone(
    world: &World,
    worktree: Arc<dyn Worktree>,
    fleet: &Fleet,
    head: Option<Commit>,
    named: Option<&Commit>,
    context: &Context,
) -> Result<()> {
    let clone = preflight::clone_of(worktree, fleet);
    let commit = preflight::check_clone(&clone, fleet, head.as_ref(), named).await?;
    if head.is_none() && named.is_none() {
        world.note_uncompared(clone);
        context.events.warn(not_asked(world), None);
    }
    if commit != fleet.reading.tree.commit {
        world.note_commit(commit);
    }
    Ok(())
}

/// The commit that the remote serves, asked with the deploy key that the cluster has, or else by the forge's API with the token; none if neither can tell.
pub(super) async fn head_by_other_access(world: &World) -> Result<Option<Commit>> {
    if let Some(head) = by_stored_key(world).await?.head {
        return Ok(Some(head));
    }
    let Some(forge) = &world.forge else { return Ok(None) };
    // A token need not read what is in the repository to manage its keys.
    Ok(forge.branch_head(&world.wanted.tree.revision).await.ok().flatten())
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

/// Where the forge is to tell the Argo CD of `cluster` of pushes, as gitops.yaml has it.
pub(super) fn declared_webhook(declaration: Option<&Declaration>, cluster: &ClusterName) -> Option<WebhookUrl> {
    declaration?.clusters.get(cluster)?.webhook.clone()
}

/// Tells what was found of the cluster.
pub(super) fn tell_facts(facts: &ClusterFacts, commit: &str, context: &Context) {
    let fact = |name, text: String| context.events.send(Event::Fact { name, text });
    fact("context", facts.context.clone());
    fact("server", format!("{} (Kubernetes {})", facts.server, facts.git_version));
    fact("identity", facts.identity.to_string());
    fact("commit", commit.to_owned());
}

/// Who this run is: unlike any other, and telling for the person who finds the lock held.
pub(super) fn holder(context: &Context) -> String {
    let user = context.environment.variable("USER").unwrap_or("somebody");
    let host = hostname::get().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "somewhere".to_owned());
    format!("{user}@{host} {}-{}", std::process::id(), jiff::Timestamp::now().as_millisecond())
}

/// Where the run is to die, if anywhere.
fn faults(flags: &Change) -> Result<Faults> {
    match &flags.kill_at {
        None => Ok(Faults::default()),
        Some(text) => {
            let point: FaultPoint = text.parse().map_err(|error: InvalidFaultPoint| Failure::usage(error.to_string()))?;
            Ok(Faults::at(point, Death::Kill))
        }
    }
}

/// The world of a run with these flags.
pub(super) fn world(
    connected: &Connected,
    forge: Option<Arc<dyn Forge>>,
    remote: Arc<dyn Remote>,
    wanted: Wanted,
    flags: &Change,
    deadline: Instant,
    context: &Context,
) -> Result<World> {
    let world = World::new(
        Arc::new(connected.cluster.clone()) as Arc<dyn Cluster>,
        forge,
        remote,
        Arc::new(SshKeyMaker),
        context.events.clone(),
        context.cancel.clone(),
        deadline,
        Arc::new(faults(flags)?),
        wanted,
    );
    Ok(world.explaining(flags.explain))
}

/// Asks whether the plan may be carried out: on a terminal, for a cluster that is not a sandbox.
pub(super) async fn confirm(planned: &[PlannedStep], world: &World, in_sandbox: bool, context: &Context) -> Result<()> {
    if context.global.yes || in_sandbox || !context.environment.interactive || !planned.iter().any(|step| step.needed) {
        return Ok(());
    }
    let question = format!("Carry this out on `{}` ({})?", world.wanted.facts.context, world.wanted.facts.server);
    if ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(false).interact()).await? {
        return Ok(());
    }
    Err(Failure::new(Kind::Interrupted, "nothing was changed, as you said"))
}

/// The Applications as they are now, each with how it stands.
pub(super) async fn applications(world: &World) -> Result<Vec<(Application, Standing)>> {
    let tree = world.followed();
    let objects = world.cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await?;
    let projects: Vec<Object> = tree.projects.iter().map(|project| project.object.clone()).collect();
    let applications = objects.iter().filter_map(|object| Some(Application::read(object).ok()?.with_windows(&projects)));
    let commit = world.followed_commit();
    Ok(applications
        .map(|application| {
            let expected = Some(&commit).filter(|_| application.follows(&tree.repository, &tree.revision));
            let state = verdict(&application, expected);
            (application, state)
        })
        .collect())
}
