//! A sandbox for one test, or for several that only read.

use std::fs::File;
use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use gitops_bootstrap::sandbox::State;

use super::{Cli, Home, engine};

/// How many sandboxes run at the same time: each keeps a core busy while it starts.
const MOST: usize = 2;

static FREE: Mutex<usize> = Mutex::new(MOST);
static GIVEN_BACK: Condvar = Condvar::new();

/// The right to run some sandboxes. A test that needs several takes all of them at once, so that no two tests wait for each other.
pub(crate) struct Slots(usize);

impl Slots {
    /// Waits until `count` sandboxes may run.
    pub(crate) fn take(count: usize) -> Self {
        assert!(count <= MOST, "no test may run {count} sandboxes");
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = GIVEN_BACK.wait_while(free, |free| *free < count).unwrap_or_else(PoisonError::into_inner);
        *free -= count;
        Self(count)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += self.0;
        GIVEN_BACK.notify_all();
    }
}

/// A running sandbox of its own, called `default`, in a home of its own: `--sandbox` means it.
///
/// It is a child of the test and its standard input is a pipe from it, so it ends when the test drops it, panics, or is killed.
pub(crate) struct TestSandbox {
    /// How it is reached.
    pub(crate) state: State,
    child: Child,
    home: Home,
    _slots: Slots,
}

impl TestSandbox {
    /// Starts one, and returns when it can be used.
    pub(crate) fn start() -> Self {
        Self::start_with(Home::new(), &[])
    }

    /// Starts one in that home folder, with more arguments for the engine's `up`.
    pub(crate) fn start_with(home: Home, arguments: &[&str]) -> Self {
        let slots = Slots::take(1);
        let (child, state) = ready(&home, arguments);
        Self { state, child, home, _slots: slots }
    }

    /// Loses the cluster with everything in it, and starts an empty one in its place: another identity. The forge stays as it is.
    pub(crate) fn lose_cluster(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        let folder = self.home.sandbox_folder("default");
        for part in ["etcd", "pods"] {
            std::fs::remove_dir_all(folder.join(part)).unwrap_or_else(|error| panic!("{part}: {error}"));
        }
        (self.child, self.state) = ready(&self.home, &[]);
    }

    /// The one that all tests share which only read: started by the first, ended after the last.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<TestSandbox>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start());
            *shared = Arc::downgrade(&started);
            started
        })
    }

    /// Its home folder.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// A run of the command line in its home folder.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Cli {
        self.home.cli(arguments)
    }

    /// What kubectl prints for `arguments`.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let all = [&["sandbox", "kubectl", "--"], arguments].concat();
        self.cli(&all).run().exits(0).stdout
    }
}

/// The numbers of the processes of a sandbox: the supervisor and all that it started.
pub(crate) fn processes(state: &State) -> Vec<u32> {
    let components = state.components.iter().map(|component| component.pid);
    components.chain([state.supervisor.pid]).filter(|pid| *pid != 0).collect()
}

/// The file with the messages of a sandbox, below the home folder.
const MESSAGES: &str = "sandbox.messages";

/// Starts a sandbox, and returns when it can be used.
fn ready(home: &Home, arguments: &[&str]) -> (Child, State) {
    let mut child = engine_up(home, arguments);
    // It prints its state once, as soon as it is ready, and then nothing more.
    let output = serde_json::Deserializer::from_reader(BufReader::new(child.stdout.take().unwrap()));
    let Some(Ok(state)) = output.into_iter().next() else {
        panic!("the sandbox did not start\n{}", std::fs::read_to_string(home.path().join(MESSAGES)).unwrap_or_default());
    };
    (child, state)
}

/// Starts a sandbox that ends with this process.
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn engine_up(home: &Home, arguments: &[&str]) -> Child {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new(engine());
    command.args(["up", "--name", "default", "--output", "json", "--folder"]).arg(home.sandbox_folder("default")).args(arguments);
    command.env_clear().env("HOME", home.path()).env("PATH", path).current_dir(home.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(home.path().join(MESSAGES)).unwrap()).spawn().unwrap()
}

impl Drop for TestSandbox {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}
