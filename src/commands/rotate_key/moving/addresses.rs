//! The two addresses of a move: one for SSH, one for https.

use super::half::Half;
use crate::cli::access::CredentialKind;
use crate::domain::RepositoryUrl;
use crate::domain::repository_url::Transport;
use crate::error::{Failure, Result};

/// The address by which `to` opens the repository that `declared` names.
pub(super) fn new_address(declared: &RepositoryUrl, to: CredentialKind, named: Option<&RepositoryUrl>) -> Result<RepositoryUrl> {
    let address = match named {
        Some(named) => named.clone(),
        None => derived(declared, to)?,
    };
    let (wanted, what) = match to {
        CredentialKind::GitHubApp => (Transport::Http, "a GitHub App opens a repository over https only"),
        CredentialKind::DeployKey => (Transport::Ssh, "a deploy key is for SSH"),
    };
    if address.transport() != wanted {
        return Err(Failure::usage(format!("{address} is no address for that: {what}")));
    }
    if !address.is_same_repository(declared) {
        return Err(Failure::refused(format!("{address} is another repository than {declared}"))
            .because("a cluster moves to another credential for the same repository")
            .because("nothing was changed"));
    }
    Ok(address)
}

/// The address of the same repository by which `to` opens it, on a host with the usual ports.
fn derived(url: &RepositoryUrl, to: CredentialKind) -> Result<RepositoryUrl> {
    let text = if to == CredentialKind::GitHubApp { url.https() } else { url.ssh() };
    text.parse().map_err(|error| Failure::bug(format!("an address was derived that is none: {error}")))
}

/// An address that is named must be the one that the run is about.
pub(super) fn check_to_url(named: Option<&RepositoryUrl>, address: &RepositoryUrl) -> Result<()> {
    match named.filter(|named| named.normalised() != address.normalised()) {
        None => Ok(()),
        Some(named) => Err(Failure::usage(format!("Git names {address}, and `--to-url` {named}"))
            .because("nothing was changed")
            .hint("write the one that is meant into gitops.yaml, or leave `--to-url` out")),
    }
}

/// The address of the other transport, as far as that can be told without the cluster.
pub(super) fn counterpart(declared: &RepositoryUrl, half: Half, address: &RepositoryUrl) -> Result<RepositoryUrl> {
    match (half, address.transport()) {
        (Half::Prepare, _) => Ok(declared.clone()),
        (Half::Finish, Transport::Ssh) => derived(declared, CredentialKind::GitHubApp),
        (Half::Finish, _) => derived(declared, CredentialKind::DeployKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RepositoryUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_new_address_is_of_the_same_repository_and_of_the_right_transport() {
        let ssh = url("ssh://git@ssh.github.com:443/acme/fleet.git");
        let new = |named: Option<&str>| new_address(&ssh, CredentialKind::GitHubApp, named.map(url).as_ref());
        assert_eq!(new(None).unwrap().as_str(), "https://github.com/acme/fleet.git");
        assert_eq!(new(Some("https://github.com:8443/Acme/fleet")).unwrap().as_str(), "https://github.com:8443/Acme/fleet");
        assert!(new(Some("git@github.com:acme/fleet.git")).unwrap_err().message.contains("over https only"));
        assert!(new(Some("https://github.com/acme/other.git")).unwrap_err().message.contains("another repository"));
    }
}
