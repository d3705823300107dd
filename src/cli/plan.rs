//! `plan`.

use super::{init, recover};

/// What `plan` takes: what the planned verb takes, so that the one becomes the other by another word, and a little more.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_long_help = "Nothing is written: not to the cluster, not to the forge, not to Git. What the API server is sent is a dry run, and no \
                       secret is in it. Exits with 0, with 11 if there is something to do and --exit-code asks for that, and with the status \
                       of the refusal where the run would be refused."
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

    /// A flag that was given and that only `recover` takes, although `init` is planned.
    pub fn misplaced(&self) -> Option<&'static str> {
        let run = &self.run;
        let given = [
            ("--bundle", run.bundle.is_some()),
            ("--identity", !run.identities.files.is_empty()),
            ("--without-bundle", run.without_bundle),
            ("--report", run.report.is_some()),
            ("--serve-clone", run.serve_clone),
            ("--open-gates", run.open_gates),
            ("--run-commands", run.run_commands),
            ("--validate", run.validate),
            ("--prune-stale-key", !run.prune_stale_key.is_empty()),
            ("--old-cluster-is-gone", run.old_cluster_is_gone),
            ("--into-non-empty", run.into_non_empty),
            ("--new-identity", run.new_identity),
            ("--accept-loss", run.accept_loss),
        ];
        given.into_iter().find(|(_, given)| *given && !self.recover).map(|(flag, _)| flag)
    }
}
