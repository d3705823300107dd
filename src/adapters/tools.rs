//! Running helm and kustomize: their own folders are empty, they find no network, and they see nothing of the person's environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::executable;
use super::process::Program;
use crate::error::{Failure, Kind, Result};

/// How long one build may take, and how much it may print.
const LONGEST: Duration = Duration::from_secs(120);
const LARGEST: usize = 64 * 1024 * 1024;

/// The lines of a tool's complaint that are shown, from its end.
const SHOWN_LINES: usize = 20;

/// An address where nothing listens (RFC 863's port, closed on every machine): a proxy that never answers, so that nothing is fetched.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A program that turns sources into manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// `helm`.
    Helm,
    /// `kustomize`.
    Kustomize,
}

/// How a tool is started: a program, and the arguments that come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The file of the program.
    pub program: PathBuf,
    /// What comes before the tool's own arguments.
    pub arguments: Vec<OsString>,
}

/// The tools that a rendering may use, and an empty home folder for them.
#[derive(Debug)]
pub struct Tools {
    helm: Option<Start>,
    kustomize: Option<Start>,
    home: tempfile::TempDir,
}

impl Tool {
    /// The name of the program.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Helm => "helm",
            Self::Kustomize => "kustomize",
        }
    }

    /// The program on the `PATH` given as `path`, if there is one.
    pub fn on_path(self, path: &str) -> Option<Start> {
        Some(Start { program: executable::find(self.name(), path.as_ref())?, arguments: Vec::new() })
    }

    /// The program as a part of the sandbox's engine.
    pub fn of_engine(self, engine: &Path) -> Start {
        Start { program: engine.to_owned(), arguments: vec![self.name().into()] }
    }
}

impl Tools {
    /// The tools that were found.
    pub fn new(helm: Option<Start>, kustomize: Option<Start>) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("gitops-bootstrap-").tempdir().map_err(|error| {
            Failure::usage("cannot make a temporary folder").because(error).hint("set TMPDIR to a folder that can be written to")
        })?;
        Ok(Self { helm, kustomize, home })
    }

    /// Runs a tool in `folder` and returns what it printed. What it complains of becomes the cause of the failure.
    pub async fn run(&self, tool: Tool, folder: &Path, arguments: Vec<OsString>, cancel: &CancellationToken) -> Result<String> {
        let start = match tool {
            Tool::Helm => &self.helm,
            Tool::Kustomize => &self.kustomize,
        };
        let name = tool.name();
        let start = start.as_ref().ok_or_else(|| Failure::bug(format!("{name} was not asked for, and is needed")))?;
        let mut program =
            Program::new(&start.program).args(start.arguments.clone()).args(arguments).in_folder(folder).within(LONGEST).at_most(LARGEST);
        for variable in [
            "HOME",
            "XDG_CONFIG_HOME",
            "XDG_CACHE_HOME",
            "XDG_DATA_HOME",
            "HELM_CONFIG_HOME",
            "HELM_CACHE_HOME",
            "HELM_DATA_HOME",
            "HELM_PLUGINS",
            "KUSTOMIZE_PLUGIN_HOME",
            "TMPDIR",
        ] {
            program = program.env(variable, self.home.path());
        }
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"] {
            program = program.env(variable, NOWHERE);
        }
        // kustomize runs git for bases that are addresses; no protocol is allowed to it.
        let program = program.env("GIT_ALLOW_PROTOCOL", "none").env("KUBECONFIG", self.home.path().join("none"));
        let output = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Failure::new(Kind::Interrupted, format!("interrupted while {name} worked"))),
            output = program.run() => output.map_err(|error| Failure::usage(format!("{name} did not run to its end")).because(error))?,
        };
        if !output.is_success() {
            return Err(Failure::repository(format!("{name} fails")).because(complaint(name, &output.stderr)));
        }
        String::from_utf8(output.stdout).map_err(|_| Failure::repository(format!("{name} printed something that is not UTF-8")))
    }
}

/// The last lines of what a tool said.
fn complaint(name: &str, stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let shown = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n");
    if shown.is_empty() { format!("{name} says nothing about it") } else { format!("{name} says: {shown}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_sees_nothing_of_the_person_and_its_complaint_is_the_cause() {
        let shell = Start { program: "/bin/sh".into(), arguments: vec!["-c".into()] };
        let tools = Tools::new(Some(shell), None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let cancel = CancellationToken::new();
        let run = |script: &'static str| tools.run(Tool::Helm, folder.path(), vec![script.into()], &cancel);
        let home = run("echo $HOME").await.unwrap();
        assert_eq!(Path::new(home.trim()), tools.home.path());
        let failure = run("echo one >&2; echo two >&2; exit 1").await.unwrap_err();
        assert_eq!((failure.kind, failure.to_string().as_str()), (Kind::InvalidRepository, "helm fails: helm says: one\ntwo"));
    }

    #[tokio::test]
    async fn an_interrupt_ends_the_tool() {
        let tools = Tools::new(Some(Start { program: "/bin/sh".into(), arguments: vec!["-c".into()] }), None).unwrap();
        let cancel = CancellationToken::new();
        cancel.cancel();
        let failure = tools.run(Tool::Helm, Path::new("/"), vec!["sleep 600".into()], &cancel).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Interrupted);
    }
}
