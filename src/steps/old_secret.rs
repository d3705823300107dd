//! `old-secret`: the repository Secret for the address by which Argo CD got in so far, gone once nothing names that address any more.

use serde_json::Value;

use super::credential::Credential;
use super::secret_create::{self, Found};
use super::world::RemovedSecret;
use super::{Step, World};
use crate::domain::application::Application;
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use crate::domain::{RepositoryUrl, Resource};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{ClusterError, DeleteOptions, Dependents};

/// How many objects are named that need the Secret.
const NAMED: usize = 20;

/// Removes the Secret.
pub struct OldSecret;

/// The repository Secrets for the same repository under another address.
pub async fn find(world: &World) -> Result<Vec<Found>> {
    let repository = &world.wanted.tree.repository;
    secret_create::find_for(world, |url| url.is_same_repository(repository) && url.normalised() != repository.normalised()).await
}

/// The Applications and ApplicationSets that name `address`, however deep in what they want.
///
/// # Errors
/// Those of the API server; a right to look at ApplicationSets that is missing is none, since what they make is looked at.
async fn users(world: &World, address: &RepositoryUrl) -> Result<Vec<String>> {
    let mut users = Vec::new();
    for resource in [Application::resource(), Resource::new(ARGOCD_API_VERSION, "ApplicationSet")] {
        if world.cluster.served(&resource).await?.is_none() {
            continue;
        }
        let objects = match world.cluster.list(&resource, Some(ARGOCD_NAMESPACE), None).await {
            Err(ClusterError::Forbidden(_)) if resource.kind == "ApplicationSet" => continue,
            objects => objects?,
        };
        let names = objects.iter().filter(|object| object.at("/spec").is_some_and(|spec| names(spec, address)));
        users.extend(names.map(|object| format!("{} {}", resource.kind, object.name())));
    }
    Ok(users)
}

/// Whether any text in `value` is the address.
fn names(value: &Value, address: &RepositoryUrl) -> bool {
    match value {
        Value::String(text) => address.is_written(text),
        Value::Array(values) => values.iter().any(|value| names(value, address)),
        Value::Object(fields) => fields.values().any(|value| names(value, address)),
        _ => false,
    }
}

impl Step for OldSecret {
    type Seen = Vec<Found>;

    fn id(&self) -> StepId {
        StepId::OldSecret
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        find(world).await
    }

    fn decide(&self, _world: &World, seen: &Self::Seen) -> Result<Verdict> {
        if seen.is_empty() {
            return Ok(Verdict::satisfied("there is none"));
        }
        Ok(Verdict::Needed {
            because: "removed when nothing needs it".to_owned(),
            changes: seen.iter().map(|found| found.secret.reference().to_string()).collect(),
        })
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        check_unused(world).await?;
        for Found { secret, credential } in seen {
            world.go_on()?;
            let options = DeleteOptions { uid: secret.uid(), dependents: Dependents::Deleted };
            world.cluster.delete(&secret.reference(), options).await?;
            world.changed(self.id(), secret.reference(), How::Deleted);
            let github_app = match credential {
                Some(Credential::GitHubApp(app)) => Some(app.id),
                _ => None,
            };
            world.note_rotation(|rotation| rotation.removed_secrets.push(RemovedSecret { name: secret.name().to_owned(), github_app }));
        }
        Ok(())
    }
}

/// Refuses to take the old credentials away from what still needs them.
pub(super) async fn check_unused(world: &World) -> Result<()> {
    for found in find(world).await? {
        let Some(address) = found.address() else { continue };
        let users = users(world, &address).await?;
        if users.is_empty() {
            continue;
        }
        let named = users.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if users.len() > NAMED { format!(" and {} more", users.len() - NAMED) } else { String::new() };
        return Err(Failure::new(Kind::Conflict, format!("the Secret {ARGOCD_NAMESPACE}/{} is still needed", found.secret.name()))
            .because(format!("{address} is still named by {named}{more}"))
            .because("the Secret was kept")
            .hint(format!("write {} there, or remove them; then run the same command again", world.wanted.tree.repository)));
    }
    Ok(())
}
