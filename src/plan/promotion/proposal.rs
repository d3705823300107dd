//! What a promotion says to those who review it: the branch, the commit and the pull request.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::Change;
use crate::domain::ClusterName;

/// The longest text of a pull request that GitHub takes is 65,536 characters; a diff may have this much of it, in bytes.
const LONGEST_DIFF: usize = 50_000;

/// The longest line of a commit's message that tools show whole.
const LONGEST_TITLE: usize = 72;

/// A promotion, as plain values.
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'a> {
    /// The app.
    pub app: &'a str,
    /// The cluster that has the versions.
    pub from: &'a ClusterName,
    /// The cluster that is to get them.
    pub to: &'a ClusterName,
    /// The versions.
    pub changes: &'a [Change],
}

impl Proposal<'_> {
    /// How the names of the branches begin by which versions of this app are promoted between these clusters.
    pub fn branches(&self) -> String {
        format!("promote/{}-{}-to-{}-", self.app, self.from, self.to)
    }

    /// The name of the branch: the same for the same versions, and another for others.
    pub fn branch(&self) -> String {
        let mut hash = Sha256::new();
        for change in self.changes {
            for part in [&change.what, change.before.as_ref().unwrap_or(&String::new()), &change.after] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part.as_bytes());
            }
        }
        let hash = hash.finalize();
        let hexadecimal: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{}{hexadecimal}", self.branches())
    }

    /// The title of the commit and of the pull request.
    pub fn title(&self) -> String {
        let Self { app, from, to, changes } = self;
        if let [only] = changes {
            let title = format!("{app}: {} on {to}, as on {from}", one_line(&only.after));
            if title.chars().count() <= LONGEST_TITLE {
                return title;
            }
        }
        format!("{app}: the versions of {from} on {to}")
    }

    /// The message of the commit.
    pub fn message(&self) -> String {
        let mut message = format!("{}\n\n", self.title());
        for change in self.changes {
            // Writing to a text cannot fail.
            let _ = writeln!(message, "{}", change.line());
        }
        message
    }

    /// The text of the pull request, in Markdown, with what changes in the rendered files.
    pub fn body(&self, rendered: &str, diff: &str) -> String {
        let Self { app, from, to, changes } = self;
        let mut body =
            format!("`{app}` on `{to}` gets the versions that it has on `{from}`.\n\n| what | before | after |\n|---|---|---|\n");
        for change in *changes {
            let before = change.before.as_deref().map_or_else(|| "not pinned".to_owned(), code);
            let _ = writeln!(body, "| {} | {before} | {} |", code(&change.what), code(&change.after));
        }
        if diff.is_empty() {
            let _ = write!(body, "\nNothing changes in `{rendered}`: the app does not run on `{to}`, or does not use what changes.\n");
        } else {
            let shown = whole_lines(diff);
            let fence = fence(shown);
            let _ = write!(body, "\nWhat changes in `{rendered}`:\n\n{fence}diff\n{shown}{fence}\n");
            if shown.len() < diff.len() {
                let more = diff[shown.len()..].lines().count();
                let _ = write!(body, "\nand {more} more lines, which are among the changed files.\n");
            }
        }
        let _ = write!(body, "\nMade by `gitops-bootstrap promote {app} --from {from} --to {to}`.\n");
        body
    }
}

impl Change {
    /// The change in a line: `image.tag: v1 -> v2`.
    pub fn line(&self) -> String {
        format!("{}: {} -> {}", self.what, self.before.as_deref().unwrap_or("not pinned"), one_line(&self.after))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text as code in a cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", one_line(text).replace('`', "'").replace('|', "\\|"))
}

/// As many whole lines of a diff as a pull request can show.
fn whole_lines(diff: &str) -> &str {
    if diff.len() <= LONGEST_DIFF {
        return diff;
    }
    let end = (0..=LONGEST_DIFF).rev().find(|&end| diff.is_char_boundary(end)).unwrap_or(0);
    let end = diff[..end].rfind('\n').map_or(0, |end| end + 1);
    &diff[..end]
}

/// A fence that nothing in the text closes (spec.commonmark.org, "Fenced code blocks").
fn fence(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: Option<&str>, after: &str) -> Change {
        Change { what: "image.tag".to_owned(), before: before.map(str::to_owned), after: after.to_owned() }
    }

    fn with<T>(changes: &[Change], look: impl Fn(&Proposal<'_>) -> T) -> T {
        let (from, to) = ("staging".parse().unwrap(), "production".parse().unwrap());
        look(&Proposal { app: "shop", from: &from, to: &to, changes })
    }

    #[test]
    fn the_same_versions_have_the_same_branch_and_others_another() {
        let branch = |before, after| with(&[change(before, after)], |proposal| proposal.branch());
        assert_eq!(branch(Some("v1"), "v2"), branch(Some("v1"), "v2"));
        assert_ne!(branch(Some("v1"), "v2"), branch(Some("v1"), "v3"));
        assert_ne!(branch(Some("v1"), "v2"), branch(None, "v2"));
        assert!(branch(None, "v2").starts_with("promote/shop-staging-to-production-"));
    }

    #[test]
    fn the_body_has_the_versions_and_the_diff_and_nothing_in_it_breaks_out() {
        let body = with(&[change(Some("v|1"), "v2")], |proposal| proposal.body("rendered/production", "-a\n+```\n"));
        insta::assert_snapshot!(body, @r"
        `shop` on `production` gets the versions that it has on `staging`.

        | what | before | after |
        |---|---|---|
        | `image.tag` | `v\|1` | `v2` |

        What changes in `rendered/production`:

        ````diff
        -a
        +```
        ````

        Made by `gitops-bootstrap promote shop --from staging --to production`.
        ");
    }

    #[test]
    fn a_long_diff_is_cut_between_lines_so_that_the_forge_takes_it() {
        let diff = "+é\n".repeat(100_000);
        let body = with(&[change(None, "v2")], |proposal| proposal.body("rendered/production", &diff));
        assert!(body.len() < 60_000 && body.contains("more lines, which are among the changed files"), "{}", body.len());
    }

    #[test]
    fn a_title_that_would_be_long_names_no_version() {
        let title = |after: &str| with(&[change(None, after)], |proposal| proposal.title());
        assert_eq!(title("v2"), "shop: v2 on production, as on staging");
        assert_eq!(title(&"a".repeat(80)), "shop: the versions of staging on production");
    }
}
