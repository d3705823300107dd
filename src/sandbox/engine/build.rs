//! Building the engine in the person's cache folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::toolchain::{find_go, how_to_get_go, is_new_enough};
use super::{FILE_NAME, Store, sources};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, Events};
use crate::sandbox::program::{Program, ProgramError};

/// What Go and the programs that it starts may see of our environment: where its caches and modules are, and how to reach the network.
const VARIABLES: [&str; 38] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "GOAUTH",
    "GOCACHE",
    "GODEBUG",
    "GOENV",
    "GOFLAGS",
    "GOINSECURE",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GOMODCACHE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPATH",
    "GOPRIVATE",
    "GOPROXY",
    "GOROOT",
    "GOSUMDB",
    "GOTELEMETRY",
    "GOTOOLCHAIN",
    "GOVCS",
    "NETRC",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];

/// The engine and what is written while it is linked, in bytes.
const LEAST_SPACE: u64 = 1 << 30;

/// What Go keeps of a build from nothing, in bytes (4 GB were measured). Most of it may be there from before, so that less is no failure yet.
const CACHE_SPACE: u64 = 5 << 30;

/// How often the lock of another process that builds is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// Builds the engine in `store` and returns its file. Waits if another process builds it, and then takes what that one built.
pub(super) async fn build(store: &Store, context: &Context) -> Result<PathBuf> {
    fs::create_dir_all(&store.folder).map_err(|error| cannot_write(&store.folder, &error))?;
    let _lock = lock(&store.folder, context).await?;
    if let Some(path) = store.find() {
        return Ok(path);
    }
    remove_unfinished(&store.folder);
    let go = find_go(&context.environment)?;
    check_space(&store.folder)?;
    let workshop =
        tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&store.folder).map_err(|error| cannot_write(&store.folder, &error))?;
    let (module, temporary) = (workshop.path().join("sandbox"), workshop.path().join("temporary"));
    sources::unpack(&module).and_then(|()| fs::create_dir(&temporary)).map_err(|error| cannot_write(workshop.path(), &error))?;

    let go = |arguments: &[&str]| {
        let flags = context.environment.variable("GOFLAGS").unwrap_or_default();
        Program::new(&go, &context.environment, &VARIABLES)
            .arguments(arguments)
            .folder(&module)
            // Pure Go needs no C compiler.
            .variable("CGO_ENABLED", "0")
            // The sources are no repository and no part of a workspace, whatever the cache folder lies in.
            .variable("GOFLAGS", format!("{flags} -buildvcs=false").trim_start())
            .variable("GOWORK", "off")
            .variable("GOTMPDIR", &temporary)
            .variable("GIT_TERMINAL_PROMPT", "0")
    };
    let cache = check_version(go(&["env", "GOVERSION", "GOCACHE"]), context).await?;
    if let Some(free) = free_space(&cache).filter(|free| *free < CACHE_SPACE) {
        let message = format!(
            "only {} MB are free in Go's cache, `{}`; building the sandbox's engine may need 4 GB there",
            free >> 20,
            cache.display()
        );
        context.events.warn(message, Some("set GOCACHE to a folder on a disk with more space".to_owned()));
    }
    compile(go(&["run", "./cmd/build", "-o", FILE_NAME, "-sources", sources::hash()]), context).await?;

    let path = store.path();
    let built = module.join(FILE_NAME);
    // The rename is the last step: the engine is there whole or not at all.
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::rename(&built, &path))
        .map_err(|error| cannot_write(&path, &error))?;
    Ok(path)
}

/// How the folders of unfinished builds begin.
const UNFINISHED: &str = "unfinished-";

/// Removes what killed builds left. The lock is held, so none of them is going on.
fn remove_unfinished(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())) {
        let _stays = fs::remove_dir_all(entry.path());
    }
}

/// Takes the lock of the cache, which the system gives back when this process ends, however it ends.
async fn lock(folder: &Path, context: &Context) -> Result<File> {
    let path = folder.join("lock");
    let cannot_lock = |error: io::Error| cannot_write(&path, &error);
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(cannot_lock)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(cannot_lock(error)),
            Err(TryLockError::WouldBlock) if told => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.rewind().and_then(|()| file.read_to_string(&mut holder)).map_err(cannot_lock)?;
                context.events.send(work(format!("waiting for process {}, which builds the sandbox's engine", holder.trim()), 0, 0));
                told = true;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOCK_INTERVAL) => {}
            () = context.cancel.cancelled() => return Err(interrupted()),
        }
    }
    let holder = format!("{}\n", std::process::id());
    file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(holder.as_bytes())).map_err(cannot_lock)?;
    Ok(file)
}

fn check_space(folder: &Path) -> Result<()> {
    match free_space(folder) {
        Some(free) if free < LEAST_SPACE => Err(Failure::usage(format!(
            "there is too little space to build the sandbox's engine: {} MB are free in `{}`, {} MB are needed",
            free >> 20,
            folder.display(),
            LEAST_SPACE >> 20
        ))
        .hint("free some space, or set XDG_CACHE_HOME to a folder on another disk")),
        _ => Ok(()),
    }
}

/// How many bytes are free where `path` is or will be; none if the file system does not say, which has its own word when it is full.
fn free_space(path: &Path) -> Option<u64> {
    path.ancestors().find(|path| path.exists()).and_then(|path| fs4::available_space(path).ok())
}

