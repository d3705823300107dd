//! Lines of text for people: painted, measured, wrapped and cut. Everything is sanitised here, so no caller can forget it.

use std::time::Duration;

use super::sanitise::sanitise;

/// What text means. Colour only repeats what the words or the mark beside them say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Nothing of note.
    Plain,
    /// A heading, or the name of what the line is about.
    Strong,
    /// Of less interest than the rest.
    Faint,
    /// It is well.
    Good,
    /// It goes on, or waits.
    Busy,
    /// A person should look.
    Caution,
    /// It failed.
    Bad,
}

/// What a stream can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether colours are printed.
    pub colour: bool,
    /// Whether characters beyond ASCII are printed where the text is our own.
    pub unicode: bool,
    /// How many columns a line has.
    pub width: usize,
}

impl Look {
    /// `fine` where the stream can show it, else `ascii`.
    pub(super) const fn either(self, fine: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { fine } else { ascii }
    }
}

/// A line of painted text. It has more than one row if it is printed wrapped, or if its text has newlines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    spans: Vec<(Paint, String)>,
    hanging: usize,
    whole: bool,
}

impl From<Paint> for console::Style {
    fn from(paint: Paint) -> Self {
        let style = Self::new().force_styling(true);
        match paint {
            Paint::Plain => style,
            Paint::Strong => style.bold(),
            Paint::Faint => style.dim(),
            Paint::Good => style.green(),
            Paint::Busy => style.cyan(),
            Paint::Caution => style.yellow(),
            Paint::Bad => style.red().bold(),
        }
    }
}

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line that says `text`.
    pub fn of(text: impl AsRef<str>) -> Self {
        Self::new().plain(text)
    }

    /// Adds text of no note.
    #[must_use]
    pub fn plain(self, text: impl AsRef<str>) -> Self {
        self.with(Paint::Plain, text)
    }

    /// Adds painted text.
    #[must_use]
    pub fn with(mut self, paint: Paint, text: impl AsRef<str>) -> Self {
        self.spans.push((paint, sanitise(text.as_ref()).into_owned()));
        self
    }

    /// Adds another line's text at the end of this one.
    #[must_use]
    pub(super) fn then(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self
    }

    /// Begins the rows after the first with `columns` blanks.
    #[must_use]
    pub fn hanging(mut self, columns: usize) -> Self {
        self.hanging = columns;
        self
    }

    /// Never breaks the line, so that a command can be copied from it; the terminal wraps it.
    #[must_use]
    pub(super) fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Adds blanks until the line is `columns` wide.
    #[must_use]
    pub(super) fn pad(self, columns: usize) -> Self {
        let missing = columns.saturating_sub(self.width());
        if missing == 0 { self } else { self.plain(" ".repeat(missing)) }
    }

    /// How many columns the line takes.
    pub(super) fn width(&self) -> usize {
        self.spans.iter().map(|(_, text)| console::measure_text_width(text)).sum()
    }

    /// The line as rows of at most `width` columns, broken at blanks. A word that is wider, such as an address, stays whole so that it can be copied.
    pub(super) fn rows(&self, width: usize) -> Vec<Self> {
        let mut rows = vec![Self::new()];
        let mut used = 0;
        for (paint, text) in &self.spans {
            for (number, part) in text.split('\n').enumerate() {
                if number > 0 {
                    used = self.break_row(&mut rows);
                }
                for word in part.split_inclusive(' ') {
                    let columns = console::measure_text_width(word.trim_end_matches(' '));
                    if !self.whole
                        && columns > 0
                        && used > self.hanging
                        && used + columns > width
                        && rows.last().is_some_and(Self::ends_with_blank)
                    {
                        used = self.break_row(&mut rows);
                    }
                    used += console::measure_text_width(word);
                    if let Some(row) = rows.last_mut() {
                        row.push(*paint, word);
                    }
                }
            }
        }
        for row in &mut rows {
            row.trim_end();
        }
        rows
    }

    fn break_row(&self, rows: &mut Vec<Self>) -> usize {
        rows.push(Self::of(" ".repeat(self.hanging)));
        self.hanging
    }

    fn push(&mut self, paint: Paint, text: &str) {
        match self.spans.last_mut() {
            Some((last, together)) if *last == paint => together.push_str(text),
            _ => self.spans.push((paint, text.to_owned())),
        }
    }

    fn ends_with_blank(&self) -> bool {
        self.spans.iter().rev().find(|(_, text)| !text.is_empty()).is_none_or(|(_, text)| text.ends_with(' '))
    }

    fn trim_end(&mut self) {
        while let Some((_, text)) = self.spans.last_mut() {
            text.truncate(text.trim_end_matches(' ').len());
            if !text.is_empty() {
                break;
            }
            self.spans.pop();
        }
    }

    /// The line in one row, as it is written to a stream; newlines become blanks.
    pub(super) fn printed(&self, colour: bool) -> String {
        let mut printed = String::new();
        for (paint, text) in &self.spans {
            let text = text.replace('\n', " ");
            if colour && *paint != Paint::Plain && !text.trim().is_empty() {
                printed.push_str(&console::Style::from(*paint).apply_to(text).to_string());
            } else {
                printed.push_str(&text);
            }
        }
        printed
    }
}

