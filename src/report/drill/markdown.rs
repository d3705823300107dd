//! The report of a drill as Markdown: for a pull request, so what matters comes first and the rest can be unfolded.

use std::fmt::Write as _;

use super::super::sanitise::sanitise;
use super::super::text;
use super::{former, judged, sentence, time};
use crate::plan::drill::{Comparison, Report};

/// The report as GitHub Flavored Markdown.
pub(crate) fn markdown(report: &Report) -> String {
    let mut page = Page::default();
    let mark = if report.is_clean() { "✅" } else { "❌" };
    page.line(format_args!("## {mark} Recovery drill of `{}`\n", plain(&report.cluster)));
    page.line(format_args!("{}.\n", plain(&sentence(report))));
    overview(&mut page, report);
    obstacles(&mut page, report);
    if let Some(comparison) = &report.comparison {
        compared(&mut page, comparison);
    }
    critical_path(&mut page, report);
    applications(&mut page, report);
    stand_ins(&mut page, report);
    list(&mut page, "What cannot come back from Git", &report.losses);
    list(&mut page, "What a person has to do after a recovery", &report.needs_person);
    conditions(&mut page, report);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _written = writeln!(self.text, "{line}");
    }

    /// A part that is folded away until somebody wants to see it.
    fn folded(&mut self, title: &str, fill: impl FnOnce(&mut Self)) {
        self.line(format_args!("<details><summary>{title}</summary>\n"));
        fill(self);
        self.line(format_args!("\n</details>\n"));
    }
}

fn overview(page: &mut Page, report: &Report) {
    page.line(format_args!("| | |\n|---|---|"));
    let mut row = |name: &str, value: &str| page.line(format_args!("| {name} | {} |", plain(value)));
    let limit = report.limit_milliseconds.map(|limit| format!(" (limit {})", time(limit))).unwrap_or_default();
    row("recovery", &format!("{}{limit}", time(report.milliseconds)));
    row("applications up", &format!("{} of {}", report.up(), report.applications.len()));
    if let Some((slowest, took)) = report.durations().first() {
        row("slowest application", &format!("{}, {}", slowest.name, time(*took)));
    }
    row("cannot boot from zero", &report.obstacles.len().to_string());
    row("syncs asked for", &report.kicks.to_string());
    row("stood in for", &text::count(report.stand_ins.iter().map(|stand_in| stand_in.objects.len()).sum(), "object"));
    report.faults.iter().for_each(|fault| row("on request", fault));
    page.line(format_args!(""));
}

fn obstacles(page: &mut Page, report: &Report) {
    if report.obstacles.is_empty() {
        return;
    }
    page.line(format_args!("### What cannot boot from zero\n\n| where | what | why | what to do |\n|---|---|---|---|"));
    for obstacle in &report.obstacles {
        let place = obstacle.place().map(|place| format!("`{}`", code(&place))).unwrap_or_default();
        let object = obstacle.object.as_ref().or(obstacle.application.as_ref()).map(|object| plain(object)).unwrap_or_default();
        let hint = obstacle.hint.as_deref().map(plain).unwrap_or_default();
        page.line(format_args!("| {place} | {object} | {} | {hint} |", plain(&obstacle.message)));
    }
    page.line(format_args!(""));
    for held in &report.held_up {
        page.line(format_args!("- `{}` waits for these: {}", code(&held.application), plain(&held.why)));
    }
    if !report.held_up.is_empty() {
        page.line(format_args!(""));
    }
}

fn compared(page: &mut Page, comparison: &Comparison) {
    page.line(format_args!("### Compared with the drill of {}\n", plain(&former(comparison))));
    match &comparison.total {
        _ if !comparison.is_measure => {
            page.line(format_args!("It ran on another machine or with other faults: times cannot be compared.\n"))
        }
        None => page.line(format_args!("One of them did not bring everything up: times cannot be compared.\n")),
        Some(total) => page.line(format_args!("{} → {}: {}.\n", time(total.before), time(total.after), judged(total))),
    }
    if !comparison.phases.is_empty() || !comparison.applications.is_empty() {
        page.line(format_args!("| beyond noise | before | now | |\n|---|---:|---:|---|"));
        for change in comparison.phases.iter().chain(&comparison.applications) {
            let (before, after) = (time(change.before), time(change.after));
            page.line(format_args!(
                "| {} | {before} | {after} | {} |",
                plain(&change.name),
                if change.after > change.before { "slower ⚠️" } else { "faster" }
            ));
        }
        page.line(format_args!(""));
    }
    let named = [
        ("New applications", &comparison.added),
        ("Applications that are gone", &comparison.removed),
        ("Cannot boot any more", &comparison.new_obstacles),
        ("Solved", &comparison.solved_obstacles),
    ];
    for (what, names) in named.into_iter().filter(|(_, names)| !names.is_empty()) {
        page.line(format_args!("- {what}: {}", names.iter().map(|name| plain(name)).collect::<Vec<_>>().join("; ")));
    }
    page.line(format_args!(""));
}

