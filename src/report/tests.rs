//! The reporters' exact text, on one event stream of each kind: finished, failed, interrupted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{InMemoryTerm, ProgressDrawTarget};

use super::text::Look;
use super::*;
use crate::error::{Failure, Kind};
use crate::event::{Event, How, Outcome, PlannedStep, Reporter};
use crate::plan::StepId;
use crate::ports::cluster::FieldConflict;

/// A stream that keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream whose reader went away.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// A clock that moves only when it is told to.
#[derive(Clone)]
struct Watch(Instant, Arc<AtomicU64>);

impl Watch {
    fn new() -> Self {
        Self(Instant::now(), Arc::default())
    }

    fn forward(&self, seconds: u64) {
        self.1.fetch_add(seconds, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let Self(start, seconds) = self.clone();
        Box::new(move || start + Duration::from_secs(seconds.load(Ordering::Relaxed)))
    }
}

const PLAIN: Look = Look { colour: false, unicode: true, width: 80 };

fn beginning() -> Vec<Event> {
    let planned = |step, needed, because: &str, changes: &[&str]| PlannedStep {
        step,
        needed,
        because: because.to_owned(),
        changes: changes.iter().map(|change| (*change).to_owned()).collect(),
        why: None,
    };
    vec![
        Event::Started { version: crate::event::VERSION, tool: "0.1.0", verb: "init", cluster: Some("staging".to_owned()) },
        Event::Fact { name: "context", text: "kind-staging".to_owned() },
        Event::Fact { name: "repository", text: "git@github.com:acme/fleet.git, branch main at 4f2c9d1e0a".to_owned() },
        Event::Planned {
            steps: vec![
                planned(StepId::Ns, false, "it is there", &[]),
                planned(StepId::SecretCreate, true, "there is no repository Secret", &["Secret argocd/repository-fleet"]),
                planned(StepId::KeyRegister, true, "the forge has no deploy key for this cluster", &[]),
                planned(StepId::Projects, false, "all 3 are as in Git", &[]),
            ],
        },
        Event::StepStarted { step: StepId::Ns, title: "namespace argocd".to_owned(), why: None },
        Event::StepFinished { step: StepId::Ns, outcome: Outcome::InPlace, because: "it is there".to_owned(), milliseconds: 12 },
        Event::StepStarted { step: StepId::SecretCreate, title: "repository Secret with a deploy key".to_owned(), why: None },
        Event::Changed { step: StepId::SecretCreate, object: "Secret argocd/repository-fleet".to_owned(), how: How::Created },
        Event::StepFinished {
            step: StepId::SecretCreate,
            outcome: Outcome::Changed,
            because: "ed25519 key SHA256:uNiVztksCsDhcc0u9e8BrCwcCXAyFqtt0S2A2KRHLkE made and kept in Secret repository-fleet".to_owned(),
            milliseconds: 240,
        },
        Event::LeftAlone {
            object: "Deployment argocd/argocd-server".to_owned(),
            fields: vec![FieldConflict { manager: "kubectl-edit".to_owned(), field: ".spec.replicas".to_owned() }],
        },
        Event::StepStarted { step: StepId::Converge, title: "everything Synced and Healthy".to_owned(), why: None },
        Event::Progress { step: StepId::Converge, done: 12, total: 17, what: "applications" },
        Event::Waiting { step: StepId::Converge, on: "web: Pod web/web-6d9f cannot pull the image `nginx:nope`: not found".to_owned() },
    ]
}

fn finished() -> Vec<Event> {
    let mut events = beginning();
    events.extend([
        Event::Changed { step: StepId::Converge, object: "Application web".to_owned(), how: How::Kicked },
        Event::StepFinished {
            step: StepId::Converge,
            outcome: Outcome::Changed,
            because: "17 applications are Synced and Healthy".to_owned(),
            milliseconds: 83_400,
        },
        Event::Finished { result: serde_json::json!({ "applications": 17 }) },
    ]);
    events
}

fn failed() -> Vec<Event> {
    let mut events = beginning();
    events.push(Event::Failed {
        failure: Failure::new(Kind::Deadline, "not everything became healthy within 15 minutes")
            .because("Application web: Pod web/web-6d9f cannot pull the image `nginx:nope`: not found")
            .hint("correct the image in `src/services/web` and push")
            .hint("then run `gitops-bootstrap init staging` again; what is done stays done"),
        status: Kind::Deadline.exit_status(),
    });
    events
}

fn interrupted() -> Vec<Event> {
    let mut events = beginning();
    events.push(Event::Failed {
        failure: Failure::new(Kind::Interrupted, "interrupted during `converge`").hint("continue with `gitops-bootstrap init staging`"),
        status: Kind::Interrupted.exit_status(),
    });
    events
}

/// What stands on a terminal of `width` columns after `events`.
fn on_terminal(events: &[Event], look: Look) -> String {
    let terminal = InMemoryTerm::new(60, u16::try_from(look.width).unwrap());
    let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
    let mut bars = bars::Bars::new(target, look, Watch::new().clock(), false);
    for event in events {
        bars.on(event);
    }
    terminal.contents()
}

fn as_lines(events: &[Event], look: Look) -> String {
    let kept = Kept::default();
    let mut lines = lines::Lines::new(kept.clone(), look, Watch::new().clock());
    for event in events {
        lines.on(event);
    }
    kept.text()
}

#[test]
fn bars_show_the_running_step_and_what_it_waits_for() {
    insta::assert_snapshot!("bars_running_80", on_terminal(&beginning(), PLAIN));
    insta::assert_snapshot!("bars_running_40", on_terminal(&beginning(), Look { width: 40, ..PLAIN }));
}

#[test]
fn bars_leave_a_finished_run_as_lines() {
    for width in [40, 80, 120] {
        insta::assert_snapshot!(format!("bars_finished_{width}"), on_terminal(&finished(), Look { width, ..PLAIN }));
    }
}

#[test]
fn bars_say_which_step_failed_or_was_stopped() {
    for width in [40, 80, 120] {
        insta::assert_snapshot!(format!("bars_failed_{width}"), on_terminal(&failed(), Look { width, ..PLAIN }));
        insta::assert_snapshot!(format!("bars_interrupted_{width}"), on_terminal(&interrupted(), Look { width, ..PLAIN }));
    }
}

#[test]
fn a_terminal_that_is_not_utf8_gets_ascii_only() {
    let screen = on_terminal(&finished(), Look { unicode: false, ..PLAIN });
    assert!(screen.is_ascii(), "{screen}");
    assert!(on_terminal(&beginning(), Look { unicode: false, ..PLAIN }).is_ascii());
}

#[test]
fn lines_tell_the_same_story() {
    for width in [40, 80, 120] {
        insta::assert_snapshot!(format!("lines_finished_{width}"), as_lines(&finished(), Look { width, ..PLAIN }));
    }
    insta::assert_snapshot!("lines_failed", as_lines(&failed(), PLAIN));
    insta::assert_snapshot!("lines_interrupted", as_lines(&interrupted(), PLAIN));
}

#[test]
fn explained_steps_say_why_in_the_plan_and_when_they_run() {
    let mut events = finished();
    for event in &mut events {
        match event {
            Event::Planned { steps } => steps.iter_mut().for_each(|step| step.why = Some(step.step.why())),
            Event::StepStarted { step, why, .. } => *why = Some(step.why()),
            _ => {}
        }
    }
    insta::assert_snapshot!("bars_explained", on_terminal(&events, PLAIN));
    insta::assert_snapshot!("lines_explained", as_lines(&events, PLAIN));
    insta::assert_snapshot!("bars_explained_40", on_terminal(&events[..5], Look { width: 40, ..PLAIN }));
}

#[test]
fn a_wait_is_repeated_only_when_it_changes_or_after_a_silence_that_grows_to_a_minute() {
    let (kept, watch) = (Kept::default(), Watch::new());
    let mut lines = lines::Lines::new(kept.clone(), PLAIN, watch.clock());
    for on in ["a", "a", "b", "b", "a"] {
        watch.forward(2);
        lines.on(&Event::Waiting { step: StepId::Rollout, on: on.to_owned() });
    }
    watch.forward(10);
    lines.on(&Event::Waiting { step: StepId::Rollout, on: "a".to_owned() });
    lines.on(&Event::Waiting { step: StepId::Rollout, on: "too fast".to_owned() });
    let waits: Vec<String> = kept.text().lines().map(|line| line.trim_start_matches("rollout: waiting for ").to_owned()).collect();
    assert_eq!(waits, ["a", "b", "a", "a"]);

    let (kept, watch) = (Kept::default(), Watch::new());
    let mut lines = lines::Lines::new(kept.clone(), PLAIN, watch.clock());
    let mut said = Vec::new();
    for second in 0..=240 {
        lines.on(&Event::Waiting { step: StepId::Rollout, on: "the same".to_owned() });
        if kept.text().lines().count() > said.len() {
            said.push(second);
        }
        watch.forward(1);
    }
    assert_eq!(said, [0, 10, 30, 70, 130, 190]);
}

#[test]
fn quiet_says_only_what_went_wrong() {
    let kept = Kept::default();
    let mut quiet = lines::Quiet::new(kept.clone(), PLAIN, Watch::new().clock());
    for event in failed() {
        quiet.on(&event);
    }
    insta::assert_snapshot!(kept.text(), @r"
    left alone: fields of Deployment argocd/argocd-server that others own
      .spec.replicas belongs to `kubectl-edit`
    error: not everything became healthy within 15 minutes
      caused by: Application web: Pod web/web-6d9f cannot pull the image
          `nginx:nope`: not found
      hint: correct the image in `src/services/web` and push
      hint: then run `gitops-bootstrap init staging` again; what is done stays done
    ");
}

#[test]
fn json_is_one_event_a_line_and_the_first_has_the_version() {
    let kept = Kept::default();
    let mut json = json::Json::new(kept.clone());
    let events = failed();
    for event in &events {
        json.on(event);
    }
    let lines: Vec<serde_json::Value> = kept.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), events.len());
    assert_eq!(lines[0], serde_json::json!({"event": "started", "version": 1, "tool": "0.1.0", "verb": "init", "cluster": "staging"}));
    assert_eq!(lines.last().unwrap()["failure"]["kind"], "deadline");
    assert_eq!(lines.last().unwrap()["status"], 9);
    assert!(lines.iter().all(|line| line["event"].is_string()));
}

