//! `rotate-key --to`: from a deploy key to a GitHub App, or back.
//!
//! The two have different addresses, the address is in Git, and this verb never writes to Git. So the same command is run twice. While Git names the old
//! address, the other credential is made and proven beside the one in use, and what is to be changed in Git is told. Once Git names the new one, Argo CD
//! is taken there, and the old credential goes. In between Argo CD has both, and whoever pushes when is of no matter.

mod addresses;
mod ending;
mod half;

use std::sync::Arc;

use tokio::time::Instant;

use self::addresses::{check_to_url, counterpart, new_address};
use self::half::Half;
use super::super::access::access;
use super::super::asked::Asked;
use super::super::bootstrap::{compare_clone, confirm, named_folder, pinned_hosts, remote, started, tell_facts, world};
use super::super::change::wanted;
use super::super::connect::{Connected, connect_to, sandbox_running};
use crate::adapters::git::GitWorktree;
use crate::cli::access::{self, CredentialKind};
use crate::cli::rotate_key::Arguments;
use crate::context::Context;
use crate::domain::application::Application;
use crate::domain::repository_url::Transport;
use crate::domain::tree::Rendered;
use crate::domain::{ClusterName, Declaration, RepositoryPath, RepositoryUrl};
use crate::engine;
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::plan::moving::{GitChange, to_take_out, to_write};
use crate::ports::git::File;
use crate::ports::{Forge, Worktree};
use crate::preflight::{self, Fleet};
use crate::steps::credential::{Access, Credential};
use crate::steps::secret_create::{Found, SecretCreate};
use crate::steps::world::interrupted;
use crate::steps::{Step as _, World, fetch, old_secret};

/// What was found before anything is changed.
struct Move {
    half: Half,
    to: CredentialKind,
    from: RepositoryUrl,
    world: World,
    connected: Connected,
    /// What is to be changed in Git: before the second half, or after it.
    changes: Vec<GitChange>,
    /// The other clusters of the fleet, which have the same address.
    others: Vec<ClusterName>,
}

