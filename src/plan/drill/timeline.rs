//! When what happened to each Application, told one observation at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::milliseconds;
use crate::domain::application::{Application, HealthStatus, Phase, SyncStatus};
use crate::domain::{ApplicationRef, Object};
use crate::plan::diagnosis::State;
use crate::plan::tree::ApplicationTree;

/// The annotation that puts an object into a sync wave (Argo CD's documentation, "Sync Phases and Waves").
const WAVE: &str = "argocd.argoproj.io/sync-wave";

/// What happened to one Application, in milliseconds since the recovery began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationTimes {
    /// Which one.
    pub name: String,
    /// Its AppProject.
    pub project: String,
    /// The Application that made it.
    pub parent: Option<String>,
    /// Its sync wave among those that its parent made.
    pub wave: i64,
    /// When it was first there.
    pub created: Option<u64>,
    /// When its first sync began.
    pub sync_began: Option<u64>,
    /// When the last attempt at a sync began: the same, unless one had to be repeated.
    pub last_attempt: Option<u64>,
    /// When a sync succeeded.
    pub synced: Option<u64>,
    /// Since when it is Synced and Healthy at the commit; none if it is not.
    pub healthy: Option<u64>,
    /// How often a sync was repeated.
    pub retries: u64,
    /// How it stands, in a word.
    pub state: String,
    /// Why it is not up; none if it is.
    pub reason: Option<String>,
}

impl ApplicationTimes {
    /// How long it took from being there to being well.
    pub fn milliseconds(&self) -> Option<u64> {
        Some(self.healthy?.saturating_sub(self.created?))
    }
}

/// What was observed of all Applications, and since when nothing new was.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    applications: BTreeMap<ApplicationRef, Observed>,
    last_progress: Duration,
}

#[derive(Clone, Debug)]
struct Observed {
    application: Application,
    state: State,
    times: ApplicationTimes,
    operation: Option<jiff::Timestamp>,
    /// The retries of the operations before this one, each of which failed.
    former_retries: u64,
    /// All situations that it has been in. Going round in a circle, as by failing again and again, is no progress.
    situations: BTreeSet<Situation>,
}

/// What tells one moment of an Application from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Situation {
    state: &'static str,
    sync: u8,
    health: HealthStatus,
    waits_for: String,
    objects_in_place: usize,
}

impl Timeline {
    /// Takes what was seen of an Application at a time.
    pub fn note(&mut self, at: Duration, object: &Object, application: &Application, state: &State) {
        let now = milliseconds(at);
        let situation = Situation::of(application, state);
        let observed = self.applications.entry(application.reference.clone()).or_insert_with(|| Observed {
            application: application.clone(),
            state: state.clone(),
            times: ApplicationTimes {
                name: application.reference.to_string(),
                wave: object.annotation(WAVE).and_then(|wave| wave.parse().ok()).unwrap_or_default(),
                created: Some(now),
                ..ApplicationTimes::default()
            },
            operation: None,
            former_retries: 0,
            situations: BTreeSet::new(),
        });
        if observed.situations.insert(situation) {
            self.last_progress = self.last_progress.max(at);
        }
        observed.note_operation(now, application);
        let times = &mut observed.times;
        times.project.clone_from(&application.spec.project);
        state.word().clone_into(&mut times.state);
        times.reason = state.reason().map(str::to_owned);
        if state.is_converged() {
            // What was in place when Argo CD first looked was never synced.
            times.synced.get_or_insert(now);
            times.healthy.get_or_insert(now);
        } else {
            times.healthy = None;
        }
        observed.application = application.clone();
        observed.state = state.clone();
    }

    /// Takes that an Application is gone.
    pub fn remove(&mut self, application: &ApplicationRef) {
        self.applications.remove(application);
    }

    /// Whether there is no Application.
    pub fn is_empty(&self) -> bool {
        self.applications.is_empty()
    }

    /// When something last happened that had not happened before.
    pub const fn last_progress(&self) -> Duration {
        self.last_progress
    }

    /// Whether there are Applications, and all of them are well.
    pub fn is_converged(&self) -> bool {
        !self.applications.is_empty() && self.applications.values().all(|observed| observed.state.is_converged())
    }

    /// The Applications as they were last seen, each with how it stands.
    pub fn last_seen(&self) -> Vec<(Application, State)> {
        self.applications.values().map(|observed| (observed.application.clone(), observed.state.clone())).collect()
    }

    /// What happened to each Application, by name, those that were declared and never made among them.
    pub fn applications(&self) -> Vec<ApplicationTimes> {
        let tree = ApplicationTree::grow(&self.last_seen());
        let mut all: Vec<ApplicationTimes> = tree
            .nodes()
            .iter()
            .map(|node| {
                let known = self.applications.get(&node.application).map(|observed| observed.times.clone());
                let mut times = known.unwrap_or_else(|| ApplicationTimes {
                    name: node.application.to_string(),
                    state: node.state.word().to_owned(),
                    reason: node.state.reason().map(str::to_owned),
                    ..ApplicationTimes::default()
                });
                times.parent = node.parent.as_ref().map(ToString::to_string);
                times
            })
            .collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }
}

