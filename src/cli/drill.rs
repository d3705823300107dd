//! `drill`.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{ClusterName, Commit, Flakiness, SandboxName};

/// What `drill` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_long_help = "Exits with 0 if everything came up within --max and nothing was found, and with 11 if not. Nothing but the folder of the reports is written, no token is asked for, and no real cluster or forge is talked to.",
    after_help = "Examples:
  Rehearse the recovery; fail if it takes longer than a quarter of an hour:
    gitops-bootstrap drill staging --max 15m
  Leave the sandbox running afterwards, and look around in it:
    gitops-bootstrap drill staging --keep"
)]
pub struct Arguments {
    /// Cluster whose recovery is rehearsed, as named in gitops.yaml
    #[arg(value_name = "CLUSTER")]
    pub cluster: ClusterName,
    /// Rehearse this commit instead of the one that is checked out
    #[arg(long, value_name = "COMMIT")]
    pub commit: Option<Commit>,
    /// Most time that the recovery may take; exit with 11 if it takes longer
    #[arg(long, value_name = "TIME", value_parser = super::duration, env = "GITOPS_BOOTSTRAP_DRILL_MAX", help_heading = "Judgement")]
    pub max: Option<Duration>,
    /// Report to compare with [default: the last one in the folder of the reports]
    #[arg(long, value_name = "FILE", help_heading = "Judgement")]
    pub compare: Option<PathBuf>,
    /// Folder for the reports, CLUSTER.md and CLUSTER.json, below that of the fleet repository
    #[arg(long, value_name = "FOLDER", default_value = "drills", env = "GITOPS_BOOTSTRAP_DRILL_REPORTS", help_heading = "Judgement")]
    pub reports: PathBuf,
    /// How long nothing may move before what is left counts as unable to come up
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = super::duration, help_heading = "Judgement")]
    pub patience: Duration,
    /// Longest time for the recovery, whatever moves
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = super::duration, help_heading = "Judgement")]
    pub timeout: Duration,
    /// Leave the sandbox running, to look around in it
    #[arg(long, help_heading = "Sandbox")]
    pub keep: bool,
    /// Folder with stages that stand in for controllers which cannot run in a sandbox; may be given several times. They win over `drill.standIns` of
    /// gitops.yaml, and these over those that the engine has
    #[arg(long, value_name = "FOLDER", help_heading = "Sandbox")]
    pub stand_ins: Vec<PathBuf>,
    /// Stand in for nobody: report what then does not come up
    #[arg(long, conflicts_with = "stand_ins", help_heading = "Sandbox")]
    pub no_stand_ins: bool,
    /// Name of the sandbox [default: drill-CLUSTER]
    #[arg(long, value_name = "NAME", help_heading = "Sandbox")]
    pub sandbox_name: Option<SandboxName>,
    /// What opens the bundle. Without, what is in it is stood in for.
    #[command(flatten)]
    pub identities: super::identities::Identities,
    /// Release the services although the gates of gitops.yaml do not hold
    #[arg(long, help_heading = "Recovery")]
    pub open_gates: bool,
    /// Run the commands that the gates of gitops.yaml name on this machine, against the sandbox
    #[arg(long, help_heading = "Recovery")]
    pub run_commands: bool,
    /// Kill the recovery at a step, as `kill -9` would, and run it again: STEP, or STEP.before, STEP.sent or STEP.after
    #[arg(long, value_name = "STEP", help_heading = "Faults")]
    pub kill_at: Option<String>,
    /// Switch off the forge's API, its Git, or both, before the recovery begins
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "both", help_heading = "Faults")]
    pub forge_down: Option<ForgeDown>,
    /// Let a share of the recovery's requests to the API server fail: `20%`, or `20%:7` with a seed
    #[arg(long, value_name = "SHARE", help_heading = "Faults")]
    pub api_flaky: Option<Flakiness>,
}

/// What of the forge is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ForgeDown {
    /// Its REST API: no deploy key can be registered.
    Api,
    /// Its Git: nothing can be fetched.
    Git,
    /// All of it.
    Both,
}
