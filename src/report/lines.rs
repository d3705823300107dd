//! Plain lines: for CI logs and pipes. No timestamps, no cursor movement, at most one line for each change.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use super::text::{self, Line, Look, Paint};
use super::{Clock, failure, step};
use crate::event::{Event, Outcome, Reporter};
use crate::plan::StepId;

/// How long the same thing is waited for in silence, at first.
const SILENCE: Duration = Duration::from_secs(10);

/// The longest silence: each is twice as long as the one before it, so that a long wait fills no log, and still says that it goes on.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// The shortest time between two lines of one step about what it waits for, so that a fast wait does not flood a log.
const PACE: Duration = Duration::from_secs(1);

/// Writes what people should know as lines.
pub(super) struct Lines<W> {
    out: W,
    look: Look,
    clock: Clock,
    waiting: BTreeMap<StepId, Wait>,
    progress: Option<Instant>,
    work: Option<(String, Instant)>,
}

/// What a step was last said to wait for.
struct Wait {
    on: String,
    said: Instant,
    silence: Duration,
}

impl<W: Write> Lines<W> {
    pub(super) const fn new(out: W, look: Look, clock: Clock) -> Self {
        Self { out, look, clock, waiting: BTreeMap::new(), progress: None, work: None }
    }

    fn write(&mut self, lines: &[Line]) {
        // A reader that went away is no reason to stop a bootstrap half-way.
        let _gone = self.out.write_all(text::page(lines, self.look).as_bytes()).and_then(|()| self.out.flush());
    }

    fn step(&mut self, step: StepId, paint: Paint, text: &str) {
        self.write(&[Line::new().with(Paint::Faint, format!("{step}: ")).with(paint, text).hanging(4)]);
    }

    fn wait(&mut self, step: StepId, on: &str) {
        let now = (self.clock)();
        let silence = match self.waiting.get(&step) {
            Some(wait) if wait.on == on && now.duration_since(wait.said) < wait.silence => return,
            Some(wait) if wait.on == on => LONGEST_SILENCE.min(wait.silence * 2),
            Some(wait) if now.duration_since(wait.said) < PACE => return,
            _ => SILENCE,
        };
        self.waiting.insert(step, Wait { on: on.to_owned(), said: now, silence });
        self.step(step, Paint::Plain, &format!("waiting for {on}"));
    }

    fn progress(&mut self, step: StepId, done: usize, total: usize, what: &str) {
        let now = (self.clock)();
        if done < total && now.duration_since(*self.progress.get_or_insert(now)) >= SILENCE {
            self.progress = Some(now);
            self.step(step, Paint::Plain, &format!("{done} of {total} {what}"));
        }
    }

    fn work(&mut self, message: &str, done: u64, total: u64) {
        let now = (self.clock)();
        let due = self
            .work
            .as_ref()
            .is_none_or(|(said, at)| said != message && now.duration_since(*at) >= PACE || now.duration_since(*at) >= SILENCE);
        if due {
            self.work = Some((message.to_owned(), now));
            let far = if total > 0 { format!(" ({done} of {total})") } else { String::new() };
            self.write(&[Line::of(format!("{message}{far}")).hanging(4)]);
        }
    }
}

impl<W: Write + Send> Reporter for Lines<W> {
    fn on(&mut self, event: &Event) {
        match event {
            Event::Started { tool, verb, cluster, .. } => self.write(&[step::title(tool, verb, cluster.as_deref())]),
            Event::Fact { name, text } => self.write(&[step::fact(name, text)]),
            Event::Planned { steps } => self.write(&step::plan(steps, self.look)),
            Event::StepStarted { step, title, why } => {
                self.progress = None;
                self.step(*step, Paint::Plain, title);
                if let Some(why) = why {
                    self.write(&[Line::of("    ").with(Paint::Faint, why).hanging(4)]);
                }
            }
            Event::Waiting { step, on } => self.wait(*step, on),
            Event::Progress { step, done, total, what } => self.progress(*step, *done, *total, what),
            Event::Changed { step, object, how } => self.step(*step, Paint::Plain, &format!("{} {object}", step::how(*how))),
            Event::Warning { message, hint } => self.write(&step::warning(message, hint.as_deref())),
            Event::LeftAlone { object, fields } => self.write(&step::left_alone(object, fields)),
            Event::StepFinished { step, outcome, because, milliseconds } => {
                let (paint, word) = match outcome {
                    Outcome::Changed => (Paint::Good, "done"),
                    Outcome::InPlace => (Paint::Plain, "in place"),
                    Outcome::Skipped => (Paint::Plain, "skipped"),
                };
                let because = if because.is_empty() { String::new() } else { format!(": {because}") };
                self.step(*step, paint, &format!("{word} in {}{because}", text::time(Duration::from_millis(*milliseconds))));
            }
            Event::Work { message, done, total } => self.work(message, *done, *total),
            // What was found is shown as a whole, on standard output.
            Event::Finding(_)
            | Event::Check(_)
            | Event::Plan { .. }
            | Event::Evidence { .. }
            | Event::Status { .. }
            | Event::Application { .. }
            | Event::Connection { .. }
            | Event::Finished { .. } => {}
            Event::Failed { failure, .. } => self.write(&failure::failure(failure)),
        }
    }
}

/// Says only what went wrong.
pub(super) struct Quiet<W>(Lines<W>);

impl<W: Write> Quiet<W> {
    pub(super) const fn new(out: W, look: Look, clock: Clock) -> Self {
        Self(Lines::new(out, look, clock))
    }
}

impl<W: Write + Send> Reporter for Quiet<W> {
    fn on(&mut self, event: &Event) {
        if matches!(event, Event::Warning { .. } | Event::LeftAlone { .. } | Event::Failed { .. }) {
            self.0.on(event);
        }
    }
}
