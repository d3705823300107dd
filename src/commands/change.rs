//! What `rotate-key` and `detach` share: from flags to a world of a cluster that was bootstrapped before.

use tokio::time::Instant;

use super::Context;
use super::asked::Asked;
use super::bootstrap::{holder, named_folder, pinned_hosts, remote, tell_facts, world};
use super::connect::{Connected, connect_to, sandbox_running};
use crate::adapters::git::GitWorktree;
use crate::adapters::ssh_key::SshKeyMaker;
use crate::cli::Output;
use crate::cli::change::Change;
use crate::domain::tree::Tree;
use crate::domain::{ClusterName, HostKeys};
use crate::error::{Failure, Result};
use crate::ports::cluster::ClusterFacts;
use crate::preflight;
use crate::report::{self, Circumstances, Ending};
use crate::steps::World;
use crate::steps::world::Wanted;

/// What is going to be done to the cluster, as far as that decides what is checked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its deploy key is renewed.
    Rotate,
    /// Argo CD is taken out of it.
    Detach,
}

/// Reads the fleet repository, the cluster and the forge, and checks all that is checked before the first write. The clone need not be what the
/// remote serves: only the addresses, the host keys and the names in it are used. The forge's API is left alone if `without_forge`.
pub(super) async fn look(
    purpose: Purpose,
    cluster: &ClusterName,
    flags: &Change,
    without_forge: bool,
    context: &Context,
) -> Result<(World, Connected)> {
    let deadline = Instant::now() + flags.timeout;
    let worktree = GitWorktree::new(named_folder(context));
    let sandbox = sandbox_running(&flags.target, context).await?;
    let (fleet, connected) =
        tokio::try_join!(preflight::load(&worktree, cluster, None), connect_to(&flags.target, sandbox, context, Some(deadline)))?;
    let tree = &fleet.reading.tree;
    let declaration = fleet.declaration.as_ref();
    let hosts = pinned_hosts(declaration)?;
    let remote = remote(context, &tree.repository, connected.sandbox.as_ref())?;
    let has_key = declaration.is_none_or(|declaration| declaration.repository.github_app.is_none());
    let asked = Asked {
        flags: &flags.login,
        declared: declaration.map(|declaration| &declaration.repository),
        repository: &tree.repository,
        sandbox: connected.sandbox.as_ref(),
        deadline,
    };
    let forge = if without_forge { None } else { asked.forge(context).await? };
    if forge.is_none() && has_key && !without_forge && (purpose == Purpose::Detach || !context.environment.interactive) {
        let failure = asked.without_token_for_key();
        return Err(if purpose == Purpose::Detach { leaving_the_key(failure) } else { failure });
    }
    let facts = async {
        let facts = preflight::check_cluster(&connected.cluster, cluster, declaration, tree).await?;
        preflight::check_follows_forge(&connected.cluster, cluster).await?;
        match purpose {
            Purpose::Rotate => {
                tokio::try_join!(
                    preflight::check_trees(&connected.cluster, tree),
                    preflight::check_rights_to_rotate(&connected.cluster),
                    preflight::check_host_keys(remote.as_ref(), &SshKeyMaker, &tree.repository, &tree.revision, &hosts)
                )?;
            }
            // What is half deleted is saved by taking the finalizers off.
            Purpose::Detach => {
                tokio::try_join!(
                    preflight::check_root(&connected.cluster, tree),
                    preflight::check_rights_to_detach(&connected.cluster, tree)
                )?;
            }
        }
        Ok::<ClusterFacts, Failure>(facts)
    };
    let forge_check = async {
        let Some(forge) = &forge else { return Ok(()) };
        let checked = match has_key {
            true => preflight::check_forge(forge.as_ref(), &tree.repository, flags.accept_rename, &context.events).await,
            false => preflight::check_repository(forge.as_ref(), &tree.repository, flags.accept_rename, &context.events).await.map(drop),
        };
        checked.map_err(|failure| if purpose == Purpose::Detach { leaving_the_key(failure) } else { failure })
    };
    let (facts, ()) = tokio::try_join!(facts, forge_check)?;
    tell_facts(&facts, tree.commit.short(), context);
    let wanted = wanted(cluster, tree, facts, hosts, flags.wait, context);
    let world = world(&connected, forge, remote, wanted, flags, deadline, context)?;
    Ok((world, connected))
}

/// What a run wants that changes a bootstrapped cluster: nothing beyond the tree.
pub(super) fn wanted(
    cluster: &ClusterName,
    tree: &Tree,
    facts: ClusterFacts,
    hosts: HostKeys,
    wait_for_lock: bool,
    context: &Context,
) -> Wanted {
    Wanted {
        cluster: cluster.clone(),
        tree: tree.clone(),
        commit: tree.commit.clone(),
        facts,
        hosts,
        bundle: None,
        recovery: None,
        take_ownership: false,
        fix_key: false,
        wait_for_lock,
        holder: holder(context),
        now: jiff::Timestamp::now(),
    }
}

fn leaving_the_key(failure: Failure) -> Failure {
    failure.hint("or leave the deploy key at the forge, to be removed by hand: `--keep-key`")
}

/// Shows people how a run has ended; nothing where the result is JSON.
pub(super) fn show(ending: &Ending, context: &Context) {
    if context.global.output == Output::Text {
        let style = report::style(&Circumstances::of(&context.global, &context.environment));
        context.events.suspend(&mut || report::ending(ending, &style));
    }
}
