//! What was typed and what the environment says, made into checked values. The only reader of the environment.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Command;
use clap::builder::Resettable;

use crate::error::{Failure, Result};

/// What the process was given: read once, at the start.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The environment variables whose names and values are Unicode.
    pub variables: BTreeMap<String, String>,
    /// The working directory.
    pub folder: PathBuf,
    /// The command line, for the person who wants to type it again.
    pub arguments: Vec<String>,
    /// Whether questions can be asked: standard input and standard error are terminals, and this is not a CI run.
    pub interactive: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
}

impl Environment {
    /// Reads the process's own.
    pub fn of_process() -> Self {
        let variables: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        let stderr_is_terminal = std::io::stderr().is_terminal();
        let ci = variables.get("CI").is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
        Self {
            interactive: std::io::stdin().is_terminal() && stderr_is_terminal && !ci,
            stderr_is_terminal: stderr_is_terminal && !ci,
            folder: std::env::current_dir().unwrap_or_default(),
            arguments: std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            variables,
        }
    }

    /// The command line as it can be typed again.
    pub fn command_line(&self) -> String {
        typed(self.arguments.iter().skip(1))
    }

    /// The same with another verb, and without the flags that only the one that was typed has.
    pub fn command_line_as(&self, verb: &str, other: &str, without: &[&str]) -> String {
        let mut arguments: Vec<String> =
            self.arguments.iter().skip(1).filter(|argument| !without.contains(&argument.as_str())).cloned().collect();
        if let Some(argument) = arguments.iter_mut().find(|argument| *argument == verb) {
            other.clone_into(argument);
        }
        typed(arguments.iter())
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The person's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").or_else(|| self.variable("USERPROFILE")).map(PathBuf::from)
    }

    /// The folder for what can be made again (XDG Base Directory Specification; `~/Library/Caches` on macOS).
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let base = self.variable("XDG_CACHE_HOME").and_then(absolute).or_else(|| {
            let home = self.home()?;
            Some(if cfg!(target_os = "macos") { home.join("Library/Caches") } else { home.join(".cache") })
        })?;
        Some(base.join("gitops-bootstrap"))
    }

    /// The folder for what must survive (XDG Base Directory Specification): the sandboxes.
    pub fn state_folder(&self) -> Option<PathBuf> {
        let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let base = self.variable("XDG_STATE_HOME").and_then(absolute).or_else(|| Some(self.home()?.join(".local/state")))?;
        Some(base.join("gitops-bootstrap"))
    }
}

/// `arguments` as they are typed after the name of this program.
fn typed<'a>(arguments: impl Iterator<Item = &'a String>) -> String {
    let plain =
        |text: &str| !text.is_empty() && text.chars().all(|character| character.is_alphanumeric() || "-_./:=@,+".contains(character));
    let quoted = |text: &String| if plain(text) { text.clone() } else { format!("'{}'", text.replace('\'', "'\\''")) };
    std::iter::once("gitops-bootstrap".to_owned()).chain(arguments.map(quoted)).collect::<Vec<_>>().join(" ")
}

/// The command line without the variables that are set to nothing: scripts and CI systems mean by it that they are not set.
pub fn without_empty_variables(command: Command, environment: &Environment) -> Command {
    let is_empty = |name: &OsStr| name.to_str().and_then(|name| environment.variables.get(name)).is_some_and(String::is_empty);
    command
        .mut_args(|argument| if argument.get_env().is_some_and(is_empty) { argument.env(Resettable::Reset) } else { argument })
        .mut_subcommands(|command| without_empty_variables(command, environment))
}

/// How GitHub's tokens begin (docs.github.com, "About authentication to GitHub").
const TOKEN_PREFIXES: [&str; 6] = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];

/// Whether an argument is, or holds, the private half of an age key.
fn is_key(argument: &std::ffi::OsString) -> bool {
    argument.to_string_lossy().to_ascii_uppercase().contains("AGE-SECRET-KEY-")
}

