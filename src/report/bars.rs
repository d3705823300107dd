//! Bars on a terminal: finished steps stay as lines, the running one has a spinner, a bar where its length is known, and what it waits for.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::text::{self, Line, Look, Paint};
use super::{Clock, failure, step};
use crate::error::Kind;
use crate::event::{Event, How, Reporter};
use crate::plan::StepId;

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// The most rows that a wait may take on the screen.
const WAIT_ROWS: usize = 3;

/// Draws bars.
pub(super) struct Bars {
    screen: MultiProgress,
    look: Look,
    clock: Clock,
    ticks: bool,
    running: Option<Running>,
    work: Option<ProgressBar>,
}

/// The step that runs.
struct Running {
    step: StepId,
    title: String,
    why: Option<&'static str>,
    since: std::time::Instant,
    bar: ProgressBar,
    wait: ProgressBar,
}

impl Bars {
    /// Draws on `target`. Without `ticks` nothing moves by itself, which tests need.
    pub(super) fn new(target: ProgressDrawTarget, look: Look, clock: Clock, ticks: bool) -> Self {
        Self { screen: MultiProgress::with_draw_target(target), look, clock, ticks, running: None, work: None }
    }

    fn write(&self, lines: &[Line]) {
        let page = text::page(lines, self.look);
        // A terminal that went away is no reason to stop a bootstrap half-way.
        let _gone = self.screen.println(page.strip_suffix('\n').unwrap_or(&page));
    }

