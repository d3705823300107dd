//! The look at the sandbox once the recovery is over: what is not up and why, and what was stood in for.

use super::recovery::Rehearsal;
use crate::adapters::kubernetes::KubernetesCluster;
use crate::diagnose;
use crate::domain::tree::Tree;
use crate::domain::Application;
use crate::manifest::places::Places;
use crate::plan::diagnosis::State;
use crate::plan::drill::critical_path::critical_path;
use crate::plan::drill::obstacle::{self, Kind, Remains};
use crate::plan::drill::{HeldUp, Obstacle, Report};

/// What was found.
pub(super) struct Found {
    obstacles: Vec<Obstacle>,
    held_up: Vec<HeldUp>,
}

/// Looks at what is not up.
pub(super) async fn look(rehearsal: &Rehearsal, tree: &Tree, places: &Places, cluster: &KubernetesCluster) -> Found {
    let applications: Vec<(Application, State)> = rehearsal.timeline.last_seen();
    let (mut obstacles, held_up) = match rehearsal.failure.is_none() && !rehearsal.gave_up {
        true => (Vec::new(), Vec::new()),
        false => {
            let evidence = diagnose::evidence(cluster, &applications).await;
            obstacle::obstacles(&Remains { applications: &applications, evidence: &evidence, tree, places })
        }
    };
    if let Some(failure) = &rehearsal.failure
        && obstacles.is_empty()
    {
        obstacles.push(Obstacle {
            kind: Kind::Recovery,
            message: failure.to_string(),
            hint: failure.hints.first().cloned(),
            ..Obstacle::default()
        });
    }
    Found { obstacles, held_up }
}

impl Found {
    /// Writes it into the report.
    pub(super) fn tell(self, report: &mut Report, tree: &Tree, places: &Places) {
        report.critical_path = critical_path(&report.phases, &report.applications, &obstacle::needs(tree, places));
        report.obstacles = self.obstacles;
        report.held_up = self.held_up;
        report.not_rehearsed = crate::plan::drill::NOT_REHEARSED.map(str::to_owned).into();
    }
}
