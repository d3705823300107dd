//! `detach`.

use crate::domain::ClusterName;

/// What `detach` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_long_help = "Every workload stays, and that is proven: each object that the Applications manage has the same UID afterwards, and no pod \
                             was restarted. Git is not touched. `init` takes everything back under management.",
    after_help = "Examples:
  See what goes and what stays, and be asked:
    gitops-bootstrap detach staging
  Without a question:
    gitops-bootstrap detach staging --yes --confirm staging"
)]
pub struct Arguments {
    /// Cluster that Argo CD is taken out of, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: ClusterName,
    /// Leave Argo CD's resource definitions in the cluster
    #[arg(long, help_heading = "What stays")]
    pub keep_crds: bool,
    /// Leave the deploy key at the forge; no token is needed then
    #[arg(long, help_heading = "What stays")]
    pub keep_key: bool,
    /// The cluster's name once more: with --yes, no question is asked
    #[arg(long, value_name = "CLUSTER", env = "GITOPS_BOOTSTRAP_CONFIRM", help_heading = "Safety")]
    pub confirm: Option<ClusterName>,
    /// Where to and within which bounds.
    #[command(flatten)]
    pub change: super::change::Change,
}
