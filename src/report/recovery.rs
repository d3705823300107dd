//! The evidence of a recovery, as Markdown for people and as JSON for programs.

use std::fmt::Write as _;
use std::time::Duration;

use super::sanitise::sanitise;
use super::text::{Line, Look, Paint, count, time};
use crate::plan::recovery::{ApplicationEvidence, End, Loss, Recovery};

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

/// How many Applications, losses and the like are named on the screen; the report has all of them.
const SHOWN: usize = 10;

/// The end of a recovery as a person sees it.
pub(super) fn screen(recovery: &Recovery, files: &[std::path::PathBuf], look: Look) -> Vec<Line> {
    let (paint, mark) = match recovery.end {
        End::Converged => (Paint::Good, look.either("✔ ", "+ ")),
        End::Waiting => (Paint::Caution, "! "),
        End::Incomplete => (Paint::Bad, look.either("✘ ", "x ")),
    };
    let converged = recovery.applications.iter().filter(|application| application.cause.is_none()).count();
    let heading = format!(
        "{}: {}; {converged} of {} converged at {}, in {}",
        recovery.cluster,
        recovery.end.title(),
        count(recovery.applications.len(), "application"),
        recovery.commit.short(),
        milliseconds(recovery.milliseconds)
    );
    let mut lines = vec![Line::new(), Line::new().with(paint, mark).with(Paint::Strong, heading).hanging(2)];
    let open =
        recovery.applications.iter().filter_map(|application| Some(format!("{}: {}", application.name, application.cause.as_ref()?)));
    section(&mut lines, "not up", open.collect());
    let lost = recovery.losses.iter().map(|loss| format!("{}: {}", loss.kind.title(), loss.what));
    section(&mut lines, "not in Git, and not back", lost.collect());
    if let Some(key) = &recovery.key {
        let origin = if key.restored { "restored from the bundle" } else { "made for this cluster" };
        section(&mut lines, "deploy key", vec![format!("{} ({origin})", key.fingerprint)]);
    }
    let old = recovery.old_identity.as_deref().unwrap_or("not recorded");
    section(&mut lines, "identity", vec![format!("before: {old}"), format!("now: {}", recovery.target.identity)]);
    section(&mut lines, "for a person to do", recovery.needs_person.clone());
    section(&mut lines, "report", files.iter().map(|file| file.display().to_string()).collect());
    lines
}

fn section(lines: &mut Vec<Line>, heading: &str, items: Vec<String>) {
    if items.is_empty() {
        return;
    }
    lines.push(Line::new());
    lines.push(Line::new().with(Paint::Strong, heading));
    let more = items.len().saturating_sub(SHOWN);
    lines.extend(items.into_iter().take(SHOWN).map(|item| Line::of(format!("  {item}")).hanging(4)));
    if more > 0 {
        lines.push(Line::new().with(Paint::Faint, format!("  and {more} more: `--report FOLDER` writes all of them")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Identity;
    use crate::error::{Failure, Kind};
    use crate::plan::StepId;
    use crate::plan::recovery::{FORMAT, KeyEvidence, LossKind, Phase, StaleKey, Target};

    fn recovery() -> Recovery {
        let application = |name: &str, cause: Option<&str>| ApplicationEvidence {
            name: name.to_owned(),
            parent: Some("services-app-of-apps".to_owned()),
            state: if cause.is_some() { "stalled" } else { "converged" },
            cause: cause.map(str::to_owned),
            seen: Some(41_000),
            converged: cause.is_none().then_some(63_500),
            kicks: u32::from(cause.is_some()) * 3,
        };
        Recovery {
            format: FORMAT,
            tool: "0.1.0",
            cluster: "staging".to_owned(),
            end: End::Incomplete,
            failure: Some(
                Failure::new(Kind::Deadline, "1 of 2 Applications cannot come right by themselves").because("bad: a | b\u{1b}[2J"),
            ),
            began: "2026-11-21T03:00:00Z".to_owned(),
            milliseconds: 190_000,
            repository: "git@github.com:acme/fleet.git".parse().unwrap(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            argocd_version: Some("v3.5.7".to_owned()),
            target: Target {
                context: "new".to_owned(),
                server: "https://10.0.0.1:6443".to_owned(),
                kubernetes: "v1.36.1".to_owned(),
                identity: Identity { kube_system_uid: "0c0ffee0-0000-4000-8000-000000000000".to_owned(), ca_sha256: None },
            },
            old_identity: Some("kube-system deadbeef-0000-4000-8000-000000000000".to_owned()),
            key: Some(KeyEvidence { fingerprint: "SHA256:abc".into(), restored: true, id: Some(7), title: None }),
            stale_keys: vec![StaleKey {
                id: 5,
                title: "gitops-bootstrap staging deadbeef".to_owned(),
                fingerprint: "SHA256:def".into(),
                last_used: Some("2026-11-19T03:00:00Z".to_owned()),
                removed: false,
            }],
            restored: vec!["Secret kube-system/sealing-key".to_owned()],
            phases: vec![Phase { step: StepId::Ns, outcome: "changed", because: "it is there".to_owned(), milliseconds: 120 }],
            applications: vec![application("web", None), application("bad", Some("the port is out of range"))],
            kicks: 3,
            skipped: Vec::new(),
            losses: vec![Loss {
                kind: LossKind::Volume,
                what: "PersistentVolumeClaim shop/data".to_owned(),
                meaning: "comes back empty".to_owned(),
                files: vec!["rendered/staging/services/shop/claim.yaml".to_owned()],
            }],
            needs_person: vec!["Restore the content of volumes.".to_owned()],
        }
    }

    #[test]
    fn the_report_names_everything_and_no_control_character_of_it_gets_through() {
        let text = markdown(&recovery());
        for expected in [
            "# Recovery of staging: not everything is up",
            "1 of 2 applications converged, in 3 m 10 s.",
            "| identity before | kube-system deadbeef-0000-4000-8000-000000000000 |",
            "SHA256:abc (restored from the bundle, number 7 at the forge)",
            "number 5, SHA256:def, last used 2026-11-19T03:00:00Z: still registered",
            "- `bad` (stalled): the port is out of range",
            "| volumes | PersistentVolumeClaim shop/data | comes back empty | rendered/staging/services/shop/claim.yaml |",
            "| web | 41 s | 1 m 03 s | 0 |",
            "a \\| b",
        ] {
            assert!(text.contains(expected), "`{expected}` is missing in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        let json: serde_json::Value = serde_json::from_str(&json(&recovery())).unwrap();
        assert_eq!((&json["end"], &json["key"]["restored"]), (&"incomplete".into(), &true.into()));
    }
}
