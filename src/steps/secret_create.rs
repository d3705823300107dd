//! `secret-create`: the repository Secret with a new deploy key, or with the credentials of a GitHub App.
//!
//! The Secret exists before the forge is told, so that no deploy key can be left whose private half is lost. It is created, never
//! applied: of two runs at once the API server lets one create it, and the other takes what is there.

use std::num::NonZeroU64;

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::credential::{Access, Credential};
use super::preview::NOT_TRIED;
use super::{Step, World};
use crate::domain::repository_url::Transport;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{GitHubApp, Object, ObjectRef, RepositoryUrl, Resource};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::ClusterError;

/// The label by which Argo CD finds repository Secrets (docs/operator-manual/declarative-setup.md of Argo CD).
const LABEL: &str = "argocd.argoproj.io/secret-type=repository";

/// What is said of a password.
const A_PASSWORD: &str = "a password or token";

/// The password where any will do.
const ANY_PASSWORD: &str = "stand-in";

/// Makes the deploy key and stores it, or stores the credentials of the GitHub App.
pub struct SecretCreate;

/// A repository Secret for our repository.
pub struct Found {
    /// The Secret.
    pub(super) secret: Object,
    /// What it holds; none if that cannot be used.
    pub(super) credential: Option<Credential>,
}

impl Found {
    /// The address that it is for.
    pub fn address(&self) -> Option<RepositoryUrl> {
        field(&self.secret, "url")?.parse().ok()
    }

    /// Whether it holds a deploy key.
    pub const fn is_deploy_key(&self) -> bool {
        matches!(self.credential, Some(Credential::DeployKey { .. }))
    }
}

/// The name of the Secret: the same for every run, so that two runs meet at it.
pub fn secret_name(url: &RepositoryUrl) -> String {
    let readable: String =
        url.path().to_lowercase().chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect();
    let readable: String = readable.trim_matches('-').chars().take(200).collect();
    format!("repo-{}", readable.trim_end_matches('-'))
}