impl Observed {
    fn note_operation(&mut self, now: u64, application: &Application) {
        let Some(operation) = application.operation() else { return };
        let times = &mut self.times;
        let retries = u64::try_from(operation.retry_count).unwrap_or_default();
        if operation.started_at != self.operation || times.sync_began.is_none() {
            // A sync that was over before it was seen began as much earlier as Argo CD says that it took.
            let took = operation.started_at.zip(operation.finished_at).map_or(0, |(began, ended)| ended.duration_since(began).as_millis());
            let began = now.saturating_sub(u64::try_from(took).unwrap_or_default()).max(times.created.unwrap_or_default());
            if times.sync_began.is_some() && times.synced.is_none() {
                self.former_retries = times.retries + 1;
            }
            self.operation = operation.started_at;
            times.sync_began.get_or_insert(began);
            // A sync of an Application that was synced before puts right what changed since; it is not what the boot waited for.
            if times.synced.is_none() {
                times.last_attempt = Some(began);
            }
        } else if self.former_retries + retries > times.retries && times.synced.is_none() {
            times.last_attempt = Some(now);
        }
        if times.synced.is_none() {
            times.retries = times.retries.max(self.former_retries + retries);
            if operation.phase == Phase::Succeeded {
                times.synced = Some(now);
            }
        }
    }
}

impl Situation {
    fn of(application: &Application, state: &State) -> Self {
        let waits = application.operation().filter(|operation| operation.is_running()).map(|operation| operation.message.trim());
        Self {
            state: state.word(),
            sync: match application.sync() {
                SyncStatus::Synced => 0,
                SyncStatus::OutOfSync => 1,
                SyncStatus::Unknown => 2,
            },
            health: application.health(),
            waits_for: waits.filter(|message| message.starts_with("waiting for ")).unwrap_or_default().to_owned(),
            objects_in_place: application.objects().iter().filter(|object| object.status == Some(SyncStatus::Synced)).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::application::samples::{healthy, parent, patched};
    use crate::plan::diagnosis::verdict;

    fn observe(timeline: &mut Timeline, seconds: u64, document: Value) {
        let object = Object::new(document).unwrap();
        let application = Application::read(&object).unwrap();
        let state = verdict(&application, None);
        timeline.note(Duration::from_secs(seconds), &object, &application, &state);
    }

    fn running(name: &str, retries: u64, began: &str) -> Value {
        patched(
            healthy(name),
            &json!({"status": {"sync": {"status": "OutOfSync"}, "health": {"status": "Missing"}, "operationState": {
                "phase": "Running", "message": "one or more objects failed to apply", "retryCount": retries, "startedAt": began, "finishedAt": null,
            }}}),
        )
    }

    const FIRST: &str = "2026-11-21T10:00:00Z";
    const SECOND: &str = "2026-11-21T10:01:00Z";

    #[test]
    fn each_moment_of_an_application_is_noted_once() {
        let mut timeline = Timeline::default();
        observe(&mut timeline, 1, patched(healthy("web"), &json!({"status": null})));
        observe(&mut timeline, 2, running("web", 0, FIRST));
        observe(
            &mut timeline,
            4,
            patched(healthy("web"), &json!({"status": {"operationState": {"startedAt": FIRST}, "health": {"status": "Progressing"}}})),
        );
        observe(&mut timeline, 6, patched(healthy("web"), &json!({"status": {"operationState": {"startedAt": FIRST}}})));
        observe(&mut timeline, 9, patched(healthy("web"), &json!({"status": {"operationState": {"startedAt": FIRST}}})));
        let times = &timeline.applications()[0];
        assert_eq!((times.created, times.sync_began, times.synced, times.healthy), (Some(1000), Some(2000), Some(4000), Some(6000)));
        assert_eq!((times.milliseconds(), times.retries, timeline.last_progress().as_secs()), (Some(5000), 0, 6));
        assert!(timeline.is_converged());
    }

    #[test]
    fn retries_within_and_across_syncs_count_and_move_the_last_attempt() {
        let mut timeline = Timeline::default();
        observe(&mut timeline, 1, running("web", 0, FIRST));
        observe(&mut timeline, 7, running("web", 1, FIRST));
        observe(&mut timeline, 17, running("web", 2, FIRST));
        observe(&mut timeline, 60, running("web", 0, SECOND));
        let times = &timeline.applications()[0];
        assert_eq!((times.retries, times.sync_began, times.last_attempt), (3, Some(1000), Some(60_000)));
    }

    #[test]
    fn failing_again_in_the_same_way_is_no_progress() {
        let mut timeline = Timeline::default();
        observe(&mut timeline, 1, running("web", 0, FIRST));
        for attempt in 1..9 {
            observe(&mut timeline, 10 * attempt, running("web", attempt, FIRST));
        }
        assert_eq!(timeline.last_progress().as_secs(), 1);
        observe(&mut timeline, 100, healthy("web"));
        assert_eq!(timeline.last_progress().as_secs(), 100);
    }

    #[test]
    fn one_that_was_well_and_is_not_is_not_well() {
        let mut timeline = Timeline::default();
        observe(&mut timeline, 1, healthy("web"));
        observe(&mut timeline, 2, patched(healthy("web"), &json!({"status": {"health": {"status": "Degraded"}}})));
        assert_eq!(timeline.applications()[0].healthy, None);
        observe(&mut timeline, 5, healthy("web"));
        assert_eq!(timeline.applications()[0].healthy, Some(5000));
    }

    #[test]
    fn an_application_that_was_never_made_is_there_without_times() {
        let mut timeline = Timeline::default();
        observe(&mut timeline, 1, parent("services", &["web"]));
        let applications = timeline.applications();
        assert_eq!((applications.len(), applications[1].name.as_str(), applications[1].created), (2, "web", None));
        assert_eq!(applications[1].parent.as_deref(), Some("services"));
    }
}
