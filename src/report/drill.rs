//! What a drill found out, as people see it at the end of the run.

mod markdown;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(super) use markdown::markdown;

use super::text::{self, Line, Look, Paint};
use crate::plan::drill::comparison::{Change, Verdict};
use crate::plan::drill::{Comparison, Report};

/// How many Applications are named as those that took longest.
const LONGEST: usize = 5;

/// How many objects that were stood in for are named.
const NAMED_STAND_INS: usize = 6;

/// Columns for times.
const TIME: usize = 10;

/// The screen. `written` are the files of the report.
pub(super) fn drill(report: &Report, written: &[String], look: Look) -> Vec<Line> {
    let mut lines = heading(report, look);
    lines.extend(obstacles(report, look));
    lines.extend(critical_path(report, look));
    lines.extend(longest(report, look));
    if let Some(comparison) = &report.comparison {
        lines.extend(compared(comparison, look));
    }
    lines.extend(stand_ins(report));
    lines.push(Line::new());
    lines.push(Line::new().with(Paint::Faint, "  report  ").plain(written.join(", ")).hanging(10));
    lines
}

/// A time in milliseconds as people say it.
pub(super) fn time(milliseconds: u64) -> String {
    text::time(Duration::from_millis(milliseconds))
}

/// The result in a sentence.
pub(super) fn sentence(report: &Report) -> String {
    let (up, all) = (report.up(), report.applications.len());
    let (took, commit) = (time(report.milliseconds), report.commit.get(..10).unwrap_or(&report.commit));
    let limit = report.limit_milliseconds.map(time).unwrap_or_default();
    match report {
        _ if !report.recovered => {
            format!("{} would not come back from {commit}: {up} of {} came up in {took}", report.cluster, text::count(all, "application"))
        }
        _ if report.is_over_limit() => format!("{} came back from {commit} in {took}, which is longer than {limit}", report.cluster),
        _ => format!("{} came back from {commit} in {took}: {} Synced and Healthy", report.cluster, text::count(all, "application")),
    }
}

fn heading(report: &Report, look: Look) -> Vec<Line> {
    let (paint, mark) = if report.is_clean() { (Paint::Good, look.either("✔ ", "+ ")) } else { (Paint::Bad, look.either("✘ ", "x ")) };
    let mut lines = vec![Line::new(), Line::new().with(paint, mark).with(Paint::Strong, sentence(report)).hanging(2)];
    let sandbox = format!("  {} to start the sandbox are not counted: a real cluster is there before", time(report.sandbox_milliseconds));
    lines.push(Line::new().with(Paint::Faint, sandbox).hanging(2));
    lines.extend(report.faults.iter().map(|fault| Line::new().with(Paint::Caution, format!("  on request: {fault}")).hanging(4)));
    lines
}

fn section(title: &str) -> [Line; 2] {
    [Line::new(), Line::new().with(Paint::Strong, format!("  {title}")).hanging(2)]
}

fn obstacles(report: &Report, look: Look) -> Vec<Line> {
    if report.obstacles.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<Line> = section("what cannot boot from zero").into();
    for obstacle in &report.obstacles {
        let object = obstacle.object.as_ref().or(obstacle.application.as_ref()).map(|object| format!("{object}: ")).unwrap_or_default();
        let mark = Line::new().with(Paint::Bad, look.either("  ✘ ", "  x "));
        lines.push(mark.with(Paint::Strong, object).plain(&obstacle.message).hanging(6));
        let place = obstacle.place().into_iter().chain(obstacle.application.as_ref().map(|name| format!("application {name}")));
        lines.push(Line::new().with(Paint::Busy, format!("      {}", place.collect::<Vec<_>>().join(", "))).hanging(8));
        lines.extend(obstacle.hint.iter().map(|hint| Line::new().with(Paint::Faint, format!("      {hint}")).hanging(6)));
    }
    for held in &report.held_up {
        lines.push(Line::new().with(Paint::Faint, format!("    {} waits: {}", held.application, held.why)).hanging(6));
    }
    lines
}

