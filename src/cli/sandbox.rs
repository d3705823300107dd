//! `sandbox`.

use clap::{Args, Subcommand};

use crate::domain::SandboxName;

/// What `sandbox` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  Start one, look into it, and end it:
    gitops-bootstrap sandbox up
    gitops-bootstrap sandbox kubectl -- get pods --all-namespaces
    gitops-bootstrap sandbox down")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with sandboxes.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Start a sandbox, or find it running, and say how it is reached
    #[command(after_help = "Examples:
  Start one, or several side by side:
    gitops-bootstrap sandbox up
    gitops-bootstrap sandbox up second")]
    Up(Which),
    /// End a sandbox and remove all that it wrote
    #[command(after_help = "Examples:
  End one, or all:
    gitops-bootstrap sandbox down
    gitops-bootstrap sandbox down --all")]
    Down {
        /// Which one.
        #[command(flatten)]
        which: Which,
        /// End and remove all sandboxes
        #[arg(long)]
        all: bool,
    },
    /// Show how a sandbox is reached, and what runs in it
    #[command(after_help = "Examples:
  See where its kubeconfig, its forge and its Argo CD are:
    gitops-bootstrap sandbox status")]
    Status(Which),
    /// Print the names of all sandboxes
    #[command(after_help = "Examples:
  See the names, one a line:
    gitops-bootstrap sandbox list")]
    List,
    /// Run kubectl against a sandbox
    #[command(after_help = "Examples:
  See the Applications:
    gitops-bootstrap sandbox kubectl -- -n argocd get applications")]
    Kubectl {
        /// Which sandbox.
        #[command(flatten)]
        of: Of,
        /// Arguments of kubectl
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Print the log of a component, or the names of the components that have one
    #[command(after_help = "Examples:
  See which there are, then follow one:
    gitops-bootstrap sandbox logs
    gitops-bootstrap sandbox logs kube-apiserver --follow")]
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
    #[command(after_help = "Examples:
  See all switches, then let it refuse deploy keys:
    gitops-bootstrap sandbox forge
    gitops-bootstrap sandbox forge deploy_keys_disabled=true")]
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Action;
    use crate::cli::{Cli, Verb};

    /// The name of the sandbox and the arguments that kubectl gets.
    fn kubectl(line: &str) -> (String, Vec<String>) {
        match Cli::try_parse_from(line.split(' ')).map(|cli| cli.verb) {
            Ok(Verb::Sandbox(super::Arguments { action: Action::Kubectl { of, arguments } })) => (of.name.to_string(), arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn kubectl_gets_all_that_follows_with_and_without_dashes_in_between() {
        let expected = ("staging".to_owned(), ["get", "pods", "-A", "--output", "json"].map(str::to_owned).to_vec());
        for between in [" ", " -- "] {
            let line = format!("gitops-bootstrap sandbox kubectl --name staging{between}get pods -A --output json");
            assert_eq!(kubectl(&line), expected);
        }
    }
}
