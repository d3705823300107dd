//! `init`.

use crate::domain::{ClusterName, WebhookUrl};

/// What `init` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Cluster to bootstrap, as named in gitops.yaml
    #[arg(value_name = "CLUSTER", value_parser = clap::value_parser!(ClusterName))]
    pub cluster: Option<ClusterName>,
    /// Have the forge tell Argo CD of pushes: the address of its `/api/webhook` as the forge reaches it; by default that in gitops.yaml
    #[arg(long, value_name = "URL", env = "GITOPS_BOOTSTRAP_WEBHOOK", value_parser = clap::value_parser!(WebhookUrl), help_heading = "Forge")]
    pub webhook: Option<WebhookUrl>,
    /// Where to and within which bounds.
    #[command(flatten)]
    pub run: super::run::Run,
}
