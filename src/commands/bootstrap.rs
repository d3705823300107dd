//! What `init` and `recover` share: from flags to a world, and from a plan to a person's yes.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::time::Instant;

use super::Context;
use super::ask::ask;
use super::{access, login};
use crate::adapters::git::{GitRemote, StandIn};
use crate::adapters::github::{GitHub, GitHubAppTokens, GitHubOptions};
use crate::adapters::token::{self, TokenSources};
use crate::cli::run::Run;
use crate::domain::application::Application;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{ClusterName, Commit, Declaration, HostKeys, Object, RepositoryUrl, WebhookUrl};
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event, PlannedStep};
use crate::plan::diagnosis::{State as Standing, verdict};
use crate::ports::cluster::ClusterFacts;
use crate::ports::{AppTokens, Forge, Remote, Worktree};
use crate::preflight::{self, Fleet};
use crate::sandbox::State;
use crate::steps::World;
use crate::steps::credential::{Access, Credential};
use crate::steps::faults::{Death, FaultPoint, Faults, InvalidFaultPoint};
use crate::steps::key_verify::by_stored_key;

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
    let lines = state.forge.host_key_lines()?;
    let hosts = HostKeys::pinned(lines.iter().map(String::as_str))
        .map_err(|error| Failure::bug("the sandbox's forge has a strange host key").because(error))?;
    Ok(Arc::new(StandIn { remote, stood_in_for: repository.clone(), address, hosts }))
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

/// The forge's API with the token that was found, or none if there is no token or the key is to be registered by hand.
pub(super) async fn forge(
    flags: &Run,
    context: &Context,
    declaration: Option<&Declaration>,
    repository: &RepositoryUrl,
    sandbox: Option<&State>,
    deadline: Instant,
) -> Result<Option<Arc<dyn Forge>>> {
    if flags.paste_key {
        return Ok(None);
    }
    let Some(Found { github, origin }) = github(flags, context, declaration, repository, sandbox, deadline).await? else { return Ok(None) };
    if let Some(text) = origin {
        context.events.send(Event::Fact { name: "token", text });
    }
    Ok(Some(Arc::new(github)))
}

/// A forge's API with a token.
pub(super) struct Found {
    /// The API.
    pub(super) github: GitHub,
    /// Where the token was found, for people; none for that of a sandbox.
    pub(super) origin: Option<String>,
}

/// The forge's API with the token that is found; none if there is no token.
pub(super) async fn github(
    flags: &Run,
    context: &Context,
    declaration: Option<&Declaration>,
    repository: &RepositoryUrl,
    sandbox: Option<&State>,
    deadline: Instant,
) -> Result<Option<Found>> {
    let stand_in = sandbox.filter(|state| state.forge.stand_in(repository).is_some()).map(|state| state.forge.api.as_str());
    let api = stand_in.or_else(|| api(flags, declaration));
    let (token, origin) = match sandbox {
        Some(state) if flags.token_file.is_none() || stand_in.is_some() => (state.forge.token("admin")?, None),
        _ => {
            let host = GitHub::host(repository, api)?;
            let sources = TokenSources {
                file: flags.token_file.as_deref(),
                environment: &context.environment.variables,
                host: &host,
                interactive: context.environment.interactive,
                events: &context.events,
            };
            let found = match flags.login.device_flow {
                true => Some(login::wanted(&flags.login, declaration, repository, api, deadline, context).await?),
                false => match token::find(sources).await? {
                    Some(token) => Some(token),
                    None => login::offered(&flags.login, declaration, repository, api, deadline, context).await?,
                },
            };
            match found {
                Some(token) => (token.secret, Some(token.origin)),
                None => return Ok(None),
            }
        }
    };
    let options = GitHubOptions { repository: repository.clone(), api: api.map(str::to_owned), token, deadline };
    Ok(Some(Found { github: GitHub::connect(options)?, origin }))
}

/// How Argo CD is to get into the repository, and where the tokens of a GitHub App come from.
pub(super) async fn access(
    flags: &Run,
    context: &Context,
    declaration: Option<&Declaration>,
    repository: &RepositoryUrl,
    sandbox: Option<&State>,
    deadline: Instant,
) -> Result<(Access, Arc<dyn AppTokens>)> {
    let api = api(flags, declaration);
    let apps: Arc<dyn AppTokens> = Arc::new(GitHubAppTokens { api: api.map(str::to_owned), deadline });
    let access = access::access(&flags.access, declaration, repository, api, sandbox, apps.as_ref(), context).await?;
    Ok((access, apps))
}

/// Where the forge is to tell the Argo CD of `cluster` of pushes, as gitops.yaml has it.
pub(super) fn declared_webhook(declaration: Option<&Declaration>, cluster: &ClusterName) -> Option<WebhookUrl> {
    declaration?.clusters.get(cluster)?.webhook.clone()
}

fn api<'a>(flags: &'a Run, declaration: Option<&'a Declaration>) -> Option<&'a str> {
    flags.forge_api.as_deref().or_else(|| declaration.and_then(|declaration| declaration.repository.api.as_deref()))
}

/// The failure of a run that needs a token, and has neither one nor a person to ask.
pub(super) fn without_token(flags: &Run, declaration: Option<&Declaration>, repository: &RepositoryUrl) -> Failure {
    let host = match GitHub::host(repository, api(flags, declaration)) {
        Ok(host) => host,
        Err(error) => return error.into(),
    };
    Failure::usage(format!("there is no token for {host}"))
        .because("the public half of the deploy key is registered by its API")
        .hint(token::where_to_put(&host))
        .hint("or name a file with the token: `--token-file FILE`")
        .hint("or let somebody register the key by hand: `--paste-key`")
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
pub(super) fn faults(flags: &Run) -> Result<Faults> {
    match &flags.kill_at {
        None => Ok(Faults::default()),
        Some(text) => {
            let point: FaultPoint = text.parse().map_err(|error: InvalidFaultPoint| Failure::usage(error.to_string()))?;
            Ok(Faults::at(point, Death::Kill))
        }
    }
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