/// Lines as they are written to a stream, wrapped, with a newline after each row.
pub fn page(lines: &[Line], look: Look) -> String {
    let mut page = String::new();
    for row in lines.iter().flat_map(|line| line.rows(look.width)) {
        page.push_str(&row.printed(look.colour));
        page.push('\n');
    }
    page
}

/// `text` in at most `columns` columns, with a mark at its end if it was cut.
pub(super) fn cut(text: &str, columns: usize, look: Look) -> String {
    let one_row = sanitise(text).replace('\n', " ");
    console::truncate_str(&one_row, columns, look.either("…", "..")).into_owned()
}

/// The longest message beside a bar, in columns; the bar cuts it to what the screen has.
pub(super) const MESSAGE: usize = 500;

/// A time as people say it: `0.3 s`, `41 s`, `2 m 05 s`, `1 h 05 m`, `3 d`.
pub(super) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1 application`, `2 applications`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(line: &Line, width: usize) -> Vec<String> {
        line.rows(width).iter().map(|row| row.printed(false)).collect()
    }

    #[test]
    fn a_line_wraps_at_blanks_and_hangs() {
        let line = Line::new().with(Paint::Bad, "error: ").plain("the quick brown fox jumps").hanging(2);
        assert_eq!(rows(&line, 18), ["error: the quick", "  brown fox jumps"]);
        assert_eq!(rows(&line, 80), ["error: the quick brown fox jumps"]);
    }

    #[test]
    fn a_word_wider_than_the_screen_stays_whole() {
        let line = Line::of("see https://example.org/a/very/long/address now").hanging(2);
        assert_eq!(rows(&line, 10), ["see", "  https://example.org/a/very/long/address", "  now"]);
        assert_eq!(rows(&Line::of("one two"), 1), ["one", "two"]);
    }

    #[test]
    fn a_word_of_two_colours_is_not_broken() {
        let line = Line::of("aaaa bb").with(Paint::Strong, "cc dd");
        assert_eq!(rows(&line, 8), ["aaaa bbcc", "dd"]);
    }

    #[test]
    fn text_with_newlines_keeps_its_rows() {
        assert_eq!(rows(&Line::of("first\nsecond").hanging(4), 80), ["first", "    second"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(Line::of("日本").width(), 4);
        assert_eq!(cut("日本語の名前", 7, Look { colour: false, unicode: true, width: 80 }), "日本語…");
    }

    #[test]
    fn colour_comes_only_where_it_is_on() {
        let line = Line::new().with(Paint::Good, "ok");
        assert_eq!(line.printed(false), "ok");
        assert_eq!(line.printed(true), "\u{1b}[32mok\u{1b}[0m");
    }

    #[test]
    fn times_read_as_people_say_them() {
        let said: Vec<String> =
            [0.05, 1.27, 41.0, 125.0, 3_900.0, 300_000.0].map(|seconds| time(Duration::from_secs_f64(seconds))).to_vec();
        assert_eq!(said, ["0.0 s", "1.2 s", "41 s", "2 m 05 s", "1 h 05 m", "3 d"]);
    }
}
