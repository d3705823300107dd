//! The end of a run of a verb that has no tree to show: what was done, and what to do next.

use std::time::Duration;

use super::step;
use super::text::{self, Line, Look, Paint};

/// What a run ends with, as plain values.
pub struct Ending {
    /// What is so now.
    pub heading: String,
    /// How long the run took.
    pub took: Duration,
    /// Each a word for what a line is about, and the line; the word is empty where it is that of the line before.
    pub about: Vec<(&'static str, String)>,
    /// What to do next: each a command, and what it is for.
    pub next: Vec<(String, String)>,
}

/// Columns for what a line is about.
const LABEL: usize = 14;

/// The lines of the end.
pub(super) fn ending(ending: &Ending, look: Look) -> Vec<Line> {
    let heading = format!("{}, in {}", ending.heading, text::time(ending.took));
    let mut lines =
        vec![Line::new(), Line::new().with(Paint::Good, look.either("✔ ", "+ ")).with(Paint::Strong, heading).hanging(2), Line::new()];
    for (label, text) in &ending.about {
        lines.push(step::column(Line::new().with(Paint::Faint, format!("  {label}")).pad(LABEL + 2), text, LABEL + 2, look));
    }
    if !ending.about.is_empty() {
        lines.push(Line::new());
    }
    if !ending.next.is_empty() {
        lines.push(Line::new().with(Paint::Strong, "next"));
    }
    for (command, purpose) in &ending.next {
        lines.push(Line::new().with(Paint::Faint, format!("  {purpose}")).hanging(2));
        lines.push(Line::new().with(Paint::Busy, format!("    {command}")).whole());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_says_what_is_so_and_what_to_type_next() {
        let end = Ending {
            heading: "staging has another deploy key".to_owned(),
            took: Duration::from_secs(12),
            about: vec![("new key", "SHA256:abc".to_owned()), ("", "read-only on git@github.com:acme/fleet.git".to_owned())],
            next: vec![("gitops-bootstrap pack staging".to_owned(), "if you keep a bundle".to_owned())],
        };
        let shown =
            text::page(&ending(&end, Look { colour: false, unicode: false, width: 80 }), Look { colour: false, unicode: false, width: 80 });
        insta::assert_snapshot!(shown, @r"

        + staging has another deploy key, in 12 s

          new key       SHA256:abc
                        read-only on git@github.com:acme/fleet.git

        next
          if you keep a bundle
            gitops-bootstrap pack staging
        ");
    }
}