/// Runs `rotate-key --to`.
pub(super) async fn run(arguments: &Arguments, to: CredentialKind, context: &Context) -> Result<()> {
    let begin = Instant::now();
    context.events.send(started("rotate-key", Some(arguments.cluster.to_string())));
    if arguments.revoke_first {
        return Err(Failure::usage("a key that leaked is revoked before a cluster moves to another credential")
            .because("`--to` keeps the old credential until Argo CD has moved, which waits for a change in Git")
            .hint(format!("first: gitops-bootstrap rotate-key {} --revoke-first", arguments.cluster))
            .hint("then the same command without `--revoke-first`"));
    }
    let survey = async {
        let found = look(arguments, to, context).await?;
        let planned = engine::survey(found.half.recipe(), &found.world).await?;
        Ok::<_, Failure>((found, planned))
    };
    // Looking changes nothing, so there is nothing to end well.
    let (found, planned) = tokio::select! {
        surveyed = survey => surveyed?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    context.events.send(Event::Planned { steps: planned.clone() });
    confirm(&planned, &found.world, found.connected.sandbox.is_some(), context).await?;
    let is_needed = planned.iter().any(|step| step.needed);
    let steps = if is_needed { engine::run(found.half.recipe(), &found.world).await? } else { Vec::new() };
    ending::tell(&found, arguments, &steps, begin.elapsed(), context);
    Ok(())
}

/// Reads the fleet repository, the cluster and the forge, and checks all that is checked before the first write.
async fn look(arguments: &Arguments, to: CredentialKind, context: &Context) -> Result<Move> {
    let flags = &arguments.change;
    let deadline = Instant::now() + flags.timeout;
    let worktree = Arc::new(GitWorktree::new(named_folder(context)));
    let sandbox = sandbox_running(&flags.target, context).await?;
    let (fleet, connected) = tokio::try_join!(
        preflight::load(worktree.as_ref(), &arguments.cluster, None),
        connect_to(&flags.target, sandbox, context, Some(deadline))
    )?;
    let declaration = fleet.declaration.as_ref();
    let declared = &fleet.reading.tree.repository;
    let half = Half::of(declared, to);
    let address = match half {
        Half::Prepare => new_address(declared, to, arguments.to_url.as_ref())?,
        Half::Finish => declared.clone(),
    };
    check_to_url(arguments.to_url.as_ref(), &address)?;

    let facts = preflight::check_cluster(&connected.cluster, &arguments.cluster, declaration, &fleet.reading.tree).await?;
    tell_facts(&facts, fleet.reading.tree.commit.short(), context);
    let wanted = wanted(&arguments.cluster, &fleet.reading.tree, facts, pinned_hosts(declaration)?, flags.wait, context);
    let remote = remote(context, &address, connected.sandbox.as_ref())?;
    let world = world(&connected, None, remote, wanted, flags, deadline, context)?;
    check(&world, &fleet).await?;

    let world = world.moving(counterpart(declared, half, &address)?, address.clone());
    let old = old_secret::find(&world).await?;
    let from = match half {
        Half::Prepare => declared.clone(),
        Half::Finish => left(&world, &old).await?,
    };
    let world = world.moving(from.clone(), address.clone());
    if half == Half::Prepare {
        check_before(&world, old.is_empty(), to).await?;
    }
    SecretCreate.look(&world).await?;
    let asked = Asked {
        flags: &flags.login,
        declared: declaration.map(|declaration| &declaration.repository),
        repository: &address,
        sandbox: connected.sandbox.as_ref(),
        deadline,
    };
    let wanted = access::Access { credential: Some(to), app: named_app(arguments, declaration, world.credential().as_ref()) };
    let (access, apps) = access(&wanted, &asked, context).await?;
    if matches!(access, Access::AnyPassword) {
        return Err(Failure::refused("a forge that stands in for another one knows no GitHub App")
            .because(format!("the sandbox stands in for {}", address.host()))
            .because("nothing was changed"));
    }
    let forge = match to {
        CredentialKind::DeployKey => forge_to_register(arguments, half, &world, &asked, context).await?,
        CredentialKind::GitHubApp if half == Half::Finish && old.iter().any(Found::is_deploy_key) => {
            forge_to_remove(arguments, &asked, context).await?
        }
        CredentialKind::GitHubApp => None,
    };
    let world = world.with_access(access, apps).with_forge(forge);
    if address.transport() == Transport::Ssh {
        let tree = &world.wanted.tree;
        preflight::check_host_keys(world.remote.as_ref(), world.keys.as_ref(), &address, &tree.revision, &world.wanted.hosts).await?;
    }
    if half == Half::Finish {
        warn_of_projects(&world, &from).await?;
    }
    let changes = changes(worktree.as_ref(), &fleet, half, &from, &address, &world).await?;
    if half == Half::Finish {
        let own_key = connected.sandbox.as_ref().and_then(|state| state.forge.user_key().ok());
        let head = preflight::head_of_remote(&world, own_key.as_ref()).await?;
        compare_clone(&world, worktree, &fleet, head, None, context).await?;
    }
    let others = declaration.into_iter().flat_map(|declaration| declaration.clusters.keys());
    let others = others.filter(|name| **name != arguments.cluster).cloned().collect();
    Ok(Move { half, to, from, world, connected, changes, others })
}

/// The address that the cluster leaves: that of the old Secret, or the one that the root Application still names.
async fn left(world: &World, old: &[Found]) -> Result<RepositoryUrl> {
    if let Some(address) = old.first().and_then(Found::address) {
        return Ok(address);
    }
    let named = root_addresses(world).await?.into_iter().find(|address| {
        address.is_same_repository(&world.wanted.tree.repository) && address.normalised() != world.wanted.tree.repository.normalised()
    });
    match (named, &world.moved_from) {
        (Some(named), _) => Ok(named),
        (None, Some(guessed)) => Ok(guessed.clone()),
        (None, None) => Err(Failure::bug("a cluster moves from nowhere")),
    }
}

/// The addresses that the root Application names in the cluster.
async fn root_addresses(world: &World) -> Result<Vec<RepositoryUrl>> {
    let root = world.cluster.get(&fetch::root(world)).await?.and_then(|root| Application::read(&root).ok());
    Ok(root.iter().flat_map(Application::sources).filter_map(|source| source.repository.parse().ok()).collect())
}

/// What is checked whichever half it is.
async fn check(world: &World, fleet: &Fleet) -> Result<()> {
    let (cluster, tree) = (world.cluster.as_ref(), &fleet.reading.tree);
    preflight::check_follows_forge(cluster, &world.wanted.cluster).await?;
    tokio::try_join!(
        preflight::check_trees(cluster, tree),
        preflight::check_rights(cluster, tree),
        preflight::check_rights_to_rotate(cluster)
    )?;
    Ok(())
}

/// What is checked while Git names the old address: that Argo CD gets in by it, and has not gone on without this clone.
async fn check_before(world: &World, has_none: bool, to: CredentialKind) -> Result<()> {
    let (cluster, address) = (&world.wanted.cluster, &world.wanted.tree.repository);
    if root_addresses(world).await?.iter().any(|named| named.normalised() == address.normalised()) {
        return Err(Failure::refused(format!("Argo CD goes to {address} already, and this clone names another address"))
            .because("the clone is older than what Argo CD has seen")
            .because("nothing was changed")
            .hint("git pull; then run the same command again"));
    }
    if !has_none {
        return Ok(());
    }
    let flag = if to == CredentialKind::GitHubApp { " --github-app-private-key-file FILE" } else { "" };
    Err(Failure::refused(format!("the cluster `{cluster}` has no credential for the repository that it could move from"))
        .because("nothing was changed")
        .hint(format!("bootstrap it by what is declared: gitops-bootstrap init {cluster}{flag}")))
}

/// Says if projects do not permit the old address any more, while Argo CD still goes there.
async fn warn_of_projects(world: &World, from: &RepositoryUrl) -> Result<()> {
    let tree = &world.wanted.tree;
    let permits = |project: &&Rendered, address: &RepositoryUrl| {
        let sources = project.object.at("/spec/sourceRepos").and_then(serde_json::Value::as_array);
        sources.into_iter().flatten().filter_map(serde_json::Value::as_str).any(|source| address.is_covered_by(source))
    };
    let projects = tree.projects.iter().filter(|project| permits(project, &tree.repository) && !permits(project, from));
    let names: Vec<&str> = projects.map(|project| project.object.name()).collect();
    if !names.is_empty() && root_addresses(world).await?.iter().any(|named| named.normalised() == from.normalised()) {
        world.events.warn(
            format!("in Git {} permit {from} no more: what has not moved yet is refused by Argo CD until it has", names.join(", ")),
            Some(
                "without that: permit both addresses in `sourceRepos`, render, commit and push, and take the old one out at last"
                    .to_owned(),
            ),
        );
    }
    Ok(())
}

/// The GitHub App that is meant: where neither a flag nor gitops.yaml says which, it is the one that an earlier run has stored.
fn named_app(arguments: &Arguments, declaration: Option<&Declaration>, stored: Option<&Credential>) -> access::App {
    let mut named = arguments.app.clone();
    let is_declared = declaration.is_some_and(|declaration| declaration.repository.github_app.is_some());
    if let Some(Credential::GitHubApp(app)) = stored
        && named.github_app_id.is_none()
        && !is_declared
    {
        named.github_app_id = Some(app.id);
        named.github_app_installation_id.get_or_insert(app.installation);
    }
    named
}

/// The forge's API to register the deploy key with; none where somebody does that by hand, or where it is registered.
async fn forge_to_register(
    arguments: &Arguments,
    half: Half,
    world: &World,
    asked: &Asked<'_>,
    context: &Context,
) -> Result<Option<Arc<dyn Forge>>> {
    if arguments.paste_key {
        return Ok(None);
    }
    let found = asked.forge(context).await?;
    match &found {
        Some(forge) => preflight::check_forge(forge.as_ref(), asked.repository, arguments.change.accept_rename, &context.events).await?,
        None if context.environment.interactive || (half == Half::Finish && world.credential().is_some()) => {}
        None => return Err(asked.without_token_for_key()),
    }
    Ok(found)
}

/// The forge's API to remove the old deploy key with; none where that is left to a person.
async fn forge_to_remove(arguments: &Arguments, asked: &Asked<'_>, context: &Context) -> Result<Option<Arc<dyn Forge>>> {
    if arguments.paste_key {
        return Ok(None);
    }
    let Some(found) = asked.forge(context).await? else { return Ok(None) };
    let checked = async {
        match preflight::check_repository(found.as_ref(), asked.repository, arguments.change.accept_rename, &context.events).await? {
            Some(facts) => preflight::check_administrator(found.as_ref(), &facts),
            None => Ok(()),
        }
    };
    if let Err(failure) = checked.await {
        context.events.warn(format!("the old deploy key is left to be removed by hand: {}", failure.message), None);
        return Ok(None);
    }
    Ok(Some(found))
}

/// What is to be changed in Git: before the second half so that Argo CD moves, after it so that nothing of the move is left.
async fn changes(
    worktree: &dyn Worktree,
    fleet: &Fleet,
    half: Half,
    from: &RepositoryUrl,
    to: &RepositoryUrl,
    world: &World,
) -> Result<Vec<GitChange>> {
    let written = written(worktree, fleet).await?;
    let texts: Vec<(&str, &str)> =
        written.iter().filter_map(|file| Some((file.path.as_str(), std::str::from_utf8(&file.content).ok()?))).collect();
    let app = match &world.access {
        Access::GitHubApp(app) => Some(app.id),
        _ => None,
    };
    Ok(match half {
        Half::Prepare => to_write(&texts, from, to, app),
        Half::Finish => to_take_out(&texts, from),
    })
}

/// The files that people write; where nothing declares which these are, those of the cluster.
async fn written(worktree: &dyn Worktree, fleet: &Fleet) -> Result<Vec<File>> {
    let Some(declaration) = &fleet.declaration else { return Ok(fleet.files.clone()) };
    let file: RepositoryPath = "gitops.yaml".parse().map_err(|_| Failure::bug("a constant path"))?;
    Ok(worktree.files(&fleet.reading.tree.commit, &[file, declaration.repository.source.clone()]).await?)
}
