//! The engine's own tests, so that one command runs all tests of the project.

use std::path::Path;
use std::process::Command;

#[test]
fn the_tests_of_the_engine_pass() {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox");
    for arguments in [&["run", "./cmd/build", "-assets-only"][..], &["test", "./..."]] {
        let output = go(&module, arguments).output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
}

/// Go with the person's own caches, and compiling as the engine is compiled, so that both share what is compiled.
#[expect(clippy::disallowed_methods, reason = "Go finds its caches, its modules and its proxy by the person's environment")]
fn go(module: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("go");
    command.args(arguments).current_dir(module).env("CGO_ENABLED", "0");
    command
}
