//! How the command line builds its engine, on a stand-in for Go that fails, waits or succeeds as the test wants it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::process::interrupt;
use crate::support::{Cli, Home, Ran, eventually};

const SOON: Duration = Duration::from_secs(20);

/// A machine with `git` and `ssh`, and a Go that runs `script` when it is to build.
struct Machine {
    home: Home,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { home: Home::new() };
        fs::create_dir(machine.programs()).unwrap();
        // For a sandbox of which there is nothing no engine is needed.
        fs::create_dir_all(machine.home.path().join(".local/state/gitops-bootstrap/sandboxes/trial")).unwrap();
        for program in ["git", "ssh"] {
            machine.program(program, "exit 1");
        }
        for program in ["cat", "chmod", "mkdir", "sleep", "touch"] {
            symlink(find(program), machine.programs().join(program)).unwrap();
        }
        machine
    }

    fn with_go(script: &str) -> Self {
        let machine = Self::new();
        machine.program("go", &format!("if [ \"$1\" = env ]; then echo go1.999.0; exit; fi\necho run >>\"$HOME/runs\"\n{script}"));
        machine
    }

    fn programs(&self) -> PathBuf {
        self.home.path().join("programs")
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.programs().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A verb that needs the engine and, once it has one, ends at once.
    fn cli(&self) -> Cli {
        self.home.cli_without_engine(&["sandbox", "status", "trial"]).env("PATH", self.programs()).within(SOON)
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join(".cache/gitops-bootstrap/engine")
    }

    /// What is in the cache but its lock.
    fn cached(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache()).unwrap().flatten().map(|entry| entry.path());
        entries.filter(|path| !path.ends_with("lock")).collect()
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.home.path().join("runs")).unwrap_or_default().lines().count()
    }
}

fn find(program: &str) -> PathBuf {
    ["/bin", "/usr/bin"].iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists()).unwrap()
}

/// What the real `cmd/build` says, and then an engine that knows no sandbox.
const BUILDS: &str = "echo 'go: downloading example.com/module v1.0.0' >&2
echo 'packages 2' >&2
echo 'example.com/module' >&2
printf '#!/bin/sh\\nexit 1\\n' >\"$4\"
chmod 755 \"$4\"";

#[track_caller]
fn built(ran: Ran) {
    let ran = ran.exits(2);
    assert!(ran.stderr.contains("there is no sandbox `trial`"), "{ran}");
}

#[test]
fn the_engine_is_built_once_and_then_found() {
    let machine = Machine::with_go(BUILDS);
    built(machine.cli().run());
    built(machine.cli().run());
    assert_eq!(machine.runs(), 1);
    assert_eq!(machine.cached().len(), 1);
}

#[test]
fn two_processes_that_need_the_engine_build_it_once() {
    let machine = Machine::with_go(&format!("while [ ! -e \"$HOME/go-on\" ]; do sleep 0.05; done\n{BUILDS}"));
    let first = machine.cli().spawn();
    eventually("the first build", SOON, || (machine.runs() == 1).then_some(()));
    let second = machine.cli().spawn();
    fs::write(machine.home.path().join("go-on"), "").unwrap();
    for process in [first, second] {
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(machine.runs(), 1);
}

#[test]
fn a_failed_build_shows_the_compilers_last_lines_and_leaves_nothing_half_made() {
    let machine = Machine::with_go("echo 'packages 2' >&2; echo 'main.go:1:1: no space left on device' >&2; exit 1");
    let ran = machine.cli().run();
    assert!(ran.status.is_some_and(|status| status != 0 && status != 2), "{ran}");
    for words in ["the sandbox's engine could not be built", "main.go:1:1: no space left on device", "hint: "] {
        assert!(ran.stderr.contains(words), "{words}\n{ran}");
    }
    assert_eq!(machine.cached(), [] as [PathBuf; 0]);
}

#[test]
fn ctrl_c_ends_a_build_and_leaves_nothing_half_made() {
    let machine = Machine::with_go("echo $$ >\"$HOME/compiler\"; while :; do sleep 0.05; done");
    let mut process = machine.cli().spawn();
    let compiler: u32 = eventually("the compiler", SOON, || {
        fs::read_to_string(machine.home.path().join("compiler")).ok().and_then(|text| text.trim().parse().ok())
    });
    interrupt(process.id());
    let status = process.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(!crate::support::process::is_alive(compiler));
    assert_eq!(machine.cached(), [] as [PathBuf; 0]);
}

#[test]
fn what_a_killed_build_left_is_removed_by_the_next() {
    let machine = Machine::with_go(BUILDS);
    fs::create_dir_all(machine.cache().join("unfinished-by-a-killed-build/sandbox")).unwrap();
    built(machine.cli().run());
    assert_eq!(machine.cached().len(), 1);
}

#[test]
fn a_missing_tool_is_named_with_how_to_get_it() {
    let machine = Machine::new();
    let ran = machine.cli().run().exits(2);
    assert!(ran.stderr.contains("`go` is not on the PATH") && ran.stderr.contains("https://go.dev/dl/"), "{ran}");
    fs::remove_file(machine.programs().join("ssh")).unwrap();
    let ran = machine.cli().run().exits(2);
    assert!(ran.stderr.contains("`ssh` is not on the PATH") && ran.stderr.contains("install"), "{ran}");
}

#[test]
fn a_go_that_is_too_old_is_named_with_what_is_needed() {
    let machine = Machine::new();
    machine.program("go", "echo go1.21.0");
    let ran = machine.cli().run().exits(2);
    assert!(ran.stderr.contains("too old") && ran.stderr.contains("go1.21.0") && ran.stderr.contains("1.26"), "{ran}");
}

#[test]
fn no_secret_of_the_environment_reaches_the_build() {
    let machine = Machine::with_go(&format!("env >\"$HOME/seen\"\n{BUILDS}"));
    symlink(find("env"), machine.programs().join("env")).unwrap();
    built(machine.cli().env("GITHUB_TOKEN", "secret-of-a-person").env("GOPROXY", "https://proxy.example").run());
    let seen = fs::read_to_string(machine.home.path().join("seen")).unwrap();
    assert!(!seen.contains("secret-of-a-person"), "{seen}");
    assert!(seen.contains("GOPROXY=https://proxy.example") && seen.contains("CGO_ENABLED=0"), "{seen}");
}
