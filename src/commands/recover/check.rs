//! All that is checked before the first write of a recovery.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::deploy_key::{Api, api_is_down, ask, keep_if_it_opens};
use crate::adapters::ssh_key::SshKeyMaker;
use crate::cli::recover::Arguments;
use crate::commands::Context;
use crate::commands::access::access;
use crate::commands::asked::Asked;
use crate::commands::bootstrap::{
    compare_clone, declared_webhook, head_by_other_access, holder, pinned_hosts, remote, remote_head, tell_facts, world,
};
use crate::commands::bundle::{self, Place};
use crate::commands::connect::Connected;
use crate::commands::serve_clone;
use crate::domain::tree::Tree;
use crate::domain::{Bundle, PublicKey};
use crate::error::{Failure, Kind, Result};
use crate::manifest::decryptable::{Decryption, Keys, check_decryptable};
use crate::plan::losses::losses;
use crate::plan::recovery::{Loss, LossKind, StaleKey};
use crate::ports::Worktree;
use crate::preflight::{self, Allowed, Fleet, Found};
use crate::steps::World;
use crate::steps::credential::Access;
use crate::steps::key_verify::by_stored_key;
use crate::steps::world::{Recovering, Wanted};

/// What the checks have brought.
pub(super) struct Checked {
    /// The ports and what is wanted.
    pub(super) world: World,
    /// What was found of the target.
    pub(super) found: Found,
    /// What cannot come back from Git.
    pub(super) losses: Vec<Loss>,
    /// The deploy keys of clusters of this name that are gone.
    pub(super) stale_keys: Vec<StaleKey>,
    /// Whether there is a bundle.
    pub(super) has_bundle: bool,
}

