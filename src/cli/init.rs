//! `init`.

use crate::domain::ClusterName;

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
    /// Where to and within which bounds.
    #[command(flatten)]
    pub run: super::run::Run,
}
