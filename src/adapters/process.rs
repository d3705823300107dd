//! The only place that starts other programs: with an environment that is closed, no input but what is given, a limit on the output
//! and a limit of time. A program that is still running when its call is dropped is killed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::executable;

/// How much a program may print if nothing else is said.
const OUTPUT_LIMIT: usize = 8 << 20;

/// How much of the standard error is kept; the rest is read and dropped.
const ERROR_LIMIT: usize = 1 << 20;

/// How long a program may run if nothing else is said.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The environment variables that hold a forge's token or a private key. No program that is started here gets them, whoever else's environment it gets.
pub const TOKEN_VARIABLES: [&str; 6] = [
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "GITOPS_BOOTSTRAP_GITHUB_APP_PRIVATE_KEY",
    "GITOPS_BOOTSTRAP_IDENTITY",
];

/// Takes a line of output.
type TakeLine<'a> = Box<dyn FnMut(&str) + Send + 'a>;

/// A program to run once.
///
/// It inherits `PATH` and nothing else of the environment. Secrets have no place in its arguments or in its environment, since both can
/// be read by others on the machine.
pub struct Program<'a> {
    name: OsString,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    folder: Option<PathBuf>,
    input: Vec<u8>,
    output_limit: usize,
    time_limit: Duration,
    on_error_line: Option<TakeLine<'a>>,
}

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: String,
}

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such program on the `PATH`.
    #[error("`{0}` is not installed, or not on the PATH")]
    NotFound(String),
    /// It printed more than the limit.
    #[error("`{program}` printed more than {limit} bytes")]
    TooMuchOutput {
        /// Which.
        program: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// It ran longer than the limit.
    #[error("`{program}` did not end within {} s", .limit.as_secs())]
    TimedOut {
        /// Which.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// It could not be started, or its output could not be read.
    #[error("`{program}` could not be run: {message}")]
    Broken {
        /// Which.
        program: String,
        /// Why.
        message: String,
    },
}

impl Output {
    /// Whether the program ended well.
    pub fn is_success(&self) -> bool {
        self.status == Some(0)
    }
}

impl<'a> Program<'a> {
    /// The program `name`, from the `PATH` unless it is a path.
    pub fn new(name: impl Into<OsString>) -> Self {
        Self {
            name: name.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folder: None,
            input: Vec::new(),
            output_limit: OUTPUT_LIMIT,
            time_limit: TIME_LIMIT,
            on_error_line: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Adds environment variables.
    #[must_use]
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        for (name, value) in variables {
            self = self.env(name, value);
        }
        self
    }

    /// Runs in `folder`.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Gives `input` on the standard input, which is empty otherwise.
    #[must_use]
    pub fn input(mut self, input: Vec<u8>) -> Self {
        self.input = input;
        self
    }

    /// Takes up to `limit` bytes of output instead of 8 MiB.
    #[must_use]
    pub fn at_most(mut self, limit: usize) -> Self {
        self.output_limit = limit;
        self
    }

    /// Gives the program `limit` instead of a minute.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Hands over each line of the standard error as it comes.
    #[must_use]
    pub fn on_error_line(mut self, take: impl FnMut(&str) + Send + 'a) -> Self {
        self.on_error_line = Some(Box::new(take));
        self
    }

    /// Runs the program to its end. An exit status other than 0 is no error here.
    pub async fn run(self) -> Result<Output, ProcessError> {
        let program = self.name.to_string_lossy().into_owned();
        let limit = self.time_limit;
        match tokio::time::timeout(limit, self.run_to_end(&program)).await {
            Ok(result) => result,
            Err(_) => Err(ProcessError::TimedOut { program, limit }),
        }
    }

    async fn run_to_end(self, program: &str) -> Result<Output, ProcessError> {
        let broken = |error: std::io::Error| ProcessError::Broken { program: program.to_owned(), message: error.to_string() };
        let mut child = self.command().spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ProcessError::NotFound(program.to_owned()),
            _ => broken(error),
        })?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that reads no further is judged by its exit status.
                let _ = stdin.write_all(&self.input).await;
            }
            Ok(())
        };
        let read = async {
            let mut output = Vec::new();
            if let Some(stdout) = stdout {
                stdout.take(self.output_limit as u64 + 1).read_to_end(&mut output).await.map_err(broken)?;
            }
            if output.len() > self.output_limit {
                return Err(ProcessError::TooMuchOutput { program: program.to_owned(), limit: self.output_limit });
            }
            Ok(output)
        };
        let listen = async { Ok(listen(stderr, self.on_error_line).await) };
        let ((), stdout, stderr) = tokio::try_join!(feed, read, listen)?;
        let status = child.wait().await.map_err(broken)?;
        Ok(Output { status: status.code(), stdout, stderr })
    }

    #[expect(clippy::disallowed_methods, reason = "programs are started here and nowhere else, and find each other by the PATH")]
    fn command(&self) -> tokio::process::Command {
        let path = self.environment.get(OsStr::new("PATH")).cloned().or_else(|| std::env::var_os("PATH"));
        // By its whole path a program is started with `posix_spawn`; the standard library looks through a `PATH` that it was given only after a `fork`.
        let found = path.as_ref().and_then(|path| executable::find(&self.name, path));
        let mut command = tokio::process::Command::new(found.unwrap_or_else(|| PathBuf::from(&self.name)));
        command.env_clear().envs(path.map(|path| ("PATH", path)));
        command.env("LC_ALL", "C").envs(&self.environment).args(&self.arguments).kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Reads the standard error to its end, keeps its beginning, and hands over each line.
async fn listen(stderr: Option<impl AsyncRead + Unpin>, mut on_line: Option<TakeLine<'_>>) -> String {
    let mut kept = Vec::new();
    let mut line = Vec::new();
    let mut chunk = vec![0; 8192];
    let Some(mut stderr) = stderr else { return String::new() };
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        let read = chunk.get(..count).unwrap_or_default();
        kept.extend(read.iter().take(ERROR_LIMIT.saturating_sub(kept.len())));
        if let Some(on_line) = &mut on_line {
            for &byte in read {
                match byte {
                    b'\n' => on_line(String::from_utf8_lossy(&std::mem::take(&mut line)).trim_end()),
                    byte if line.len() < ERROR_LIMIT => line.push(byte),
                    _ => {}
                }
            }
        }
    }
    if let Some(mut on_line) = on_line.filter(|_| !line.is_empty()) {
        on_line(String::from_utf8_lossy(&line).trim_end());
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program<'_> {
        Program::new("sh").args(["-c", script])
    }

    #[tokio::test]
    async fn a_program_inherits_nothing_but_the_path() {
        let output = shell("env").env("GIVEN", "yes").run().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        // `PWD`, `OLDPWD`, `SHLVL` and `_` are the shell's own.
        names.retain(|name| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"));
        names.sort_unstable();
        assert_eq!(names, ["GIVEN", "LC_ALL", "PATH"]);
    }

    #[tokio::test]
    async fn input_output_status_and_lines_of_the_standard_error_come_through() {
        let mut lines = Vec::new();
        let output = shell("cat; echo one >&2; echo two >&2; exit 3")
            .input(b"hello".to_vec())
            .on_error_line(|line| lines.push(line.to_owned()))
            .run()
            .await
            .unwrap();
        assert_eq!((output.status, output.stdout.as_slice(), output.stderr.as_str()), (Some(3), b"hello".as_slice(), "one\ntwo\n"));
        assert_eq!(lines, ["one", "two"]);
    }

    #[tokio::test]
    async fn too_much_output_ends_the_program() {
        let error = Program::new("yes").at_most(1000).run().await.unwrap_err();
        assert!(matches!(error, ProcessError::TooMuchOutput { limit: 1000, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended() {
        let error = Program::new("sleep").args(["600"]).within(Duration::from_millis(50)).run().await.unwrap_err();
        assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = Program::new("no-such-program-here").run().await.unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program-here` is not installed, or not on the PATH");
    }
}
