//! The tools of the machine that the engine needs, and how to get one that is missing.

use std::path::PathBuf;

use crate::adapters::executable;
use crate::error::{Failure, Result};
use crate::settings::Environment;

/// Checks for what the engine runs: Argo CD and the forge use Git and OpenSSH as programs.
pub(super) fn check_run_time(environment: &Environment) -> Result<()> {
    for (program, package) in [("git", "git"), ("ssh", "openssh-client")] {
        if find(environment, program).is_none() {
            return Err(missing(program, "the sandbox runs it").hint(how_to_install(package)));
        }
    }
    Ok(())
}

/// Finds Go, which builds the engine.
pub(super) fn find_go(environment: &Environment) -> Result<PathBuf> {
    find(environment, "go").ok_or_else(|| missing("go", "the sandbox's engine is built with it, once").hint(how_to_get_go()))
}

/// How to get a Go that is new enough.
pub(super) fn how_to_get_go() -> String {
    format!("install Go {} or newer from https://go.dev/dl/, then run the same command again", super::sources::oldest_go())
}

fn find(environment: &Environment, program: &str) -> Option<PathBuf> {
    executable::find(program, environment.variable("PATH")?.as_ref())
}

fn missing(program: &str, because: &str) -> Failure {
    Failure::usage(format!("`{program}` is not on the PATH")).because(because)
}

fn how_to_install(package: &str) -> String {
    if cfg!(target_os = "macos") {
        "install Apple's command line tools with `xcode-select --install`, then run the same command again".to_owned()
    } else {
        format!(
            "install the package `{package}` with your system's package manager (`sudo apt install {package}`), then run the same command again"
        )
    }
}

/// Whether the version that `go env GOVERSION` prints (`go1.26.8`) is `oldest` or newer. A development version counts as new.
pub(super) fn is_new_enough(version: &str, oldest: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u32>> {
        // Release candidates are written `1.27rc1`, and an experiment's name follows after a blank.
        let release = text.trim().split([' ', 'r', 'b', '-']).next()?;
        release.split('.').map(|part| part.parse().ok()).collect()
    };
    let Some(release) = version.trim().strip_prefix("go") else { return version.starts_with("devel") };
    match (numbers(release), numbers(oldest)) {
        (Some(found), Some(wanted)) => found >= wanted,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_by_number() {
        for (version, enough) in [
            ("go1.26.3", true),
            ("go1.26.10\n", true),
            ("go1.27rc1", true),
            ("go1.26.8 X:nodwarf5", true),
            ("devel go1.28-abcdef", true),
            ("go1.26.2", false),
            ("go1.9", false),
            ("go1.26", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version, "1.26.3"), enough, "{version}");
        }
    }

    #[test]
    fn a_missing_tool_is_named_with_how_to_get_it() {
        let nothing = Environment { variables: [("PATH".to_owned(), "/nonexistent".to_owned())].into(), ..Environment::default() };
        let failure = check_run_time(&nothing).unwrap_err();
        assert_eq!(failure.kind.exit_status(), 2);
        assert!(failure.message.contains("`git`") && failure.hints[0].contains("install"), "{failure:?}");
        let failure = find_go(&nothing).unwrap_err();
        assert!(failure.message.contains("`go`") && failure.hints[0].contains("https://go.dev/dl/"), "{failure:?}");
    }
}
