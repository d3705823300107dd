//! What the verbs take that change a bootstrapped cluster: `rotate-key` and `detach`.

use std::path::PathBuf;
use std::time::Duration;

use super::run::Run;

/// Where the cluster is, how the forge is reached, and the bounds of the run.
#[derive(Clone, Debug, clap::Args)]
pub struct Change {
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
    /// File with the forge's token; by default GITHUB_TOKEN, GH_TOKEN or `gh auth token` is used, or it is asked for
    #[arg(long, value_name = "FILE", env = "GITOPS_BOOTSTRAP_TOKEN_FILE", help_heading = "Forge")]
    pub token_file: Option<PathBuf>,
    /// Base address of the forge's REST API, for GitHub Enterprise
    #[arg(long, value_name = "URL", env = "GITOPS_BOOTSTRAP_FORGE_API", help_heading = "Forge")]
    pub forge_api: Option<String>,
    /// How a person logs in to the forge.
    #[command(flatten)]
    pub login: super::access::Login,
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

impl Change {
    /// The same as `init` takes it; `without_token` is whether the forge's API is left alone.
    pub fn as_run(&self, without_token: bool) -> Run {
        Run {
            target: self.target.clone(),
            token_file: self.token_file.clone(),
            forge_api: self.forge_api.clone(),
            paste_key: without_token,
            login: self.login.clone(),
            access: super::access::Access::default(),
            fix_key: false,
            accept_rename: self.accept_rename,
            take_ownership: false,
            commit: None,
            wait: self.wait,
            explain: self.explain,
            kill_at: self.kill_at.clone(),
            timeout: self.timeout,
        }
    }
}
