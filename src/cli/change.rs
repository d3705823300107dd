//! What every verb takes that changes a cluster.

use std::time::Duration;

/// Where the cluster is, how the forge is reached, and the bounds of the run.
#[derive(Clone, Debug, clap::Args)]
pub struct Change {
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
    /// How the forge's API is reached.
    #[command(flatten)]
    pub login: super::forge::Login,
    /// Go on under the repository's new name if it was renamed
    #[arg(long, help_heading = "Forge")]
    pub accept_rename: bool,
    /// Wait for a lock that another run holds
    #[arg(long, help_heading = "Safety")]
    pub wait: bool,
    /// Say why each step exists
    #[arg(long)]
    pub explain: bool,
    /// Kill the run at a step, as `kill -9` would, to rehearse going on from there: STEP.before, STEP.sent or STEP.after
    #[arg(long, value_name = "POINT", hide = true)]
    pub kill_at: Option<String>,
    /// Longest time for the whole run
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = super::duration, env = "GITOPS_BOOTSTRAP_TIMEOUT", help_heading = "Safety")]
    pub timeout: Duration,
}
