//! `status`.

use crate::domain::ClusterName;

/// What `status` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Cluster to look at, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: Option<ClusterName>,
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
}
