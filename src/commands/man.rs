//! `man`: the manual pages, made from the definition of the command line.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Context;
use crate::cli::Cli;
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::report;

/// The page of the documentation that all verbs exit by. Its table is part of each manual page.
const EXIT_STATUS: &str = include_str!("../../docs/exit-status.md");

/// A section's rows: a name, and what it means.
type Rows = Vec<(String, String)>;

/// Prints the manual page, or writes those of all verbs into `folder`.
pub fn run(folder: Option<&Path>, context: &Context) -> Result<()> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = folder else {
        let page = page(&command).map_err(|error| Failure::bug("the manual page cannot be made").because(error))?;
        report::data(&String::from_utf8_lossy(&page));
        return Ok(());
    };
    let folder = context.environment.folder.join(folder);
    fs::create_dir_all(&folder).and_then(|()| write(&command, &folder)).map_err(|error| {
        Failure::usage(format!("the manual pages cannot be written to `{}`", folder.display()))
            .because(error)
            .hint("name a folder that can be written to: `gitops-bootstrap man FOLDER`")
    })?;
    context.events.send(Event::Fact { name: "manual pages", text: folder.display().to_string() });
    context.events.send(Event::Fact { name: "next", text: format!("man -l {}", folder.join("gitops-bootstrap.1").display()) });
    Ok(())
}

/// Writes the page of a command and those of all commands below it.
fn write(command: &Command, folder: &Path) -> io::Result<()> {
    below(command).try_for_each(|below| write(below, folder))?;
    fs::write(folder.join(format!("{}.1", name(command))), page(command)?)
}

/// The page of a command that was built.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).source(concat!("gitops-bootstrap ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut notes = Roff::new();
    for paragraph in command.get_after_long_help().map(ToString::to_string).unwrap_or_default().split("\n\n") {
        notes.control("PP", []).text([roman(paragraph)]);
    }
    notes.to_writer(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    examples(&mut rest, command);
    section(&mut rest, "EXIT STATUS", &exit_statuses());
    section(&mut rest, "ENVIRONMENT", &variables(command));
    section(&mut rest, "FILES", &files(command));
    rest.control("SH", ["SEE ALSO"]).text([roman(see_also(command).join(", "))]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn section(page: &mut Roff, title: &str, rows: &Rows) {
    if rows.is_empty() {
        return;
    }
    page.control("SH", [title]);
    for (name, meaning) in rows {
        page.control("TP", []).text([bold(name.as_str())]).text([roman(meaning.as_str())]);
    }
}

/// The examples that end the help: a line that is indented more than the one before it is what to type, and is not filled.
fn examples(page: &mut Roff, command: &Command) {
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if examples.is_empty() {
        return;
    }
    page.control("SH", ["EXAMPLES"]);
    for line in examples.lines().skip(1) {
        match line.strip_prefix("    ") {
            Some(typed) => page.control("RS", ["4"]).control("nf", []).text([roman(typed)]).control("fi", []).control("RE", []),
            None => page.control("PP", []).text([roman(line.trim())]),
        };
    }
}

/// The rows of the documentation's table of exit statuses.
fn exit_statuses() -> Rows {
    let row = |line: &'static str| {
        let cells: Vec<String> = line.strip_prefix("| ")?.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [status, class, rest @ ..] = cells.as_slice() else { return None };
        let advice = rest.first().filter(|advice| !advice.is_empty()).map(|advice| format!(": {advice}")).unwrap_or_default();
        status.starts_with(|first: char| first.is_ascii_digit()).then(|| (status.clone(), format!("{class}{advice}.")))
    };
    EXIT_STATUS.lines().filter_map(row).collect()
}

/// Whether a command takes an argument, by its name in the definition.
fn takes(command: &Command, id: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_id() == id)
}

