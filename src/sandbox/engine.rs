//! The engine: one program with a Kubernetes control plane, Argo CD and a Git forge in it. It is found, or built from the sources that this
//! binary carries.

mod build;
pub mod sources;
mod toolchain;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::program::{Finished, Held, Program, ProgramError};
use crate::adapters::executable::is_executable;
use crate::context::Context;
use crate::error::{Failure, Kind, Result};

/// The file name of the engine.
const FILE_NAME: &str = "gitops-bootstrap-engine";

/// How long an engine that nobody asks for stays in the cache.
const UNUSED_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the engine and the programs in it may see of our environment. Proxies are for charts that Argo CD fetches.
pub(super) const VARIABLES: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_COLOR",
];

/// What `kubectl edit` and pagers want beyond that.
const INTERACTIVE_VARIABLES: [&str; 7] = ["TERM", "COLUMNS", "LINES", "EDITOR", "VISUAL", "KUBE_EDITOR", "PAGER"];

/// The engine on this machine.
#[derive(Clone, Debug)]
pub struct Engine {
    path: PathBuf,
}

/// Finds the engine, or builds it.
///
/// Looks at `--engine`, beside this program, and in the person's cache folder; else builds it there, with progress as
/// [`Event::Work`](crate::event::Event::Work). Two processes that need it at the same time build it once. A missing tool is
/// [`Kind::Usage`], with how to get it.
pub async fn locate(context: &Context) -> Result<Engine> {
    if let Some(engine) = find(context).await? {
        return Ok(engine);
    }
    let store = store(context)?;
    let path = build::build(&store, context).await?;
    store.remove_unused();
    Ok(Engine { path })
}

/// Finds the engine where [`locate`] looks for it; none if it would have to be built.
pub async fn find(context: &Context) -> Result<Option<Engine>> {
    if let Some(path) = &context.global.engine {
        if !is_executable(path) {
            return Err(Failure::usage(format!("`{}` is not a program that can be run", path.display()))
                .hint("give `--engine` (or GITOPS_BOOTSTRAP_ENGINE) the file of a built engine, or leave it out to have one built"));
        }
        return Ok(Some(Engine { path: absolute(context, path) }));
    }
    toolchain::check_run_time(&context.environment)?;
    if let Some(path) = beside_this_program()
        && (Engine { path: path.clone() }).is_of_these_sources(context).await
    {
        return Ok(Some(Engine { path }));
    }
    Ok(store(context)?.find().map(|path| Engine { path }))
}

/// Where engines are kept.
fn store(context: &Context) -> Result<Store> {
    let cache = context.environment.cache_folder().ok_or_else(|| {
        Failure::usage("there is no folder for the sandbox's engine: neither HOME nor XDG_CACHE_HOME is set")
            .hint("set HOME, or pass `--engine FILE`")
    })?;
    Ok(Store { folder: cache.join("engine") })
}

fn absolute(context: &Context, path: &Path) -> PathBuf {
    context.environment.folder.join(path)
}

fn beside_this_program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.parent()?.join(FILE_NAME);
    is_executable(&path).then_some(path)
}

impl Engine {
    /// The file of the engine. Called with `helm` or `kustomize` as its first argument, it is that program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Argo CD's install manifest, to the byte as it was released.
    pub async fn argocd_manifest(&self, highly_available: bool, context: &Context) -> Result<Vec<u8>> {
        let arguments: &[&str] = if highly_available { &["manifest", "argocd", "--ha"] } else { &["manifest", "argocd"] };
        let finished = self.run(arguments, context, |_| {}).await?;
        if finished.success { Ok(finished.output) } else { Err(self.failed("print Argo CD's manifest", &finished)) }
    }

    /// Replaces this process by a command of the engine. Returns only if that cannot be done.
    #[cfg(unix)]
    #[expect(clippy::disallowed_methods, reason = "this process ends here, and its environment is closed as for any other command")]
    pub fn become_command(&self, arguments: &[&std::ffi::OsStr], context: &Context) -> Failure {
        use std::os::unix::process::CommandExt as _;
        let variables = INTERACTIVE_VARIABLES.iter().chain(&VARIABLES);
        let given = variables.filter_map(|name| Some((name, context.environment.variable(name)?)));
        let error = std::process::Command::new(&self.path).args(arguments).env_clear().envs(given).exec();
        self.cannot_start(&error)
    }