    fn spinner(&self, template: &str) -> ProgressBar {
        let bar = self.screen.add(ProgressBar::no_length());
        bar.set_style(self.style(template));
        if self.ticks {
            bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn style(&self, template: &str) -> ProgressStyle {
        let template = if self.look.colour { template.to_owned() } else { template.replace(".cyan", "").replace("/dim", "") };
        ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_chars(self.look.either("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ", "-\\|/ "))
            .progress_chars(self.look.either("━╸─", "=>-"))
            .with_key("time", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                if state.elapsed().as_secs() > 0 {
                    let _full = out.write_str(&text::time(state.elapsed()));
                }
            })
    }

    fn start(&mut self, step: StepId, title: &str, why: Option<&'static str>) {
        self.end_work();
        self.end_step();
        let bar = self.spinner("  {spinner:.cyan} {prefix} {wide_msg}{time:>11}");
        bar.set_prefix(Line::new().with(Paint::Strong, step.name()).pad(step::NAME - 1).printed(self.look.colour));
        bar.set_message(text::cut(title, text::MESSAGE, self.look));
        let wait = self.screen.add(ProgressBar::no_length());
        wait.set_style(self.style("{msg}"));
        self.running = Some(Running { step, title: title.to_owned(), why, since: (self.clock)(), bar, wait });
        // Until the step waits for something, there is room to say why it exists.
        if let Some(why) = step::why(why, self.look) {
            self.below(&why);
        }
    }

    /// Shows a line below the running step.
    fn below(&self, line: &Line) {
        if let Some(running) = &self.running {
            let rows: Vec<String> = line.rows(self.look.width).iter().take(WAIT_ROWS).map(|row| row.printed(self.look.colour)).collect();
            running.wait.set_message(rows.join("\n"));
        }
    }

    fn wait(&self, on: &str) {
        let indent = if self.look.width >= step::NAME + 28 { step::NAME + 4 } else { 4 };
        self.below(&Line::of(" ".repeat(indent)).with(Paint::Faint, format!("waiting for {on}")).hanging(indent));
    }

    fn progress(&self, done: usize, total: usize, what: &str) {
        if let Some(running) = &self.running {
            if running.bar.length().is_none() {
                let bar = if self.look.width >= 70 { "{bar:24.cyan/dim} " } else { "" };
                running
                    .bar
                    .set_style(self.style(&format!("  {{spinner:.cyan}} {{prefix}} {bar}{{pos}} of {{len}} {{wide_msg}}{{time:>11}}")));
            }
            running.bar.set_length(total as u64);
            running.bar.set_message(what.to_owned());
            running.bar.set_position(done as u64);
        }
    }

    fn work(&mut self, message: &str, done: u64, total: u64) {
        let bar = self.work.take().unwrap_or_else(|| self.spinner("  {spinner:.cyan} {wide_msg}{time:>11}"));
        bar.set_message(text::cut(message, text::MESSAGE, self.look));
        if total > 0 {
            if bar.length().is_none() {
                bar.set_style(self.style("  {spinner:.cyan} {bar:24.cyan/dim} {pos} of {len}  {wide_msg}{time:>11}"));
            }
            bar.set_length(total);
            bar.set_position(done);
        }
        self.work = Some(bar);
    }

    fn end_work(&mut self) {
        if let Some(bar) = self.work.take() {
            bar.finish_and_clear();
        }
    }

    /// Takes the running step off the screen.
    fn end_step(&mut self) -> Option<Running> {
        let running = self.running.take()?;
        running.wait.finish_and_clear();
        running.bar.finish_and_clear();
        self.screen.remove(&running.wait);
        self.screen.remove(&running.bar);
        Some(running)
    }
}

impl Reporter for Bars {
    fn on(&mut self, event: &Event) {
        match event {
            Event::Started { tool, verb, cluster, .. } => self.write(&[step::title(tool, verb, cluster.as_deref()), Line::new()]),
            Event::Fact { name, text } => {
                self.end_work();
                self.write(&[step::fact(name, text)]);
            }
            Event::Planned { steps } => {
                let mut lines = vec![Line::new()];
                lines.extend(step::plan(steps, self.look));
                lines.push(Line::new());
                self.write(&lines);
            }
            Event::StepStarted { step, title, why } => self.start(*step, title, *why),
            Event::Waiting { on, .. } => self.wait(on),
            Event::Progress { done, total, what, .. } => self.progress(*done, *total, what),
            Event::Changed { object, how, .. } => {
                // What was made is counted in the step's own line; what was put right or removed deserves one of its own.
                if matches!(how, How::Restored | How::Deleted | How::Kicked) {
                    self.write(&[Line::of("    ").with(Paint::Caution, format!("{} ", step::how(*how))).plain(object).hanging(6)]);
                }
            }
            Event::Warning { message, hint } => self.write(&step::warning(message, hint.as_deref())),
            Event::LeftAlone { object, fields } => self.write(&step::left_alone(object, fields)),
            Event::StepFinished { step, outcome, because, milliseconds } => {
                let why = self.end_step().and_then(|running| running.why);
                let time = text::time(Duration::from_millis(*milliseconds));
                let mut lines = step::finished(*step, *outcome, because, &time, self.look);
                lines.extend(step::why(why, self.look));
                self.write(&lines);
            }
            Event::Work { message, done, total } => self.work(message, *done, *total),
            // What was found is shown as a whole, on standard output.
            Event::Finding(_)
            | Event::Check(_)
            | Event::Plan { .. }
            | Event::Evidence { .. }
            | Event::Status { .. }
            | Event::Application { .. }
            | Event::Connection { .. } => {}
            Event::Finished { .. } => {
                self.end_work();
                self.end_step();
            }
            Event::Failed { failure, .. } => {
                self.end_work();
                let mut lines = Vec::new();
                if let Some(running) = self.end_step() {
                    let stopped = matches!(failure.kind, Kind::Interrupted | Kind::Terminated);
                    let time = text::time((self.clock)().duration_since(running.since));
                    lines.extend(step::broken_off(running.step, !stopped, &running.title, &time, self.look));
                    lines.extend(step::why(running.why, self.look));
                }
                lines.push(Line::new());
                lines.extend(failure::failure(failure));
                self.write(&lines);
            }
        }
    }

    fn suspend(&mut self, action: &mut dyn FnMut()) {
        self.screen.suspend(action);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.end_work();
        self.end_step();
    }
}
