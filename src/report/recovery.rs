//! The evidence of a recovery, as Markdown for people and as JSON for programs.

use std::fmt::Write as _;
use std::time::Duration;

use super::sanitise::sanitise;
use super::text::{count, time};
use crate::plan::recovery::{ApplicationEvidence, Loss, Recovery};

/// The evidence as JSON, indented, with a final newline.
pub fn json(recovery: &Recovery) -> String {
    let mut text = serde_json::to_string_pretty(recovery).unwrap_or_default();
    text.push('\n');
    text
}

/// The evidence as Markdown, for a pull request or a record of the incident.
pub fn markdown(recovery: &Recovery) -> String {
    let mut text = String::new();
    let converged = recovery.applications.iter().filter(|application| application.cause.is_none()).count();
    let total = recovery.applications.len();
    line(&mut text, format_args!("# Recovery of {}: {}\n", recovery.cluster, recovery.end.title()));
    line(
        &mut text,
        format_args!("{converged} of {} converged, in {}.\n", count(total, "application"), milliseconds(recovery.milliseconds)),
    );
    if let Some(failure) = &recovery.failure {
        line(&mut text, format_args!("> {}", cell(&failure.message)));
        failure.causes.iter().for_each(|cause| line(&mut text, format_args!("> - {}", cell(cause))));
        text.push('\n');
    }
    facts(&mut text, recovery);
    list(&mut text, "What a person has to do", &recovery.needs_person);
    open(&mut text, &recovery.applications);
    losses(&mut text, &recovery.losses);
    times(&mut text, recovery);
    list(&mut text, "Restored from the bundle", &recovery.restored);
    list(&mut text, "Left to Argo CD", &recovery.skipped);
    text
}

fn facts(text: &mut String, recovery: &Recovery) {
    let target = &recovery.target;
    line(text, format_args!("| | |\n|---|---|"));
    let mut row = |name: &str, value: &str| line(text, format_args!("| {name} | {} |", cell(value)));
    row("repository", &recovery.repository.to_string());
    row("commit", recovery.commit.as_str());
    row("Argo CD", recovery.argocd_version.as_deref().unwrap_or("unknown"));
    row("Kubernetes", &target.kubernetes);
    row("cluster", &format!("{} at {}", target.context, target.server));
    row("identity before", recovery.old_identity.as_deref().unwrap_or("not recorded"));
    row("identity now", &target.identity.to_string());
    if let Some(key) = &recovery.key {
        let origin = if key.restored { "restored from the bundle" } else { "made for this cluster" };
        let place = key.id.map(|id| format!(", number {id} at the forge")).unwrap_or_default();
        row("deploy key", &format!("{} ({origin}{place})", key.fingerprint));
    }
    for key in &recovery.stale_keys {
        let end = if key.removed { "removed" } else { "still registered" };
        let used = key.last_used.as_deref().map(|time| format!(", last used {time}")).unwrap_or_default();
        row("key of a cluster that is gone", &format!("`{}`, number {}, {}{used}: {end}", key.title, key.id, key.fingerprint));
    }
    row("began", &recovery.began);
    row("syncs asked for", &recovery.kicks.to_string());
    row("gitops-bootstrap", recovery.tool);
    text.push('\n');
}

fn open(text: &mut String, applications: &[ApplicationEvidence]) {
    let open: Vec<String> = applications
        .iter()
        .filter_map(|application| Some(format!("`{}` ({}): {}", application.name, application.state, application.cause.as_ref()?)))
        .collect();
    list(text, "Not converged", &open);
}

fn losses(text: &mut String, losses: &[Loss]) {
    if losses.is_empty() {
        return;
    }
    line(text, format_args!("## What cannot come back from Git\n\n| kind | what | what it means | declared in |\n|---|---|---|---|"));
    for loss in losses {
        let files = loss.files.join(", ");
        line(text, format_args!("| {} | {} | {} | {} |", loss.kind.title(), cell(&loss.what), cell(&loss.meaning), cell(&files)));
    }
    text.push('\n');
}

fn times(text: &mut String, recovery: &Recovery) {
    line(text, format_args!("## Times\n\n| step | took | |\n|---|---:|---|"));
    for phase in &recovery.phases {
        line(text, format_args!("| {} | {} | {} |", phase.step, milliseconds(phase.milliseconds), cell(&phase.because)));
    }
    line(text, format_args!("\n| application | seen after | converged after | syncs asked for |\n|---|---:|---:|---:|"));
    for application in &recovery.applications {
        let at = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), milliseconds);
        let (seen, converged) = (at(application.seen), at(application.converged));
        line(text, format_args!("| {} | {seen} | {converged} | {} |", cell(&application.name), application.kicks));
    }
    text.push('\n');
}

fn list(text: &mut String, heading: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    line(text, format_args!("## {heading}\n"));
    items.iter().for_each(|item| line(text, format_args!("- {}", cell(item))));
    text.push('\n');
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    let _written = text.write_fmt(arguments);
    text.push('\n');
}

fn milliseconds(milliseconds: u64) -> String {
    time(Duration::from_millis(milliseconds))
}

/// Text from outside, in one line of a table.
fn cell(text: &str) -> String {
    sanitise(text).replace('\n', " ").replace('|', "\\|").replace('<', "&lt;")
}
