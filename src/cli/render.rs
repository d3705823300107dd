//! `render`.

use crate::domain::ClusterName;

/// What `render` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  Render all clusters of the fleet:
    gitops-bootstrap render
  See in CI whether somebody has forgotten to:
    gitops-bootstrap render --check")]
pub struct Arguments {
    /// Clusters to render, as named in gitops.yaml; all by default
    #[arg(value_name = "CLUSTER", value_parser = clap::value_parser!(ClusterName))]
    pub clusters: Vec<ClusterName>,
    /// Write nothing; print what is stale as a diff, and exit with 11 if anything is
    #[arg(long)]
    pub check: bool,
}
