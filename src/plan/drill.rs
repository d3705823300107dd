//! What a drill found out, as one document: what people see as a screen and as Markdown, and programs as JSON.

pub mod comparison;
pub mod critical_path;
pub mod obstacle;
pub mod timeline;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use comparison::Comparison;
pub use critical_path::Link;
pub use obstacle::Obstacle;
pub use timeline::{ApplicationTimes, Timeline};

/// The version of the report's JSON form. Within a version, fields may be added.
pub const VERSION: u32 = 1;

/// What a drill cannot rehearse, beside what the sandbox says that it has not.
pub const NOT_REHEARSED: [&str; 3] = [
    "the content of volumes and databases: they are bound, and empty",
    "addresses: LoadBalancers and Ingresses get some at which nothing answers",
    "the time of a real cluster: no image is pulled, no container starts, and Argo CD does not pause between waves",
];

/// The report of one drill. Times without a date are milliseconds since the recovery began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The version of this form: [`VERSION`].
    pub version: u32,
    /// The version of the tool.
    pub tool: String,
    /// The cluster that was recovered in a sandbox.
    pub cluster: String,
    /// The fleet repository, under its own address.
    pub repository: String,
    /// The branch that the cluster follows.
    pub branch: String,
    /// The commit that was recovered.
    pub commit: String,
    /// When the drill began.
    pub time: Option<jiff::Timestamp>,
    /// Whether everything came up.
    pub recovered: bool,
    /// How long the recovery took, or went on until nothing moved any more.
    pub milliseconds: u64,
    /// How long the sandbox took to start. A real cluster is there before its recovery begins, so this is not part of the recovery.
    pub sandbox_milliseconds: u64,
    /// The most that the recovery may take, if there is a limit.
    pub limit_milliseconds: Option<u64>,
    /// What the drill ran on: times of another machine are no measure.
    pub machine: Machine,
    /// The versions of what ran, by name.
    pub versions: std::collections::BTreeMap<String, String>,
    /// The steps of the recovery, in their order.
    pub phases: Vec<Phase>,
    /// All Applications, by name.
    pub applications: Vec<ApplicationTimes>,
    /// What determined the end, from the beginning on.
    pub critical_path: Vec<Link>,
    /// What keeps the cluster from booting from zero.
    pub obstacles: Vec<Obstacle>,
    /// Applications that wait for one that an obstacle is about, or for one another.
    pub held_up: Vec<HeldUp>,
    /// What was stood in for.
    pub stand_ins: Vec<StandIn>,
    /// What cannot come back from Git, in a sentence each.
    pub losses: Vec<String>,
    /// What a person has to do after a recovery, in a sentence each.
    pub needs_person: Vec<String>,
    /// What a sandbox does not have, so that this drill says nothing of it.
    pub not_rehearsed: Vec<String>,
    /// The faults that were injected on request.
    pub faults: Vec<String>,
    /// How many syncs had to be asked for, because Argo CD had given up.
    pub kicks: u64,
    /// How this drill compares with the one before; none without one.
    pub comparison: Option<Comparison>,
}

/// What a drill ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Machine {
    /// How many processors it has for us.
    pub processors: usize,
    /// Operating system and architecture, as in `linux x86_64`.
    pub system: String,
}

/// A step of the recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Phase {
    /// The step's id, as in `install`.
    pub step: String,
    /// When it began.
    pub from: u64,
    /// When it ended, or when the drill did.
    pub to: u64,
    /// Whether it ended well.
    pub done: bool,
}

/// An Application that is not up for no fault of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeldUp {
    /// Which.
    pub application: String,
    /// What it waits for, in a sentence.
    pub why: String,
}

/// Something that was stood in for: its result is assumed, not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StandIn {
    /// What, as in `Certificate of cert-manager.io`.
    pub what: String,
    /// By whom, as in the name of a stage.
    pub by: String,
    /// The objects.
    pub objects: Vec<String>,
    /// The Secrets that were made up for them.
    pub secrets: Vec<String>,
}

impl Phase {
    /// How long it took.
    pub const fn milliseconds(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

impl Report {
    /// Whether the recovery took longer than it may.
    pub fn is_over_limit(&self) -> bool {
        self.limit_milliseconds.is_some_and(|limit| self.milliseconds > limit)
    }

    /// Whether the drill found nothing that a person has to look at.
    pub fn is_clean(&self) -> bool {
        self.recovered && self.obstacles.is_empty() && !self.is_over_limit()
    }

    /// The Applications that made no others, with how long each took: of one that made others that is mostly the time of these.
    pub fn durations(&self) -> Vec<(&ApplicationTimes, u64)> {
        let parents: std::collections::BTreeSet<&str> =
            self.applications.iter().filter_map(|application| application.parent.as_deref()).collect();
        let leaves = self.applications.iter().filter(|application| !parents.contains(application.name.as_str()));
        let mut durations: Vec<_> = leaves.filter_map(|application| Some((application, application.milliseconds()?))).collect();
        durations.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.name.cmp(&right.0.name)));
        durations
    }

    /// How many Applications are up.
    pub fn up(&self) -> usize {
        self.applications.iter().filter(|application| application.healthy.is_some()).count()
    }
}

/// A duration in whole milliseconds.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
