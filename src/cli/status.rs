//! `status`.

use crate::domain::ClusterName;

/// What `status` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Exits with 0 if everything has converged, and with 11 if something has not; with --watch when Ctrl-C ends it.",
    after_help = "Examples:
  See how a cluster stands, and why what is not healthy is not:
    gitops-bootstrap status staging
  Go on looking, until Ctrl-C:
    gitops-bootstrap status staging --watch"
)]
pub struct Arguments {
    /// Cluster to look at, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: Option<ClusterName>,
    /// Show every Application, also where there are many that are well (also by -v)
    #[arg(long)]
    pub all: bool,
    /// Go on showing how it stands, as it changes, until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
}
