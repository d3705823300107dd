//! `init`.

use crate::domain::ClusterName;

/// What `init` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Cluster to bootstrap, as named in gitops.yaml
    #[arg(value_name = "CLUSTER", value_parser = clap::value_parser!(ClusterName))]
    pub cluster: Option<ClusterName>,
    /// Where to and within which bounds.
    #[command(flatten)]
    pub run: super::run::Run,
}
