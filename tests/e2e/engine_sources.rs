//! The engine and its sources. Its own tests are run here too, so that one command runs all tests of the project.

use std::path::Path;
use std::process::Command;

use gitops_bootstrap::sandbox::engine::sources;

use crate::support::engine;

#[test]
fn the_tests_of_the_engine_pass() {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox");
    for arguments in [&["run", "./cmd/build", "-assets-only"][..], &["test", "./..."]] {
        let output = go(&module, arguments).output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn the_engine_says_of_which_sources_it_was_built() {
    let output = Command::new(engine()).args(["version", "--output", "json"]).env_clear().output().unwrap();
    let versions: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(versions["sources"], sources::hash());
    for program in ["argocd", "kubernetes", "sealed-secrets"] {
        assert!(versions[program].as_str().is_some_and(|version| version.starts_with('v')), "{versions}");
    }
}

/// Go with the person's own caches, and compiling as the engine is compiled, so that both share what is compiled.
#[expect(clippy::disallowed_methods, reason = "Go finds its caches, its modules and its proxy by the person's environment")]
fn go(module: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("go");
    command.args(arguments).current_dir(module).env("CGO_ENABLED", "0");
    command
}
