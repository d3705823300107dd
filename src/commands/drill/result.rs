//! The look at the sandbox once the recovery is over: what is not up and why, and what was stood in for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::recovery::Rehearsal;
use crate::adapters::kubernetes::KubernetesCluster;
use crate::diagnose;
use crate::domain::{Application, Finding, RepositoryPath, Rule, Severity};
use crate::error::{Failure, Result};
use crate::lint::{self, lint};
use crate::manifest::places::Places;
use crate::plan::diagnosis::State as Standing;
use crate::plan::drill::critical_path::{Needs, critical_path};
use crate::plan::drill::obstacle::{self, Kind, Remains};
use crate::plan::drill::{HeldUp, NOT_REHEARSED, Obstacle, Report, StandIn};
use crate::ports::git::File;
use crate::preflight::Fleet;
use crate::sandbox::State;

/// What was found.
pub(super) struct Found {
    obstacles: Vec<Obstacle>,
    held_up: Vec<HeldUp>,
    needs: Needs,
    stand_ins: Vec<StandIn>,
    off: Vec<String>,
}

/// Looks at what is not up, at the files for what a sandbox cannot notice, and at the log of what was stood in for.
pub(super) async fn look(
    rehearsal: &Rehearsal,
    fleet: &Fleet,
    files: &[File],
    state: &State,
    cluster: &KubernetesCluster,
) -> Result<Found> {
    let tree = &fleet.reading.tree;
    let places = Places::of(files);
    let recovered = rehearsal.recovered;
    let (mut obstacles, mut held_up) = (Vec::new(), Vec::new());
    if !recovered {
        let applications: Vec<(Application, Standing)> = rehearsal.timeline.last_seen();
        let evidence = diagnose::evidence(cluster, &applications).await;
        (obstacles, held_up) = obstacle::obstacles(&Remains { applications: &applications, evidence: &evidence, tree, places: &places });
    }
    if let Some(failure) = rehearsal.failure.as_ref().filter(|_| obstacles.is_empty()) {
        obstacles.push(Obstacle {
            kind: Kind::Recovery,
            message: failure.to_string(),
            hint: Some(failure.hints.join("; then ")).filter(|hint| !hint.is_empty()),
            ..Obstacle::default()
        });
    }
    let known: BTreeSet<(Option<String>, Option<u64>)> = obstacles.iter().map(|obstacle| (obstacle.file.clone(), obstacle.line)).collect();
    let unnoticed = unnoticed(fleet, files, recovered)?.into_iter();
    obstacles.extend(unnoticed.filter(|obstacle| !known.contains(&(obstacle.file.clone(), obstacle.line))));
    let needs = obstacle::needs(tree, &places);
    Ok(Found { obstacles, held_up, needs, stand_ins: stand_ins(state), off: state.off.clone() })
}

impl Found {
    /// Writes it into the report.
    pub(super) fn tell(self, report: &mut Report) {
        report.critical_path = critical_path(&report.phases, &report.applications, &self.needs);
        report.obstacles = self.obstacles;
        report.held_up = self.held_up;
        report.stand_ins = self.stand_ins;
        report.not_rehearsed = self.off.into_iter().chain(NOT_REHEARSED.map(str::to_owned)).collect();
    }
}

/// What the files say that a sandbox does not show. Containers do not run in it, so it never notices that a Secret is missing. What else could keep a
/// cluster from booting is refuted by one that has booted.
fn unnoticed(fleet: &Fleet, files: &[File], recovered: bool) -> Result<Vec<Obstacle>> {
    let cluster = &fleet.reading.tree.cluster;
    let rendered = fleet.folder.parent().ok_or_else(|| Failure::bug("the folder of a cluster is the repository itself"))?;
    let nothing = BTreeMap::<RepositoryPath, &'static str>::new();
    let repository =
        lint::Repository { files, declaration: fleet.declaration.as_ref(), rendered: &rendered, stale: &[], left_out: &nothing };
    let report = lint(&repository, std::slice::from_ref(cluster));
    let counts = |finding: &&Finding| match finding.rule {
        Rule::SecretNobodyMakes => true,
        _ => !recovered && finding.severity == Severity::Error,
    };
    Ok(report.cannot_boot().filter(counts).map(obstacle_of).collect())
}

fn obstacle_of(finding: &Finding) -> Obstacle {
    Obstacle {
        kind: if finding.rule == Rule::SecretNobodyMakes { Kind::MissingSecret } else { Kind::Lint },
        application: None,
        object: finding.object.as_ref().map(ToString::to_string),
        file: Some(finding.file.to_string()),
        line: Some(finding.line),
        message: finding.message.clone(),
        hint: Some(finding.hint.clone()),
    }
}

/// A line of the engine's log of what was stood in for (`sandbox/internal/standin/log.go`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    stand_in: String,
    #[serde(default)]
    secrets: Vec<String>,
}

/// What was stood in for, by kind. A log that is not there means: nothing.
fn stand_ins(state: &State) -> Vec<StandIn> {
    let text = state.stand_in_log.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let mut kinds: BTreeMap<(String, String), StandIn> = BTreeMap::new();
    for entry in text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
        let group = entry.api_version.split_once('/').map_or("", |(group, _)| group);
        let what = format!("{} of {group}", entry.kind);
        let named = |name: &str| if entry.namespace.is_empty() { name.to_owned() } else { format!("{}/{name}", entry.namespace) };
        let stand_in = kinds.entry((entry.stand_in.clone(), what.clone())).or_insert_with(|| StandIn {
            what,
            by: entry.stand_in.clone(),
            ..StandIn::default()
        });
        stand_in.objects.push(named(&entry.name));
        stand_in.secrets.extend(entry.secrets.iter().map(|name| named(name)));
    }
    let mut stand_ins: Vec<StandIn> = kinds.into_values().collect();
    for stand_in in &mut stand_ins {
        stand_in.objects.sort();
        stand_in.secrets.sort();
    }
    stand_ins
}
