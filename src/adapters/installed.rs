//! Which programs are installed, and what they say of their version.

use std::time::Duration;

use super::process::{ProcessError, Program};

/// How long a program may take to tell its version.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How much of what it says is kept.
const OUTPUT_LIMIT: usize = 64 << 10;

/// What a program that is installed says of its version; none if it is not on the `PATH`.
///
/// # Errors
/// Why it does not run, for people.
pub async fn version(program: &str, arguments: &[&str]) -> Result<Option<String>, String> {
    let run = Program::new(program).args(arguments.iter().copied()).within(TIME_LIMIT).at_most(OUTPUT_LIMIT).run();
    match run.await {
        Ok(output) if output.is_success() => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            // `ssh` tells its version on its standard error.
            Ok(Some(if said.trim().is_empty() { output.stderr } else { said }))
        }
        Ok(output) => Err(format!("`{program}` fails: {}", output.stderr.lines().next().unwrap_or("it does not say why"))),
        Err(ProcessError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_is_there_missing_or_broken() {
        assert!(version("git", &["version"]).await.unwrap().unwrap().starts_with("git version"));
        assert!(version("ssh", &["-V"]).await.unwrap().unwrap().contains("SSH"));
        assert_eq!(version("no-such-program-here", &[]).await, Ok(None));
        assert!(version("sh", &["-c", "echo broken >&2; exit 1"]).await.unwrap_err().contains("broken"));
    }
}
