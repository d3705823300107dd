//! `lint`.

use std::path::PathBuf;

use crate::domain::ClusterName;

/// What `lint` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Exits with 0 if nothing was found, and with 11 if there is an error; with --strict, if there is anything.\n\nAllow what is right as it is, with a reason: under `lint.allow` in gitops.yaml, or by the annotation `gitops-bootstrap.io/allow: \"RULE: REASON\"` of an object.",
    after_help = "Examples:
  Check all clusters of the fleet:
    gitops-bootstrap lint
  For a code host, warnings included:
    gitops-bootstrap lint --strict --sarif lint.sarif"
)]
pub struct Arguments {
    /// Clusters to check, as named in gitops.yaml; all by default
    #[arg(value_name = "CLUSTER", value_parser = clap::value_parser!(ClusterName))]
    pub clusters: Vec<ClusterName>,
    /// Exit with 11 for warnings too
    #[arg(long, env = "GITOPS_BOOTSTRAP_STRICT", value_parser = clap::builder::FalseyValueParser::new())]
    pub strict: bool,
    /// Also write what was found to this file, as SARIF 2.1.0 for code hosts
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    /// Do not render the sources to see whether the rendered files are fresh
    #[arg(long)]
    pub no_render: bool,
    /// List the rules, and check nothing
    #[arg(long, conflicts_with_all = ["clusters", "sarif", "strict"])]
    pub rules: bool,
}