/// Whether an argument holds a private key in PEM, as that of a GitHub App.
fn is_pem(argument: &std::ffi::OsString) -> bool {
    argument.to_string_lossy().contains("PRIVATE KEY-----")
}

/// Refuses a command line with a token or a private key on it: every user of the machine can read it there.
pub fn refuse_tokens(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<()> {
    let is_token = |argument: std::ffi::OsString| {
        let argument = argument.to_string_lossy().into_owned();
        argument.split('=').any(|part| TOKEN_PREFIXES.iter().any(|prefix| part.starts_with(prefix)))
    };
    let (pem, arguments): (Vec<_>, Vec<_>) = arguments.into_iter().partition(is_pem);
    if !pem.is_empty() {
        return Err(Failure::usage("a private key does not belong on the command line, where every user of this machine can read it")
            .because("nothing was sent anywhere")
            .hint("delete that key where it was made, and make a new one")
            .hint("name its file with `--github-app-private-key-file FILE`, or give it in the variable `GITOPS_BOOTSTRAP_GITHUB_APP_PRIVATE_KEY`"));
    }
    let (keys, tokens): (Vec<_>, Vec<_>) = arguments.into_iter().partition(is_key);
    if !keys.is_empty() {
        return Err(Failure::usage("a private key does not belong on the command line, where every user of this machine can read it")
            .because("nothing was opened, and nothing was sent anywhere")
            .hint("make a new key with `age-keygen -o FILE`, and pack again for it")
            .hint("name its file with `--identity FILE`, or give it in the variable `GITOPS_BOOTSTRAP_IDENTITY`"));
    }
    if tokens.into_iter().any(is_token) {
        return Err(Failure::usage("a token does not belong on the command line, where every user of this machine can read it")
            .because("nothing was sent anywhere")
            .hint("revoke that token now and make a new one: https://github.com/settings/tokens")
            .hint("give it in the variable `GITHUB_TOKEN`, in a file with `--token-file`, or when you are asked"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::{Environment, refuse_tokens, without_empty_variables};

    #[test]
    fn a_variable_that_is_set_to_nothing_is_not_set() {
        let variables = [("EMPTY".to_owned(), String::new()), ("FULL".to_owned(), "x".to_owned())].into();
        let environment = Environment { variables, ..Environment::default() };
        let arguments = [Arg::new("empty").env("EMPTY"), Arg::new("full").env("FULL")];
        let command = Command::new("a").subcommand(Command::new("b").args(arguments));
        let command = without_empty_variables(command, &environment);
        let left = command.find_subcommand("b").unwrap().get_arguments().filter_map(Arg::get_env);
        assert_eq!(left.collect::<Vec<_>>(), ["FULL"]);
    }

    #[test]
    fn the_command_line_can_be_typed_again_also_with_another_verb() {
        let arguments =
            ["target/debug/gitops-bootstrap", "-C", "my fleet", "plan", "plan", "--recover", "--identity", "key", "--exit-code"];
        let environment = Environment { arguments: arguments.map(str::to_owned).to_vec(), ..Environment::default() };
        assert_eq!(environment.command_line(), "gitops-bootstrap -C 'my fleet' plan plan --recover --identity key --exit-code");
        assert_eq!(
            environment.command_line_as("plan", "recover", &["--recover", "--exit-code"]),
            "gitops-bootstrap -C 'my fleet' recover plan --identity key"
        );
    }

    #[test]
    fn a_token_or_a_private_key_on_the_command_line_is_refused_without_being_repeated() {
        for argument in [
            "ghp_abcdef",
            "--token=github_pat_abcdef",
            "-----BEGIN RSA PRIVATE KEY-----\nabcdef",
            "AGE-SECRET-KEY-1abcdef",
            "--identity=age-secret-key-1abcdef",
        ] {
            let failure = refuse_tokens(["init".into(), argument.into()]).unwrap_err();
            assert_eq!(failure.kind.exit_status(), 2);
            assert!(!failure.to_string().contains("abcdef"));
        }
        assert!(refuse_tokens(["init".into(), "staging".into()]).is_ok());
    }
}
