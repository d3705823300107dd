//! `next-key` and `settle`: the next deploy key while it is not yet the one that is used.
//!
//! It waits in a Secret that Argo CD does not take for a repository's, from before the forge is told until everything is proven: a run that dies
//! in between is continued with the same key. The Secret also names the keys that are to go, since the repository Secret forgets them.

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::credential::Credential;
use super::secret_create::{self, Found, credential, field, key_title};
use super::{Step, World, fetch};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, PublicKey, RepositoryUrl};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{ClusterError, DeleteOptions, Dependents};

/// The field with the public halves of the keys that are to go, a line each.
const PREVIOUS: &str = "previousPublicKeys";

/// Makes the next key and stores it.
pub struct NextKey;

/// Removes the Secret in which the next key has waited.
pub struct Settle;

/// The key in waiting, and the one in use.
pub struct Seen {
    /// The Secret in which a key waits.
    waiting: Option<Object>,
    /// The key in it; none if that cannot be used.
    next: Option<PublicKey>,
    /// The keys that it names as those that are to go.
    previous: Vec<PublicKey>,
    /// The repository Secrets.
    found: Vec<Found>,
}

/// The Secret in which the next key waits.
pub(super) fn reference() -> ObjectRef {
    ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, "gitops-bootstrap-next-key")
}

/// The keys that a Secret names as those that are to go.
fn previous(waiting: &Object) -> Vec<PublicKey> {
    field(waiting, PREVIOUS).unwrap_or_default().lines().filter_map(|line| PublicKey::from_openssh(line).ok()).collect()
}

/// The key in the repository Secret, if it is one.
fn current(found: &[Found]) -> Option<&PublicKey> {
    match found {
        [Found { credential: Some(Credential::DeployKey { public, .. }), .. }] => Some(public),
        _ => None,
    }
}

impl Seen {
    /// The keys that are to go: those that were named, and the one in use.
    fn retiring(&self) -> Vec<PublicKey> {
        let mut retiring = self.previous.clone();
        retiring.extend(current(&self.found).filter(|key| !self.previous.contains(key)).cloned());
        retiring.retain(|key| Some(key) != self.next.as_ref());
        retiring
    }
}

