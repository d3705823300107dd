//! The forge and its Git server: what the token may do, and which host keys are pinned.

use super::UNCHANGED;
use crate::domain::repository_url::Transport;
use crate::domain::{HostKeys, RepositoryUrl};
use crate::error::{Failure, Kind, Result};
use crate::event::Events;
use crate::ports::forge::{ForgeError, RepositoryFacts};
use crate::ports::git::GitError;
use crate::ports::{Forge, KeyMaker, Remote};

/// Checks that the token may manage deploy keys, that they are allowed, and that the repository is still called as it was.
pub async fn check_forge(forge: &dyn Forge, repository: &RepositoryUrl, accept_rename: bool, events: &Events) -> Result<()> {
    let Some(facts) = check_repository(forge, repository, accept_rename, events).await? else { return Ok(()) };
    check_administrator(forge, &facts)?;
    check_deploy_keys_allowed(forge, &facts)
}

/// Refuses a repository that is called otherwise by now.
pub fn check_name(facts: &RepositoryFacts, repository: &RepositoryUrl) -> Result<()> {
    if facts.full_name.eq_ignore_ascii_case(repository.path()) {
        return Ok(());
    }
    let renamed = ForgeError::Renamed { from: repository.path().to_owned(), to: facts.full_name.clone() };
    Err(Failure::from(renamed).because(UNCHANGED))
}

/// Refuses a token that may not manage the deploy keys of the repository.
pub fn check_administrator(forge: &dyn Forge, facts: &RepositoryFacts) -> Result<()> {
    if facts.may_administer {
        return Ok(());
    }
    Err(Failure::new(Kind::Denied, format!("the token may not manage the deploy keys of {}", forge.name()))
        .because("that takes administrator rights on the repository")
        .because(UNCHANGED)
        .hint("use a token with `Administration: write` of somebody who is an administrator of the repository")
        .hint("or let somebody else register the key: run the same command with `--paste-key`"))
}

/// Refuses a repository whose owner forbids deploy keys.
pub fn check_deploy_keys_allowed(forge: &dyn Forge, facts: &RepositoryFacts) -> Result<()> {
    if facts.deploy_keys_allowed == Some(false) {
        return Err(Failure::from(ForgeError::DeployKeysDisabled(forge.name())).because(UNCHANGED));
    }
    Ok(())
}

/// Checks that the token sees the repository, and that it is still called as it was. Returns what the forge says of it; nothing of one that was renamed.
pub async fn check_repository(
    forge: &dyn Forge,
    repository: &RepositoryUrl,
    accept_rename: bool,
    events: &Events,
) -> Result<Option<RepositoryFacts>> {
    let facts = match forge.repository().await {
        Ok(facts) => facts,
        Err(error @ ForgeError::Renamed { .. }) if accept_rename => {
            events.warn(error.to_string(), Some("write the new name into gitops.yaml".to_owned()));
            return Ok(None);
        }
        Err(error) => return Err(Failure::from(error).because(UNCHANGED)),
    };
    for warning in &facts.warnings {
        events.warn(warning.clone(), None);
    }
    if !accept_rename {
        check_name(&facts, repository)?;
    }
    Ok(Some(facts))
}

/// Refuses a host of which no key is pinned, and one that shows another key than those. The server is asked with a key that it cannot know: it refuses that key
/// only after its own was accepted.
pub async fn check_host_keys(
    remote: &dyn Remote,
    keys: &dyn KeyMaker,
    repository: &RepositoryUrl,
    branch: &str,
    hosts: &HostKeys,
) -> Result<()> {
    if repository.transport() == Transport::Http {
        return Ok(());
    }
    if hosts.of(repository).is_empty() {
        let host = repository.known_host();
        return Err(Failure::new(Kind::Unverified, format!("no host key is pinned for {host}"))
            .because("a host key is never trusted on first use")
            .because(UNCHANGED)
            .hint(format!("ssh-keyscan {} | tee /dev/stderr | ssh-keygen -lf -", scan_arguments(repository)))
            .hint("compare the fingerprints with those that the operator publishes, then add the lines to `repository.knownHosts` in gitops.yaml, render, commit and push"));
    }
    let stranger = keys.generate("nobody")?;
    match remote.branch_head(repository, branch, &stranger.private, hosts).await {
        Ok(_) | Err(GitError::Denied(_) | GitError::NotFound(_)) => Ok(()),
        Err(error) => Err(Failure::from(error).because(UNCHANGED)),
    }
}

/// What `ssh-keyscan` is called with to see the host keys of the repository's server.
pub fn scan_arguments(repository: &RepositoryUrl) -> String {
    match repository.port() {
        Some(port) => format!("-p {port} {}", repository.host()),
        None => repository.host().to_owned(),
    }
}
