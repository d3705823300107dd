//! What the remote serves, and whether it is the host that is meant: told by whatever access there is, with as few connections as that takes.

use secrecy::SecretString;

use super::check_host_keys;
use crate::domain::Commit;
use crate::error::Result;
use crate::steps::World;
use crate::steps::key_verify::{ask_with, by_stored_key};

/// The commit that the remote serves; none if nothing can tell. `own_key` is the key of a person, if it is known; otherwise the access is used that the
/// person's configuration of Git gives.
///
/// The key that the cluster has is asked with first: its answer also proves the host, and tells `key-verify` what it would ask.
///
/// # Errors
/// Those of [`check_host_keys`]; that an access does not suffice is none.
pub async fn head_of_remote(world: &World, own_key: Option<&SecretString>) -> Result<Option<Commit>> {
    let stored = by_stored_key(world).await?;
    if stored.head.is_some() {
        return Ok(stored.head);
    }
    let tree = &world.wanted.tree;
    let own = match own_key {
        Some(key) => {
            let own = ask_with(world, key).await;
            check_host(world, stored.host_is_proven || own.host_is_proven).await?;
            own.head
        }
        None => {
            let own = world.remote.branch_head_as_person(&tree.repository, &tree.revision);
            let (own, checked) = tokio::join!(own, check_host(world, stored.host_is_proven));
            checked?;
            own.ok().flatten()
        }
    };
    match (own, &world.forge) {
        (Some(head), _) => Ok(Some(head)),
        // A token need not read what is in the repository to manage its keys.
        (None, Some(forge)) => Ok(forge.branch_head(&tree.revision).await.ok().flatten()),
        (None, None) => Ok(None),
    }
}

async fn check_host(world: &World, is_proven: bool) -> Result<()> {
    if is_proven {
        return Ok(());
    }
    let tree = &world.wanted.tree;
    check_host_keys(world.remote.as_ref(), world.keys.as_ref(), &tree.repository, &tree.revision, &world.wanted.hosts).await
}