/// All that is checked before the first write.
pub(super) async fn check(
    arguments: &Arguments,
    context: &Context,
    worktree: Arc<dyn Worktree>,
    fleet: Fleet,
    connected: &Connected,
    deadline: Instant,
) -> Result<Checked> {
    let flags = &arguments.run;
    let tree = &fleet.reading.tree;
    let declaration = fleet.declaration.as_ref();
    let cluster = &connected.cluster;
    let remote = remote(context, &tree.repository, connected.sandbox.as_ref())?;
    let hosts = pinned_hosts(declaration)?;
    let allowed = Allowed { into_non_empty: arguments.into_non_empty, new_identity: arguments.new_identity };

    // The target comes first: whoever is at the wrong cluster need not look for keys and tokens.
    let found = preflight::check_target(cluster, &arguments.cluster, declaration, tree, allowed, &context.events).await?;
    let mut bundle = opened(arguments, worktree.as_ref(), tree, context).await?;
    let is_up = !arguments.serve_clone;
    let asked = Asked {
        flags: &flags.change.login,
        declared: declaration.map(|declaration| &declaration.repository),
        repository: &tree.repository,
        sandbox: connected.sandbox.as_ref(),
        deadline,
    };
    let (access, apps) = access(&flags.access, &asked, context).await?;
    if let (Access::AnyPassword, Some(bundle)) = (&access, &mut bundle) {
        // It is for the forge that is stood in for, which is not to be asked.
        let place = bundle.access_to(&tree.repository).map(|entry| entry.object.reference());
        bundle.entries.retain(|entry| Some(entry.object.reference()) != place);
    }
    let declared = declared_webhook(declaration, &arguments.cluster).filter(|_| connected.sandbox.is_none());
    let webhook = flags.webhook.clone().or(declared).filter(|_| is_up);
    let has_key = matches!(access, Access::DeployKey);
    let forge = match is_up && !flags.paste_key && (has_key || webhook.is_some()) {
        true => asked.forge(context).await?,
        false => None,
    };
    let host_keys = async {
        match is_up {
            true => preflight::check_host_keys(remote.as_ref(), &SshKeyMaker, &tree.repository, &tree.revision, &hosts)
                .await
                .map_err(with_clone_instead),
            false => Ok(()),
        }
    };
    let head = async {
        let head = remote_head(remote.as_ref(), &tree.repository, &tree.revision, &hosts, connected.sandbox.as_ref());
        if is_up { head.await } else { serve_clone::unless_silent(head).await }
    };
    let ((), api, (), head) = tokio::try_join!(
        preflight::check_recovery_rights(cluster, tree, bundle.as_ref()),
        ask(forge.as_ref(), tree, arguments, context),
        host_keys,
        async { Ok(head.await) }
    )?;
    tell_facts(&found.facts, tree.commit.short(), context);

    let decryption = decryption(&fleet, bundle.as_ref(), arguments.accept_loss, context).await?;
    check_alive(arguments, &api, &found, context)?;
    // The bundle's key is used last of all: from then on the forge says that it was used today.
    let kept = match is_up {
        true => keep_if_it_opens(&mut bundle, &api, tree, &SshKeyMaker, remote.as_ref(), &hosts, context).await?,
        // Whether it still opens the repository is seen once the forge is back.
        false => None,
    };
    let stale_keys = stale_keys(arguments, &api, &found, kept.as_ref())?;
    let losses = losses(tree, &fleet.reading.objects, bundle.as_ref(), &decryption.undecryptable);
    tell_losses(&losses, bundle.as_ref(), arguments, context);

    let wanted = Wanted {
        cluster: arguments.cluster.clone(),
        tree: tree.clone(),
        commit: tree.commit.clone(),
        facts: found.facts.clone(),
        hosts,
        bundle,
        take_ownership: flags.take_ownership,
        fix_key: flags.fix_key,
        wait_for_lock: flags.change.wait,
        recovery: Some(Recovering {
            gates: declaration.map(|declaration| declaration.recovery.gates.clone()).unwrap_or_default(),
            open_gates: arguments.open_gates,
            validate: arguments.validate,
            prune_keys: arguments.prune_stale_key.iter().copied().collect(),
        }),
        holder: holder(context),
        now: jiff::Timestamp::now(),
    };
    let has_bundle = wanted.bundle.is_some();
    let has_api = matches!(api, Api::Keys(_));
    let forge = forge.filter(|_| has_api);
    let world = world(connected, forge, remote, wanted, &flags.change, deadline, context)?.with_access(access, apps).with_webhook(webhook);
    if !is_up {
        let world = serve_clone::serve(world, worktree, &fleet, head.as_ref(), flags.commit.as_ref(), context).await?;
        return Ok(Checked { world, found, losses, stale_keys, has_bundle });
    }
    if !has_api && has_key && !flags.paste_key && by_stored_key(&world).await?.head.is_none() {
        match api {
            Api::Down(failure) => return Err(api_is_down(failure)),
            _ if context.environment.interactive => {}
            _ => {
                return Err(asked.without_token_for_key().hint("or restore the key from a bundle: `--identity FILE`"));
            }
        }
    } else if let Api::Down(failure) = api {
        context.events.warn(format!("{}: the key at hand opens the repository, so it is not needed", failure.message), None);
    }
    let head = match head {
        Some(head) => Some(head),
        None => head_by_other_access(&world).await?,
    };
    compare_clone(&world, worktree, &fleet, head, flags.commit.as_ref(), context).await?;
    Ok(Checked { world, found, losses, stale_keys, has_bundle })
}

/// The failure of a Git server that does not answer, with the way to do without it.
fn with_clone_instead(failure: Failure) -> Failure {
    if failure.kind != Kind::Transient {
        return failure;
    }
    failure.hint("if it stays down: `--serve-clone` runs the tree from this clone, and a later run moves it back")
}

/// The bundle: of the file that is named, or of the commit; none if there is none.
async fn opened(arguments: &Arguments, worktree: &dyn Worktree, tree: &Tree, context: &Context) -> Result<Option<Bundle>> {
    if arguments.without_bundle {
        return Ok(None);
    }
    let file = arguments.bundle.as_ref().map(|file| context.environment.folder.join(file));
    let place = match &file {
        Some(file) => Place::File(file),
        None => Place::Commit(worktree, &tree.commit),
    };
    bundle::open(place, &arguments.cluster, &arguments.identities, context)
        .await
        .map_err(|failure| failure.hint("to do without it, and lose what is in it: `--without-bundle`"))
}

