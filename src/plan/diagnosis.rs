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

    /// The same with why the try before failed, for one that is tried again: Argo CD forgets it as soon as a sync begins.
    #[must_use]
    pub fn after(self, failure: Option<&str>) -> Self {
        match (self, failure) {
            (Self::Progressing { why }, Some(failure)) if !why.contains(failure) => {
                progressing(format!("{why}; the sync before failed: {failure}"))
            }
            (state, _) => state,
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

/// Why the last sync of `application` that ended did not work. `before` is what was known of it, which holds until a sync works.
pub fn last_failure(application: &Application, before: Option<String>) -> Option<String> {
    match application.operation() {
        Some(operation) if operation.phase == Phase::Succeeded => None,
        Some(operation) if !operation.is_running() || plain_words::waits_to_retry(operation) => Some(plain_words::failed_sync(operation)),
        _ => before,
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::application::samples;

    fn judged(patch: &Value) -> State {
        let application = samples::read(samples::patched(samples::healthy("web"), patch));
        verdict(&application, Some(&samples::COMMIT.parse().unwrap()))
    }

    fn kickable(cause: &str) -> State {
        State::Stalled { cause: cause.to_owned(), kickable: true }
    }

    #[test]
    fn why_a_sync_failed_is_remembered_while_the_next_one_runs_and_until_one_works() {
        let known_after = |operation: Value, before: Option<String>| {
            let application = samples::read(samples::patched(samples::healthy("web"), &json!({"status": {"operationState": operation}})));
            (verdict(&application, None).after(before.as_deref()), last_failure(&application, before))
        };
        let (_, failure) = known_after(json!({"phase": "Failed", "message": "no matches for kind \"Widget\" in version \"v1\""}), None);
        assert!(failure.as_deref().unwrap().contains("Widget"), "{failure:?}");
        let (state, failure) = known_after(json!({"phase": "Running", "message": "", "syncResult": null}), failure);
        assert!(state.reason().unwrap().starts_with("a sync is running; the sync before failed: "), "{state:?}");
        assert!(state.reason().unwrap().contains("Widget"), "{state:?}");
        let (state, failure) = known_after(json!({"phase": "Succeeded"}), failure);
        assert_eq!((state, failure), (State::Converged, None));
    }

    #[test]
    fn synced_healthy_and_succeeded_at_the_commit_is_converged() {
        assert_eq!(judged(&json!({})), State::Converged);
    }

    #[test]
    fn a_commit_that_changed_nothing_for_an_application_needs_no_new_sync() {
        assert_eq!(judged(&json!({"status": {"operationState": {"syncResult": {"revision": samples::OLD_COMMIT}}}})), State::Converged);
    }

    #[test]
    fn an_application_that_found_everything_in_place_was_never_synced() {
        assert_eq!(judged(&json!({"status": {"operationState": null}})), State::Converged);
    }

    #[test]
    fn an_older_commit_is_not_converged_unless_none_is_expected() {
        let older = json!({"status": {"sync": {"revision": samples::OLD_COMMIT}}});
        assert_eq!(judged(&older), progressing("it is at 0123456789; Argo CD has not come to 4f2c9d1e0a yet"));
        assert_eq!(verdict(&samples::read(samples::patched(samples::healthy("web"), &older)), None), State::Converged);
    }

    #[test]
    fn one_of_several_sources_at_the_commit_is_enough() {
        let several = json!({"status": {"sync": {"revision": null, "revisions": ["1.2.3", samples::COMMIT]}}});
        assert_eq!(judged(&several), State::Converged);
    }

    #[test]
    fn without_a_status_nothing_is_known() {
        assert_eq!(judged(&json!({"status": null})), State::Unknown);
        assert_eq!(
            judged(&json!({"status": {"sync": {"status": "Unknown"}, "reconciledAt": null, "operationState": null}})),
            State::Unknown
        );
    }

    #[test]
    fn an_application_that_goes_is_deleting_whatever_else_it_says() {
        assert_eq!(judged(&json!({"metadata": {"deletionTimestamp": "2026-11-21T10:00:00Z"}})), State::Deleting);
    }

    #[test]
    fn a_running_sync_says_what_it_waits_for() {
        for (operation, why) in [
            (json!({"phase": "Running", "message": ""}), "a sync is running"),
            (
                json!({"phase": "Running", "message": "waiting for healthy state of apps/Deployment/web"}),
                "the sync waits for healthy state of Deployment web",
            ),
            (
                json!({"phase": "Running", "message": "waiting for healthy state of /Namespace/web and 3 more resources"}),
                "the sync waits for healthy state of Namespace web and 3 more resources",
            ),
            (
                json!({"phase": "Running", "retryCount": 2, "message":
                    "one or more objects failed to apply, reason: namespaces \"web\" not found. Retrying attempt #2 at 10:31AM."}),
                "sync attempt 2 failed and will be repeated: the namespace `web` is not there",
            ),
        ] {
            assert_eq!(judged(&json!({"status": {"operationState": operation, "sync": {"status": "OutOfSync"}}})), progressing(why));
        }
    }

    #[test]
    fn a_sync_that_was_asked_for_is_about_to_begin() {
        let asked = json!({"operation": {"sync": {}}, "status": {"operationState": {"phase": "Failed"}}});
        assert_eq!(judged(&asked), progressing("a sync was asked for and is about to begin"));
    }

    #[test]
    fn a_failed_sync_of_this_revision_is_stalled_and_may_be_kicked() {
        let failed = json!({"status": {
            "sync": {"status": "OutOfSync"},
            "conditions": [{"type": "SyncError", "message": "Failed last sync attempt to 4f2c9d1e0a: one or more objects failed to apply (retried 5 times)."}],
            "operationState": {"phase": "Failed", "retryCount": 5, "message": "one or more objects failed to apply (retried 5 times).", "syncResult": {"resources": [
                {"group": "cert-manager.io", "version": "v1", "kind": "Certificate", "namespace": "web", "name": "tls", "status": "SyncFailed",
                 "message": "The Kubernetes API could not find cert-manager.io/Certificate for requested resource web/tls. Make sure the \"Certificate\" CRD is installed on the destination cluster."},
                {"version": "v1", "kind": "Service", "namespace": "web", "name": "web", "status": "SyncFailed", "message": "dry-run failed"},
            ]}},
        }});
        let cause = "Certificate web/tls: the cluster does not know the kind Certificate: its resource definition (CRD) is not installed (and 1 more object)";
        assert_eq!(judged(&failed), kickable(cause));
    }

    #[test]
    fn a_failed_hook_stalls_an_application_that_looks_well() {
        let hook = json!({"status": {"operationState": {"phase": "Failed", "message": "one or more synchronization tasks completed unsuccessfully", "syncResult": {"resources": [
            {"group": "batch", "version": "v1", "kind": "Job", "namespace": "web", "name": "migrate", "hookPhase": "Failed", "hookType": "PostSync",
             "message": "Job has reached the specified backoff limit"},
        ]}}}});
        assert_eq!(judged(&hook), kickable("hook Job web/migrate: Job has reached the specified backoff limit"));
    }

    #[test]
    fn a_failed_sync_is_not_kicked_where_people_sync_by_hand() {
        let by_hand = json!({"spec": {"syncPolicy": {"automated": {"enabled": false}}},
            "status": {"operationState": {"phase": "Error", "message": "namespaces \"web\" not found", "syncResult": null}}});
        assert_eq!(judged(&by_hand), State::Stalled { cause: "the namespace `web` is not there".to_owned(), kickable: false });
    }

    #[test]
    fn a_failed_sync_of_an_older_revision_will_be_followed_by_a_new_one() {
        let older = json!({"status": {"sync": {"status": "OutOfSync"}, "operationState": {"phase": "Failed", "syncResult": {"revision": samples::OLD_COMMIT}}}});
        assert_eq!(judged(&older), progressing("the last sync failed; one of a newer revision is about to begin"));
    }

    #[test]
    fn an_error_condition_fails_and_a_warning_does_not() {
        let error = json!({"status": {"sync": {"status": "Unknown"}, "operationState": null, "conditions": [{"type": "ComparisonError", "message":
            "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = failed to list refs: ssh: handshake failed: ssh: unable to authenticate"}]}});
        assert_eq!(judged(&error), State::Failed { cause: "the repository's server does not accept Argo CD's deploy key".to_owned() });
        assert_eq!(
            judged(&json!({"status": {"conditions": [{"type": "OrphanedResourceWarning", "message": "1 orphan"}]}})),
            State::Converged
        );
    }

    #[test]
    fn what_differs_from_git_waits_for_whoever_may_sync_it() {
        let differs = |policy: Value| {
            json!({"spec": {"syncPolicy": policy}, "status": {"sync": {"status": "OutOfSync"}, "resources": [
                {"version": "v1", "kind": "Service", "namespace": "web", "name": "web", "status": "OutOfSync"},
            ]}})
        };
        assert_eq!(
            judged(&differs(json!({"automated": null}))),
            waiting("Service web/web differs from Git, and it is synced only by hand")
        );
        assert_eq!(
            judged(&differs(json!({"automated": {"selfHeal": false}}))),
            kickable("Service web/web differs from Git although it was synced, and `selfHeal` is off")
        );
        assert_eq!(
            judged(&differs(json!({}))),
            progressing("Service web/web differs from Git although it was synced; Argo CD is putting it right")
        );
    }

    #[test]
    fn what_left_git_waits_where_pruning_is_off() {
        let left = json!({"spec": {"syncPolicy": {"automated": {"prune": false}}}, "status": {"sync": {"status": "OutOfSync"}, "resources": [
            {"version": "v1", "kind": "Service", "namespace": "web", "name": "old", "status": "OutOfSync", "requiresPruning": true},
        ]}});
        assert_eq!(
            judged(&left),
            waiting("Service web/old differs from Git because it left Git, and removing is switched off for it (`prune: false`)")
        );
    }

    #[test]
    fn a_sync_window_is_named() {
        let mut application = samples::read(samples::patched(
            samples::healthy("web"),
            &json!({"status": {"sync": {"status": "OutOfSync"}, "operationState": null}}),
        ));
        application.windows = vec![crate::domain::application::SyncWindow {
            kind: "deny".to_owned(),
            schedule: "0 22 * * *".to_owned(),
            duration: "8h".to_owned(),
            ..Default::default()
        }];
        let why =
            "it differs from Git; its project `services` has a sync window that may hold it back: deny from `0 22 * * *` for 8h (UTC)";
        assert_eq!(verdict(&application, None), waiting(why));
    }

    #[test]
    fn health_decides_once_it_is_synced() {
        for (health, state) in [
            (json!({"status": "Progressing"}), progressing("one of its objects is not ready yet")),
            (json!({"status": "Suspended"}), waiting("one of its objects is paused")),
            (
                json!({"status": "Degraded", "message": "quorum lost"}),
                State::Failed { cause: "one of its objects does not work: quorum lost".to_owned() },
            ),
        ] {
            assert_eq!(judged(&json!({"status": {"health": health}})), state);
        }
    }

    #[test]
    fn the_worst_object_is_named_where_argo_cd_keeps_its_health() {
        let objects = json!({"status": {"health": {"status": "Degraded"}, "resources": [
            {"version": "v1", "kind": "Service", "namespace": "web", "name": "web", "status": "Synced", "health": {"status": "Progressing"}},
            {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "web", "name": "web", "status": "Synced",
             "health": {"status": "Degraded", "message": "Deployment \"web\" exceeded its progress deadline"}},
        ]}});
        let cause = "Deployment web/web does not work: Deployment \"web\" exceeded its progress deadline";
        assert_eq!(judged(&objects), State::Failed { cause: cause.to_owned() });
    }

    #[test]
    fn an_application_that_is_skipped_waits() {
        assert!(matches!(
            judged(&json!({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}})),
            State::Waiting { .. }
        ));
    }
}