fn variables(command: &Command) -> Rows {
    let by_flag = |argument: &Arg| {
        let (name, value) = (argument.get_env()?.to_str()?, argument.get_value_names().and_then(<[_]>::first));
        let meaning = match (argument.get_long(), value) {
            (Some(flag), _) => format!("The same as --{flag}."),
            (None, value) => format!("The same as {}.", value.map_or("its argument", |value| value.as_str())),
        };
        Some((name.to_owned(), meaning))
    };
    let mut rows: Rows = command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(by_flag).collect();
    let mut add = |name: &str, meaning: &str| rows.push((name.to_owned(), meaning.to_owned()));
    if takes(command, "token_file") {
        add("GITHUB_TOKEN, GH_TOKEN", "The token for github.com and for hosts below ghe.com. The first one that is set wins.");
        add("GH_ENTERPRISE_TOKEN, GITHUB_ENTERPRISE_TOKEN", "The token for any other forge. One for github.com is never sent there.");
    }
    if takes(command, "files") {
        add("GITOPS_BOOTSTRAP_IDENTITY", "The name of a file with what opens the bundle, or the key itself.");
    }
    if takes(command, "kubeconfig") {
        add("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "The way to the API server and the forge. This machine is reached without.");
    }
    add("CI", "If it is set, and neither 0 nor false: nothing is asked, and progress is told in lines.");
    add("NO_COLOR", "If it is set: nothing is printed in colour.");
    add("XDG_STATE_HOME, XDG_CACHE_HOME", "Where sandboxes and the engine are kept; below HOME by default.");
    rows
}

fn files(command: &Command) -> Rows {
    let mut rows = Rows::new();
    let mut add = |name: &str, meaning: &str| rows.push((name.to_owned(), meaning.to_owned()));
    if takes(command, "cluster") || takes(command, "clusters") || command.has_subcommands() {
        add("gitops.yaml", "The declaration of the fleet, at the top of its repository.");
        add("rendered/CLUSTER/", "What a cluster gets, one object a file.");
    }
    if takes(command, "files") {
        add(
            "bundles/CLUSTER.age, bundles/CLUSTER.index.yaml",
            "The bundle of a cluster's root of trust, and its index, which holds no secret.",
        );
    }
    if takes(command, "kubeconfig") {
        add("~/.kube/config", "The kubeconfig, if neither --kubeconfig nor KUBECONFIG names another.");
    }
    if takes(command, "kubeconfig") || takes(command, "name") || takes(command, "sandbox_name") || command.has_subcommands() {
        add("~/.local/state/gitops-bootstrap/sandboxes/", "The sandboxes, a folder each, closed to other accounts.");
        add("~/.cache/gitops-bootstrap/engine/", "The engine of the sandboxes, built once for each version.");
    }
    rows
}

/// The commands below a command that have pages.
fn below(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
}

/// The pages beside this one: that above it, and those below.
fn see_also(command: &Command) -> Vec<String> {
    let page = |name: &str| format!("{name}(1)");
    let mut pages: Vec<String> = below(command).map(|below| page(name(below))).collect();
    let above = name(command).strip_suffix(command.get_name()).map(|above| above.trim_end_matches('-'));
    pages.extend(above.filter(|above| !above.is_empty()).map(page));
    pages.extend(["git(1)", "ssh(1)"].map(str::to_owned).into_iter().filter(|_| !command.has_subcommands()));
    pages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn every_class_of_failure_is_in_the_table_of_exit_statuses() {
        let statuses: Vec<String> =
            exit_statuses().into_iter().flat_map(|(status, _)| status.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect();
        for kind in [Kind::Bug, Kind::Usage, Kind::Refused, Kind::Denied, Kind::Conflict, Kind::Transient, Kind::Locked] {
            assert!(statuses.contains(&kind.exit_status().to_string()), "{kind:?} in {statuses:?}");
        }
        for kind in [Kind::Unverified, Kind::Deadline, Kind::InvalidRepository, Kind::Found, Kind::Interrupted, Kind::Terminated] {
            assert!(statuses.contains(&kind.exit_status().to_string()), "{kind:?} in {statuses:?}");
        }
    }

    #[test]
    fn a_page_tells_all_that_a_manual_has() {
        let mut command = Cli::command();
        command.build();
        let text = String::from_utf8(page(command.find_subcommand("init").unwrap()).unwrap()).unwrap();
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"] {
            assert!(text.contains(&format!(".SH {section}")) || text.contains(&format!(".SH \"{section}\"")), "{section}\n{text}");
        }
        assert!(text.contains("gitops\\-bootstrap init staging \\-\\-sandbox") && text.contains("GITHUB_TOKEN"), "{text}");
    }
}
