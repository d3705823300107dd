//! `unpack`.

use std::path::PathBuf;

use crate::domain::ClusterName;

/// What `unpack` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  See what is in a bundle:
    gitops-bootstrap unpack staging --list
  Restore it into the cluster:
    gitops-bootstrap unpack staging --identity fleet-recovery.key")]
pub struct Arguments {
    /// Cluster whose root of trust is restored, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: ClusterName,
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
    /// Bundle to restore, instead of the one in the fleet repository
    #[arg(long, value_name = "FILE", help_heading = "Bundle")]
    pub bundle: Option<PathBuf>,
    /// What opens the bundle.
    #[command(flatten)]
    pub identities: super::identities::Identities,
    /// Write nothing; print what is in the bundle, without any secret value
    #[arg(long, help_heading = "Bundle")]
    pub list: bool,
}
