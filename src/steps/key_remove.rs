//! `key-remove`: our deploy key, gone from the forge, before the Secret that tells which one it is. The key in waiting of a rotation that was not
//! finished goes too.

use super::credential::Credential;
use super::old_key::{describe, is_another_clusters, public_halves};
use super::secret_create::{self, credential};
use super::world::Registered;
use super::{Step, World, next_key};
use crate::domain::PublicKey;
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::forge::DeployKey;

/// Removes our deploy key.
pub struct KeyRemove;

/// Our keys.
pub struct Seen {
    /// Those in the cluster.
    public: Vec<PublicKey>,
    /// Those among them that the forge has; none without a token.
    registered: Option<Vec<DeployKey>>,
}

impl Step for KeyRemove {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::KeyRemove
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let mut found = secret_create::find(world).await?;
        found.retain(|found| world.detachment().inventory.goes.contains_key(&found.secret.reference()));
        let mut public: Vec<PublicKey> = public_halves(&found).cloned().collect();
        if let Some(waiting) = world.cluster.get(&next_key::reference()).await?
            && let Some(Credential::DeployKey { public: next, .. }) = credential(world, &waiting)
        {
            public.push(next);
        }
        let registered = match &world.forge {
            Some(forge) if !public.is_empty() => {
                let keys = forge.deploy_keys().await?;
                Some(keys.into_iter().filter(|key| public.contains(&key.key) && !is_another_clusters(world, key)).collect())
            }
            Some(_) => Some(Vec::new()),
            None => None,
        };
        Ok(Seen { public, registered })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        if seen.public.is_empty() {
            return Ok(Verdict::satisfied("no key of ours is in the cluster"));
        }
        if world.detachment().keep_key {
            return Ok(Verdict::satisfied(format!("left at the forge: {}", fingerprints(&seen.public))));
        }
        Ok(match &seen.registered {
            None => {
                return Err(Failure::usage("there is no token to remove the deploy key with").hint("`--keep-key` leaves it at the forge"));
            }
            Some(keys) if keys.is_empty() => Verdict::satisfied("the forge does not have it"),
            Some(keys) => Verdict::Needed { because: "nobody needs it any more".to_owned(), changes: keys.iter().map(describe).collect() },
        })
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        let Some(forge) = &world.forge else { return Err(Failure::bug("there is no forge")) };
        for key in seen.registered.into_iter().flatten() {
            world.go_on()?;
            forge.delete_key(key.id).await?;
            world.changed(self.id(), describe(&key), How::Deleted);
            world.note_detachment(|detachment| {
                detachment.removed_keys.push(Registered { forge: forge.name(), id: key.id, title: key.title.clone() });
            });
        }
        Ok(())
    }
}

fn fingerprints(keys: &[PublicKey]) -> String {
    keys.iter().map(|key| key.fingerprint().to_string()).collect::<Vec<_>>().join(", ")
}
