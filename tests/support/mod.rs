//! What end-to-end tests stand on: sealed runs of the command line, sandboxes of their own, and what the logs say afterwards.
//!
//! A test sees nothing of the machine but its `PATH`: it has a home folder of its own, and every service that it talks to is on loopback.

mod cli;
pub(crate) mod cluster;
pub(crate) mod drill;
mod engine;
mod fleet;
pub(crate) mod forge;
mod home;
pub(crate) mod logs;
pub(crate) mod process;
mod refusal;
mod running;
mod sandbox;
mod sealing;
mod secrets;
mod words;

pub(crate) use cli::{Cli, Ran};
pub(crate) use engine::{engine, library_context};
pub(crate) use fleet::{Fleet, git};
pub(crate) use home::Home;
pub(crate) use refusal::assert_refuses;
pub(crate) use running::Running;
pub(crate) use sandbox::{Slots, TestSandbox, processes};
pub(crate) use sealing::engine_prints;
pub(crate) use secrets::Traces;
pub(crate) use words::{assert_drill, assert_ending, assert_words};

use std::time::{Duration, Instant};

/// Waits until `holds` says something, and gives up with `what` after `limit`.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a condition of another process cannot be waited for but by asking again")]
pub(crate) fn eventually<T>(what: &str, limit: Duration, mut holds: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(start.elapsed() < limit, "{what} did not come true within {} s", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}
