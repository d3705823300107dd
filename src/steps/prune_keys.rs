//! `prune-keys`: the deploy keys of the cluster that is gone, removed by the numbers that a person has named.

use std::collections::BTreeSet;

use super::{Step, World};
use crate::error::Result;
use crate::event::How;
use crate::plan::preview::{KeyAction, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::forge::DeployKey;

/// Removes the named deploy keys. Which may be named at all is checked before the first write.
pub struct PruneKeys;

fn named(world: &World) -> BTreeSet<u64> {
    world.wanted.recovery.as_ref().map(|recovery| recovery.prune_keys.clone()).unwrap_or_default()
}

impl Step for PruneKeys {
    type Seen = Vec<DeployKey>;

    fn id(&self) -> StepId {
        StepId::PruneKeys
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        let named = named(world);
        match &world.forge {
            Some(forge) if !named.is_empty() => Ok(forge.deploy_keys().await?.into_iter().filter(|key| named.contains(&key.id)).collect()),
            _ => Ok(Vec::new()),
        }
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        if seen.is_empty() {
            let because = if named(world).is_empty() { "none was named" } else { "they are not registered" };
            return Ok(Verdict::satisfied(because));
        }
        Ok(Verdict::Needed { because: "they were named".to_owned(), changes: seen.iter().map(describe).collect() })
    }

    async fn preview(&self, _world: &World, seen: Self::Seen) -> Result<Preview> {
        let removed = |key: DeployKey| {
            let fingerprint = Some(key.key.fingerprint());
            Preview::of_key(KeyAction::Remove, Some(key.title), Some(key.id), fingerprint)
        };
        Ok(Preview::all(seen.into_iter().map(removed)))
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        let Some(forge) = &world.forge else { return Ok(()) };
        for key in seen {
            world.go_on()?;
            forge.delete_key(key.id).await?;
            world.note_pruned_key(key.id);
            world.changed(self.id(), describe(&key), How::Deleted);
        }
        Ok(())
    }
}

fn describe(key: &DeployKey) -> String {
    format!("deploy key `{}` (id {})", key.title, key.id)
}
