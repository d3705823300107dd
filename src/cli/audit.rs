//! `audit`.

use crate::domain::ClusterName;

/// What `audit` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Nothing is changed, and no secret is printed. Exits with 11 if data would be lost, or with --min-score if the score is lower; with 0 else.",
    after_help = "Examples:
  See what neither Git nor the bundle would bring back:
    gitops-bootstrap audit staging
  As a gate in CI:
    gitops-bootstrap audit staging --min-score 90"
)]
pub struct Arguments {
    /// Cluster to look at, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: ClusterName,
    /// Exit with 11 if the score, of 100, is lower; instead of whenever data would be lost
    #[arg(long, value_name = "SCORE", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub min_score: Option<u8>,
    /// Name every object, also where there are many of a kind
    #[arg(long)]
    pub all: bool,
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
}
