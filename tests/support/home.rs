//! A home folder for one test.

use std::path::{Path, PathBuf};

use super::{Cli, engine};

/// A home folder that nothing else uses. When it is dropped, the sandboxes that were started in it end, and it is removed.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// Makes an empty one.
    pub(crate) fn new() -> Self {
        // The path is short, since there are Unix sockets below it (unix(7): 108 bytes).
        Self { folder: tempfile::Builder::new().prefix("gb-").tempdir().unwrap() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A run of the command line with this home, the shared engine, and `arguments`.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Cli {
        self.cli_without_engine(arguments).env("GITOPS_BOOTSTRAP_ENGINE", engine())
    }

    /// The same, where the command line has to find or build the engine itself.
    pub(crate) fn cli_without_engine(&self, arguments: &[&str]) -> Cli {
        Cli::new(self.path()).args(arguments)
    }

    /// Where the command line keeps the sandbox called `name`.
    pub(crate) fn sandbox_folder(&self, name: &str) -> PathBuf {
        self.path().join(".local/state/gitops-bootstrap/sandboxes").join(name)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.sandbox_folder("").read_dir().is_ok_and(|mut sandboxes| sandboxes.next().is_some()) {
            let ended = self.cli(&["sandbox", "down", "--all"]).run();
            if ended.status != Some(0) && !std::thread::panicking() {
                panic!("the sandboxes of a test do not end\n{ended}");
            }
        }
    }
}
