//! What can be typed: verbs, flags and their help. No work is done here.

pub mod access;
pub mod audit;
pub mod change;
pub mod detach;
pub mod doctor;
pub mod drill;
pub mod forge;
pub mod identities;
pub mod init;
pub mod lint;
pub mod new;
pub mod pack;
pub mod plan;
pub mod promote;
pub mod recover;
pub mod render;
pub mod rotate_key;
pub mod run;
pub mod sandbox;
pub mod status;
pub mod unpack;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, CommandFactory as _, Parser, Subcommand, ValueEnum};

/// Takes an empty Kubernetes cluster to a healthy Argo CD app-of-apps, and brings a lost one back from Git.
#[derive(Debug, Parser)]
#[command(name = "gitops-bootstrap", version, propagate_version = true, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Examples:
  See it work on this machine, without a cluster or a forge:
    gitops-bootstrap init --sandbox
  Begin with your own, and be asked for everything:
    gitops-bootstrap init
  See how a cluster stands:
    gitops-bootstrap status production")]
pub struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Write text for people, or one JSON event a line on stdout
    #[arg(long, global = true, value_enum, default_value_t, env = "GITOPS_BOOTSTRAP_OUTPUT", help_heading = "Common options")]
    pub output: Output,
    /// Answer yes to every question
    #[arg(long, short = 'y', global = true, env = "GITOPS_BOOTSTRAP_YES", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Common options")]
    pub yes: bool,
    /// Say more; twice for requests
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Common options")]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Common options")]
    pub quiet: bool,
    /// Print without colour (also by NO_COLOR)
    #[arg(long, global = true, help_heading = "Common options")]
    pub no_color: bool,
    /// Folder of the fleet repository
    #[arg(long, short = 'C', global = true, value_name = "FOLDER", env = "GITOPS_BOOTSTRAP_FLEET", help_heading = "Common options")]
    pub fleet: Option<PathBuf>,
    /// Sandbox engine to use instead of the one found or built
    #[arg(long, global = true, value_name = "FILE", env = "GITOPS_BOOTSTRAP_ENGINE", hide = true)]
    pub engine: Option<PathBuf>,
}

/// Who reads the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A person.
    #[default]
    Text,
    /// A program.
    Json,
}

/// Which cluster is meant, for the verbs that talk to one.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// Kubeconfig file
    #[arg(long, value_name = "FILE", env = "KUBECONFIG", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", env = "GITOPS_BOOTSTRAP_CONTEXT", help_heading = "Cluster")]
    pub context: Option<String>,
    /// Use a sandbox on this machine: a real control plane and a real Argo CD, without Docker
    #[arg(long, env = "GITOPS_BOOTSTRAP_SANDBOX", value_parser = clap::builder::FalseyValueParser::new(), conflicts_with = "context", help_heading = "Cluster")]
    pub sandbox: bool,
    /// Name of the sandbox
    #[arg(long, value_name = "NAME", env = "GITOPS_BOOTSTRAP_SANDBOX_NAME", default_value_t, help_heading = "Cluster")]
    pub sandbox_name: crate::domain::SandboxName,
    /// Connect although the kubeconfig turns the check of the API server's certificate off
    #[arg(long, help_heading = "Cluster")]
    pub allow_insecure_tls: bool,
    /// Let a share of the requests to the API server fail, to rehearse that: `20%`, or `20%:7` with a seed
    #[arg(long, value_name = "SHARE", hide = true)]
    pub api_flaky: Option<crate::domain::Flakiness>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a new fleet repository
    New(new::Arguments),
    /// Bootstrap a cluster: Argo CD, deploy key, projects, root app-of-apps, and wait until all is healthy
    Init(init::Arguments),
    /// Rebuild a lost cluster from a clone: the same end state on an empty cluster, without a write to Git
    Recover(recover::Arguments),
    /// Renew the deploy key of a cluster, without Argo CD losing access
    RotateKey(rotate_key::Arguments),
    /// Take Argo CD out of a cluster; every workload stays, and that is proven
    Detach(detach::Arguments),
    /// Show everything that `init` or `recover` would do to a cluster, and change nothing
    Plan(plan::Arguments),
    /// Show the tree of a cluster, and why what is not healthy is not
    Status(status::Arguments),
    /// Check this machine, the fleet repository, the forge and the clusters: everything that a run needs, each with what to do about it
    Doctor(doctor::Arguments),
    /// Name all that a cluster has and neither Git nor the bundle would bring back
    Audit(audit::Arguments),
    /// Rehearse the recovery of a cluster in a sandbox on this machine, and report how long it takes and what keeps it from booting
    Drill(drill::Arguments),
    /// Check the fleet repository: what is dangerous in it, and what could not boot from zero
    Lint(lint::Arguments),
    /// Render the sources into what a cluster gets
    Render(render::Arguments),
    /// Propose the versions of an app that one cluster has for another, as a pull request
    Promote(promote::Arguments),
    /// Put the Secrets that Git cannot hold in clear into an encrypted bundle, or check the one that is there
    Pack(pack::Arguments),
    /// Restore the Secrets of a bundle into a cluster
    Unpack(unpack::Arguments),
    /// Run the sandbox: a control plane, an Argo CD and a Git forge on this machine
    Sandbox(sandbox::Arguments),
    /// Print the script that completes verbs, flags and the names of clusters, contexts and sandboxes in a shell
    #[command(after_help = "Examples:
  In ~/.bashrc:
    source <(gitops-bootstrap completions bash)
  In ~/.zshrc, after compinit:
    source <(gitops-bootstrap completions zsh)
  In ~/.config/fish/config.fish:
    gitops-bootstrap completions fish | source")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all verbs into a folder
    #[command(after_help = "Examples:
  Read it:
    gitops-bootstrap man | man -l -
  Install the pages of all verbs for this account:
    gitops-bootstrap man ~/.local/share/man/man1")]
    Man {
        /// Folder to write to
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

/// The command line as it is parsed, and as help shows it: where a verb has both notes and examples, `--help` ends with both.
pub fn command() -> Command {
    with_notes_and_examples(Cli::command())
}

fn with_notes_and_examples(command: Command) -> Command {
    let command = command.mut_subcommands(with_notes_and_examples);
    match (command.get_after_long_help(), command.get_after_help()) {
        (Some(notes), Some(examples)) => {
            let both = format!("{notes}\n\n{examples}");
            command.after_long_help(both)
        }
        _ => command,
    }
}

/// Reads a duration such as `90s`, `10m` or `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    crate::domain::duration::parse(text)
}
