//! `promote`.

use std::time::Duration;

use crate::domain::{ClusterName, SandboxName};

/// What `promote` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_long_help = "The change goes to a new branch of the repository that gitops.yaml names, made from what that has now, and never to the branch \
                       that the clusters follow. The clone on this machine is not touched. The address of the pull request is written to standard output.",
    after_help = "Examples:
  Propose to production what staging runs:
    gitops-bootstrap promote website --from staging --to production"
)]
pub struct Arguments {
    /// App whose versions are promoted: a folder below src/services or src/infrastructure
    #[arg(value_name = "APP")]
    pub app: String,
    /// Cluster that has the versions
    #[arg(long, value_name = "CLUSTER")]
    pub from: ClusterName,
    /// Cluster that is to get them
    #[arg(long, value_name = "CLUSTER")]
    pub to: ClusterName,
    /// Name of the new branch; by default it tells what is promoted
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// Push the branch and open no pull request
    #[arg(long)]
    pub no_pull_request: bool,
    /// How the forge's API is reached.
    #[command(flatten)]
    pub login: super::forge::Login,
    /// The repository is on the forge of a sandbox on this machine
    #[arg(long, env = "GITOPS_BOOTSTRAP_SANDBOX", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Forge")]
    pub sandbox: bool,
    /// Name of the sandbox
    #[arg(long, value_name = "NAME", env = "GITOPS_BOOTSTRAP_SANDBOX_NAME", default_value_t, help_heading = "Forge")]
    pub sandbox_name: SandboxName,
    /// Longest time for the whole run
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = super::duration, env = "GITOPS_BOOTSTRAP_TIMEOUT", help_heading = "Safety")]
    pub timeout: Duration,
}