fn critical_path(page: &mut Page, report: &Report) {
    page.folded("Critical path: what determined the end", |page| {
        page.line(format_args!("| from | took | | what |\n|---:|---:|---|---|"));
        for link in &report.critical_path {
            let took = time(link.to.saturating_sub(link.from));
            page.line(format_args!("| {} | {took} | {} | {} |", time(link.from), plain(&link.subject), plain(&link.what)));
        }
    });
}

fn applications(page: &mut Page, report: &Report) {
    page.folded("Steps and applications", |page| {
        page.line(format_args!("| step | from | took | |\n|---|---:|---:|---|"));
        for phase in &report.phases {
            let end = if phase.done { "" } else { "did not end" };
            page.line(format_args!("| {} | {} | {} | {end} |", plain(&phase.step), time(phase.from), time(phase.milliseconds())));
        }
        page.line(format_args!(
            "\n| application | made | sync began | synced | healthy | took | repeated | |\n|---|---:|---:|---:|---:|---:|---:|---|"
        ));
        for application in &report.applications {
            let at = |moment: Option<u64>| moment.map_or_else(|| "-".to_owned(), time);
            page.line(format_args!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                plain(&application.name),
                at(application.created),
                at(application.sync_began),
                at(application.synced),
                at(application.healthy),
                at(application.milliseconds()),
                application.retries,
                application.reason.as_deref().map(plain).unwrap_or_default(),
            ));
        }
    });
}

fn stand_ins(page: &mut Page, report: &Report) {
    if report.stand_ins.is_empty() {
        return;
    }
    page.folded("Stood in for: results that are assumed, not seen", |page| {
        page.line(format_args!("| what | in the place of | objects | Secrets made up |\n|---|---|---|---|"));
        for stand_in in &report.stand_ins {
            let listed = |names: &[String]| names.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", ");
            let (objects, secrets) = (listed(&stand_in.objects), listed(&stand_in.secrets));
            page.line(format_args!("| {} | {} | {objects} | {secrets} |", plain(&stand_in.what), plain(&stand_in.by)));
        }
    });
}

fn conditions(page: &mut Page, report: &Report) {
    page.folded("What was rehearsed, and what was not", |page| {
        page.line(format_args!("- commit `{}` of {}, branch `{}`", code(&report.commit), plain(&report.repository), code(&report.branch)));
        let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{} {}", plain(name), plain(version))).collect();
        page.line(format_args!("- gitops-bootstrap {}; in the sandbox: {}", plain(&report.tool), versions.join(", ")));
        page.line(format_args!(
            "- on {} with {}; {} to start the sandbox are not counted",
            plain(&report.machine.system),
            text::count(report.machine.processors, "processor"),
            time(report.sandbox_milliseconds)
        ));
        page.line(format_args!("- not rehearsed:"));
        report.not_rehearsed.iter().for_each(|what| page.line(format_args!("  - {}", plain(what))));
    });
}

fn list(page: &mut Page, title: &str, items: &[String]) {
    if !items.is_empty() {
        page.folded(title, |page| items.iter().for_each(|item| page.line(format_args!("- {}", plain(item)))));
    }
}

/// Text from outside in a line of Markdown, as nothing but text (GitHub Flavored Markdown Spec, 2.4: backslash escapes).
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in sanitise(text).chars() {
        match character {
            '\n' => safe.push(' '),
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            // A mention would notify somebody.
            '@' => safe.push_str("&#64;"),
            '\\' | '|' | '*' | '_' | '[' | ']' | '#' | '~' => {
                safe.push('\\');
                safe.push(character);
            }
            _ => safe.push(character),
        }
    }
    safe
}

/// Text from outside between backticks.
fn code(text: &str) -> String {
    sanitise(text).replace(['`', '\n'], " ").replace('|', "\\|")
}
