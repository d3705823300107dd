//! `pack`.

use crate::domain::ClusterName;

/// What `pack` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "With --check it exits with 0 if the bundle is what the cluster has and opens the tree, and with 11 if it is not.",
    after_help = "Examples:
  Write bundles/staging.age, for the recipients in gitops.yaml:
    gitops-bootstrap pack staging
  See in CI whether the bundle that is there opens, and decrypts the tree:
    gitops-bootstrap pack staging --check --offline"
)]
pub struct Arguments {
    /// Cluster whose root of trust is packed, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: ClusterName,
    /// Where the cluster is.
    #[command(flatten)]
    pub target: super::Target,
    /// Public key that can open the bundle, beside those in gitops.yaml: age1... or ssh-ed25519 ...; may be given several times
    #[arg(long = "recipient", value_name = "KEY", help_heading = "Bundle")]
    pub recipients: Vec<String>,
    /// Lock the bundle with a passphrase instead of public keys
    #[arg(long, conflicts_with = "recipients", help_heading = "Bundle")]
    pub passphrase: bool,
    /// What opens the bundle that is there.
    #[command(flatten)]
    pub identities: super::identities::Identities,
    /// Write nothing; say whether the bundle is still what the cluster has, and whether it decrypts what the tree holds
    #[arg(long, help_heading = "Bundle")]
    pub check: bool,
    /// With --check: open the bundle and check the tree without asking the cluster
    #[arg(long, requires = "check", help_heading = "Bundle")]
    pub offline: bool,
    /// Leave decryption keys out of the bundle that it has now and the cluster has not
    #[arg(long, help_heading = "Safety")]
    pub forget_keys: bool,
}
