//! Argo CD gives up on a commit after the retries, by default five in 155 seconds, and never tries it again. A recovery has no new commit,
//! and takes longer than that.

use std::time::Duration;

use serde_json::Value;

use crate::lint::draft::Draft;
use crate::lint::view::{Application, Cluster};

/// As long as the slowest recovery that is not stuck: large images, volumes from a backup, certificates.
const LONG_ENOUGH: Duration = Duration::from_secs(60 * 60);

/// What Argo CD takes where nothing is said: tries, first wait, factor, longest wait (pkg/apis/application/v1alpha1, `DefaultSyncRetry...`).
const LIMIT: i64 = 5;
const FIRST: Duration = Duration::from_secs(5);
const FACTOR: f64 = 2.0;
const LONGEST: Duration = Duration::from_secs(3 * 60);

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let automated = cluster.applications.iter().filter(|application| application.is_automated());
    let hopeless = automated.filter_map(|application| Some((application, patience(application)?)));
    hopeless
        .filter(|(_, (_, waited))| *waited < LONG_ENOUGH)
        .map(|(application, (tries, waited))| {
            let times = if tries == 1 { "try" } else { "tries" };
            application.document.draft(
                "/spec/syncPolicy/retry/limit",
                format!("gives up on a commit after {tries} {times}, {}", said(waited)),
                "set `spec.syncPolicy.retry: {limit: -1, backoff: {duration: 5s, factor: 2, maxDuration: 3m}}`",
            )
        })
        .collect()
}

/// How often an Application tries again, and how long that takes without the tries themselves; none if it never gives up.
fn patience(application: &Application<'_>) -> Option<(i64, Duration)> {
    let retry = application.document.object.at("/spec/syncPolicy/retry").filter(|retry| retry.is_object());
    // Without `retry`, automated sync has a default; with one that has no limit, there are no retries.
    let limit = retry.map_or(LIMIT, |retry| retry.get("limit").and_then(Value::as_i64).unwrap_or_default());
    if limit < 0 {
        return None;
    }
    let backoff = retry.and_then(|retry| retry.get("backoff"));
    let written = |key: &str| backoff.and_then(|backoff| duration(backoff.get(key)?.as_str()?));
    let first = written("duration").unwrap_or(FIRST);
    let longest = written("maxDuration").unwrap_or(LONGEST);
    let factor = backoff.and_then(|backoff| backoff.get("factor")?.as_f64()).unwrap_or(FACTOR).max(1.0);
    let mut wait = first.as_secs_f64();
    let mut waited = Duration::ZERO;
    for _ in 0..limit {
        waited += Duration::try_from_secs_f64(wait).unwrap_or(longest).min(longest);
        wait *= factor;
        if waited >= LONG_ENOUGH {
            break;
        }
    }
    Some((limit, waited))
}

/// A duration as Go writes it, or a number of seconds.
fn duration(text: &str) -> Option<Duration> {
    text.parse().map(Duration::from_secs).ok().or_else(|| text.parse::<jiff::SignedDuration>().ok().and_then(|span| span.try_into().ok()))
}

fn said(waited: Duration) -> String {
    match waited.as_secs() {
        0 => "at once".to_owned(),
        seconds @ ..600 => format!("in {seconds} seconds"),
        seconds => format!("in {} minutes", seconds / 60),
    }
}
