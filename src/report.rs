//! Events to text: the only writer to the standard streams.
//!
//! What people read goes to standard error, data to standard output. Text from outside is made safe to print here and nowhere else.

mod audit;
mod bars;
mod doctor;
mod drill;
mod ending;
mod failure;
mod json;
mod lines;
mod lint;
mod plan;
pub mod recovery;
mod sanitise;
mod sarif;
mod status;
mod step;
mod summary;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod tree;
#[cfg(test)]
mod tree_tests;

use std::io::{self, IsTerminal as _, Write};
use std::time::Instant;

use crate::cli::{Global, Output};
use crate::error::Failure;
use crate::event::Reporter;
use crate::settings::Environment;

pub use audit::Audited;
pub use ending::Ending;
pub use json::LONGEST_STRING;
pub use plan::ShownPlan;
pub use status::Screen;
pub use summary::{Access, Key, Summary};
pub use terminal::Terminal;
pub use text::{Line, Look, Paint, page};
pub use trace::trace;
pub use tree::{FOLD, Shown};

/// Where the time comes from.
pub type Clock = Box<dyn Fn() -> Instant + Send>;

/// What the choice of a style depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Whether JSON was asked for.
    pub json: bool,
    /// Whether only what went wrong is to be said.
    pub quiet: bool,
    /// Whether colours were switched off, by the flag or by `NO_COLOR` (<https://no-color.org>).
    pub no_color: bool,
    /// Whether this is a CI run.
    pub ci: bool,
    /// Whether the terminal can move its cursor (`TERM` is not `dumb`).
    pub cursor: bool,
    /// Whether the locale's encoding is UTF-8.
    pub utf8: bool,
    /// Standard error's width in columns, if it is a terminal that says so.
    pub stderr: Stream,
    /// Standard output's.
    pub stdout: Stream,
}

/// What a standard stream is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Whether it is a terminal.
    pub is_terminal: bool,
    /// How many columns it has, if it says so.
    pub columns: Option<u16>,
}

/// Who the events are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A person at a terminal.
    Bars,
    /// A log.
    Lines,
    /// A program.
    Json,
    /// A person who wants to hear only of what went wrong.
    Quiet,
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Who for.
    pub form: Form,
    /// What standard error can show.
    pub stderr: Look,
    /// What standard output can show.
    pub stdout: Look,
    /// Whether pictures can be drawn on standard output: it is a person's terminal, whose cursor moves.
    pub draws: bool,
}

/// The columns of a stream that does not say how many it has.
const COLUMNS: usize = 120;

/// The fewest columns that text is laid out for; a narrower terminal wraps by itself.
const FEWEST_COLUMNS: usize = 20;

/// The most columns that text is laid out for: longer lines are hard to read.
const MOST_COLUMNS: usize = 140;

impl Circumstances {
    /// What the flags, the environment and the streams of this process say.
    pub fn of(global: &Global, environment: &Environment) -> Self {
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| environment.variable(name)).unwrap_or_default().to_ascii_lowercase();
        let term = environment.variable("TERM");
        Self {
            json: global.output == Output::Json,
            quiet: global.quiet,
            no_color: global.no_color || environment.variable("NO_COLOR").is_some(),
            ci: environment.variable("CI").is_some_and(|value| !matches!(value, "0" | "false")),
            cursor: term != Some("dumb") && (term.is_some() || cfg!(windows)),
            utf8: locale.contains("utf-8") || locale.contains("utf8") || (locale.is_empty() && cfg!(any(windows, target_os = "macos"))),
            stderr: Stream::of(io::stderr().is_terminal(), &console::Term::stderr()),
            stdout: Stream::of(io::stdout().is_terminal(), &console::Term::stdout()),
        }
    }
}

impl Stream {
    fn of(is_terminal: bool, terminal: &console::Term) -> Self {
        Self { is_terminal, columns: terminal.size_checked().map(|(_, columns)| columns) }
    }
}

/// Chooses how a run is shown.
///
/// | JSON | quiet | stderr is a terminal | CI  | cursor moves | form  |
/// |------|-------|----------------------|-----|--------------|-------|
/// | yes  | any   | any                  | any | any          | JSON  |
/// | no   | yes   | any                  | any | any          | quiet |
/// | no   | no    | yes                  | no  | yes          | bars  |
/// | no   | no    | otherwise                              ||| lines |
///
/// A stream has colours if it is a terminal whose cursor moves; never under `NO_COLOR`. It has characters beyond ASCII if the locale is UTF-8.
pub fn style(circumstances: &Circumstances) -> Style {
    let Circumstances { json, quiet, no_color, ci, cursor, utf8, stderr, stdout } = *circumstances;
    let form = match (json, quiet, stderr.is_terminal && !ci && cursor) {
        (true, _, _) => Form::Json,
        (false, true, _) => Form::Quiet,
        (false, false, true) => Form::Bars,
        (false, false, false) => Form::Lines,
    };
    let look = |stream: Stream| Look {
        colour: !no_color && stream.is_terminal && cursor,
        unicode: utf8,
        width: match stream {
            Stream { is_terminal: true, columns: Some(columns) } if columns > 0 => usize::from(columns).clamp(FEWEST_COLUMNS, MOST_COLUMNS),
            _ => COLUMNS,
        },
    };
    Style { form, stderr: look(stderr), stdout: look(stdout), draws: !json && stdout.is_terminal && !ci && cursor }
}

