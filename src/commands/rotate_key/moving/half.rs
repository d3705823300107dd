//! The two runs of a move.

use crate::cli::access::CredentialKind;
use crate::domain::RepositoryUrl;
use crate::domain::repository_url::Transport;
use crate::plan::StepId;

/// Which of the two runs of a move this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Half {
    /// Git names the old address.
    Prepare,
    /// Git names the new one.
    Finish,
}

impl Half {
    /// What the clone says: it names the address that `to` opens, or the other one.
    pub(super) fn of(declared: &RepositoryUrl, to: CredentialKind) -> Self {
        match (declared.transport(), to) {
            (Transport::Ssh, CredentialKind::DeployKey) | (Transport::Http, CredentialKind::GitHubApp) => Self::Finish,
            _ => Self::Prepare,
        }
    }

    /// Its steps.
    pub(super) const fn recipe(self) -> &'static [StepId] {
        match self {
            Self::Prepare => &StepId::PREPARE_MOVE,
            Self::Finish => &StepId::FINISH_MOVE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RepositoryUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_address_in_git_says_which_half_it_is() {
        let (ssh, https) = (url("git@github.com:acme/fleet.git"), url("https://github.com/acme/fleet.git"));
        assert_eq!(Half::of(&ssh, CredentialKind::GitHubApp), Half::Prepare);
        assert_eq!(Half::of(&https, CredentialKind::GitHubApp), Half::Finish);
        assert_eq!(Half::of(&https, CredentialKind::DeployKey), Half::Prepare);
        assert_eq!(Half::of(&ssh, CredentialKind::DeployKey), Half::Finish);
    }
}
