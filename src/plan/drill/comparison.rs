//! How one drill compares with the one before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Report;

/// What two drills of the same commit on the same machine differ by: this share of the former time, and at least this many milliseconds. Argo
/// CD looks at what is not well yet in intervals of seconds, and two measurements of the same were up to a fifth apart.
const NOISE_SHARE: u64 = 4;
const NOISE_LEAST: u64 = 2000;

/// How a drill compares with the one before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Comparison {
    /// When the former one began.
    pub time: Option<jiff::Timestamp>,
    /// The commit that the former one recovered.
    pub commit: String,
    /// Whether both ran on the same kind of machine and with the same faults on request, so that their times can be compared.
    pub is_measure: bool,
    /// The time in total; none if one of them did not recover everything.
    pub total: Option<Change>,
    /// Steps whose time differs by more than noise.
    pub phases: Vec<Change>,
    /// Applications whose time differs by more than noise.
    pub applications: Vec<Change>,
    /// Applications that are new.
    pub added: Vec<String>,
    /// Applications that are gone.
    pub removed: Vec<String>,
    /// Obstacles, in a sentence each, that the former one did not have.
    pub new_obstacles: Vec<String>,
    /// Obstacles of the former one that are gone.
    pub solved_obstacles: Vec<String>,
}

/// A time that is another one than before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Change {
    /// The step or the Application; empty for the total.
    pub name: String,
    /// In milliseconds, then.
    pub before: u64,
    /// In milliseconds, now.
    pub after: u64,
    /// Whether they differ by more than noise.
    pub verdict: Verdict,
}

/// What a change of a time means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Within noise.
    #[default]
    Same,
    /// Slower by more than noise.
    Slower,
    /// Faster by more than noise.
    Faster,
}

impl Comparison {
    /// Compares `now` with `before`.
    pub fn of(before: &Report, now: &Report) -> Self {
        let is_measure = before.machine == now.machine && before.faults == now.faults;
        let changes = |before: BTreeMap<String, u64>, after: BTreeMap<String, u64>| {
            let both = before.into_iter().filter_map(|(name, before)| after.get(&name).map(|&after| Change::of(name, before, after)));
            let mut changes: Vec<Change> = both.filter(|change| is_measure && change.verdict != Verdict::Same).collect();
            changes.sort_by_key(|change| std::cmp::Reverse(change.before.abs_diff(change.after)));
            changes
        };
        let names = |report: &Report| report.applications.iter().map(|application| application.name.clone()).collect::<BTreeSet<_>>();
        let obstacles = |report: &Report| report.obstacles.iter().map(|obstacle| obstacle.sentence()).collect::<BTreeSet<_>>();
        Self {
            time: before.time,
            commit: before.commit.clone(),
            is_measure,
            total: (before.recovered && now.recovered).then(|| Change::of(String::new(), before.milliseconds, now.milliseconds)),
            phases: changes(phases(before), phases(now)),
            applications: changes(applications(before), applications(now)),
            added: names(now).difference(&names(before)).cloned().collect(),
            removed: names(before).difference(&names(now)).cloned().collect(),
            new_obstacles: obstacles(now).difference(&obstacles(before)).cloned().collect(),
            solved_obstacles: obstacles(before).difference(&obstacles(now)).cloned().collect(),
        }
    }
}

impl Change {
    fn of(name: String, before: u64, after: u64) -> Self {
        let noise = (before / NOISE_SHARE).max(NOISE_LEAST);
        let verdict = if before.abs_diff(after) <= noise {
            Verdict::Same
        } else if after > before {
            Verdict::Slower
        } else {
            Verdict::Faster
        };
        Self { name, before, after, verdict }
    }
}

fn phases(report: &Report) -> BTreeMap<String, u64> {
    let mut phases = BTreeMap::new();
    for phase in report.phases.iter().filter(|phase| phase.done) {
        *phases.entry(phase.step.clone()).or_default() += phase.milliseconds();
    }
    phases
}

fn applications(report: &Report) -> BTreeMap<String, u64> {
    report.durations().into_iter().map(|(application, took)| (application.name.clone(), took)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ApplicationTimes, Machine, Obstacle, Phase};
    use super::*;

    fn report(total: u64, install: u64, web: u64) -> Report {
        Report {
            recovered: true,
            milliseconds: total,
            machine: Machine { processors: 2, system: "linux x86_64".to_owned() },
            phases: vec![Phase { step: "install".to_owned(), from: 0, to: install, done: true }],
            applications: vec![ApplicationTimes {
                name: "web".to_owned(),
                created: Some(100),
                healthy: Some(100 + web),
                ..ApplicationTimes::default()
            }],
            ..Report::default()
        }
    }

    #[test]
    fn a_fifth_more_or_two_seconds_is_noise() {
        let comparison = Comparison::of(&report(30_000, 4000, 1000), &report(36_000, 5900, 2900));
        assert_eq!(comparison.total.as_ref().unwrap().verdict, Verdict::Same);
        assert_eq!((comparison.phases.len(), comparison.applications.len()), (0, 0));
    }

    #[test]
    fn a_regression_is_named_where_it_is() {
        let comparison = Comparison::of(&report(30_000, 4000, 10_000), &report(45_000, 4000, 25_000));
        assert_eq!(comparison.total.as_ref().unwrap().verdict, Verdict::Slower);
        assert_eq!(comparison.applications, [Change { name: "web".to_owned(), before: 10_000, after: 25_000, verdict: Verdict::Slower }]);
        assert!(comparison.phases.is_empty());
        let back = Comparison::of(&report(45_000, 4000, 25_000), &report(30_000, 4000, 10_000));
        assert_eq!(back.applications[0].verdict, Verdict::Faster);
    }

    #[test]
    fn another_machine_is_no_measure() {
        let mut other = report(10_000, 1000, 500);
        other.machine.processors = 16;
        let comparison = Comparison::of(&other, &report(90_000, 50_000, 40_000));
        assert!(!comparison.is_measure);
        assert!(comparison.phases.is_empty() && comparison.applications.is_empty());
    }

    #[test]
    fn what_did_not_recover_has_no_time_to_compare() {
        let mut failed = report(240_000, 4000, 1000);
        failed.recovered = false;
        assert_eq!(Comparison::of(&report(30_000, 4000, 1000), &failed).total, None);
    }

    #[test]
    fn applications_and_obstacles_that_came_and_went_are_named() {
        let mut before = report(30_000, 4000, 1000);
        before.obstacles.push(Obstacle { message: "old".to_owned(), ..Obstacle::default() });
        let mut now = report(30_000, 4000, 1000);
        now.applications[0].name = "api".to_owned();
        now.obstacles.push(Obstacle { message: "new".to_owned(), ..Obstacle::default() });
        let comparison = Comparison::of(&before, &now);
        assert_eq!((comparison.added, comparison.removed), (vec!["api".to_owned()], vec!["web".to_owned()]));
        assert_eq!((comparison.new_obstacles.len(), comparison.solved_obstacles.len()), (1, 1));
    }
}