impl Step for NextKey {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::NextKey
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let found = secret_create::find(world).await?;
        let waiting = world.cluster.get(&reference()).await?;
        let key = waiting.as_ref().and_then(|waiting| credential(world, waiting));
        let next = match &key {
            Some(Credential::DeployKey { public, .. }) => Some(public.clone()),
            _ => None,
        };
        let seen = Seen { previous: waiting.as_ref().map(previous).unwrap_or_default(), waiting, next, found };
        world.note_rotation(|rotation| {
            rotation.retiring = seen.retiring();
            rotation.old = match seen.found.as_slice() {
                [Found { credential: Some(Credential::DeployKey { public, private }), .. }] if Some(public) != seen.next.as_ref() => {
                    Some(private.clone())
                }
                _ => None,
            };
        });
        world.note_credential(key);
        Ok(seen)
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let current = secret_create::only(&seen.found)?;
        if let Some((secret, Credential::GitHubApp(app))) = current {
            return Err(Failure::refused(format!("Argo CD opens {} by {app}, not with a deploy key", world.wanted.tree.repository))
                .because(format!("the Secret {ARGOCD_NAMESPACE}/{} has its credentials", secret.name()))
                .hint(format!(
                    "make another private key in the settings of the App; then: gitops-bootstrap init {} --github-app-private-key-file FILE",
                    world.wanted.cluster
                ))
                .hint("then delete the old key in the settings of the App"));
        }
        if let Some((secret, Credential::Other(what))) = current {
            return Err(Failure::refused(format!("Argo CD opens {} with {what}, not with a deploy key", world.wanted.tree.repository))
                .because(format!("the Secret {ARGOCD_NAMESPACE}/{} has {what}", secret.name()))
                .hint("renew that where it was made, and put the new one into the same Secret"));
        }
        let Some(waiting) = &seen.waiting else {
            if current.is_none() {
                return Err(Failure::refused(format!("the cluster has no deploy key for {}", world.wanted.tree.repository))
                    .hint(format!("bootstrap it first: gitops-bootstrap init {}", world.wanted.cluster)));
            }
            return Ok(Verdict::Needed { because: "made before the forge is told".to_owned(), changes: vec![reference().to_string()] });
        };
        let ours = world.wanted.tree.repository.normalised();
        if field(waiting, "url").is_none_or(|url| url.parse::<RepositoryUrl>().is_ok_and(|url| url.normalised() != ours)) {
            return Err(unusable("the key in it is for another repository"));
        }
        let Some(next) = &seen.next else { return Err(unusable("it holds no unencrypted private key in OpenSSH's format")) };
        Ok(if seen.retiring().iter().all(|key| seen.previous.contains(key)) {
            Verdict::satisfied(format!("{} waits in {}", next.fingerprint(), waiting.name()))
        } else {
            Verdict::Needed { because: "the key in use has changed since it was made".to_owned(), changes: vec![reference().to_string()] }
        })
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        let lines: String = seen.retiring().iter().map(|key| key.to_openssh() + "\n").collect();
        if seen.waiting.is_some() {
            world.cluster.merge_patch(&reference(), &json!({"stringData": {PREVIOUS: lines}})).await?;
            world.changed(self.id(), reference(), How::Updated);
            return Ok(());
        }
        let pair = world.keys.generate(&key_title(world))?;
        let secret = Object::new(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": reference().name, "namespace": ARGOCD_NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "gitops-bootstrap"},
            },
            "type": "Opaque",
            "stringData": {
                "url": world.wanted.tree.repository.as_str(),
                "sshPrivateKey": pair.private.expose_secret(),
                PREVIOUS: lines,
            },
        }))
        .map_err(|error| Failure::bug(error.to_string()))?;
        match world.cluster.create(&secret).await {
            Ok(_) => world.changed(self.id(), reference(), How::Created),
            // An answer of ours was lost: what is there counts.
            Err(ClusterError::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn unusable(why: &str) -> Failure {
    let name = reference().name;
    Failure::new(Kind::Conflict, format!("the Secret {ARGOCD_NAMESPACE}/{name} cannot be used")).because(why).hint(format!(
        "if no other run of `rotate-key` needs it: kubectl -n {ARGOCD_NAMESPACE} delete secret {name}; then run the same command again"
    ))
}

impl Step for Settle {
    type Seen = Option<Object>;

    fn id(&self) -> StepId {
        StepId::Settle
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        Ok(world.cluster.get(&reference()).await?)
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(match seen {
            None if world.rotation().fetched => Verdict::satisfied("one key, in the repository Secret and at the forge"),
            _ => Verdict::Needed { because: "removed when all is proven".to_owned(), changes: vec![reference().to_string()] },
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        // The first proof was made while the old key still opened the repository.
        if !world.rotation().retired.is_empty() && !world.rotation().revoke_first {
            fetch::prove(world, self.id()).await?;
        }
        let Some(waiting) = seen else { return Err(Failure::bug("a rotation is to be settled that nobody began")) };
        // Its private half must be in the repository Secret before the only other copy goes.
        let found = secret_create::find(world).await?;
        let next = credential(world, &waiting);
        match (current(&found), &next) {
            (Some(current), Some(Credential::DeployKey { public, .. })) if current == public => {}
            _ => {
                return Err(Failure::new(Kind::Conflict, "somebody has changed the repository Secret in the meantime")
                    .hint("run the same command again: it goes on from here"));
            }
        }
        world.cluster.delete(&reference(), DeleteOptions { uid: waiting.uid(), dependents: Dependents::Deleted }).await?;
        world.changed(self.id(), reference(), How::Deleted);
        Ok(())
    }
}
