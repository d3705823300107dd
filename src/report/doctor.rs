//! What `doctor` found, as people see it: a table with a part for each area.

use super::step;
use super::text::{Line, Look, Paint, count};
use crate::domain::check::Area;
use crate::domain::{Check, CheckResult};

/// Columns for a mark and the result: the longest word and two blanks.
const RESULT: usize = 17;

/// Columns for the name of a check: the longest and two blanks.
const NAME: usize = 14;

/// The fewest columns in which what was found stands beside the name.
const WIDE: usize = 80;

/// The table, how many rows are of which result, and what to do next.
pub(super) fn doctor(checks: &[Check], next: &[(String, &str)], look: Look) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut part = None;
    for check in checks {
        let of = (check.area, &check.cluster);
        if part.replace(of) != Some(of) {
            if !lines.is_empty() {
                lines.push(Line::new());
            }
            lines.push(Line::new().with(Paint::Strong, heading(check)));
        }
        lines.extend(row(check, look));
    }
    lines.push(Line::new());
    lines.push(summary(checks));
    if !next.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().with(Paint::Strong, "next"));
    }
    for (command, purpose) in next {
        lines.push(Line::new().with(Paint::Faint, format!("  {purpose}")).hanging(2));
        lines.push(Line::new().with(Paint::Busy, format!("    {command}")).whole());
    }
    lines
}

fn heading(check: &Check) -> String {
    match (check.area, &check.cluster) {
        (Area::Machine, _) => "this machine".to_owned(),
        (Area::Repository, _) => "fleet repository".to_owned(),
        (Area::Forge, _) => "forge".to_owned(),
        (Area::Cluster, Some(cluster)) => format!("cluster {cluster}"),
        (Area::Cluster, None) => "cluster".to_owned(),
    }
}

fn row(check: &Check, look: Look) -> Vec<Line> {
    let (paint, mark) = match check.result {
        CheckResult::Well => (Paint::Good, look.either("✔", "+")),
        CheckResult::Warning => (Paint::Caution, "!"),
        CheckResult::Wrong => (Paint::Bad, look.either("✘", "x")),
        CheckResult::NotChecked => (Paint::Faint, look.either("–", "-")),
    };
    let head = Line::new().with(paint, format!("  {mark} {}", check.result.word())).pad(RESULT).with(Paint::Strong, check.check.name());
    let text = if check.result == CheckResult::NotChecked { Paint::Faint } else { Paint::Plain };
    let (at, mut lines) = if look.width >= WIDE {
        (RESULT + NAME, vec![head.pad(RESULT + NAME).with(text, &check.evidence).hanging(RESULT + NAME)])
    } else {
        (4, vec![head, Line::of(" ".repeat(4)).with(text, &check.evidence).hanging(4)])
    };
    lines.extend(check.hints.iter().map(|hint| Line::of(" ".repeat(at)).with(Paint::Busy, "hint: ").plain(hint).hanging(at + 6)));
    lines
}

fn summary(checks: &[Check]) -> Line {
    let number = |result: CheckResult| checks.iter().filter(|check| check.result == result).count();
    let mut parts = vec![format!("{} well", number(CheckResult::Well))];
    let more = [
        (number(CheckResult::Warning), "with a warning"),
        (number(CheckResult::Wrong), "wrong"),
        (number(CheckResult::NotChecked), "not checked"),
    ];
    parts.extend(more.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")));
    step::fact(&count(checks.len(), "check"), &parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::text::page;
    use super::*;
    use crate::domain::CheckId;

    fn shown(width: usize, unicode: bool) -> String {
        let cluster = "staging".parse().unwrap();
        let checks = [
            Check::well(CheckId::Git, "version 2.39.5"),
            Check::warning(CheckId::Helm, "it is not on the PATH: for what `render` makes of the sources the sandbox's engine stands in")
                .hint("install it"),
            Check::wrong(
                CheckId::TokenRights,
                "the token may not manage the deploy keys of github.com/acme/fleet; that takes administrator rights",
            )
            .hint("use a token with `Administration: write` of somebody who is an administrator of the repository")
            .hint("or let somebody else register the key"),
            Check::not_checked(CheckId::KeyProof, "there is none yet: `init` makes it").of(&cluster),
        ];
        let look = Look { colour: false, unicode, width };
        page(&doctor(&checks, &[("gitops-bootstrap init staging".to_owned(), "bootstraps the cluster")], look), look)
    }

    #[test]
    fn a_wide_screen_has_a_table() {
        insta::assert_snapshot!(shown(120, true));
    }

    #[test]
    fn a_narrow_screen_has_what_was_found_below() {
        insta::assert_snapshot!(shown(60, false));
        assert!(shown(60, false).lines().all(|line| line.len() <= 60), "{}", shown(60, false));
    }
}
