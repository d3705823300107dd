//! What `lint` found, as people see it: by file, as a compiler shows it.

use super::text::{Line, Look, Paint, count};
use crate::domain::{Finding, Rule, Severity};
use crate::lint::Report;

/// Columns of a place: `line:column`.
const PLACE: usize = 10;

/// The findings, by file, each with what to do about it; then how many were allowed.
pub(super) fn report(report: &Report, look: Look) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut file = None;
    for finding in &report.findings {
        if file.replace(&finding.file) != Some(&finding.file) {
            if !lines.is_empty() {
                lines.push(Line::new());
            }
            lines.push(Line::new().with(Paint::Strong, finding.file.as_str()));
        }
        lines.extend(self::finding(finding, look));
    }
    if !report.allowed.is_empty() && !lines.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().with(Paint::Faint, format!("{} allowed, each with a reason", count(report.allowed.len(), "finding"))));
    }
    lines
}

fn finding(finding: &Finding, look: Look) -> Vec<Line> {
    let indent = if look.width >= 60 { PLACE + 2 } else { 4 };
    let place = Line::new().with(Paint::Faint, format!("  {}:{} ", finding.line, finding.column)).pad(indent);
    let object = finding.object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
    vec![
        place
            .with(paint(finding.severity), finding.severity.name())
            .plain(format!(": {object}{} ", finding.message))
            .with(Paint::Faint, format!("[{}]", finding.rule))
            .hanging(indent),
        Line::of(" ".repeat(indent)).with(Paint::Busy, "hint: ").plain(&finding.hint).hanging(indent + 2),
    ]
}

/// The rules: name, severity, and what is wrong where they fire.
pub(super) fn rules(look: Look) -> Vec<Line> {
    let widest = Rule::ALL.into_iter().map(|rule| rule.id().len()).max().unwrap_or_default() + 2;
    let line = |rule: Rule| {
        let before =
            Line::new().with(Paint::Strong, rule.id()).pad(widest).with(paint(rule.severity()), rule.severity().name()).pad(widest + 9);
        super::step::column(before, rule.title(), widest + 9, look)
    };
    Rule::ALL.into_iter().map(line).collect()
}

const fn paint(severity: Severity) -> Paint {
    match severity {
        Severity::Error => Paint::Bad,
        Severity::Warning => Paint::Caution,
    }
}
