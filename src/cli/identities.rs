//! What opens a bundle.

use std::path::PathBuf;

/// Where the keys are that open a bundle.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Identities {
    /// File with an age identity or an ssh-ed25519 private key that opens the bundle; may be given several times. Also by
    /// GITOPS_BOOTSTRAP_IDENTITY, which holds the name of a file or the key itself
    #[arg(long = "identity", value_name = "FILE", help_heading = "Bundle")]
    pub files: Vec<PathBuf>,
    /// File with the passphrase of a bundle that is locked by one; asked for by default
    #[arg(long, value_name = "FILE", env = "GITOPS_BOOTSTRAP_PASSPHRASE_FILE", help_heading = "Bundle")]
    pub passphrase_file: Option<PathBuf>,
}
