//! How Argo CD gets into the fleet repository, and how a person logs in to the forge.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::FalseyValueParser;

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

/// How a person logs in to the forge.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Login {
    /// Log in to the forge with a browser, anywhere, instead of with a token; needs the client id of an OAuth app
    #[arg(long, env = "GITOPS_BOOTSTRAP_DEVICE_FLOW", value_parser = FalseyValueParser::new(), conflicts_with = "token_file", help_heading = "Forge")]
    pub device_flow: bool,
    /// Client id of the OAuth app, or GitHub App, by which people log in; by default that in gitops.yaml
    #[arg(long, value_name = "ID", env = "GITOPS_BOOTSTRAP_OAUTH_CLIENT_ID", value_parser = client_id, help_heading = "Forge")]
    pub oauth_client_id: Option<String>,
}

fn client_id(text: &str) -> Result<String, String> {
    crate::domain::declaration::client_id_fault(text).map_or_else(|| Ok(text.to_owned()), |reason| Err(format!("it {reason}")))
}
