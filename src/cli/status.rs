//! `status`.

use crate::domain::ClusterName;

/// What `status` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Exits with 0 if everything has converged, and with 11 if something has not.",
    after_help = "Examples:
  See how a cluster stands, and why what is not healthy is not:
    gitops-bootstrap status staging
  The same for the sandbox:
    gitops-bootstrap status --sandbox"
)]
pub struct Arguments {
    /// Cluster to look at, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: Option<ClusterName>,
    /// Show every Application, also where there are many healthy ones
    #[arg(long)]
    pub all: bool,
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
}
