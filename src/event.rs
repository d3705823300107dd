//! What happens in a run, as events: the contract of `--output json` and the only thing that reporters see.
//!
//! The first event of a run has the version of this format. Fields and events may be added within a version; readers skip what they do not know.

use std::sync::{Arc, Mutex};

use crate::domain::{Check, Finding};
use crate::error::Failure;
use crate::plan::StepId;
use crate::plan::preview::Plan;
pub use crate::plan::preview::PlannedStep;
use crate::ports::cluster::FieldConflict;

/// The version of the event format.
pub const VERSION: u32 = 1;

/// One event of a run.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// The run begins.
    Started {
        /// The version of this format.
        version: u32,
        /// The tool's version.
        tool: &'static str,
        /// The verb, as in `init`.
        verb: &'static str,
        /// The cluster's name, where the verb has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
    },
    /// A fact that the preflight found, for people: `context`, `kind-staging`.
    Fact {
        /// What it is about.
        name: &'static str,
        /// What was found.
        text: String,
    },
    /// What the run is going to do.
    Planned {
        /// Each step with the verdict on it.
        steps: Vec<PlannedStep>,
    },
    /// A step begins.
    StepStarted {
        /// Which.
        step: StepId,
        /// What it does, in a few words for people.
        title: String,
        /// Why it exists, if that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'static str>,
    },
    /// A step waits; comes again when what it waits for changes.
    Waiting {
        /// Which.
        step: StepId,
        /// For what, and why it is not there yet, if that is known.
        on: String,
    },
    /// A step goes on.
    Progress {
        /// Which.
        step: StepId,
        /// How many are done.
        done: usize,
        /// Of how many.
        total: usize,
        /// What is counted, as in `objects`.
        what: &'static str,
    },
    /// An object was changed.
    Changed {
        /// In which step.
        step: StepId,
        /// Which object.
        object: String,
        /// What was done to it.
        how: How,
    },
    /// Something that a person should know, which does not stop the run.
    Warning {
        /// What.
        message: String,
        /// What to do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Fields that belong to other managers, which were left alone.
    LeftAlone {
        /// Which object.
        object: String,
        /// Which fields, and whose.
        fields: Vec<FieldConflict>,
    },
    /// A step is over and well.
    StepFinished {
        /// Which.
        step: StepId,
        /// What came of it.
        outcome: Outcome,
        /// In a few words for people.
        because: String,
        /// How long it took, in milliseconds.
        milliseconds: u64,
    },
    /// The compiler's or another tool's progress outside a step: `message`, and how far it is.
    Work {
        /// What is being done.
        message: String,
        /// How many are done.
        done: u64,
        /// Of how many; 0 if that is not known.
        total: u64,
    },
    /// A check found something, which may be allowed.
    Finding(Finding),
    /// A check of `doctor` was made, or could not be.
    Check(Check),
    /// Everything that a run would do, also where it would be refused.
    Plan {
        /// The plan.
        plan: Box<Plan>,
    },
    /// What a recovery has come to, also where it failed.
    Evidence {
        /// The evidence, as in the report.
        recovery: serde_json::Value,
    },
    /// How a cluster stands: what `status --watch` begins with, and what it says after a connection that was lost.
    Status {
        /// The same as in the result of `status`.
        status: serde_json::Value,
    },
    /// An Application stands otherwise than before.
    Application {
        /// `new`, `changed` or `gone`.
        change: &'static str,
        /// How it stands, or stood last, as in the result of `status`.
        application: serde_json::Value,
    },
    /// The connection to the cluster was lost, or is there again.
    Connection {
        /// Whether it is there.
        connected: bool,
        /// What happened, for people.
        message: String,
    },
    /// The run is over and well.
    Finished {
        /// The verb's own result, for machines.
        result: serde_json::Value,
    },
    /// The run failed.
    Failed {
        /// How.
        failure: Failure,
        /// The exit status.
        status: u8,
    },
}

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It was not there.
    Created,
    /// It was different.
    Updated,
    /// It was changed by hand and is now as Git has it.
    Restored,
    /// It was removed.
    Deleted,
    /// A refresh, a restart or a new sync was asked for.
    Kicked,
    /// The first sync was asked for, in a recovery, or its retries were made ordinary ones.
    Asked,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Something was changed.
    Changed,
    /// Everything was in place.
    InPlace,
    /// The step does not apply.
    Skipped,
}

/// Takes events in the order in which they happen.
pub trait Reporter: Send {
    /// Takes one event.
    fn on(&mut self, event: &Event);

    /// Runs `action` while nothing else draws on the terminal, for a prompt.
    fn suspend(&mut self, action: &mut dyn FnMut()) {
        action();
    }
}

/// Where events are sent; cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Mutex<Box<dyn Reporter>>>);

impl Events {
    /// Sends to `reporter`.
    pub fn new(reporter: impl Reporter + 'static) -> Self {
        Self::boxed(Box::new(reporter))
    }

    /// Sends to a reporter that was chosen at run time.
    pub fn boxed(reporter: Box<dyn Reporter>) -> Self {
        Self(Arc::new(Mutex::new(reporter)))
    }

    /// Sends one event.
    pub fn send(&self, event: Event) {
        // A reporter that panicked has nothing more to say; the run goes on.
        if let Ok(mut reporter) = self.0.lock() {
            reporter.on(&event);
        }
    }

    /// Sends one event unless the reporter is held, as by a question that waits for its answer. Whether it was sent.
    pub fn try_send(&self, event: &Event) -> bool {
        match self.0.try_lock() {
            Ok(mut reporter) => {
                reporter.on(event);
                true
            }
            Err(_) => false,
        }
    }

    /// Sends a warning.
    pub fn warn(&self, message: impl Into<String>, hint: Option<String>) {
        self.send(Event::Warning { message: message.into(), hint });
    }

    /// Runs `action` while nothing else draws on the terminal.
    pub fn suspend(&self, action: &mut dyn FnMut()) {
        match self.0.lock() {
            Ok(mut reporter) => reporter.suspend(action),
            Err(_) => action(),
        }
    }
}