/// Checks what is encrypted in the tree against the keys at hand.
async fn decryption(fleet: &Fleet, bundle: Option<&Bundle>, accept_loss: bool, context: &Context) -> Result<Decryption> {
    let (files, keys) = (fleet.files.clone(), Keys::of(bundle));
    let checked = tokio::task::spawn_blocking(move || check_decryptable(&files, keys)).await;
    let decryption = checked.map_err(|error| Failure::bug("the secrets in Git were not checked").because(error))?;
    if decryption.encrypted > 0 {
        context.events.send(crate::event::Event::Fact {
            name: "encrypted",
            text: format!("{} documents in Git, {} without a key", decryption.encrypted, decryption.undecryptable.len()),
        });
    }
    let proven: Vec<String> = decryption
        .undecryptable
        .iter()
        .filter(|found| found.proven)
        .map(|found| format!("{}:{}: {} needs {}", found.file, found.line, found.what, found.needs))
        .collect();
    if proven.is_empty() || accept_loss {
        return Ok(decryption);
    }
    let listed: Vec<&str> = proven.iter().map(String::as_str).collect();
    let failure = Failure::refused(format!("{} secrets in Git cannot be decrypted with the keys at hand", proven.len()));
    Err(crate::steps::fleet_clone::listed(failure, &listed)
        .because("nothing was changed")
        .hint("give the bundle that holds the keys: `--bundle FILE`, `--identity FILE`")
        .hint("to recover without these secrets: `--accept-loss`"))
}

/// Refuses to go on if the old cluster seems to be alive.
fn check_alive(arguments: &Arguments, api: &Api, found: &Found, context: &Context) -> Result<()> {
    if found.begun {
        return Ok(());
    }
    let Api::Keys(keys) = api else {
        if !arguments.old_cluster_is_gone {
            context.events.warn("without the forge's API it cannot be seen whether the old cluster still works", None);
        }
        return Ok(());
    };
    let now = jiff::Timestamp::now();
    preflight::check_old_cluster(keys, &arguments.cluster, &found.facts.identity, arguments.old_cluster_is_gone, now)
}

/// The deploy keys of clusters of this name that are gone.
fn stale_keys(arguments: &Arguments, api: &Api, found: &Found, kept: Option<&PublicKey>) -> Result<Vec<StaleKey>> {
    let named: BTreeSet<u64> = arguments.prune_stale_key.iter().copied().collect();
    let Api::Keys(keys) = api else {
        if named.is_empty() {
            return Ok(Vec::new());
        }
        return Err(Failure::new(Kind::Usage, "keys can be removed by the forge's API only, and it cannot be asked")
            .because("nothing was changed")
            .hint("leave `--prune-stale-key` out, or give a token"));
    };
    let stale = preflight::stale(keys, &arguments.cluster, &found.facts.identity, kept);
    preflight::check_named(&named, keys, &stale)?;
    Ok(stale
        .into_iter()
        .map(|key| StaleKey {
            id: key.id,
            title: key.title.clone(),
            fingerprint: key.key.fingerprint(),
            last_used: key.last_used.clone(),
            removed: false,
        })
        .collect())
}

/// Says before what cannot come back, a line for each kind.
fn tell_losses(losses: &[Loss], bundle: Option<&Bundle>, arguments: &Arguments, context: &Context) {
    if bundle.is_none() && !arguments.without_bundle {
        context.events.warn(
            format!("there is no bundle of `{}`: the Secrets that are not in Git are lost", arguments.cluster),
            Some(format!("once all is up: gitops-bootstrap pack {}", arguments.cluster)),
        );
    }
    let kinds: BTreeSet<LossKind> = losses.iter().map(|loss| loss.kind).collect();
    for kind in kinds {
        const FEW: usize = 5;
        let of_kind: Vec<&Loss> = losses.iter().filter(|loss| loss.kind == kind).collect();
        let names: Vec<&str> = of_kind.iter().take(FEW).map(|loss| loss.what.as_str()).collect();
        let more = of_kind.len().saturating_sub(FEW);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let meaning = of_kind.first().map(|loss| loss.meaning.clone());
        context.events.warn(format!("not in Git: {}: {}{more}", kind.title(), names.join(", ")), meaning);
    }
}
