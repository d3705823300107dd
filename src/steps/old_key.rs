//! `old-key`: the keys that the repository Secret has had, gone from the forge. Found by the public half, removed by their number; a key of
//! somebody else is never touched, whatever its title.

use std::time::Duration;

use super::credential::Credential;
use super::secret_create::{self, Found, key_title};
use super::world::Registered;
use super::{Step, World, old_secret};
use crate::domain::PublicKey;
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::forge::DeployKey;
use crate::ports::git::GitError;

/// How often the Git server is asked whether somebody has removed the key by hand.
const ASKING: Duration = Duration::from_secs(3);

/// Removes the old keys.
pub struct OldKey;

/// What the forge has of the old keys.
pub enum Seen {
    /// The keys at the forge.
    Keys(Vec<DeployKey>),
    /// There is no token.
    WithoutToken,
}

/// Whether a key is registered as that of another cluster, which then uses it too.
pub(super) fn is_another_clusters(world: &World, key: &DeployKey) -> bool {
    key.title.starts_with("gitops-bootstrap ") && !key.title.starts_with(&key_title(world))
}

impl Step for OldKey {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::OldKey
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        if world.moved_from.is_some() {
            let old = old_secret::find(world).await?;
            let in_use = match world.credential() {
                Some(Credential::DeployKey { public, .. }) => Some(public),
                _ => None,
            };
            let retiring = public_halves(&old).filter(|key| Some(*key) != in_use.as_ref()).cloned().collect();
            world.note_rotation(|rotation| rotation.retiring = retiring);
        }
        Ok(match &world.forge {
            Some(forge) => Seen::Keys(forge.deploy_keys().await?),
            None => Seen::WithoutToken,
        })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let rotation = world.rotation();
        if rotation.retiring.is_empty() {
            return Ok(Verdict::satisfied("there is no old key"));
        }
        let left = |key: &PublicKey| !rotation.by_hand.contains(key) && !rotation.removed_by_hand.contains(key);
        Ok(match seen {
            Seen::Keys(keys) => {
                let ours: Vec<&DeployKey> = keys.iter().filter(|key| rotation.retiring.contains(&key.key) && left(&key.key)).collect();
                match ours.as_slice() {
                    [] if rotation.by_hand.is_empty() => Verdict::satisfied("the forge does not have it"),
                    [] => Verdict::satisfied("left to a person"),
                    ours => Verdict::Needed {
                        because: if rotation.revoke_first { "removed before anything else" } else { "removed when the new one is proven" }
                            .to_owned(),
                        changes: ours.iter().map(|key| describe(key)).collect(),
                    },
                }
            }
            Seen::WithoutToken if rotation.retiring.iter().any(left) => Verdict::needed("somebody has to remove it: there is no token"),
            Seen::WithoutToken if rotation.by_hand.is_empty() => Verdict::satisfied("somebody has removed it"),
            Seen::WithoutToken => Verdict::satisfied("left to a person"),
        })
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        let rotation = world.rotation();
        if world.moved_from.is_some() {
            old_secret::check_unused(world).await?;
        }
        match seen {
            Seen::Keys(keys) => {
                if !rotation.revoke_first {
                    check_new(world, &keys).await?;
                } else {
                    world.events.warn("Argo CD cannot fetch from here until the next key is in place: what runs goes on to run", None);
                }
                for key in keys.iter().filter(|key| rotation.retiring.contains(&key.key)) {
                    remove(world, key).await?;
                }
                Ok(())
            }
            Seen::WithoutToken if rotation.revoke_first => until_removed(world).await,
            Seen::WithoutToken => {
                ask_to_remove(world, &rotation.retiring);
                Ok(())
            }
        }
    }
}

/// A key as people find it at the forge.
pub(super) fn describe(key: &DeployKey) -> String {
    format!("deploy key `{}` (id {})", key.title, key.id)
}

async fn remove(world: &World, key: &DeployKey) -> Result<()> {
    let Some(forge) = &world.forge else { return Err(Failure::bug("there is no forge")) };
    if is_another_clusters(world, key) {
        world.events.warn(
            format!("{} is registered for another cluster and was left: whoever has the old key still gets in with it", describe(key)),
            Some("rotate the key of that cluster too".to_owned()),
        );
        world.note_rotation(|rotation| rotation.by_hand.push(key.key.clone()));
        return Ok(());
    }
    world.go_on()?;
    forge.delete_key(key.id).await?;
    world.changed(StepId::OldKey, describe(key), How::Deleted);
    world.note_rotation(|rotation| rotation.retired.push(Registered { forge: forge.name(), id: key.id, title: key.title.clone() }));
    Ok(())
}

/// Access is never lost: the old key goes only while the new one is in the Secret and let in by the forge.
async fn check_new(world: &World, keys: &[DeployKey]) -> Result<()> {
    let found = secret_create::find(world).await?;
    let (in_use, let_in) = match (secret_create::only(&found)?, world.credential()) {
        (Some((_, Credential::DeployKey { public, .. })), Some(Credential::DeployKey { public: next, .. })) => {
            (*public == next, keys.iter().any(|key| key.key == next && key.enabled))
        }
        // What an App is let in with is a token, and that was proven.
        (Some((_, Credential::GitHubApp(app))), Some(Credential::GitHubApp(next))) => (app.is(&next), true),
        _ => (false, true),
    };
    if in_use && let_in {
        return Ok(());
    }
    let what = if in_use {
        "the new key is gone from the forge, or disabled there"
    } else {
        "the repository Secret does not have the new credential any more"
    };
    Err(Failure::new(Kind::Conflict, what).because("the old key was kept").hint("run the same command again: it goes on from here"))
}

fn ask_to_remove(world: &World, keys: &[PublicKey]) {
    for key in keys {
        world.events.warn(
            format!(
                "remove the old deploy key of {} with the fingerprint {} (its title begins with `{}`):\n\n{}\n",
                world.wanted.tree.repository,
                key.fingerprint(),
                key_title(world),
                key.to_openssh()
            ),
            Some("on GitHub: Settings, Deploy keys, Delete; until then whoever has it gets in".to_owned()),
        );
    }
    world.note_rotation(|rotation| rotation.by_hand.extend(keys.iter().cloned()));
}

/// Waits until the Git server does not let the old key in any more.
async fn until_removed(world: &World) -> Result<()> {
    let rotation = world.rotation();
    ask_to_remove(world, &rotation.retiring);
    let Some(old) = rotation.old else { return Ok(()) };
    let tree = &world.wanted.tree;
    loop {
        match world.remote.branch_head(&tree.repository, &tree.revision, &old, &world.wanted.hosts).await {
            Err(GitError::Denied(_) | GitError::NotFound(_)) => {
                world.note_rotation(|rotation| rotation.removed_by_hand = std::mem::take(&mut rotation.by_hand));
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let for_what = || format!("somebody to remove the old deploy key of {}", tree.repository);
        world.waiting(StepId::OldKey, for_what());
        world.pause(ASKING, for_what).await?;
    }
}

/// The keys in `found`, as public halves.
pub(super) fn public_halves(found: &[Found]) -> impl Iterator<Item = &PublicKey> {
    found.iter().filter_map(|found| match &found.credential {
        Some(Credential::DeployKey { public, .. }) => Some(public),
        _ => None,
    })
}
