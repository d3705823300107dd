//! The declaration of a fleet: the content of `gitops.yaml`.

use std::collections::BTreeMap;

use super::{ClusterName, Identity, RepositoryPath, RepositoryUrl};

/// The content of `gitops.yaml`, checked for form; what does not fit together is found by [`Declaration::contradictions`].
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Declaration {
    /// The version of this format.
    pub version: u32,
    /// The fleet repository.
    pub repository: Repository,
    /// Argo CD as it is installed.
    pub argocd: ArgoCd,
    /// The clusters, by name.
    pub clusters: BTreeMap<ClusterName, Cluster>,
    /// The age recipients (X25519 or ssh-ed25519) for which bundles are encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

/// Where the fleet repository is, and how it is laid out.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repository {
    /// The address from which Argo CD fetches.
    pub url: RepositoryUrl,
    /// The branch that the clusters follow.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// The base address of the forge's REST API, for GitHub Enterprise; found from the address's host if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Host keys beyond those compiled in, as lines of a known-hosts file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_hosts: Vec<String>,
    /// The folder with what people write.
    #[serde(default = "source_folder")]
    pub source: RepositoryPath,
    /// The folder with what the clusters get.
    #[serde(default = "rendered_folder")]
    pub rendered: RepositoryPath,
}

/// Argo CD as it is installed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArgoCd {
    /// The release, as in `v3.5.7`.
    pub version: String,
    /// Which of the release's manifests.
    #[serde(default)]
    pub flavour: Flavour,
    /// SHA-256 of that manifest, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Which of Argo CD's install manifests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// `manifests/install.yaml`.
    #[default]
    Standard,
    /// `manifests/ha/install.yaml`, which needs three nodes.
    HighAvailability,
}

/// One cluster of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// The only cluster that may bear this name, if it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

fn main_branch() -> String {
    "main".to_owned()
}

fn source_folder() -> RepositoryPath {
    "src".parse().unwrap_or_else(|_| unreachable!("a constant"))
}

fn rendered_folder() -> RepositoryPath {
    "rendered".parse().unwrap_or_else(|_| unreachable!("a constant"))
}
