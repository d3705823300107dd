//! `doctor`.

use std::time::Duration;

use crate::domain::ClusterName;

/// What `doctor` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    mut_arg("token_file", |flag| flag.help("File with the forge's token; by default GITHUB_TOKEN, GH_TOKEN or `gh auth token` is used")),
    after_long_help = "Nothing is changed, nothing is asked, and each check is made even if another one found something wrong. Without a cluster, every cluster \
                       of gitops.yaml is checked that has a context of its name in the kubeconfig.\n\nExits with 0 if nothing is wrong, and with 11 if something is; warnings are not. With 9 if the time was over before.",
    after_help = "Examples:
  Check this machine, the repository, the forge and the clusters:
    gitops-bootstrap doctor
  One cluster, for a program:
    gitops-bootstrap doctor staging --output json"
)]
pub struct Arguments {
    /// Cluster to check, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: Option<ClusterName>,
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
    /// How the forge's API is reached.
    #[command(flatten)]
    pub api: super::forge::Api,
    /// Longest time for all checks together
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = super::duration, env = "GITOPS_BOOTSTRAP_TIMEOUT", help_heading = "Safety")]
    pub timeout: Duration,
}
