//! `secret-swap`: the next key in the repository Secret, in place of the old one. The Secret is replaced as a whole and by its version, so nobody
//! ever reads half of it, and a change by somebody else in between is noticed.

use secrecy::ExposeSecret as _;

use super::credential::Credential;
use super::secret_create::{self, Found};
use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, PublicKey};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::ClusterError;

/// How often the Secret is read again because somebody else has changed it in between.
const RACES: usize = 5;

/// Puts the next key into the repository Secret.
pub struct SecretSwap;

impl Step for SecretSwap {
    type Seen = Vec<Found>;

    fn id(&self) -> StepId {
        StepId::SecretSwap
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        secret_create::find(world).await
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        let current = secret_create::only(seen)?;
        let reference = current.map_or_else(|| secret_create::reference(world), |(secret, _)| secret.reference());
        Ok(match (current, world.credential()) {
            (Some((secret, Credential::DeployKey { public, .. })), Some(Credential::DeployKey { public: next, .. })) if *public == next => {
                Verdict::satisfied(format!("{} has the key {}", secret.name(), next.fingerprint()))
            }
            (Some((secret, Credential::DeployKey { public, .. })), _) => Verdict::Needed {
                because: format!("{} has the key {}", secret.name(), public.fingerprint()),
                changes: vec![reference.to_string()],
            },
            _ => Verdict::Needed { because: "it is not there".to_owned(), changes: vec![reference.to_string()] },
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        let Some(Credential::DeployKey { public, private }) = world.credential() else {
            return Err(Failure::bug("a key is to be put in use that nobody made"));
        };
        let mut seen = seen;
        for _ in 0..RACES {
            let (sent, how) = match secret_create::only(&seen)? {
                None => (world.cluster.create(&secret_create::repository_secret(world, &private)?).await, How::Created),
                Some((_, Credential::DeployKey { public: current, .. })) if *current == public => return Ok(()),
                Some((secret, current)) => {
                    check_old(world, secret, current)?;
                    (world.cluster.replace(&with_key(secret, private.expose_secret())?).await, How::Updated)
                }
            };
            match sent {
                Ok(secret) => {
                    world.changed(self.id(), secret.reference(), how);
                    return Ok(());
                }
                // What is there counts: it may be our own change, of which the answer was lost.
                Err(ClusterError::Stale(_) | ClusterError::AlreadyExists(_) | ClusterError::NotFound(_)) => seen = self.look(world).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(Kind::Conflict, "somebody else keeps changing the repository Secret")
            .hint("find out who; then run the same command again"))
    }
}

/// Only a key that was recorded as one that is to go is replaced: what somebody has put there in the meantime would be lost.
fn check_old(world: &World, secret: &Object, current: &Credential) -> Result<()> {
    let is_old = |key: &PublicKey| world.rotation().retiring.contains(key);
    match current {
        Credential::DeployKey { public, .. } if is_old(public) => Ok(()),
        _ => Err(Failure::new(Kind::Conflict, format!("the Secret {ARGOCD_NAMESPACE}/{} was changed during the run", secret.name()))
            .because("it has neither the old key nor the new one")
            .hint("run the same command again: it takes what is there now for the old key")),
    }
}

/// The same Secret with another key.
fn with_key(secret: &Object, private: &str) -> Result<Object> {
    let mut value = secret.clone().into_value();
    value["stringData"]["sshPrivateKey"] = private.into();
    Object::new(value).map_err(|error| Failure::bug(error.to_string()))
}