    /// Replaces this process by a command of the engine, where a system can do that.
    #[cfg(not(unix))]
    pub fn become_command(&self, _arguments: &[&std::ffi::OsStr], _context: &Context) -> Failure {
        Failure::usage("this works on Linux and macOS only").hint("use your own kubectl with the sandbox's kubeconfig")
    }

    /// Runs one command of the engine to its end. `on_message` gets each line of its standard error.
    pub(super) async fn run<A: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        context: &Context,
        on_message: impl FnMut(&str),
    ) -> Result<Finished> {
        let program = Program::new(&self.path, &context.environment, &VARIABLES).arguments(arguments);
        program.run(&context.cancel, on_message).await.map_err(|error| self.explain(&error))
    }

    /// Starts a command that goes on, until it has printed a JSON document that `parse` takes, and holds it; or what it left behind if it failed.
    pub(super) async fn hold<T>(
        &self,
        arguments: Vec<std::ffi::OsString>,
        context: &Context,
        on_message: impl FnMut(&str),
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Result<(Held, T), Finished>> {
        let program = Program::new(&self.path, &context.environment, &VARIABLES).arguments(arguments);
        program.hold(&context.cancel, on_message, parse).await.map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &ProgramError) -> Failure {
        match error {
            ProgramError::Cancelled => Failure::new(Kind::Interrupted, "interrupted while the sandbox's engine worked"),
            ProgramError::Io { .. } => self.cannot_start(error),
        }
    }

    fn cannot_start(&self, error: &dyn std::error::Error) -> Failure {
        Failure::usage("the sandbox's engine cannot be started")
            .because(error)
            .hint(format!("remove `{}` to have it built again, or pass another with `--engine`", self.path.display()))
    }

    /// The failure of a command that was to `purpose`.
    pub(super) fn failed(&self, purpose: &str, finished: &Finished) -> Failure {
        let failure = Failure::new(Kind::Transient, format!("the sandbox's engine could not {purpose}"));
        let words = |line: &String| line.trim_start_matches("Error: ").trim().to_owned();
        finished.messages.iter().map(words).filter(|line| !line.is_empty()).fold(failure, Failure::because)
    }

    /// Whether it was built from the sources that this binary carries. An engine that does not say it was not built by us, and is taken as it is.
    async fn is_of_these_sources(&self, context: &Context) -> bool {
        let Ok(finished) = self.run(["version", "--output", "json"], context, |_| {}).await else { return false };
        let said: Option<serde_json::Value> = serde_json::from_slice(&finished.output).ok();
        finished.success && said.is_some_and(|said| said.get("sources").is_none_or(|hash| hash == sources::hash()))
    }
}

/// The engines in the person's cache folder: one folder each, named by the hash of its sources.
struct Store {
    folder: PathBuf,
}

impl Store {
    fn path(&self) -> PathBuf {
        self.folder.join(sources::hash()).join(FILE_NAME)
    }

    /// The engine of our sources, marked as used.
    fn find(&self) -> Option<PathBuf> {
        let path = self.path();
        if !is_executable(&path) {
            return None;
        }
        // The mark only delays the removal, so a cache that cannot be written to is no matter.
        let _marked = std::fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(path)
    }

    /// Removes the engines of other sources that nobody has used for long. What cannot be removed stays.
    fn remove_unused(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for folder in entries.flatten().map(|entry| entry.path()).filter(|path| !path.ends_with(sources::hash())) {
            let used = std::fs::metadata(folder.join(FILE_NAME)).and_then(|metadata| metadata.modified());
            if used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > UNUSED_FOR)) {
                let _stays = std::fs::remove_dir_all(folder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn engine_in(store: &Store, hash: &str, age: Duration) -> PathBuf {
        let path = store.folder.join(hash).join(FILE_NAME);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        fs::File::open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        path
    }

    #[test]
    fn only_engines_that_nobody_used_for_long_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { folder: folder.path().to_owned() };
        let ours = engine_in(&store, sources::hash(), UNUSED_FOR * 2);
        let recent = engine_in(&store, "recent", UNUSED_FOR / 2);
        let old = engine_in(&store, "old", UNUSED_FOR * 2);
        fs::write(store.folder.join("lock"), "").unwrap();
        store.remove_unused();
        assert!(ours.exists() && recent.exists() && store.folder.join("lock").exists());
        assert!(!old.exists());
    }
}
