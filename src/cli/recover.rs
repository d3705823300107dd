//! `recover`.

use std::path::PathBuf;

use crate::domain::ClusterName;

/// What `recover` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_long_help = "Exits with 0 if everything has converged, and with 11 if all is up but what waits for a time or a person.",
    after_help = "Examples:
  Rebuild a cluster from the clone in this folder, and keep evidence:
    gitops-bootstrap recover staging --identity ~/.ssh/id_ed25519 --report .
  The same while the forge is down:
    gitops-bootstrap recover staging --identity ~/.ssh/id_ed25519 --serve-clone"
)]
pub struct Arguments {
    /// Cluster to recover, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: ClusterName,
    /// Where to and within which bounds.
    #[command(flatten)]
    pub run: super::run::Run,
    /// File with the bundle; by default that of the commit is used
    #[arg(long, value_name = "FILE", help_heading = "Bundle")]
    pub bundle: Option<PathBuf>,
    /// What opens the bundle.
    #[command(flatten)]
    pub identities: super::identities::Identities,
    /// Recover without the bundle: what is in it is lost
    #[arg(long, conflicts_with_all = ["bundle", "files", "passphrase_file"], help_heading = "Bundle")]
    pub without_bundle: bool,
    /// Folder to write the evidence to: recovery-CLUSTER.md and recovery-CLUSTER.json
    #[arg(long, value_name = "FOLDER", help_heading = "Recovery")]
    pub report: Option<PathBuf>,
    /// Run the tree from this clone, by a Git server in the cluster, while the forge is down; a later run without it moves back to the forge
    #[arg(long, conflicts_with_all = ["paste_key", "accept_rename", "fix_key", "prune_stale_key"], help_heading = "Forge")]
    pub serve_clone: bool,
    /// Release the services although the gates of gitops.yaml do not hold
    #[arg(long, help_heading = "Recovery")]
    pub open_gates: bool,
    /// Run the commands that the gates of gitops.yaml name on this machine, without being asked
    #[arg(long, help_heading = "Recovery")]
    pub run_commands: bool,
    /// Let Argo CD validate what it applies from the first sync on, which takes it three times as long; by default, from the second on
    #[arg(long, help_heading = "Recovery")]
    pub validate: bool,
    /// Remove a deploy key of the cluster that is gone, by its number at the forge, once all is up; may be given several times
    #[arg(long, value_name = "ID", help_heading = "Recovery")]
    pub prune_stale_key: Vec<u64>,
    /// Recover although the deploy key of the old cluster was used within the last day
    #[arg(long, help_heading = "Safety")]
    pub old_cluster_is_gone: bool,
    /// Recover into a cluster that holds workloads of others
    #[arg(long, help_heading = "Safety")]
    pub into_non_empty: bool,
    /// Recover although gitops.yaml pins the name to the cluster that is gone
    #[arg(long, help_heading = "Safety")]
    pub new_identity: bool,
    /// Recover although secrets in Git cannot be decrypted with the keys at hand
    #[arg(long, help_heading = "Safety")]
    pub accept_loss: bool,
}
