//! Programs that the sandbox needs beside it: Go while the engine is built, and the engine.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use crate::settings::Environment;

/// How many lines of a program's messages are kept for the report of its failure.
const KEPT_LINES: usize = 15;

/// How long a program that is asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(4);

/// How long a program that we hold may take to end everything in it.
const END_LIMIT: Duration = Duration::from_secs(20);

/// A program with its arguments. It sees no environment but what is given here, and runs in a process group of its own, so that Ctrl-C
/// reaches it through us and nothing that it started outlives it.
pub(super) struct Program {
    command: tokio::process::Command,
    name: String,
}

/// What a program left behind.
pub(super) struct Finished {
    /// Whether it exited with 0.
    pub(super) success: bool,
    /// Its standard output.
    pub(super) output: Vec<u8>,
    /// The last lines of its standard error.
    pub(super) messages: Vec<String>,
}

/// A program that runs until this is dropped: its standard input is a pipe from us, and it ends when that is closed, whichever way we end.
#[derive(Debug)]
pub(super) struct Held {
    child: tokio::process::Child,
}

impl Held {
    /// Tells it to end, and waits until it has; it is killed if that takes too long.
    pub(super) async fn end(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(END_LIMIT, self.child.wait()).await.is_err() {
            end_group(self.child.id(), true);
            let _ended = self.child.wait().await;
        }
    }
}

/// Why a program has nothing to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    /// It could not be started, or its output could not be read.
    #[error("{program}: {error}")]
    Io {
        /// Which.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// The run was cancelled; the program and all that it started have ended.
    #[error("cancelled")]
    Cancelled,
}

impl Program {
    /// The program at `path`, with those of our variables that are named in `variables`.
    #[expect(clippy::disallowed_methods, reason = "the environment is closed here, and the process group is ours to end")]
    pub(super) fn new(path: &Path, environment: &Environment, variables: &[&str]) -> Self {
        let mut command = tokio::process::Command::new(path);
        command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        for name in variables {
            if let Some(value) = environment.variable(name) {
                command.env(name, value);
            }
        }
        #[cfg(unix)]
        command.process_group(0);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self { command, name }
    }

    /// Adds arguments.
    pub(super) fn arguments(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable.
    pub(super) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it in `folder`.
    pub(super) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it to its end and calls `on_message` with each line of its standard error as it comes.
    ///
    /// When `cancel` is cancelled the program is asked to end, then killed with everything in its process group.
    pub(super) async fn run(mut self, cancel: &CancellationToken, mut on_message: impl FnMut(&str)) -> Result<Finished, ProgramError> {
        let name = self.name;
        let io_error = |error| ProgramError::Io { program: name.clone(), error };
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(io_error)?;
        let group = child.id();
        let (Some(mut stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io_error(io::Error::other("its output cannot be read")));
        };
        let mut output = Vec::new();
        let mut messages = VecDeque::new();
        let finished = async {
            let mut stderr = BufReader::new(stderr);
            let read_messages = async {
                let mut line = Vec::new();
                while stderr.read_until(b'\n', &mut line).await? > 0 {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    line.clear();
                    on_message(&text);
                    if messages.len() == KEPT_LINES {
                        messages.pop_front();
                    }
                    messages.push_back(text);
                }
                io::Result::Ok(())
            };
            tokio::try_join!(read_messages, async { stdout.read_to_end(&mut output).await.map(|_| ()) })?;
            child.wait().await
        };
        let status = tokio::select! {
            status = finished => status.map_err(io_error)?,
            () = cancel.cancelled() => {
                end_group(group, false);
                if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                    end_group(group, true);
                    let _ended = child.wait().await;
                }
                return Err(ProgramError::Cancelled);
            }
        };
        Ok(Finished { success: status.success(), output, messages: messages.into() })
    }
}

impl Program {
    /// Starts it and returns as soon as its standard output is one whole JSON document, which `parse` takes; or with what it left behind if it
    /// ended before that. `on_message` gets each line of its standard error until then.
    pub(super) async fn hold<T>(
        mut self,
        cancel: &CancellationToken,
        mut on_message: impl FnMut(&str),
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Result<(Held, T), Finished>, ProgramError> {
        let name = self.name;
        let io_error = |error| ProgramError::Io { program: name.clone(), error };
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(false);
        let mut child = self.command.spawn().map_err(io_error)?;
        let (Some(mut stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io_error(io::Error::other("its output cannot be read")));
        };
        let held = Held { child };
        let mut messages = VecDeque::new();
        let mut lines = BufReader::new(stderr).lines();
        let mut output = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        let mut talks = true;
        loop {
            tokio::select! {
                line = lines.next_line(), if talks => match line.map_err(io_error)? {
                    Some(line) => {
                        on_message(&line);
                        if messages.len() == KEPT_LINES {
                            messages.pop_front();
                        }
                        messages.push_back(line);
                    }
                    None => talks = false,
                },
                read = stdout.read(&mut chunk) => {
                    let read = read.map_err(io_error)?;
                    output.extend_from_slice(chunk.get(..read).unwrap_or_default());
                    if let Some(parsed) = parse(&output) {
                        // What it says from now on is in its log as well; a full pipe would stop it.
                        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                        tokio::spawn(async move { while stdout.read(&mut chunk).await.is_ok_and(|read| read > 0) {} });
                        return Ok(Ok((held, parsed)));
                    }
                    if read == 0 {
                        held.end().await;
                        return Ok(Err(Finished { success: false, output, messages: messages.into() }));
                    }
                }
                () = cancel.cancelled() => {
                    held.end().await;
                    return Err(ProgramError::Cancelled);
                }
            }
        }
    }
}

/// Asks the process group to end, or kills it. A group that is gone already is no matter.
#[cfg(unix)]
fn end_group(group: Option<u32>, kill: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = group.and_then(|group| i32::try_from(group).ok()).and_then(Pid::from_raw) {
        let _gone = kill_process_group(group, if kill { Signal::KILL } else { Signal::TERM });
    }
}

#[cfg(not(unix))]
fn end_group(_group: Option<u32>, _kill: bool) {}
