//! `secret-create`: the repository Secret with a new deploy key.
//!
//! The Secret exists before the forge is told, so that no deploy key can be left whose private half is lost. It is created, never
//! applied: of two runs at once the API server lets one create it, and the other takes what is there.

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::preview::NOT_TRIED;
use super::world::Credential;
use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, RepositoryUrl, Resource};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::ClusterError;

/// The label by which Argo CD finds repository Secrets (docs/operator-manual/declarative-setup.md of Argo CD).
const LABEL: &str = "argocd.argoproj.io/secret-type=repository";

/// Makes the deploy key and stores it.
pub struct SecretCreate;

/// A repository Secret for our repository.
pub struct Found {
    /// The Secret.
    pub(super) secret: Object,
    /// What it holds; none if that cannot be used.
    pub(super) credential: Option<Credential>,
}

/// The name of the Secret: the same for every run, so that two runs meet at it.
pub fn secret_name(url: &RepositoryUrl) -> String {
    let readable: String =
        url.path().to_lowercase().chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect();
    let readable: String = readable.trim_matches('-').chars().take(200).collect();
    format!("repo-{}", readable.trim_end_matches('-'))
}

/// The title of the deploy key: the cluster and its identity, since a fixed title would hit the keys of other clusters.
pub fn key_title(world: &World) -> String {
    format!("gitops-bootstrap {} {}", world.wanted.cluster, world.wanted.facts.identity.short())
}

impl Step for SecretCreate {
    type Seen = Vec<Found>;

    fn id(&self) -> StepId {
        StepId::SecretCreate
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        let found = find(world).await?;
        let stored = found.first().and_then(|found| found.credential.clone());
        world.note_credential(stored.or_else(|| from_bundle(world)));
        Ok(found)
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(match only(seen)? {
            // It is there by the time of this step: the root of trust comes before.
            None if from_bundle(world).is_some() => Verdict::satisfied("the bundle has it"),
            None => {
                Verdict::Needed { because: "there is none for this repository".to_owned(), changes: vec![reference(world).to_string()] }
            }
            Some((secret, Credential::DeployKey { public, .. })) => {
                Verdict::satisfied(format!("{} has the key {}", secret.name(), public.fingerprint()))
            }
            Some((secret, Credential::Other(what))) => Verdict::satisfied(format!("{} has {what}", secret.name())),
        })
    }

    async fn preview(&self, world: &World, seen: Self::Seen) -> Result<Preview> {
        if self.decide(world, &seen)?.is_needed() {
            return Ok(Preview::of(PlannedObject::new(self.id(), reference(world), Action::Create).known_after_apply(NOT_TRIED)));
        }
        let found = seen.iter().map(|found| PlannedObject::new(self.id(), found.secret.reference(), Action::InPlace));
        Ok(Preview { objects: found.collect(), ..Preview::default() })
    }

