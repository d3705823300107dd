//! The engine that all tests share.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::Parser as _;
use gitops_bootstrap::cli::Cli;
use gitops_bootstrap::commands::Context;
use gitops_bootstrap::event::{Event, Events, Reporter};
use gitops_bootstrap::sandbox;
use gitops_bootstrap::settings::Environment;

/// How often the build of the engine says how far it is.
const PACE: Duration = Duration::from_secs(20);

/// The engine, found or built as the command line does it, in the cache folder of the person who runs the tests. Built once for a machine.
pub(crate) fn engine() -> &'static Path {
    static ENGINE: OnceLock<PathBuf> = OnceLock::new();
    ENGINE.get_or_init(|| {
        // A runtime of its own, on a thread of its own: the test may be in one already.
        let found = std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(sandbox::engine::locate(&library_context())));
        found.join().unwrap().unwrap_or_else(|failure| panic!("{failure}\n{}", failure.hints.join("\n"))).path().to_owned()
    })
}

/// What the library is given where a test calls it without the command line.
pub(crate) fn library_context() -> Context {
    let environment = Environment::of_process();
    let mut global = Cli::parse_from(["gitops-bootstrap", "sandbox", "list"]).global;
    global.engine = environment.variable("GITOPS_BOOTSTRAP_ENGINE").map(PathBuf::from);
    Context { global, environment, events: Events::new(Progress(None)), cancel: tokio_util::sync::CancellationToken::new() }
}

struct Progress(Option<Instant>);

impl Reporter for Progress {
    fn on(&mut self, event: &Event) {
        let Event::Work { message, done, total } = event else { return };
        if self.0.is_none_or(|last| last.elapsed() > PACE) {
            self.0 = Some(Instant::now());
            // Past the test runner, which would keep it back until the tests have failed.
            let _ = writeln!(std::io::stderr(), "{message} ({done} of {total})");
        }
    }
}
