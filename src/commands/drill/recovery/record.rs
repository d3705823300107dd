//! What a recovery says of its steps, noted on the way to whoever else listens.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::time::Instant;

use crate::event::{Event, Events, Reporter};
use crate::plan::drill::{Phase, milliseconds};

/// What is done before the first step: reading the clone, the cluster and the forge.
const PREFLIGHT: &str = "preflight";

/// The steps of one or several runs. Clones write into the same record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    began: Instant,
    steps: Arc<Mutex<Steps>>,
}

#[derive(Debug, Default)]
struct Steps {
    /// Those that are over.
    phases: Vec<Phase>,
    /// The one that runs, and since when.
    running: Option<(String, u64)>,
}

impl Record {
    /// An empty record of what happens since `began`.
    pub(super) fn new(began: Instant) -> Self {
        Self { began, steps: Arc::default() }
    }

    /// Notes the steps, and hands on to `events` all but what begins and ends a run: this one is a part of another.
    pub(super) fn reporter(&self, events: Events) -> impl Reporter + use<> {
        Noting { record: self.clone(), events }
    }

    /// All steps; one that has not ended lasts up to `now`.
    pub(super) fn phases(&self, now: u64) -> Vec<Phase> {
        let steps = self.steps();
        let running = steps.running.iter().map(|(step, from)| Phase { step: step.clone(), from: *from, to: now.max(*from), done: false });
        steps.phases.iter().cloned().chain(running).collect()
    }

    /// Takes what a run that was killed a moment ago has said, an event a line. Its events have no times, but each step says how long it took.
    pub(super) fn killed(&self, output: &[u8]) {
        let now = self.now();
        let events: Vec<Value> = output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let text = |event: &Value, name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let is = |event: &&Value, kind: &str| text(event, "event") == kind;
        let took = |event: &Value| event.get("milliseconds").and_then(Value::as_u64).unwrap_or_default();
        let finished: Vec<&Value> = events.iter().filter(|event| is(event, "step-finished")).collect();
        let begun = events.iter().filter(|event| is(event, "step-started")).map(|event| text(event, "step")).next_back();
        let mut steps = self.steps();
        let from = steps.phases.last().map_or(0, |last| last.to);
        // The step in which it was killed ends now; whatever is left over was the look before the first one.
        let mut at = now.saturating_sub(finished.iter().map(|event| took(event)).sum()).max(from);
        steps.phases.push(Phase { step: PREFLIGHT.to_owned(), from, to: at, done: true });
        for event in &finished {
            steps.phases.push(Phase { step: text(event, "step"), from: at, to: at + took(event), done: true });
            at += took(event);
        }
        if let Some(step) = begun.filter(|begun| finished.last().is_none_or(|last| text(last, "step") != *begun)) {
            steps.phases.push(Phase { step, from: at.min(now), to: now, done: false });
        }
        steps.running = None;
    }

    fn now(&self) -> u64 {
        milliseconds(self.began.elapsed())
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is `step` that runs; none between steps.
    fn run(&self, step: Option<&str>, last_is_done: bool) {
        let now = self.now();
        let mut steps = self.steps();
        if let Some((step, from)) = steps.running.take() {
            steps.phases.push(Phase { step, from, to: now, done: last_is_done });
        }
        steps.running = step.map(|step| (step.to_owned(), now));
    }
}

/// Notes events before it hands them on.
struct Noting {
    record: Record,
    events: Events,
}

impl Reporter for Noting {
    fn on(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => return self.record.run(Some(PREFLIGHT), false),
            Event::Finished { .. } | Event::Failed { .. } => return,
            Event::StepStarted { step, .. } => self.record.run(Some(step.name()), true),
            Event::StepFinished { .. } => self.record.run(None, true),
            _ => {}
        }
        self.events.send(event.clone());
    }

    fn suspend(&mut self, action: &mut dyn FnMut()) {
        self.events.suspend(action);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;
    use crate::plan::StepId;

    /// Hears nothing.
    struct Deaf;

    impl Reporter for Deaf {
        fn on(&mut self, event: &Event) {
            assert!(!matches!(event, Event::Started { .. } | Event::Finished { .. } | Event::Failed { .. }), "{event:?}");
        }
    }

    fn started(step: StepId) -> Event {
        Event::StepStarted { step, title: String::new(), why: None }
    }

    fn finished(step: StepId, milliseconds: u64) -> Event {
        Event::StepFinished { step, outcome: Outcome::Changed, because: String::new(), milliseconds }
    }

    fn told(phases: &[Phase]) -> Vec<String> {
        phases.iter().map(|phase| format!("{} {}-{} {}", phase.step, phase.from, phase.to, phase.done)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn steps_are_noted_with_the_look_before_the_first_and_the_one_that_did_not_end() {
        let record = Record::new(Instant::now());
        let mut reporter = record.reporter(Events::new(Deaf));
        let begin = Event::Started { version: 1, tool: "", verb: "recover", cluster: None };
        for (event, seconds) in [(begin, 2), (started(StepId::Ns), 1), (finished(StepId::Ns, 1000), 0), (started(StepId::Install), 3)] {
            reporter.on(&event);
            tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
        }
        reporter.on(&Event::Finished { result: Value::Null });
        assert_eq!(told(&record.phases(6500)), ["preflight 0-2000 true", "ns 2000-3000 true", "install 3000-6500 false"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_was_killed_has_its_steps_end_at_its_death() {
        let record = Record::new(Instant::now());
        tokio::time::advance(std::time::Duration::from_secs(9)).await;
        let said = [started(StepId::Ns), finished(StepId::Ns, 1000), started(StepId::Install)];
        let said: Vec<String> = said.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        record.killed(format!("{}\n{{\"event\":\"chan", said.join("\n")).as_bytes());
        assert_eq!(told(&record.phases(9500)), ["preflight 0-8000 true", "ns 8000-9000 true", "install 9000-9000 false"]);
    }
}