    async fn apply(&self, world: &World, _seen: Self::Seen) -> Result<()> {
        let pair = world.keys.generate(&key_title(world))?;
        match world.cluster.create(&repository_secret(world, &pair.private)?).await {
            Ok(_) => world.changed(self.id(), reference(world), How::Created),
            // Another run was faster, or an answer of ours was lost: what is there counts.
            Err(ClusterError::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// The deploy key in the bundle that is restored, if there is one.
fn from_bundle(world: &World) -> Option<Credential> {
    let entry = world.wanted.bundle.as_ref()?.deploy_key_for(&world.wanted.tree.repository)?;
    let private = SecretString::from(entry.object.text("sshPrivateKey")?);
    let public = world.keys.public_half(&private)?;
    Some(Credential::DeployKey { public, private })
}

/// The repository Secrets for our repository.
pub(super) async fn find(world: &World) -> Result<Vec<Found>> {
    let secrets = world.cluster.list(&Resource::new("v1", "Secret"), Some(ARGOCD_NAMESPACE), Some(LABEL)).await?;
    let ours = world.wanted.tree.repository.normalised();
    Ok(secrets
        .into_iter()
        .filter(|secret| field(secret, "url").is_some_and(|url| url.parse::<RepositoryUrl>().is_ok_and(|url| url.normalised() == ours)))
        // A Secret for one project only serves that project's Applications.
        .filter(|secret| field(secret, "project").is_none_or(|project| project.is_empty()))
        .map(|secret| Found { credential: credential(world, &secret), secret })
        .collect())
}

/// The one among them with what it holds, or none; an error if there are several, or if what it holds cannot be used.
pub(super) fn only(found: &[Found]) -> Result<Option<(&Object, &Credential)>> {
    match found {
        [] => Ok(None),
        [Found { secret, credential: Some(credential) }] => Ok(Some((secret, credential))),
        [Found { secret, credential: None }] => Err(Failure::new(
            Kind::Conflict,
            format!("the Secret {ARGOCD_NAMESPACE}/{} is for this repository but holds no usable key", secret.name()),
        )
        .because("`sshPrivateKey` must be an unencrypted private key in OpenSSH's format")
        .hint(format!("if nothing else needs it: kubectl -n {ARGOCD_NAMESPACE} delete secret {}", secret.name()))),
        several => {
            let names: Vec<&str> = several.iter().map(|found| found.secret.name()).collect();
            Err(Failure::new(Kind::Conflict, format!("{} Secrets are for this repository: {}", names.len(), names.join(", ")))
                .because("which of them Argo CD takes is undefined")
                .hint(format!("keep one: kubectl -n {ARGOCD_NAMESPACE} delete secret NAME")))
        }
    }
}

/// The repository Secret with a key.
pub(super) fn repository_secret(world: &World, private: &SecretString) -> Result<Object> {
    Object::new(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": secret_name(&world.wanted.tree.repository), "namespace": ARGOCD_NAMESPACE,
            "labels": {"argocd.argoproj.io/secret-type": "repository", "app.kubernetes.io/managed-by": "gitops-bootstrap"},
            // With it `argocd repo rm` deletes the Secret instead of only its label.
            "annotations": {"managed-by": "argocd.argoproj.io"},
        },
        "type": "Opaque",
        "stringData": {
            "type": "git",
            "url": world.wanted.tree.repository.as_str(),
            "sshPrivateKey": private.expose_secret(),
        },
    }))
    .map_err(|error| Failure::bug(error.to_string()))
}

/// The Secret that [`SecretCreate`] makes.
pub(super) fn reference(world: &World) -> ObjectRef {
    ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, &secret_name(&world.wanted.tree.repository))
}

/// A field of a Secret, decoded.
pub(super) fn field(secret: &Object, name: &str) -> Option<String> {
    if let Some(text) = secret.at("/stringData").and_then(|data| data.get(name)?.as_str()) {
        return Some(text.to_owned());
    }
    let encoded = secret.at("/data")?.get(name)?.as_str()?;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).ok()?).ok()
}

/// What a Secret holds to get into a repository.
pub(super) fn credential(world: &World, secret: &Object) -> Option<Credential> {
    if let Some(private) = field(secret, "sshPrivateKey").filter(|key| !key.trim().is_empty()).map(SecretString::from) {
        let public = world.keys.public_half(&private)?;
        return Some(Credential::DeployKey { public, private });
    }
    if field(secret, "githubAppID").is_some() {
        return Some(Credential::Other("the credentials of a GitHub App".to_owned()));
    }
    field(secret, "password").map(|_| Credential::Other("a password or token".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_a_repository_always_has_the_same_valid_name() {
        let name = |url: &str| secret_name(&url.parse().unwrap());
        assert_eq!(name("git@github.com:Acme/Fleet.git"), "repo-acme-fleet");
        assert_eq!(name("ssh://git@github.com/acme/fleet"), "repo-acme-fleet");
        assert_eq!(name("git@h:a/b_c."), "repo-a-b-c");
    }
}
