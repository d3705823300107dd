//! What was typed and what the environment says, made into checked values. The only reader of the environment.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// What the process was given: read once, at the start.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The environment variables whose names and values are Unicode.
    pub variables: BTreeMap<String, String>,
    /// The working directory.
    pub folder: PathBuf,
    /// Whether questions can be asked: standard input and standard error are terminals, and this is not a CI run.
    pub interactive: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
}

impl Environment {
    /// Reads the process's own.
    pub fn of_process() -> Self {
        let variables: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        let stderr_is_terminal = std::io::stderr().is_terminal();
        let ci = variables.get("CI").is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
        Self {
            interactive: std::io::stdin().is_terminal() && stderr_is_terminal && !ci,
            stderr_is_terminal: stderr_is_terminal && !ci,
            folder: std::env::current_dir().unwrap_or_default(),
            variables,
        }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The person's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").or_else(|| self.variable("USERPROFILE")).map(PathBuf::from)
    }

    /// The folder for what can be made again (XDG Base Directory Specification; `~/Library/Caches` on macOS).
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let base = self.variable("XDG_CACHE_HOME").and_then(absolute).or_else(|| {
            let home = self.home()?;
            Some(if cfg!(target_os = "macos") { home.join("Library/Caches") } else { home.join(".cache") })
        })?;
        Some(base.join("gitops-bootstrap"))
    }

    /// The folder for what must survive (XDG Base Directory Specification): the sandboxes.
    pub fn state_folder(&self) -> Option<PathBuf> {
        let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let base = self.variable("XDG_STATE_HOME").and_then(absolute).or_else(|| Some(self.home()?.join(".local/state")))?;
        Some(base.join("gitops-bootstrap"))
    }
}
