//! Pieces of text that bars and lines share.

use super::text::{self, Line, Look, Paint};
use crate::event::{How, Outcome, PlannedStep};
use crate::plan::StepId;
use crate::ports::cluster::FieldConflict;

/// Columns for a step's name: the longest and two blanks.
pub(super) const NAME: usize = 15;

/// The first line of a run.
pub(super) fn title(tool: &str, verb: &str, cluster: Option<&str>) -> Line {
    let cluster = cluster.map(|cluster| format!(" {cluster}")).unwrap_or_default();
    Line::new().with(Paint::Strong, format!("{}{cluster}", verb)).with(Paint::Faint, format!("  gitops-bootstrap {tool}"))
}

/// A fact that the preflight found.
pub(super) fn fact(name: &str, text: &str) -> Line {
    Line::new().with(Paint::Faint, format!("  {name} ")).pad(16).plain(text).hanging(16)
}

/// What the run is going to do: one line for each step that has something to do, and one for all others.
pub(super) fn plan(steps: &[PlannedStep], look: Look) -> Vec<Line> {
    let needed: Vec<&PlannedStep> = steps.iter().filter(|step| step.needed).collect();
    let heading = if needed.is_empty() {
        "plan: everything is in place".to_owned()
    } else {
        format!("plan: {} of {} have something to do", needed.len(), text::count(steps.len(), "step"))
    };
    let mut lines = vec![Line::new().with(Paint::Strong, heading).hanging(2)];
    for step in needed {
        let name = Line::new().with(Paint::Good, "  + ").plain(format!("{} ", step.step)).pad(NAME + 4);
        lines.push(column(name, &step.because, NAME + 4, look));
        lines.extend(why(step.why, look));
        lines.extend(
            step.changes.iter().take(SHOWN_CHANGES).map(|change| Line::new().with(Paint::Faint, format!("      {change}")).hanging(8)),
        );
        if step.changes.len() > SHOWN_CHANGES {
            lines.push(Line::new().with(Paint::Faint, format!("      and {} more", step.changes.len() - SHOWN_CHANGES)));
        }
    }
    let mark = look.either("·", "=");
    let in_place: Vec<&PlannedStep> = steps.iter().filter(|step| !step.needed).collect();
    if in_place.iter().any(|step| step.why.is_some()) {
        for step in in_place {
            let name = Line::new().with(Paint::Faint, format!("  {mark} {} ", step.step)).pad(NAME + 4);
            lines.push(column(name, &format!("in place: {}", step.because), NAME + 4, look));
            lines.extend(why(step.why, look));
        }
    } else if !in_place.is_empty() && in_place.len() < steps.len() {
        let names: Vec<&str> = in_place.iter().map(|step| step.step.name()).collect();
        lines.push(Line::new().with(Paint::Faint, format!("  {mark} in place: {}", names.join(", "))).hanging(4));
    }
    lines
}

/// Why a step exists, below its line, where that was asked for.
pub(super) fn why(why: Option<&str>, look: Look) -> Option<Line> {
    let at = if look.width >= NAME + 28 { NAME + 4 } else { 4 };
    why.map(|why| Line::of(" ".repeat(at)).with(Paint::Faint, why).hanging(at))
}

/// How many objects of a step a plan names.
const SHOWN_CHANGES: usize = 6;

/// `text` beside what stands before it, or below where the screen is too narrow for two columns.
pub(super) fn column(before: Line, text: &str, at: usize, look: Look) -> Line {
    if look.width >= at + 24 { before.plain(text).hanging(at) } else { before.plain(format!("\n{text}")).hanging(4) }
}

/// The line of a step that is over: a mark, its name, what came of it, and how long it took.
pub(super) fn finished(step: StepId, outcome: Outcome, because: &str, time: &str, look: Look) -> Vec<Line> {
    let (paint, mark, word) = match outcome {
        Outcome::Changed => (Paint::Good, look.either("✔", "+"), ""),
        Outcome::InPlace => (Paint::Faint, look.either("·", "="), "in place"),
        Outcome::Skipped => (Paint::Faint, look.either("–", "-"), "skipped"),
    };
    let text = match (word, because) {
        ("", "") => step.title().to_owned(),
        ("", because) => because.to_owned(),
        (word, "") => word.to_owned(),
        (word, because) => format!("{word}: {because}"),
    };
    let paint_text = if outcome == Outcome::Changed { Paint::Plain } else { Paint::Faint };
    over(paint, mark, step, (paint_text, &text), time, look)
}

/// The line of a step that failed or was stopped. Its title tells what it was to come to, so it is denied.
pub(super) fn broken_off(step: StepId, failed: bool, title: &str, time: &str, look: Look) -> Vec<Line> {
    let (paint, mark) = if failed { (Paint::Bad, look.either("✘", "x")) } else { (Paint::Caution, "!") };
    over(paint, mark, step, (paint, &format!("not done: {title}")), time, look)
}

fn over(paint: Paint, mark: &str, step: StepId, (paint_text, text): (Paint, &str), time: &str, look: Look) -> Vec<Line> {
    let name =
        Line::new().with(paint, format!("  {mark} ")).with(if paint == Paint::Faint { Paint::Faint } else { Paint::Strong }, step.name());
    let at = NAME + 4;
    if look.width < at + 24 {
        let head = name.pad(look.width.saturating_sub(time.len() + 1)).with(Paint::Faint, format!(" {time}"));
        return vec![head, Line::of("    ").with(paint_text, text).hanging(4)];
    }
    let room = look.width - at - TIME;
    let mut rows = Line::new().with(paint_text, text).rows(room).into_iter();
    let first = name.pad(at).then(rows.next().unwrap_or_default()).pad(look.width - TIME);
    let mut lines = vec![first.with(Paint::Faint, format!("{time:>TIME$}"))];
    lines.extend(rows.map(|row| Line::of(" ".repeat(at)).then(row).whole()));
    lines
}

/// Columns for a time, with two blanks before the longest.
const TIME: usize = 11;

/// A warning with what to do about it.
pub(super) fn warning(message: &str, hint: Option<&str>) -> Vec<Line> {
    let mut lines = vec![Line::new().with(Paint::Caution, "warning: ").plain(message).hanging(2)];
    lines.extend(hint.map(|hint| Line::new().with(Paint::Busy, "  hint: ").plain(hint).hanging(6)));
    lines
}

/// Fields that were left to their owners.
pub(super) fn left_alone(object: &str, fields: &[FieldConflict]) -> Vec<Line> {
    let mut lines = vec![Line::new().with(Paint::Caution, "left alone: ").plain(format!("fields of {object} that others own")).hanging(2)];
    lines.extend(fields.iter().map(|conflict| Line::of(format!("  {} belongs to `{}`", conflict.field, conflict.manager)).hanging(6)));
    lines
}

/// What was done to an object, in the past tense.
pub(super) const fn how(how: How) -> &'static str {
    match how {
        How::Created => "created",
        How::Updated => "updated",
        How::Restored => "restored",
        How::Deleted => "deleted",
        How::Kicked => "started again:",
        How::Asked => "asked for the first sync of",
    }
}
