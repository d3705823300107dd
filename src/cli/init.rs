//! `init`.

use crate::domain::{ClusterName, WebhookUrl};

/// What `init` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  Be asked for what is not said:
    gitops-bootstrap init
  Try it on this machine, with a demo fleet, without a cluster or a forge:
    gitops-bootstrap init staging --sandbox
  Bootstrap the cluster of a context, without a question:
    gitops-bootstrap init staging --context staging-eu --token-file token --yes")]
pub struct Arguments {
    /// Cluster to bootstrap, as named in gitops.yaml; on a terminal it is asked for
    #[arg(value_name = "CLUSTER", env = "GITOPS_BOOTSTRAP_CLUSTER", value_parser = clap::value_parser!(ClusterName))]
    pub cluster: Option<ClusterName>,
    /// Have the forge tell Argo CD of pushes: the address of its `/api/webhook` as the forge reaches it; by default that in gitops.yaml
    #[arg(long, value_name = "URL", env = "GITOPS_BOOTSTRAP_WEBHOOK", value_parser = clap::value_parser!(WebhookUrl), help_heading = "Forge")]
    pub webhook: Option<WebhookUrl>,
    /// Where to and within which bounds.
    #[command(flatten)]
    pub run: super::run::Run,
}
