//! What the verbs take that bring a cluster to what Git has: `init` and `recover`.

use std::path::PathBuf;
use std::time::Duration;

/// Where the cluster is, how the forge is reached, and the bounds of the run.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
    /// File with the forge's token; by default GITHUB_TOKEN, GH_TOKEN or `gh auth token` is used, or it is asked for
    #[arg(long, value_name = "FILE", env = "GITOPS_BOOTSTRAP_TOKEN_FILE", help_heading = "Forge")]
    pub token_file: Option<PathBuf>,
    /// Base address of the forge's REST API, for GitHub Enterprise
    #[arg(long, value_name = "URL", env = "GITOPS_BOOTSTRAP_FORGE_API", help_heading = "Forge")]
    pub forge_api: Option<String>,
    /// Print the public key and wait until somebody has registered it, instead of using a token
    #[arg(long, conflicts_with = "token_file", help_heading = "Forge")]
    pub paste_key: bool,
    /// How a person logs in to the forge.
    #[command(flatten)]
    pub login: super::access::Login,
    /// How Argo CD gets into the repository.
    #[command(flatten)]
    pub access: super::access::Access,
    /// Replace our deploy key where it is registered with write access
    #[arg(long, help_heading = "Forge")]
    pub fix_key: bool,
    /// Go on under the repository's new name if it was renamed
    #[arg(long, help_heading = "Forge")]
    pub accept_rename: bool,
    /// Take over fields that other managers own
    #[arg(long, help_heading = "Safety")]
    pub take_ownership: bool,
    /// Use this commit although the branch of the remote is elsewhere
    #[arg(long, value_name = "COMMIT", help_heading = "Safety")]
    pub commit: Option<crate::domain::Commit>,
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