/// Refuses a Go that is too old, else returns the folder of its cache.
async fn check_version(program: Program, context: &Context) -> Result<PathBuf> {
    let finished = program.run(&context.cancel, |_| {}).await.map_err(program_failure)?;
    let output = String::from_utf8_lossy(&finished.output);
    let mut lines = output.lines();
    let (version, cache) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if finished.success && is_new_enough(version, sources::oldest_go()) {
        return Ok(PathBuf::from(cache));
    }
    let failure = Failure::usage(format!("the Go on the PATH is too old: the sandbox's engine needs {}", sources::oldest_go()));
    let failure = if finished.success {
        failure.because(format!("it is {version}"))
    } else {
        finished.messages.iter().fold(failure, Failure::because)
    };
    Err(failure.hint(how_to_get_go()))
}

async fn compile(program: Program, context: &Context) -> Result<()> {
    let mut progress = Progress::new(&context.events);
    let finished = program.run(&context.cancel, |line| progress.on(line)).await.map_err(program_failure)?;
    if finished.success { Ok(()) } else { Err(progress.failure()) }
}

/// Reads what `go run ./cmd/build` says: modules that are fetched, then `packages N`, then a line for each package, and whatever is wrong.
struct Progress<'a> {
    events: &'a Events,
    modules: u64,
    packages: u64,
    total: u64,
    /// The lines that are no progress.
    complaints: Vec<String>,
}

impl<'a> Progress<'a> {
    fn new(events: &'a Events) -> Self {
        events.send(work("building the sandbox's engine: looking at its modules", 0, 0));
        Self { events, modules: 0, packages: 0, total: 0, complaints: Vec::new() }
    }

    fn on(&mut self, line: &str) {
        if line.starts_with("go: downloading ") {
            self.modules += 1;
            self.events.send(work("building the sandbox's engine: fetching its modules", self.modules, 0));
        } else if let Some(total) = line.strip_prefix("packages ").and_then(|number| number.parse().ok()) {
            self.total = total;
            self.events.send(work(COMPILING, 0, total));
        } else if self.total > 0 && !line.is_empty() && !line.contains([' ', ':']) {
            self.packages += 1;
            self.events.send(work(COMPILING, self.packages.min(self.total), self.total));
        } else if !line.trim().is_empty() {
            self.complaints.push(line.to_owned());
        }
    }

    /// The compiler's last lines, and what to do.
    fn failure(&self) -> Failure {
        let failure = if self.total == 0 {
            Failure::new(Kind::Transient, "the Go modules of the sandbox's engine could not be fetched")
                .hint("run the same command again where the network lets Go reach its modules; a mirror or a proxy is named by GOPROXY or HTTPS_PROXY")
        } else {
            Failure::new(Kind::Transient, "the sandbox's engine could not be built")
                .hint("if a disk is full or memory ran out, free some and run the same command again: what is compiled stays compiled")
        };
        let last = self.complaints.len().saturating_sub(10);
        self.complaints[last..]
            .iter()
            .fold(failure, Failure::because)
            .hint("`go clean -cache` removes what Go has compiled, if that is damaged")
    }
}

const COMPILING: &str = "building the sandbox's engine: compiling (once; some minutes)";

fn work(message: impl Into<String>, done: u64, total: u64) -> Event {
    Event::Work { message: message.into(), done, total }
}

fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted while the sandbox's engine was built")
        .hint("run the same command again: what is compiled stays compiled")
}

fn program_failure(error: ProgramError) -> Failure {
    match error {
        ProgramError::Cancelled => interrupted(),
        ProgramError::Io { .. } => Failure::usage("the sandbox's engine cannot be built").because(error).hint(how_to_get_go()),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write to the cache folder of the sandbox's engine, `{}`", path.display()))
        .because(error)
        .hint("set XDG_CACHE_HOME to a folder that can be written to")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::event::Reporter;

    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<(u64, u64)>>>);

    impl Reporter for Recorder {
        fn on(&mut self, event: &Event) {
            if let Event::Work { done, total, .. } = event {
                self.0.lock().unwrap().push((*done, *total));
            }
        }
    }

    fn progress_of(lines: &[&str]) -> (Vec<(u64, u64)>, Failure) {
        let recorder = Recorder::default();
        let events = Events::new(recorder.clone());
        let mut progress = Progress::new(&events);
        lines.iter().for_each(|line| progress.on(line));
        let failure = progress.failure();
        (recorder.0.lock().unwrap().clone(), failure)
    }

    #[test]
    fn progress_counts_modules_and_then_packages() {
        let (seen, _) = progress_of(&["go: downloading k8s.io/api v0.36.1", "packages 2", "internal/abi", "k8s.io/api/core/v1"]);
        assert_eq!(seen, [(0, 0), (1, 0), (0, 2), (1, 2), (2, 2)]);
    }

    #[test]
    fn a_failed_build_shows_the_compilers_words_and_no_progress() {
        let (_, failure) = progress_of(&[
            "packages 2",
            "k8s.io/api/core/v1",
            "# example.com/a",
            "a.go:1:1: undefined: b",
            "build: compiling the engine: exit status 1",
        ]);
        assert_eq!(failure.causes, ["# example.com/a", "a.go:1:1: undefined: b", "build: compiling the engine: exit status 1"]);
        assert!(!failure.hints.is_empty());
    }

    #[test]
    fn modules_that_cannot_be_fetched_are_not_the_compilers_fault() {
        let (_, failure) = progress_of(&["go: k8s.io/api@v0.36.1: dial tcp: no such host"]);
        assert!(failure.message.contains("could not be fetched"), "{failure}");
    }

    #[test]
    fn only_what_is_unfinished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("unfinished-1/sandbox")).unwrap();
        fs::create_dir_all(folder.path().join("0123")).unwrap();
        remove_unfinished(folder.path());
        assert!(!folder.path().join("unfinished-1").exists() && folder.path().join("0123").exists());
    }
}
