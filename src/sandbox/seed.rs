//! Puts a commit of somebody's clone on the sandbox's forge, under the repository's own owner, name and branch.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::State;
use crate::adapters::git::copy::Source;
use crate::adapters::git::publish::NewRepository;
use crate::adapters::github::{GitHub, GitHubOptions};
use crate::domain::tree::{Rendered, Tree};
use crate::domain::{Commit, RepositoryUrl};
use crate::error::{Failure, Kind, Result};
use crate::ports::Forge as _;
use crate::ports::forge::ForgeError;
use crate::ports::git::GitError;

/// How long the sandbox's forge may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The branch that a revision `HEAD` means on the sandbox's forge.
const DEFAULT_BRANCH: &str = "main";

/// Puts the commit of `tree` on the forge of a new sandbox, and with it the other branches and tags of the same repository that its
/// Applications follow, as far as the clone has them. The clone is only read.
pub async fn seed(state: &State, clone: &Path, tree: &Tree) -> Result<()> {
    let Some(url) = state.forge.stand_in(&tree.repository) else {
        return Err(Failure::usage(format!("{} cannot be stood in for: it is not HOST/OWNER/NAME", tree.repository)));
    };
    make_repository(state, &url).await?;
    let source = Source::open(clone).await.map_err(|error| git(&error))?;
    if source.is_shallow() {
        take_shallow_pushes(state).await?;
    }
    let references = references(&source, tree).await.map_err(|error| git(&error))?;
    let key = state.forge.user_key()?;
    let hosts = state.forge.host_keys()?;
    source.push(&references, &url, &key, &hosts).await.map_err(|error| git(&error))
}

async fn make_repository(state: &State, url: &RepositoryUrl) -> Result<()> {
    let refused = |error: ForgeError| Failure::new(Kind::Transient, "the sandbox's forge does not take the repository").because(error);
    let forge = GitHub::connect(GitHubOptions {
        repository: url.clone(),
        api: Some(state.forge.api.clone()),
        token: state.forge.token("admin")?,
        deadline: Instant::now() + PATIENCE,
    })
    .map_err(refused)?;
    forge.ensure_organisation().await.map_err(refused)?;
    forge.create_repository().await.map(drop).map_err(refused)
}

/// Lets the bare repositories of the forge take the newest part of a history. GitHub does not; a drill in CI has no more than that.
async fn take_shallow_pushes(state: &State) -> Result<()> {
    let unreadable = |error: std::io::Error| Failure::bug("the sandbox's forge keeps no repositories").because(error);
    for entry in state.forge.repositories.read_dir().map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        NewRepository::open(&folder).configure("receive.shallowUpdate", "true").await.map_err(|error| git(&error))?;
    }
    Ok(())
}

/// What is put where.
async fn references(source: &Source, tree: &Tree) -> Result<Vec<(Commit, String)>, GitError> {
    let branch = if tree.revision == "HEAD" { DEFAULT_BRANCH } else { &tree.revision };
    let mut references = vec![(tree.commit.clone(), format!("refs/heads/{branch}"))];
    let others: BTreeSet<&str> = tree.applications.iter().flat_map(|application| revisions(application, &tree.repository)).collect();
    for name in others.into_iter().filter(|name| *name != branch && *name != "HEAD") {
        for (there, here) in [("tags", "refs/tags"), ("heads", "refs/remotes/origin"), ("heads", "refs/heads")] {
            if let Some(found) = source.reference(&format!("{here}/{name}")).await? {
                references.push((found, format!("refs/{there}/{name}")));
                break;
            }
        }
    }
    Ok(references)
}

/// The revisions of `repository` that an Application names.
fn revisions<'a>(application: &'a Rendered, repository: &'a RepositoryUrl) -> impl Iterator<Item = &'a str> {
    let several = application.object.at("/spec/sources").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let sources = application.object.at("/spec/source").into_iter().chain(several);
    sources
        .filter(|source| {
            let url = source.get("repoURL").and_then(serde_json::Value::as_str).and_then(|url| url.parse::<RepositoryUrl>().ok());
            url.is_some_and(|url| url.is_same_repository(repository))
        })
        .filter_map(|source| source.get("targetRevision")?.as_str())
}

fn git(error: &GitError) -> Failure {
    let kind = if matches!(error, GitError::Program(_)) { Kind::Usage } else { Kind::Transient };
    Failure::new(kind, "the commit could not be copied from the clone to the sandbox's forge").because(error)
}