/// The reporter of this process in `style`.
pub fn reporter(style: &Style) -> Box<dyn Reporter> {
    let clock: Clock = Box::new(Instant::now);
    match style.form {
        Form::Json => Box::new(json::Json::new(io::stdout())),
        Form::Quiet => Box::new(lines::Quiet::new(io::stderr(), style.stderr, clock)),
        Form::Lines => Box::new(lines::Lines::new(io::stderr(), style.stderr, clock)),
        Form::Bars => Box::new(bars::Bars::new(indicatif::ProgressDrawTarget::stderr(), style.stderr, clock, true)),
    }
}

/// Writes a failure to standard error: for failures before there is a reporter. Reporters write [`crate::event::Event::Failed`] themselves.
pub fn failure(failure: &Failure, style: &Style) {
    talk(&failure::failure(failure), style);
}

/// Writes the end of a successful run to standard error; nothing where only failures are wanted, or JSON.
pub fn summary(summary: &Summary<'_>, style: &Style) {
    if matches!(style.form, Form::Bars | Form::Lines) {
        talk(&summary::summary(summary, style.stderr), style);
    }
}

/// Writes the end of a successful run that has no tree to show to standard error; nothing where only failures are wanted, or JSON.
pub fn ending(ending: &Ending, style: &Style) {
    if matches!(style.form, Form::Bars | Form::Lines) {
        talk(&ending::ending(ending, style.stderr), style);
    }
}

/// Writes the end of a recovery to standard error, with the files that its evidence was written to; nothing where only failures are wanted, or JSON.
pub fn recovered(recovery: &crate::plan::recovery::Recovery, files: &[std::path::PathBuf], style: &Style) {
    if matches!(style.form, Form::Bars | Form::Lines) {
        talk(&recovery::screen(recovery, files, style.stderr), style);
    }
}

/// Writes what `status` found to standard output, for people.
pub fn status(status: &crate::plan::status::Status, shown: Shown<'_>, style: &Style) {
    show(&status::status(status, shown, style.stdout), style);
}

/// Writes what `plan` found to standard output, for people.
pub fn plan(plan: &crate::plan::preview::Plan, shown: &ShownPlan<'_>, style: &Style) {
    show(&plan::plan(plan, shown, style.stdout), style);
}

/// Writes what `audit` found to standard output, for people.
pub fn audit(audited: &Audited<'_>, style: &Style) {
    show(&audit::audit(audited, style.stdout), style);
}

/// Writes what a drill found to standard output, for people. `written` are the files of the report.
pub fn drill(report: &crate::plan::drill::Report, written: &[String], style: &Style) {
    show(&drill::drill(report, written, style.stdout), style);
}

/// The report of a drill as Markdown.
pub fn drill_markdown(report: &crate::plan::drill::Report) -> String {
    drill::markdown(report)
}

/// Writes what `lint` found to standard output, for people.
pub fn lint(report: &crate::lint::Report, style: &Style) {
    show(&lint::report(report, style.stdout), style);
}

/// Writes what `doctor` found to standard output, for people. `next` are commands to type, each with what it is for.
pub fn doctor(checks: &[crate::domain::Check], next: &[(String, &str)], style: &Style) {
    show(&doctor::doctor(checks, next, style.stdout), style);
}

/// What `lint` found as SARIF 2.1.0, for code hosts.
pub fn sarif(report: &crate::lint::Report) -> serde_json::Value {
    sarif::log(report)
}

/// Writes the rules of `lint` to standard output, for people.
pub fn rules(style: &Style) {
    show(&lint::rules(style.stdout), style);
}

/// Writes lines for people to standard error.
pub fn talk(lines: &[Line], style: &Style) {
    write(&mut io::stderr(), &page(lines, style.stderr));
}

/// Writes lines that are the result of a verb to standard output.
pub fn show(lines: &[Line], style: &Style) {
    write(&mut io::stdout(), &page(lines, style.stdout));
}

/// Writes data to standard output as it is. Only for what this program made itself, such as a completion script.
pub fn data(text: &str) {
    write(&mut io::stdout(), text);
}

/// Whether standard output is a pipe that nobody reads any more.
pub fn is_unread() -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdout = io::stdout();
        let mut pipe = [PollFd::new(&stdout, PollFlags::empty())];
        // The other end of a pipe was closed (poll(2)).
        poll(&mut pipe, Some(&Timespec::default())).is_ok() && pipe[0].revents().contains(PollFlags::ERR)
    }
    #[cfg(not(unix))]
    false
}

/// Writes text that may come from outside to standard output, its lines as they are: only what would act on a terminal is shown as `\u{1b}`.
pub fn text(text: &str) {
    let safe = |character: char| character == '\n' || character == '\t' || !sanitise::is_unsafe(character);
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if safe(character) { shown.push(character) } else { shown.extend(character.escape_unicode()) }
    }
    write(&mut io::stdout(), &shown);
}

fn write(stream: &mut dyn Write, text: &str) {
    // A reader that went away, such as `head`, has seen what it wanted.
    let _gone = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}
