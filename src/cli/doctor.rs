//! `doctor`.

use std::path::PathBuf;
use std::time::Duration;

use super::change::Change;
use super::run::Run;
use crate::domain::ClusterName;

/// What `doctor` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
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
    /// File with the forge's token; by default GITHUB_TOKEN, GH_TOKEN or `gh auth token` is used
    #[arg(long, value_name = "FILE", env = "GITOPS_BOOTSTRAP_TOKEN_FILE", help_heading = "Forge")]
    pub token_file: Option<PathBuf>,
    /// Base address of the forge's REST API, for GitHub Enterprise
    #[arg(long, value_name = "URL", env = "GITOPS_BOOTSTRAP_FORGE_API", help_heading = "Forge")]
    pub forge_api: Option<String>,
    /// Longest time for all checks together
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = super::duration, env = "GITOPS_BOOTSTRAP_TIMEOUT", help_heading = "Safety")]
    pub timeout: Duration,
}

impl Arguments {
    /// The same as `init` takes it.
    pub fn as_run(&self) -> Run {
        let change = Change {
            target: self.target.clone(),
            token_file: self.token_file.clone(),
            forge_api: self.forge_api.clone(),
            login: super::access::Login::default(),
            accept_rename: false,
            wait: false,
            explain: false,
            kill_at: None,
            timeout: self.timeout,
        };
        change.as_run(false)
    }
}
