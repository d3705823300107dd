//! Figures, and tables of them.

use std::fmt::Write as _;
use std::time::Duration;

/// The samples of one contestant.
pub(crate) struct Figures {
    name: String,
    /// In seconds.
    samples: Vec<f64>,
}

impl Figures {
    /// None yet, of what is called `name`.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), samples: Vec::new() }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, took: Duration) {
        self.samples.push(took.as_secs_f64());
        self.samples.sort_by(f64::total_cmp);
    }

    fn minimum(&self) -> f64 {
        self.samples.first().copied().unwrap_or(f64::NAN)
    }

    fn maximum(&self) -> f64 {
        self.samples.last().copied().unwrap_or(f64::NAN)
    }

    /// The sample in the middle; of an even number, the mean of the two.
    fn median(&self) -> f64 {
        let middle = self.samples.len() / 2;
        match self.samples.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(self.samples[middle - 1], self.samples[middle]),
            _ => self.samples[middle],
        }
    }
}

/// A table of seconds, in Markdown: minimum, median, maximum, and how each row's median compares with the first row's, with the smallest and the
/// largest ratio that the samples allow.
pub(crate) fn table(title: &str, figures: &[Figures]) -> String {
    let mut text = format!("\n{title} (seconds)\n\n");
    text.push_str("| | samples | minimum | median | maximum | of the first (spread) |\n|---|---:|---:|---:|---:|---:|\n");
    for row in figures {
        let ratio = match figures.first() {
            Some(first) if !std::ptr::eq(first, row) => format!(
                "{:.2} ({:.2} to {:.2})",
                row.median() / first.median(),
                row.minimum() / first.maximum(),
                row.maximum() / first.minimum()
            ),
            _ => String::new(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {ratio} |",
            row.name,
            row.samples.len(),
            row.minimum(),
            row.median(),
            row.maximum()
        );
    }
    text
}