fn critical_path(report: &Report, look: Look) -> Vec<Line> {
    if report.critical_path.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<Line> = section("critical path").into();
    for link in &report.critical_path {
        let took = Line::new().plain(format!("{:>TIME$}  ", time(link.to.saturating_sub(link.from))));
        let what = if link.what == "step" { String::new() } else { format!(": {}", link.what) };
        lines.push(took.plain(&link.subject).with(Paint::Faint, what).hanging(TIME + 4));
    }
    let total = report.critical_path.iter().map(|link| link.to.saturating_sub(link.from)).sum();
    lines.push(Line::new().with(Paint::Faint, format!("{:>TIME$}  {} together", time(total), look.either("Σ", "="))));
    lines
}

fn longest(report: &Report, look: Look) -> Vec<Line> {
    let timed = report.durations();
    if timed.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<Line> = section("applications that took longest, from being made to being well").into();
    let most = timed.first().map_or(1, |(_, took)| (*took).max(1));
    let room = look.width.saturating_sub(TIME + 50).clamp(4, 30);
    for (application, took) in timed.iter().take(LONGEST) {
        let share = usize::try_from(took * room as u64 / most).unwrap_or(room).max(1);
        let retried = if application.retries > 0 { format!(", repeated {} times", application.retries) } else { String::new() };
        let line = Line::new().plain(format!("{:>TIME$}  ", time(*took))).plain(format!("{}{retried}", application.name)).hanging(TIME + 4);
        lines.push(match look.width >= TIME + 50 {
            true => line.plain(" ").pad(TIME + 36).with(Paint::Busy, look.either("━", "=").repeat(share)),
            false => line,
        });
    }
    lines
}

fn compared(comparison: &Comparison, look: Look) -> Vec<Line> {
    let mut lines: Vec<Line> = section(&format!("compared with the drill of {}", former(comparison))).into();
    let total = comparison.total.as_ref();
    let (paint, words) = match total {
        _ if !comparison.is_measure => (Paint::Plain, "on another machine or with other faults: times cannot be compared".to_owned()),
        None => (Paint::Plain, "one of them did not bring everything up, so their times cannot be compared".to_owned()),
        Some(total) => (painted(total), format!("{} in all: {}", change(total, look), judged(total))),
    };
    lines.push(Line::new().plain("    ").with(paint, words).hanging(6));
    for changed in comparison.phases.iter().chain(&comparison.applications) {
        lines.push(Line::new().plain("    ").with(painted(changed), format!("{}: {}", changed.name, change(changed, look))).hanging(6));
    }
    let named = [
        ("new", &comparison.added),
        ("gone", &comparison.removed),
        ("cannot boot any more", &comparison.new_obstacles),
        ("solved", &comparison.solved_obstacles),
    ];
    for (what, names) in named.into_iter().filter(|(_, names)| !names.is_empty()) {
        lines.push(Line::new().with(Paint::Faint, format!("    {what}: ")).plain(names.join(", ")).hanging(6));
    }
    lines
}

/// Which drill it is that was compared with.
pub(super) fn former(comparison: &Comparison) -> String {
    let time = comparison.time.map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_else(|| "an unknown time".to_owned());
    format!("{time} ({})", comparison.commit.get(..10).unwrap_or(&comparison.commit))
}

/// What a change of the total means, in words.
pub(super) fn judged(total: &Change) -> &'static str {
    match total.verdict {
        Verdict::Same => "no change beyond noise",
        Verdict::Slower => "slower, by more than noise",
        Verdict::Faster => "faster, by more than noise",
    }
}

fn painted(change: &Change) -> Paint {
    match change.verdict {
        Verdict::Same => Paint::Plain,
        Verdict::Slower => Paint::Bad,
        Verdict::Faster => Paint::Good,
    }
}

fn change(change: &Change, look: Look) -> String {
    format!("{} {} {}", time(change.before), look.either("→", "->"), time(change.after))
}

fn stand_ins(report: &Report) -> Vec<Line> {
    if report.stand_ins.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<Line> = section("stood in for: their results are assumed, not seen").into();
    for stand_in in report.stand_ins.iter().take(NAMED_STAND_INS) {
        let number = stand_in.objects.len();
        let objects = if number > 0 { format!(", {}", text::count(number, "object")) } else { String::new() };
        lines.push(
            Line::new().plain(format!("    {}", stand_in.what)).with(Paint::Faint, format!("{objects} ({})", stand_in.by)).hanging(6),
        );
    }
    let more = report.stand_ins.len().saturating_sub(NAMED_STAND_INS);
    if more > 0 {
        lines.push(Line::new().with(Paint::Faint, format!("    and {} more, in the report", text::count(more, "kind"))));
    }
    lines
}
