//! `plan`.

use clap::Arg;

use super::{init, recover};

/// What `plan` takes: what the planned verb takes, so that the one becomes the other by another word, and a little more.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(
    mut_args = of_a_plan,
    after_long_help = "Nothing is written: not to the cluster, not to the forge, not to Git. What the API server is sent is a dry run, and no \
                       secret is in it. Exits with 0, with 11 if there is something to do and --exit-code asks for that, and with the status \
                       of the refusal where the run would be refused.",
    after_help = "Examples:
  See what a bootstrap would do:
    gitops-bootstrap plan staging
  As a gate in CI, for a recovery:
    gitops-bootstrap plan staging --recover --exit-code"
)]
pub struct Arguments {
    /// Plan `recover` instead of `init`
    #[arg(long, help_heading = "Plan")]
    pub recover: bool,
    /// Exit with 11 if there is something to do
    #[arg(long, help_heading = "Plan")]
    pub exit_code: bool,
    /// What the run would be given.
    #[command(flatten)]
    pub run: recover::Arguments,
}

impl Arguments {
    /// What `init` would be given.
    pub fn as_init(&self) -> init::Arguments {
        init::Arguments { cluster: Some(self.run.cluster.clone()), run: self.run.run.clone() }
    }
}

/// A flag of the run as a plan has it: what only `recover` takes needs `--recover`, and what makes no difference to a plan is taken and not shown.
fn of_a_plan(flag: Arg) -> Arg {
    match flag.get_id().as_str() {
        "cluster" => flag.help("Cluster to plan for, as named in gitops.yaml"),
        "report" | "run_commands" | "validate" | "wait" => flag.hide(true),
        "bundle"
        | "files"
        | "without_bundle"
        | "serve_clone"
        | "open_gates"
        | "prune_stale_key"
        | "old_cluster_is_gone"
        | "into_non_empty"
        | "new_identity"
        | "accept_loss" => flag.requires("recover"),
        _ => flag,
    }
}
