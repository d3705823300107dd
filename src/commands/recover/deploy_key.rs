//! Which deploy key the recovered cluster will have: that of the bundle where it still opens the repository, else a new one.

use std::sync::Arc;

use secrecy::SecretString;

use crate::cli::recover::Arguments;
use crate::commands::Context;
use crate::domain::tree::Tree;
use crate::domain::{Bundle, HostKeys, PublicKey};
use crate::error::{Failure, Kind, Result};
use crate::ports::forge::DeployKey;
use crate::ports::git::GitError;
use crate::ports::{Forge, KeyMaker, Remote};
use crate::preflight;

/// What the forge's API says.
pub(super) enum Api {
    /// There is no token, or the key is to be registered by hand.
    NotAsked,
    /// The keys that are registered.
    Keys(Vec<DeployKey>),
    /// It does not answer.
    Down(Failure),
}

/// Asks the forge's API.
pub(super) async fn ask(forge: Option<&Arc<dyn Forge>>, tree: &Tree, arguments: &Arguments, context: &Context) -> Result<Api> {
    let Some(forge) = forge else { return Ok(Api::NotAsked) };
    let answer = async {
        preflight::check_forge(forge.as_ref(), &tree.repository, arguments.run.change.accept_rename, &context.events).await?;
        Ok::<_, Failure>(forge.deploy_keys().await?)
    };
    match answer.await {
        Ok(keys) => Ok(Api::Keys(keys)),
        Err(failure) if failure.kind == Kind::Transient => Ok(Api::Down(failure)),
        Err(failure) => Err(failure),
    }
}

/// The key in the bundle, if there is one: its two halves.
fn in_bundle(bundle: Option<&Bundle>, tree: &Tree, keys: &dyn KeyMaker) -> Option<(PublicKey, SecretString)> {
    let entry = bundle?.deploy_key_for(&tree.repository)?;
    let private = SecretString::from(entry.object.text("sshPrivateKey")?);
    Some((keys.public_half(&private)?, private))
}

/// Returns the key of the bundle if it still opens the repository, and takes it out of the bundle if not: who removed it from the forge had a reason, so it is
/// not registered again.
pub(super) async fn keep_if_it_opens(
    bundle: &mut Option<Bundle>,
    api: &Api,
    tree: &Tree,
    keys: &dyn KeyMaker,
    remote: &dyn Remote,
    hosts: &HostKeys,
    context: &Context,
) -> Result<Option<PublicKey>> {
    let Some((public, private)) = in_bundle(bundle.as_ref(), tree, keys) else { return Ok(None) };
    let opens = match api {
        Api::Keys(registered) => registered.iter().any(|key| key.key == public && key.enabled),
        Api::NotAsked | Api::Down(_) => match remote.branch_head(&tree.repository, &tree.revision, &private, hosts).await {
            Ok(_) => true,
            Err(GitError::Denied(_) | GitError::NotFound(_)) => false,
            Err(error) => return Err(Failure::from(error).because("nothing was changed")),
        },
    };
    if opens {
        return Ok(Some(public));
    }
    context.events.warn(
        format!("the deploy key of the bundle ({}) no longer opens {}: a new one is made", public.fingerprint(), tree.repository),
        None,
    );
    if let Some(bundle) = bundle {
        let place = bundle.deploy_key_for(&tree.repository).map(|entry| entry.object.reference());
        bundle.entries.retain(|entry| Some(entry.object.reference()) != place);
    }
    Ok(None)
}

/// The way out where the forge's API is down and no key opens the repository.
pub(super) fn api_is_down(failure: Failure) -> Failure {
    failure
        .because("the deploy key has to be registered there, since none is at hand that opens the repository")
        .because("nothing was changed")
        .hint("with a bundle that holds the key no API is needed: `--bundle FILE`, `--identity FILE`")
        .hint("if the forge's pages work: `--paste-key` prints the key and waits until somebody has registered it")
        .hint("else wait for the forge, and run the same command again")
}
