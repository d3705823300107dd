//! What `audit` found, as people see it: by harm, and what has one reason together.

use super::step;
use super::text::{Line, Look, Paint, count};
use crate::plan::audit::{Audit, Finding, Harm};

/// How many objects that have one reason are named before the rest is counted.
const NAMED: usize = 10;

/// An audit, and how it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Audited<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// What was looked at: a name and a text each.
    pub about: &'a [(&'static str, String)],
    /// What was found.
    pub audit: &'a Audit,
    /// Whether every object is named, however many there are.
    pub all: bool,
}

/// The screen of `audit`.
pub(super) fn audit(audited: &Audited<'_>, look: Look) -> Vec<Line> {
    let Audit { findings, allowed } = audited.audit;
    let score = audited.audit.score();
    let paint = if findings.is_empty() { Paint::Good } else { Paint::Strong };
    let mut lines = vec![Line::new().with(Paint::Strong, audited.cluster).plain("  score ").with(paint, format!("{score} of 100"))];
    lines.extend(audited.about.iter().map(|(name, text)| step::fact(name, text)));
    for harm in Harm::ALL {
        let of_harm: Vec<&Finding> = findings.iter().filter(|finding| finding.harm == harm).collect();
        if of_harm.is_empty() {
            continue;
        }
        lines.push(Line::new());
        lines.push(Line::new().with(self::paint(harm), format!("{harm}: {}", of_harm.len())));
        for reason in by_reason(&of_harm) {
            lines.extend(self::reason(&reason, audited.all));
        }
    }
    lines.push(Line::new());
    if findings.is_empty() {
        let mark = look.either("✔ ", "+ ");
        lines.push(
            Line::new()
                .with(Paint::Good, mark)
                .with(Paint::Strong, "Git and the bundle bring back everything that was looked at")
                .hanging(2),
        );
    }
    if !allowed.is_empty() {
        let text = format!("{} may be lost, as the objects themselves say", count(allowed.len(), "more thing"));
        lines.push(Line::new().with(Paint::Faint, text));
    }
    while lines.last().is_some_and(|line| *line == Line::new()) {
        lines.pop();
    }
    lines
}

/// The findings that have one reason and one way out, together; in the order in which they are.
fn by_reason<'a>(findings: &[&'a Finding]) -> Vec<Vec<&'a Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let is_same = |group: &&mut Vec<&Finding>| {
            group.first().is_some_and(|first| (first.concern, &first.why, &first.hint) == (finding.concern, &finding.why, &finding.hint))
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

fn reason(group: &[&Finding], all: bool) -> Vec<Line> {
    let shown = if all || group.len() <= NAMED + 1 { group.len() } else { NAMED };
    let mut lines: Vec<Line> =
        group.iter().take(shown).map(|finding| Line::of("  ").with(Paint::Strong, &finding.object).hanging(4)).collect();
    if group.len() > shown {
        lines.push(Line::new().with(Paint::Faint, format!("  and {} more: `--all` names them", group.len() - shown)));
    }
    if let Some(first) = group.first() {
        lines.push(Line::of("    ").plain(&first.why).hanging(4));
        lines.push(Line::of("    ").with(Paint::Busy, "hint: ").plain(&first.hint).hanging(6));
    }
    lines
}

const fn paint(harm: Harm) -> Paint {
    match harm {
        Harm::LostData | Harm::LostAccess => Paint::Bad,
        Harm::LostWorkload | Harm::LostSetting => Paint::Caution,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::audit::Concern;
    use crate::report::page;

    fn finding(number: usize) -> Finding {
        Finding {
            harm: Harm::LostSetting,
            concern: Concern::ObjectByHand,
            object: format!("ConfigMap shop/{number}"),
            why: "nothing makes it".to_owned(),
            hint: "put it into Git".to_owned(),
            allowed: None,
        }
    }

    fn shown(number: usize, all: bool) -> String {
        let audit = Audit { findings: (0..number).map(finding).collect(), allowed: Vec::new() };
        let audited = Audited { cluster: "staging", about: &[], audit: &audit, all };
        page(&self::audit(&audited, Look { colour: false, unicode: false, width: 100 }), Look { colour: false, unicode: false, width: 100 })
    }

    #[test]
    fn many_objects_of_one_reason_are_counted_and_named_on_request() {
        let text = shown(30, false);
        assert!(text.contains("lost setting: 30") && text.contains("and 20 more") && !text.contains("shop/15"), "{text}");
        assert_eq!(text.matches("nothing makes it").count(), 1, "{text}");
        assert!(shown(30, true).contains("shop/29"));
    }

    #[test]
    fn nothing_found_is_said() {
        let text = shown(0, false);
        assert!(text.contains("100 of 100") && text.contains("+ Git and the bundle bring back everything"), "{text}");
    }
}
