//! `completions`: the script that makes a shell ask this program what can be typed next, and the answers.
//!
//! The names come from files alone: those of clusters from the fleet repository around the working directory, those of contexts from the kubeconfig,
//! those of sandboxes from their folder. Nothing is asked over a network, and what cannot be read has no names.

mod bash;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Elvish, Fish, Powershell, Shells, Zsh};
use clap_complete::{Shell, ValueHint};

use super::{Context, fleet};
use crate::adapters::kubernetes::{contexts, kubeconfig_files};
use crate::error::{Failure, Result};
use crate::settings::Environment;
use crate::{cli, report, sandbox};

/// The variable by which a registered script asks. It holds the name of the shell.
const VARIABLE: &str = "GITOPS_BOOTSTRAP_COMPLETE";

/// The shells, each with how it is registered and answered. That of bash is ours: it knows words that bash takes apart.
const SHELLS: Shells<'static> = Shells(&[&bash::Bash, &Elvish, &Fish, &Powershell, &Zsh]);

/// Prints the script that registers the completions in a shell.
pub fn run(shell: Shell, context: &Context) -> Result<()> {
    let command = command();
    let name = command.get_name();
    let unknown = || Failure::bug(format!("no completions are known for {shell}"));
    let completer = SHELLS.completer(&shell.to_string()).ok_or_else(unknown)?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, name, name, &program(&context.environment), &mut script)
        .map_err(|error| Failure::bug("the completion script cannot be made").because(error))?;
    report::data(&String::from_utf8_lossy(&script));
    Ok(())
}

/// Answers a shell that asks what can be typed next, and returns true; false if this is no such call. A fault is no answer: whoever presses a key has
/// not asked for a message.
pub fn answer(environment: &Environment) -> bool {
    if environment.variable(VARIABLE).is_none() {
        return false;
    }
    let asked = CompleteEnv::with_factory(command).var(VARIABLE).shells(SHELLS);
    let folder = Some(environment.folder.as_path()).filter(|folder| folder.is_absolute());
    let _silent = asked.try_complete(environment.arguments.iter(), folder);
    true
}

/// How the script calls this program: by its name if it was called by that, else by its file.
fn program(environment: &Environment) -> String {
    let called = environment.arguments.first().map_or(env!("CARGO_PKG_NAME"), String::as_str);
    if Path::new(called).components().count() > 1 { environment.folder.join(called).display().to_string() } else { called.to_owned() }
}

/// The command line, with what knows the values of its arguments.
fn command() -> Command {
    with_values(cli::command())
}

fn with_values(command: Command) -> Command {
    command.mut_args(with_value).mut_subcommands(with_values)
}

fn with_value(argument: Arg) -> Arg {
    let value = argument.get_value_names().and_then(<[_]>::first).map(|name| name.as_str().to_owned()).unwrap_or_default();
    match (argument.get_id().as_str(), value.as_str()) {
        (_, "CLUSTER") => argument.add(ArgValueCandidates::new(clusters)),
        (_, "APP") => argument.add(ArgValueCandidates::new(apps)),
        ("context", _) => argument.add(ArgValueCandidates::new(contexts_of_kubeconfig)),
        ("sandbox_name" | "name", _) => argument.add(ArgValueCandidates::new(sandboxes)),
        (_, "FOLDER") => argument.value_hint(ValueHint::DirPath),
        _ => argument,
    }
}

fn clusters() -> Vec<CompletionCandidate> {
    let names = fleet_typed(&Environment::of_process()).map(|folder| fleet::clusters(&folder)).unwrap_or_default();
    names.iter().filter_map(|name| candidate(name.as_str(), None)).collect()
}

fn apps() -> Vec<CompletionCandidate> {
    let Some(folder) = fleet_typed(&Environment::of_process()) else { return Vec::new() };
    fleet::apps(&folder).iter().filter_map(|name| candidate(name, None)).collect()
}

fn contexts_of_kubeconfig() -> Vec<CompletionCandidate> {
    let environment = Environment::of_process();
    let named = typed(&environment, &["--kubeconfig"]).or_else(|| environment.variable("KUBECONFIG").map(str::to_owned));
    let found = contexts(&kubeconfig_files(named.as_deref().map(OsStr::new), environment.home().as_deref())).unwrap_or_default();
    found.iter().filter_map(|context| candidate(&context.name, Some(&context.server))).collect()
}

fn sandboxes() -> Vec<CompletionCandidate> {
    let names = sandbox::names(&Environment::of_process()).unwrap_or_default();
    names.iter().filter_map(|name| candidate(name.as_str(), None)).collect()
}

/// The folder of the fleet repository, by what is typed already, the environment, or where the person is.
fn fleet_typed(environment: &Environment) -> Option<PathBuf> {
    let named = typed(environment, &["--fleet", "-C"]).or_else(|| environment.variable("GITOPS_BOOTSTRAP_FLEET").map(str::to_owned));
    let folder = environment.folder.join(named.unwrap_or_default());
    fleet::around(&fs::canonicalize(folder).ok()?)
}

/// The value of a flag on the line that is being typed.
fn typed(environment: &Environment, flags: &[&str]) -> Option<String> {
    let words = bash::line(environment).unwrap_or_else(|| environment.arguments.clone());
    words.iter().enumerate().find_map(|(place, word)| match word.split_once('=') {
        Some((flag, value)) if flags.contains(&flag) => Some(value.to_owned()),
        _ if flags.contains(&word.as_str()) => words.get(place + 1).cloned(),
        _ => None,
    })
}

/// A name to offer, with what it is. Names that a shell would not read as one plain word are left out: a kubeconfig may come from anywhere, and what is
/// offered ends up on a command line.
fn candidate(name: &str, about: Option<&str>) -> Option<CompletionCandidate> {
    let about = about.filter(|about| !about.is_empty() && is_plain(about));
    let offered = CompletionCandidate::new(name).help(about.map(|about| about.to_owned().into()));
    Some(offered).filter(|_| is_plain(name))
}

/// Whether every shell takes a text as one word, as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "-_./:@%+,=".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_shell_would_act_on_is_not_offered() {
        for name in ["production", "kubernetes-admin@kubernetes", "arn:aws:eks:eu-central-1:1:cluster/production", "gke_acme_eu_1"] {
            assert!(candidate(name, None).is_some(), "{name}");
        }
        for name in ["", "--yes", "$(reboot)", "a b", "a;b", "a\u{1b}]0;b", "a\nb", "'", "~", "*"] {
            assert!(candidate(name, None).is_none(), "{name:?}");
        }
        assert!(candidate("production", Some("https://\u{1b}[31m")).is_some_and(|offered| offered.get_help().is_none()));
    }

    #[test]
    fn every_shell_that_can_be_named_has_a_script() {
        for shell in <Shell as clap::ValueEnum>::value_variants() {
            assert!(SHELLS.completer(&shell.to_string()).is_some(), "{shell}");
        }
    }
}