#[test]
fn a_reader_that_went_away_stops_nothing() {
    for event in finished().iter().chain(&failed()) {
        lines::Lines::new(Gone, PLAIN, Watch::new().clock()).on(event);
        lines::Quiet::new(Gone, PLAIN, Watch::new().clock()).on(event);
        json::Json::new(Gone).on(event);
    }
    write(&mut Gone, "text");
}

#[test]
fn no_control_character_from_outside_reaches_a_stream() {
    let nasty = "\u{1b}[2J\u{9b}31m\r\u{7}\u{202e}\u{200b}\u{7f}x";
    let events = [
        Event::Fact { name: "context", text: nasty.to_owned() },
        Event::StepStarted { step: StepId::Install, title: nasty.to_owned(), why: None },
        Event::Waiting { step: StepId::Install, on: nasty.to_owned() },
        Event::Changed { step: StepId::Install, object: nasty.to_owned(), how: How::Restored },
        Event::Warning { message: nasty.to_owned(), hint: Some(nasty.to_owned()) },
        Event::LeftAlone { object: nasty.to_owned(), fields: vec![FieldConflict { manager: nasty.to_owned(), field: nasty.to_owned() }] },
        Event::StepFinished { step: StepId::Install, outcome: Outcome::Changed, because: nasty.to_owned(), milliseconds: 1 },
        Event::Work { message: nasty.to_owned(), done: 1, total: 2 },
        Event::Failed { failure: Failure::bug(nasty).because(nasty).hint(nasty), status: 1 },
    ];
    let json = Kept::default();
    for event in &events {
        json::Json::new(json.clone()).on(event);
    }
    for written in [as_lines(&events, PLAIN), on_terminal(&events, PLAIN), json.text()] {
        assert!(!written.chars().any(sanitise::is_unsafe), "{written:?}");
    }
    let message = as_lines(&events[4..5], PLAIN);
    assert!(message.starts_with("warning: \\u{1b}[2J\\u{9b}31m\\u{d}\\u{7}\\u{202e}"), "{message}");
}

