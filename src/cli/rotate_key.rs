//! `rotate-key`.

use crate::domain::{ClusterName, RepositoryUrl};

/// What `rotate-key` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_long_help = "The new key is registered, proven and in use before the old one is removed, so Argo CD never loses access. \
                             A run that was stopped or killed is continued by the same command.",
    after_help = "Examples:
  Renew the deploy key of a cluster:
    gitops-bootstrap rotate-key staging
  Renew one that is not secret any more:
    gitops-bootstrap rotate-key staging --revoke-first
  Have Argo CD get in by a GitHub App from now on; the same again once Git names the other address:
    gitops-bootstrap rotate-key staging --to github-app --github-app-id 123456 --github-app-private-key-file app.pem"
)]
pub struct Arguments {
    /// Cluster whose deploy key is renewed, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: ClusterName,
    /// Remove the old key before there is a new one: for a key that is not secret any more. Until the run is over Argo CD cannot fetch
    #[arg(long, help_heading = "Forge")]
    pub revoke_first: bool,
    /// Move to another kind of credential: run it before and after the change of the address in Git, which is told
    #[arg(long, value_name = "KIND", value_enum, help_heading = "Forge")]
    pub to: Option<super::access::CredentialKind>,
    /// Address to move to; by default the same repository on the same host, over https for a GitHub App and over SSH for a deploy key
    #[arg(long, value_name = "URL", value_parser = clap::value_parser!(RepositoryUrl), requires = "to", help_heading = "Forge")]
    pub to_url: Option<RepositoryUrl>,
    /// Which GitHub App, if it is one.
    #[command(flatten)]
    pub app: super::access::App,
    /// Print the public key and wait until somebody has registered it, instead of using a token
    #[arg(long, conflicts_with = "token_file", help_heading = "Forge")]
    pub paste_key: bool,
    /// Where to and within which bounds.
    #[command(flatten)]
    pub change: super::change::Change,
}
