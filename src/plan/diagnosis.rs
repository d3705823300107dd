//! How an Application stands, by what Argo CD says of it alone.

use crate::domain::Commit;
use crate::domain::application::{Application, HealthStatus, ManagedObject, Phase, SyncStatus};

use super::plain_words;

/// How an Application stands, seen from "everything in Git is running and healthy".
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Synced, Healthy, the last sync succeeded, no error, and at the expected commit.
    Converged,
    /// On its way; nothing has to be done.
    Progressing {
        /// What it is doing or waiting for.
        why: String,
    },
    /// Held back on purpose: by a sync window, by its own settings, or because it was paused. It needs a person or a time.
    Waiting {
        /// By what.
        why: String,
    },
    /// A sync failed and Argo CD will not try this revision again by itself.
    Stalled {
        /// Why it failed.
        cause: String,
        /// Whether asking for a new sync is right: the Application is synced without being asked, so this is no more than that.
        kickable: bool,
    },
    /// Argo CD reports an error, or the objects do not work. A new sync alone does not help; it may pass when its cause does.
    Failed {
        /// What is wrong.
        cause: String,
    },
    /// It is being deleted.
    Deleting,
    /// Argo CD has said nothing about it: its controller does not work, or has not come to it.
    Unknown,
}

impl State {
    /// Whether all is well.
    pub const fn is_converged(&self) -> bool {
        matches!(self, Self::Converged)
    }

    /// The state in a word, as people see it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Progressing { .. } => "progressing",
            Self::Waiting { .. } => "waiting",
            Self::Stalled { .. } => "stalled",
            Self::Failed { .. } => "failed",
            Self::Deleting => "being deleted",
            Self::Unknown => "unknown",
        }
    }

    /// Why it is not converged, in a sentence.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Converged => None,
            Self::Progressing { why } | Self::Waiting { why } => Some(why),
            Self::Stalled { cause, .. } | Self::Failed { cause } => Some(cause),
            Self::Deleting => Some("it is being deleted"),
            Self::Unknown => Some("Argo CD has not looked at it yet; if that lasts, its application controller does not work"),
        }
    }
}

/// How `application` stands. `expected` is the commit that it must be at; none where it does not follow the fleet's branch
/// (see [`Application::follows`]).
///
/// The last sync may be of an older commit: Argo CD does not sync again when a new commit changes nothing for an Application, but it
/// compares with the new commit, and that is what counts. An Application whose objects were all in place before has never been synced.
pub fn verdict(application: &Application, expected: Option<&Commit>) -> State {
    if application.is_being_deleted {
        return State::Deleting;
    }
    if application.is_skipped {
        return waiting("Argo CD was told to leave it alone, by its annotation `argocd.argoproj.io/skip-reconcile`");
    }
    let Some(status) = &application.status else {
        return State::Unknown;
    };
    let operation = application.operation();
    if application.sync_is_requested && operation.is_none_or(|operation| !operation.is_running()) {
        return progressing("a sync was asked for and is about to begin");
    }
    if let Some(running) = operation.filter(|operation| operation.is_running()) {
        return progressing(plain_words::running_sync(running));
    }
    if let Some(error) = application.errors().find(|error| error.name != "SyncError") {
        return State::Failed { cause: plain_words::condition(error) };
    }
    if let Some(failed) = operation.filter(|operation| matches!(operation.phase, Phase::Failed | Phase::Error)) {
        if !failed.is_of(&status.sync) && application.is_automated() {
            return progressing("the last sync failed; one of a newer revision is about to begin");
        }
        return State::Stalled { cause: plain_words::failed_sync(failed), kickable: application.is_automated() };
    }
    if let Some(error) = application.errors().next() {
        return State::Stalled { cause: plain_words::condition(error), kickable: application.is_automated() };
    }
    match status.sync.status {
        SyncStatus::Unknown if status.reconciled_at.is_none() => return State::Unknown,
        SyncStatus::Unknown => return progressing("Argo CD is comparing it with Git"),
        SyncStatus::OutOfSync => return out_of_sync(application),
        SyncStatus::Synced => {}
    }
    if let Some(expected) = expected.filter(|expected| application.revisions().all(|revision| revision != expected.as_str())) {
        return progressing(match application.revisions().next() {
            Some(revision) => format!("it is at {}; Argo CD has not come to {} yet", short(revision), expected.short()),
            None => format!("Argo CD has not come to {} yet", expected.short()),
        });
    }
    match status.health.status {
        HealthStatus::Healthy => State::Converged,
        HealthStatus::Suspended => waiting(unhealthy(application, "is paused")),
        HealthStatus::Progressing => progressing(unhealthy(application, "is not ready yet")),
        HealthStatus::Missing => progressing(unhealthy(application, "is not there yet")),
        HealthStatus::Unknown => progressing(unhealthy(application, "cannot be judged yet")),
        HealthStatus::Degraded => State::Failed { cause: unhealthy(application, "does not work") },
    }
}

