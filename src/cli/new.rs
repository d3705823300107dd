//! `new`.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::FalseyValueParser;

use crate::domain::ClusterName;

/// What `new` takes.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:
  Be asked for everything:
    gitops-bootstrap new fleet
  Create the repository at GitHub and push to it, without a question:
    gitops-bootstrap new fleet --repository git@github.com:acme/fleet.git \\
        --create-repository --push --yes")]
pub struct Arguments {
    /// Folder to write to; this one by default
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Address from which Argo CD will fetch the repository, as in git@github.com:acme/fleet.git
    #[arg(long, value_name = "URL", env = "GITOPS_BOOTSTRAP_REPOSITORY", help_heading = "Fleet")]
    pub repository: Option<String>,
    /// Branch that the clusters will follow
    #[arg(long, value_name = "NAME", env = "GITOPS_BOOTSTRAP_BRANCH", value_parser = branch, help_heading = "Fleet")]
    pub branch: Option<String>,
    /// Name of a cluster; may be repeated. By default staging and production
    #[arg(
        long = "cluster",
        value_name = "NAME",
        env = "GITOPS_BOOTSTRAP_CLUSTERS",
        value_delimiter = ',',
        value_parser = clap::value_parser!(ClusterName),
        help_heading = "Fleet"
    )]
    pub clusters: Vec<ClusterName>,
    /// Write no example apps
    #[arg(long, env = "GITOPS_BOOTSTRAP_NO_EXAMPLES", value_parser = FalseyValueParser::new(), help_heading = "Fleet")]
    pub no_examples: bool,
    /// Release of Argo CD, as in v3.5.7
    #[arg(long, value_name = "VERSION", env = "GITOPS_BOOTSTRAP_ARGOCD_VERSION", value_parser = release, help_heading = "Argo CD")]
    pub argocd_version: Option<String>,
    /// Which of its manifests; high-availability needs three nodes
    #[arg(long, value_name = "FLAVOUR", value_enum, env = "GITOPS_BOOTSTRAP_ARGOCD_FLAVOUR", help_heading = "Argo CD")]
    pub flavour: Option<Flavour>,
    /// Take Argo CD's manifest from the sandbox's engine instead of its release's address
    #[arg(long, env = "GITOPS_BOOTSTRAP_OFFLINE", value_parser = FalseyValueParser::new(), help_heading = "Argo CD")]
    pub offline: bool,
    /// Create the repository at the forge, private; one that is there and empty, or that has this fleet, is taken as it is
    #[arg(long, env = "GITOPS_BOOTSTRAP_CREATE_REPOSITORY", value_parser = FalseyValueParser::new(), help_heading = "Forge")]
    pub create_repository: bool,
    /// Commit the new fleet, and push it with your own Git access
    #[arg(long, env = "GITOPS_BOOTSTRAP_PUSH", value_parser = FalseyValueParser::new(), help_heading = "Forge")]
    pub push: bool,
    /// How the forge's API is reached.
    #[command(flatten)]
    pub api: super::forge::Api,
    /// Line of a known-hosts file with a host key that the forge may show; may be repeated. Those of github.com are known
    #[arg(long = "known-host", value_name = "LINE", value_parser = known_host, help_heading = "Forge")]
    pub known_hosts: Vec<String>,
    /// Overwrite files that are there with other content
    #[arg(long, visible_alias = "force", env = "GITOPS_BOOTSTRAP_OVERWRITE", value_parser = FalseyValueParser::new(), help_heading = "Safety")]
    pub overwrite: bool,
}

/// Which of Argo CD's install manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Flavour {
    /// One replica of each part
    Standard,
    /// Several replicas, on three nodes or more
    HighAvailability,
}

impl From<Flavour> for crate::domain::declaration::Flavour {
    fn from(flavour: Flavour) -> Self {
        match flavour {
            Flavour::Standard => Self::Standard,
            Flavour::HighAvailability => Self::HighAvailability,
        }
    }
}

fn branch(text: &str) -> Result<String, String> {
    crate::domain::declaration::branch_fault(text).map_or_else(|| Ok(text.to_owned()), |reason| Err(reason.to_owned()))
}

fn release(text: &str) -> Result<String, String> {
    crate::domain::declaration::release_fault(text).map_or_else(|| Ok(text.to_owned()), |reason| Err(format!("it {reason}")))
}

fn known_host(line: &str) -> Result<String, String> {
    crate::domain::HostKey::parse_line(line).map(|_| line.trim().to_owned()).map_err(|error| error.to_string())
}
