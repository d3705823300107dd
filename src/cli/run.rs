//! What the verbs take that bring a cluster to what Git has: `init` and `recover`.

/// What every change takes, how Argo CD gets into the repository, and what of others may be taken over.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// Where to and within which bounds.
    #[command(flatten)]
    pub change: super::change::Change,
    /// Print the public key and wait until somebody has registered it, instead of using a token
    #[arg(long, conflicts_with = "token_file", help_heading = "Forge")]
    pub paste_key: bool,
    /// How Argo CD gets into the repository.
    #[command(flatten)]
    pub access: super::access::Access,
    /// Have the forge tell Argo CD of pushes: the address of its `/api/webhook` as the forge reaches it; by default that in gitops.yaml
    #[arg(long, value_name = "URL", env = "GITOPS_BOOTSTRAP_WEBHOOK", value_parser = clap::value_parser!(crate::domain::WebhookUrl), help_heading = "Forge")]
    pub webhook: Option<crate::domain::WebhookUrl>,
    /// Replace our deploy key where it is registered with write access
    #[arg(long, help_heading = "Forge")]
    pub fix_key: bool,
    /// Take over fields that other managers own
    #[arg(long, help_heading = "Safety")]
    pub take_ownership: bool,
    /// Use this commit although the branch of the remote is elsewhere
    #[arg(long, value_name = "COMMIT", help_heading = "Safety")]
    pub commit: Option<crate::domain::Commit>,
}