/// The name of the Secret with the credentials of a GitHub App: while a fleet moves from a deploy key to an App, it has both.
pub fn app_secret_name(url: &RepositoryUrl) -> String {
    format!("{}-github-app", secret_name(url))
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
        world.note_credential(wanted(world, stored).or_else(|| from_bundle(world)));
        Ok(found)
    }

    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(match only(seen)? {
            // It is there by the time of this step: the root of trust comes before.
            None if from_bundle(world).is_some() => Verdict::satisfied("the bundle has it"),
            None => {
                check_can_be_made(world)?;
                Verdict::Needed { because: "there is none for this repository".to_owned(), changes: vec![reference(world).to_string()] }
            }
            Some((secret, Credential::GitHubApp(app))) => match &world.access {
                Access::GitHubApp(wanted) if !wanted.or(app).is(app) => Verdict::Needed {
                    because: format!("{} has other credentials of a GitHub App", secret.name()),
                    changes: vec![secret.reference().to_string()],
                },
                _ => Verdict::satisfied(format!("{} has {app}", secret.name())),
            },
            Some((secret, other)) if matches!(world.access, Access::GitHubApp(_)) => {
                let what = match other {
                    Credential::Other(what) => what.as_str(),
                    _ => "a deploy key",
                };
                return Err(Failure::new(
                    Kind::Conflict,
                    format!("the Secret {ARGOCD_NAMESPACE}/{} is for this repository and has {what}", secret.name()),
                )
                .because("Argo CD is to get in by a GitHub App, and takes one Secret for an address")
                .hint(format!("kubectl -n {ARGOCD_NAMESPACE} delete secret {}; then run the same command again", secret.name())));
            }
            Some((secret, Credential::DeployKey { public, .. })) => {
                Verdict::satisfied(format!("{} has the key {}", secret.name(), public.fingerprint()))
            }
            Some((secret, Credential::Other(what))) => Verdict::satisfied(format!("{} has {what}", secret.name())),
        })
    }

    async fn preview(&self, world: &World, seen: Self::Seen) -> Result<Preview> {
        if self.decide(world, &seen)?.is_needed() {
            let planned = match only(&seen)? {
                Some((secret, _)) => PlannedObject::new(self.id(), secret.reference(), Action::Change),
                None => PlannedObject::new(self.id(), reference(world), Action::Create),
            };
            return Ok(Preview::of(planned.known_after_apply(NOT_TRIED)));
        }
        let found = seen.iter().map(|found| PlannedObject::new(self.id(), found.secret.reference(), Action::InPlace));
        Ok(Preview { objects: found.collect(), ..Preview::default() })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        if let (Access::GitHubApp(wanted), Some((secret, Credential::GitHubApp(stored)))) = (&world.access, only(&seen)?) {
            let values: serde_json::Map<_, _> =
                app_fields(&wanted.or(stored)).into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
            // By its version: what somebody else has put there in between is not lost.
            let mut patch = json!({"metadata": {"resourceVersion": secret.resource_version()}, "stringData": values});
            if wanted.api.is_none() {
                patch["data"] = json!({"githubAppEnterpriseBaseUrl": null});
            }
            let changed = world.cluster.merge_patch(&secret.reference(), &patch).await?;
            world.changed(self.id(), changed.reference(), How::Updated);
            return Ok(());
        }
        let secret = match &world.access {
            Access::DeployKey => repository_secret(world, &world.keys.generate(&key_title(world))?.private)?,
            Access::GitHubApp(wanted) => {
                let app = wanted.complete().ok_or_else(|| Failure::bug("a Secret is to be made of half an App"))?;
                secret_with(world, app_fields(&app))?
            }
            Access::AnyPassword => secret_with(world, vec![("username", "git".to_owned()), ("password", ANY_PASSWORD.to_owned())])?,
        };
        match world.cluster.create(&secret).await {
            Ok(_) => world.changed(self.id(), reference(world), How::Created),
            // Another run was faster, or an answer of ours was lost: what is there counts.
            Err(ClusterError::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// What is in the bundle that is restored, if there is anything.
fn from_bundle(world: &World) -> Option<Credential> {
    let entry = world.wanted.bundle.as_ref()?.access_to(&world.wanted.tree.repository)?;
    credential_of(world, |name| entry.object.text(name).map(str::to_owned))
}

/// The credential that there will be after this step, as far as that is known before.
fn wanted(world: &World, stored: Option<Credential>) -> Option<Credential> {
    match (&world.access, stored) {
        (Access::GitHubApp(wanted), Some(Credential::GitHubApp(stored))) => Some(Credential::GitHubApp(wanted.or(&stored))),
        (_, Some(stored)) => Some(stored),
        (Access::DeployKey, None) => None,
        (Access::GitHubApp(wanted), None) => wanted.complete().map(Credential::GitHubApp),
        (Access::AnyPassword, None) => Some(Credential::Other(A_PASSWORD.to_owned())),
    }
}

/// Refuses a Secret that could not open the repository, and one of which a part is missing.
fn check_can_be_made(world: &World) -> Result<()> {
    let repository = &world.wanted.tree.repository;
    match (&world.access, repository.transport()) {
        (Access::DeployKey, Transport::Http) => Err(Failure::refused(format!("a deploy key does not open {repository}: it is for SSH"))
            .because("nothing was changed")
            .hint(format!(
                "write `url: {}` into gitops.yaml, and the same into `sourceRepos` in src/argocd/projects; render, commit and push",
                repository.ssh()
            ))
            .hint("or let Argo CD in by a GitHub App: `repository.githubApp` in gitops.yaml, docs/github-app.md")),
        (Access::GitHubApp(wanted), _) if wanted.complete().is_none() => {
            Err(Failure::usage(format!("the private key of the GitHub App {} is missing", wanted.id))
                .because("the cluster has none yet")
                .because("nothing was changed")
                .hint("name its file: `--github-app-private-key-file FILE`")
                .hint("or give it in the variable GITOPS_BOOTSTRAP_GITHUB_APP_PRIVATE_KEY"))
        }
        _ => Ok(()),
    }
}

/// The repository Secrets for our repository.
pub(super) async fn find(world: &World) -> Result<Vec<Found>> {
    find_for(world, |url| url.normalised() == world.wanted.tree.repository.normalised()).await
}

/// The repository Secrets for the addresses that are wanted.
pub(super) async fn find_for(world: &World, is_wanted: impl Fn(&RepositoryUrl) -> bool + Send) -> Result<Vec<Found>> {
    let secrets = world.cluster.list(&Resource::new("v1", "Secret"), Some(ARGOCD_NAMESPACE), Some(LABEL)).await?;
    Ok(secrets
        .into_iter()
        .filter(|secret| field(secret, "url").is_some_and(|url| url.parse::<RepositoryUrl>().is_ok_and(|url| is_wanted(&url))))
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
        .because("`sshPrivateKey` must be an unencrypted private key in OpenSSH's format; `githubAppID` and the like belong together")
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
    secret_with(world, vec![("sshPrivateKey", private.expose_secret().to_owned())])
}

/// The values of a Secret by which Argo CD uses a GitHub App (docs/operator-manual/declarative-setup.md of Argo CD).
fn app_fields(app: &GitHubApp) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("githubAppID", app.id.to_string()),
        ("githubAppInstallationID", app.installation.to_string()),
        ("githubAppPrivateKey", app.private_key.expose_secret().to_owned()),
    ];
    fields.extend(app.api.clone().map(|api| ("githubAppEnterpriseBaseUrl", api)));
    fields
}

/// The repository Secret with these values.
fn secret_with(world: &World, fields: Vec<(&'static str, String)>) -> Result<Object> {
    let mut data = json!({"type": "git", "url": world.wanted.tree.repository.as_str()});
    for (name, text) in fields {
        data[name] = text.into();
    }
    Object::new(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": reference(world).name, "namespace": ARGOCD_NAMESPACE,
            "labels": {"argocd.argoproj.io/secret-type": "repository", "app.kubernetes.io/managed-by": "gitops-bootstrap"},
            // With it `argocd repo rm` deletes the Secret instead of only its label.
            "annotations": {"managed-by": "argocd.argoproj.io"},
        },
        "type": "Opaque",
        "stringData": data,
    }))
    .map_err(|error| Failure::bug(error.to_string()))
}

