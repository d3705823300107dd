//! A run of the command line that is under way.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Ran, eventually};

/// A run that writes events (`--output json`), to be watched and to be interrupted.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    stdout: String,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    pub(super) fn new(mut child: Child) -> Self {
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        // Both pipes are emptied all the time: a full one would hold the run up.
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _gone = stderr.read_to_string(&mut text);
            text
        });
        Self { child, lines, stdout: String::new(), stderr: Some(stderr) }
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is over.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for an event, and skips those before it.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, limit: Duration, is_it: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
                    self.keep(&line);
                    if is_it(&event) {
                        return event;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{what} did not happen within {} s\n{}", limit.as_secs(), self.stdout),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before {what}\n{}", self.end()),
            }
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Ran {
        let status = eventually("the end of the run", Duration::from_secs(300), || self.child.try_wait().unwrap());
        while let Ok(line) = self.lines.recv() {
            self.keep(&line);
        }
        let stderr = self.stderr.take().map(|reader| reader.join().unwrap()).unwrap_or_default();
        Ran { status: status.code(), stdout: std::mem::take(&mut self.stdout), stderr }
    }

    fn keep(&mut self, line: &str) {
        self.stdout.push_str(line);
        self.stdout.push('\n');
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing if it is over.
        let _over = self.child.kill();
        let _over = self.child.wait();
    }
}