fn out_of_sync(application: &Application) -> State {
    let differing = || application.objects().iter().filter(|object| object.status == Some(SyncStatus::OutOfSync));
    let what = match differing().count() {
        0 => "it differs from Git".to_owned(),
        1 => differing().map(|object| format!("{} differs from Git", named(object))).collect(),
        number => format!("{number} of its objects differ from Git"),
    };
    let Some(automated) = application.spec.sync_policy.automated.as_ref().filter(|_| application.is_automated()) else {
        return waiting(format!("{what}, and it is synced only by hand"));
    };
    if let Some(window) = application.windows.first() {
        return waiting(format!("{what}; its project `{}` has a sync window that may hold it back: {window}", application.spec.project));
    }
    let was_synced = application.operation().is_some_and(|operation| {
        operation.phase == Phase::Succeeded && application.status.as_ref().is_some_and(|status| operation.is_of(&status.sync))
    });
    if !was_synced {
        return progressing(format!("{what}; a sync is about to begin"));
    }
    if !automated.prune && differing().count() > 0 && differing().all(|object| object.requires_pruning) {
        return waiting(format!("{what} because it left Git, and removing is switched off for it (`prune: false`)"));
    }
    if automated.self_heal {
        progressing(format!("{what} although it was synced; Argo CD is putting it right"))
    } else {
        State::Stalled { cause: format!("{what} although it was synced, and `selfHeal` is off"), kickable: true }
    }
}

/// The object that is worst, in a sentence, or the whole Application where Argo CD does not say which object it is.
fn unhealthy(application: &Application, what: &str) -> String {
    let worst = application
        .objects()
        .iter()
        .filter_map(|object| object.health.as_ref().map(|health| (health, object)))
        .filter(|(health, _)| health.status != HealthStatus::Healthy)
        .max_by_key(|(health, _)| health.status);
    let (subject, message) = match worst {
        Some((health, object)) => (named(object), health.message.as_str()),
        None => ("one of its objects".to_owned(), application.status.as_ref().map_or("", |status| status.health.message.as_str())),
    };
    if message.is_empty() { format!("{subject} {what}") } else { format!("{subject} {what}: {}", plain_words::tidy(message)) }
}

fn named(object: &ManagedObject) -> String {
    if object.namespace.is_empty() {
        format!("{} {}", object.kind, object.name)
    } else {
        format!("{} {}/{}", object.kind, object.namespace, object.name)
    }
}

/// A revision for people: a commit in its first 10 digits, anything else, such as a chart version, whole.
pub fn short(revision: &str) -> &str {
    revision.parse::<Commit>().ok().and_then(|_| revision.get(..10)).unwrap_or(revision)
}

fn progressing(why: impl Into<String>) -> State {
    State::Progressing { why: why.into() }
}

fn waiting(why: impl Into<String>) -> State {
    State::Waiting { why: why.into() }
}