/// The Secret that [`SecretCreate`] makes.
pub(super) fn reference(world: &World) -> ObjectRef {
    let repository = &world.wanted.tree.repository;
    let name = if matches!(world.access, Access::GitHubApp(_)) { app_secret_name(repository) } else { secret_name(repository) };
    ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, &name)
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
    credential_of(world, |name| field(secret, name))
}

/// What values hold to get into a repository, in the order in which Argo CD looks (`GetGitCreds` in its repository_types.go).
fn credential_of(world: &World, value: impl Fn(&str) -> Option<String>) -> Option<Credential> {
    let value = |name: &str| value(name).filter(|text| !text.trim().is_empty());
    if value("password").or_else(|| value("bearerToken")).is_some() {
        return Some(Credential::Other(A_PASSWORD.to_owned()));
    }
    if let Some(private) = value("sshPrivateKey").map(SecretString::from) {
        let public = world.keys.public_half(&private)?;
        return Some(Credential::DeployKey { public, private });
    }
    let id = value("githubAppID")?;
    let number = |text: String| text.trim().parse::<NonZeroU64>().ok();
    let private_key = value("githubAppPrivateKey").map(SecretString::from)?;
    let api = value("githubAppEnterpriseBaseUrl").map(|api| api.trim().trim_end_matches('/').to_owned());
    Some(match value("githubAppInstallationID") {
        Some(installation) => Credential::GitHubApp(GitHubApp { id: number(id)?, installation: number(installation)?, private_key, api }),
        // Newer releases of Argo CD look for the installation themselves.
        None => Credential::Other(format!("the GitHub App {}", number(id)?)),
    })
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
