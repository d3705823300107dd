//! Git, by the installed `git` and `ssh` programs, with an environment in which nothing of the person's or of the clone's is run.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::OnceCell;

use self::agent::Agent;
pub use self::pack::GitPacker;
pub use self::remote::GitRemote;
pub use self::stand_in::StandIn;
pub use self::worktree::GitWorktree;
use super::process::{Output, ProcessError, Program, TOKEN_VARIABLES};
use crate::ports::git::GitError;

mod agent;
pub mod branch;
pub mod copy;
mod pack;
pub mod publish;
mod remote;
mod ssh;
mod stand_in;
mod token;
mod worktree;

/// The first version that knows `GIT_CONFIG_GLOBAL` and `GIT_CONFIG_COUNT`, without which a clone's configuration could not be overruled.
pub const OLDEST: (u32, u32) = (2, 32);

/// Settings of a clone that would start programs or talk to others, turned off.
const INERT: [(&str, &str); 12] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.untrackedCache", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.quotePath", "false"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("gc.auto", "0"),
    ("commit.gpgSign", "false"),
    ("safe.directory", "*"),
    ("submodule.recurse", "false"),
    ("protocol.allow", "never"),
];

/// `git` in a closed environment: no configuration of the system or the person, no prompt, no lock, no replaced objects.
fn sealed<'a>(folder: &Path, settings: impl IntoIterator<Item = (String, String)>) -> Program<'a> {
    let program = Program::new("git").in_folder(folder).envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_LITERAL_PATHSPECS", "1"),
    ]);
    let inert = INERT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    with_settings(program, inert.chain(settings))
}

/// Overrules settings by the environment, where a name may hold any character.
fn with_settings<'a>(mut program: Program<'a>, settings: impl IntoIterator<Item = (String, String)>) -> Program<'a> {
    let mut count = 0;
    for (name, value) in settings {
        program = program.env(format!("GIT_CONFIG_KEY_{count}"), name).env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count += 1;
    }
    program.env("GIT_CONFIG_COUNT", count.to_string())
}

/// `git` with the person's own configuration and access, which never asks anything. It must not run in a clone, whose configuration
/// would start programs.
fn as_person<'a>(folder: &Path, environment: &BTreeMap<String, String>) -> Program<'a> {
    Program::new("git").in_folder(folder).envs(environment.iter().filter(|(name, _)| is_passed_on(name))).envs([
        ("LC_ALL", "C"),
        ("GIT_TERMINAL_PROMPT", "0"),
        // `ssh` asks on the terminal whatever its input is; a program that says nothing answers for the person.
        ("GIT_ASKPASS", "false"),
        ("SSH_ASKPASS", "false"),
        ("SSH_ASKPASS_REQUIRE", "force"),
    ])
}

/// Whether a variable of the person's environment is passed on: not tokens, and not what moves `git` into another clone or makes it trace.
fn is_passed_on(name: &str) -> bool {
    let of_git = name.starts_with("GIT_") && !name.starts_with("GIT_SSH") && !name.starts_with("GIT_CONFIG");
    !of_git && !TOKEN_VARIABLES.contains(&name)
}

/// Runs `git` and takes an exit status other than 0 for a failure, which `explain` words.
async fn run(program: Program<'_>, explain: impl FnOnce(&Output) -> GitError) -> Result<Vec<u8>, GitError> {
    let output = program.run().await.map_err(|error| failed(&error))?;
    if output.is_success() { Ok(output.stdout) } else { Err(explain(&output)) }
}

fn failed(error: &ProcessError) -> GitError {
    match error {
        ProcessError::NotFound(_) => GitError::Program(format!("{error}: install Git {}.{} or newer", OLDEST.0, OLDEST.1)),
        other => GitError::Other(other.to_string()),
    }
}

/// What `git` said last, without the debugging lines of `ssh`.
fn complaint(output: &Output) -> String {
    let lines = output.stderr.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("debug1:"));
    let lines: Vec<_> = lines.collect();
    let fatal = lines.iter().rfind(|line| line.starts_with("fatal:") || line.starts_with("error:"));
    match fatal.or(lines.last()) {
        Some(line) => line.trim_start_matches("fatal: ").trim_start_matches("error: ").to_owned(),
        None => format!("exit status {:?}", output.status),
    }
}

/// Refuses a `git` that does not know the settings that keep a clone's programs from running. Asks once in the life of the process.
async fn require_git() -> Result<(), GitError> {
    static GOOD: OnceCell<()> = OnceCell::const_new();
    GOOD.get_or_try_init(check_git).await.copied()
}

async fn check_git() -> Result<(), GitError> {
    let output = run(Program::new("git").args(["version"]), |output| GitError::Program(complaint(output))).await?;
    let text = String::from_utf8_lossy(&output);
    match version(&text) {
        Some(version) if version >= OLDEST => Ok(()),
        Some((major, minor)) => {
            Err(GitError::Program(format!("Git {major}.{minor} is too old: install {}.{} or newer", OLDEST.0, OLDEST.1)))
        }
        None => Err(GitError::Program(format!("`git version` says `{}`", text.trim()))),
    }
}

/// Reads `git version 2.39.5 (Apple Git-154)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix("git version ")?.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_git_are_read_whoever_built_it() {
        assert_eq!(version("git version 2.39.5\n"), Some((2, 39)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)\n"), Some((2, 39)));
        assert_eq!(version("git version 2.47.1.windows.1\n"), Some((2, 47)));
        assert_eq!(version("hub version 1\n"), None);
    }

    #[test]
    fn the_persons_environment_is_passed_on_without_tokens_and_without_what_moves_git_elsewhere() {
        for theirs in ["HOME", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "HTTPS_PROXY"] {
            assert!(is_passed_on(theirs), "{theirs}");
        }
        for withheld in ["GITHUB_TOKEN", "GH_TOKEN", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_TRACE", "GIT_ASKPASS"] {
            assert!(!is_passed_on(withheld), "{withheld}");
        }
    }
}
