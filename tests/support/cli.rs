//! Runs of the command line as a person or a script would start it, with an environment that is closed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Running;

/// How long a run may take if nothing else is said: an `init` on two busy cores needs half of it.
const LIMIT: Duration = Duration::from_secs(300);

/// A run that is yet to be started.
#[derive(Clone)]
pub(crate) struct Cli {
    arguments: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
    folder: PathBuf,
    limit: Duration,
}

/// A run that is over.
pub(crate) struct Ran {
    /// The exit status; none if it was ended by a signal or by the time limit.
    pub(crate) status: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Cli {
    pub(super) fn new(home: &Path) -> Self {
        #[expect(clippy::disallowed_methods, reason = "git and ssh are found by the PATH, and nothing else is let through")]
        let path = std::env::var_os("PATH").unwrap_or_default();
        let variables =
            [("HOME", home.as_os_str()), ("PATH", &path), ("LANG", OsStr::new("C.UTF-8")), ("GIT_CONFIG_NOSYSTEM", OsStr::new("1"))];
        Self {
            arguments: Vec::new(),
            variables: variables.map(|(name, value)| (name.into(), value.into())).into(),
            folder: home.to_owned(),
            limit: LIMIT,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Starts it in `folder` instead of the home folder.
    #[must_use]
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.folder);
        self
    }

    /// Ends it after `limit` instead of five minutes.
    #[must_use]
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ran {
        let output = assert_cmd::Command::from_std(self.command()).timeout(self.limit).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts it, to be interrupted or killed. Its output can be read from the child's pipes; what nobody reads must be little.
    pub(crate) fn spawn(self) -> Child {
        self.command().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts it with `--output json`, to be watched.
    pub(crate) fn start(self) -> Running {
        Running::new(self.args(["--output", "json"]).spawn())
    }

    #[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gitops-bootstrap"));
        command.args(&self.arguments).env_clear().envs(&self.variables).current_dir(&self.folder);
        command
    }
}

impl Ran {
    /// Checks that it exited with `status`, and shows what it said if not.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert!(self.status == Some(status), "expected exit status {status}\n{self}");
        self
    }

    /// What `--output json` wrote: an event a line.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}\n{self}"))).collect()
    }

    /// The result in the last event of `--output json`.
    #[track_caller]
    pub(crate) fn result(&self) -> serde_json::Value {
        let last = self.events().pop().unwrap_or_else(|| panic!("no events\n{self}"));
        assert_eq!(last["event"], "finished", "{self}");
        last["result"].clone()
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "exit: {:?}\n--- stdout\n{}--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}
