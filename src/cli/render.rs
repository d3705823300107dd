//! `render`.

use crate::domain::ClusterName;

/// What `render` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Clusters to render; all by default
    #[arg(value_name = "CLUSTER")]
    pub clusters: Vec<ClusterName>,
    /// Write nothing; show what is stale and exit with 11 if anything is
    #[arg(long)]
    pub check: bool,
}
