//! How Argo CD gets into the fleet repository.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::ValueEnum;

/// How Argo CD gets into the fleet repository.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Access {
    /// How Argo CD gets into the repository; by default a GitHub App if one is named here or in gitops.yaml, else a deploy key
    #[arg(long, value_name = "KIND", value_enum, env = "GITOPS_BOOTSTRAP_CREDENTIAL", help_heading = "Forge")]
    pub credential: Option<CredentialKind>,
    /// Which GitHub App, if it is one.
    #[command(flatten)]
    pub app: App,
}

/// The GitHub App by which Argo CD gets in.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct App {
    /// Number of the GitHub App by which Argo CD gets in
    #[arg(long, value_name = "ID", env = "GITOPS_BOOTSTRAP_GITHUB_APP_ID", help_heading = "Forge")]
    pub github_app_id: Option<NonZeroU64>,
    /// Number of its installation; the forge is asked if it is not given
    #[arg(long, value_name = "ID", env = "GITOPS_BOOTSTRAP_GITHUB_APP_INSTALLATION_ID", help_heading = "Forge")]
    pub github_app_installation_id: Option<NonZeroU64>,
    /// File with its private key; or GITOPS_BOOTSTRAP_GITHUB_APP_PRIVATE_KEY, which holds the key itself. Not needed once the cluster has it
    #[arg(long, value_name = "FILE", env = "GITOPS_BOOTSTRAP_GITHUB_APP_PRIVATE_KEY_FILE", help_heading = "Forge")]
    pub github_app_private_key_file: Option<PathBuf>,
}

/// By what Argo CD gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CredentialKind {
    /// An SSH key that is registered at the repository and may only read
    DeployKey,
    /// A GitHub App, over https: for organisations that forbid deploy keys
    #[value(name = "github-app")]
    GitHubApp,
}