#[test]
fn a_bug_asks_to_be_reported() {
    let text = page(&failure::failure(&Failure::bug("two roots").because("impossible")), PLAIN);
    let version = format!("{} on {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    insta::assert_snapshot!(text.replace(&version, "<version>"), @r"
    internal error: two roots
      caused by: impossible
      hint: this is a bug in gitops-bootstrap: please report it with the output of
          the same command and `-vv`
      version: gitops-bootstrap <version>
    ");
}

#[test]
fn colour_is_never_the_only_sign() {
    let coloured = as_lines(&failed(), Look { colour: true, ..PLAIN });
    assert!(coloured.contains("\u{1b}["));
    assert_eq!(console::strip_ansi_codes(&coloured), as_lines(&failed(), PLAIN));
}

#[test]
fn the_style_is_chosen_as_the_table_says() {
    let terminal = Stream { is_terminal: true, columns: Some(80) };
    let usual = Circumstances { cursor: true, utf8: true, stderr: terminal, stdout: terminal, ..Circumstances::default() };
    for (circumstances, form) in [
        (usual, Form::Bars),
        (Circumstances { json: true, quiet: true, ..usual }, Form::Json),
        (Circumstances { quiet: true, ..usual }, Form::Quiet),
        (Circumstances { ci: true, ..usual }, Form::Lines),
        (Circumstances { cursor: false, ..usual }, Form::Lines),
        (Circumstances { stderr: Stream::default(), ..usual }, Form::Lines),
    ] {
        assert_eq!(style(&circumstances).form, form, "{circumstances:?}");
    }
}

#[test]
fn colour_width_and_characters_follow_the_stream() {
    let terminal = |columns| Stream { is_terminal: true, columns };
    let usual = Circumstances { cursor: true, utf8: true, stderr: terminal(Some(80)), ..Circumstances::default() };
    assert_eq!(style(&usual).stderr, Look { colour: true, unicode: true, width: 80 });
    assert!(!style(&usual).stdout.colour, "a pipe gets no colour");
    assert!(!style(&Circumstances { no_color: true, ..usual }).stderr.colour);
    assert!(!style(&Circumstances { cursor: false, ..usual }).stderr.colour);
    assert!(!style(&Circumstances { utf8: false, ..usual }).stderr.unicode);
    for (columns, width) in [(Some(1), 20), (Some(0), 120), (None, 120), (Some(100), 100), (Some(400), 140)] {
        assert_eq!(style(&Circumstances { stderr: terminal(columns), ..usual }).stderr.width, width, "{columns:?}");
    }
}
