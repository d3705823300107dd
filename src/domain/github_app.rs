//! A GitHub App, by which Argo CD gets into a repository where no deploy key may.

use std::fmt;
use std::num::NonZeroU64;

use secrecy::{ExposeSecret as _, SecretString};

/// The credentials of a GitHub App for one of its installations (docs.github.com, "About authentication with a GitHub App").
#[derive(Clone, Debug)]
pub struct GitHubApp {
    /// The App's number.
    pub id: NonZeroU64,
    /// The number of its installation on the owner of the repository.
    pub installation: NonZeroU64,
    /// Its private key, RSA in PEM.
    pub private_key: SecretString,
    /// The base address of the forge's REST API; none for github.com.
    pub api: Option<String>,
}

/// What is declared of a GitHub App, and can be read by everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredApp {
    /// The App's number.
    pub id: NonZeroU64,
    /// The number of its installation; the forge is asked for it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installation: Option<NonZeroU64>,
}

impl GitHubApp {
    /// Whether both are the same credentials.
    pub fn is(&self, other: &Self) -> bool {
        (self.id, self.installation, self.api.as_deref()) == (other.id, other.installation, other.api.as_deref())
            && self.private_key.expose_secret().trim() == other.private_key.expose_secret().trim()
    }
}

impl fmt::Display for GitHubApp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the GitHub App {} (installation {})", self.id, self.installation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_key_is_never_printed_and_another_one_makes_other_credentials() {
        let number = |number| NonZeroU64::new(number).unwrap();
        let app = |key: &str| GitHubApp { id: number(12), installation: number(34), private_key: key.into(), api: None };
        assert_eq!(app("hunter2").to_string(), "the GitHub App 12 (installation 34)");
        assert!(!format!("{:?}", app("hunter2")).contains("hunter2"));
        assert!(app("hunter2").is(&app("hunter2\n")) && !app("hunter2").is(&app("other")));
    }
}
