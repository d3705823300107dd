//! `sandbox`.

use clap::{Args, Subcommand};

use crate::domain::SandboxName;

/// What `sandbox` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with sandboxes.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Start a sandbox, or find it running, and say how it is reached
    Up(Which),
    /// End a sandbox and remove all that it wrote
    Down {
        /// Which one.
        #[command(flatten)]
        which: Which,
        /// End and remove all sandboxes
        #[arg(long)]
        all: bool,
    },
    /// Show how a sandbox is reached, and what runs in it
    Status(Which),
    /// Print the names of all sandboxes
    List,
    /// Run kubectl against a sandbox
    #[command(after_help = "Example: gitops-bootstrap sandbox kubectl -- -n argocd get applications")]
    Kubectl {
        /// Which sandbox.
        #[command(flatten)]
        of: Of,
        /// Arguments of kubectl
        #[arg(last = true, value_name = "ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Print the log of a component, or the names of the components that have one
    Logs {
        /// Which sandbox.
        #[command(flatten)]
        of: Of,
        /// The component, as `sandbox status` names it
        #[arg(value_name = "COMPONENT")]
        component: Option<String>,
        /// Go on as the log grows
        #[arg(long, short)]
        follow: bool,
    },
    /// Change how the forge of a sandbox behaves, to see what then happens
    #[command(after_help = "Example: gitops-bootstrap sandbox forge deploy_keys_disabled=true")]
    Forge {
        /// Which sandbox.
        #[command(flatten)]
        of: Of,
        /// Switches to set; without any, all are shown
        #[arg(value_name = "SWITCH=VALUE")]
        switches: Vec<String>,
    },
}

/// The sandbox that is meant, for what is done to sandboxes.
#[derive(Debug, Args)]
pub struct Which {
    /// Name of the sandbox
    #[arg(value_name = "NAME", env = "GITOPS_BOOTSTRAP_SANDBOX_NAME", default_value_t)]
    pub name: SandboxName,
}

/// The sandbox that is meant, for what is done to something in it.
#[derive(Debug, Args)]
pub struct Of {
    /// Name of the sandbox
    #[arg(long, value_name = "NAME", env = "GITOPS_BOOTSTRAP_SANDBOX_NAME", default_value_t)]
    pub name: SandboxName,
}
