//! The documentation is true as far as a program can see it: every command in it parses, every flag exists, and every link leads somewhere.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap::error::ErrorKind;
use gitops_bootstrap::cli;
use regex::Regex;

const PROGRAM: &str = "gitops-bootstrap";

/// What stands for a value in the documentation, and one that parses.
const PLACEHOLDERS: [(&str, &str); 6] = [
    ("CLUSTER", "staging"),
    ("VERB", "init"),
    ("ID", "1"),
    ("Iv23li", "Iv23li0123456789abcd"),
    ("STEP", "install"),
    ("COMMIT", "0123456789012345678901234567890123456789"),
];

/// A page, by its path and its text.
type Page = (PathBuf, String);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and the pages in docs/.
fn pages() -> Vec<Page> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut pages: Vec<Page> =
        pages.chain([root().join("README.md")]).map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    pages.sort();
    assert!(pages.len() > 10, "the pages were not found");
    pages
}

/// A page's lines in fenced blocks, and the rest of it.
fn parts(text: &str) -> (Vec<&str>, String) {
    let (mut blocks, mut prose, mut inside) = (Vec::new(), String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            blocks.push(line);
        } else {
            prose.extend([line, "\n"]);
        }
    }
    (blocks, prose)
}

/// The code spans of prose, each on one line.
fn spans(prose: &str) -> Vec<String> {
    let code = Regex::new(r"`([^`]+)`").unwrap();
    code.captures_iter(prose).map(|found| found[1].split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The commands of this program in a line of a shell, each without the program's name.
fn commands(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or_default().replace("cargo run --locked -- ", "gitops-bootstrap ");
    let pieces = Regex::new(r"&&|\||;|<\(|\)| >>? ").unwrap();
    let commands = pieces.split(&line).filter_map(|piece| {
        let piece = piece.trim().trim_start_matches("- run: ").trim_start_matches("run: ");
        piece.strip_prefix(PROGRAM).filter(|rest| rest.is_empty() || rest.starts_with(' ')).map(str::to_owned)
    });
    commands.collect()
}

/// Why a command does not parse; none if it does, or if it only leaves values out, as prose does.
fn fault(command: &str) -> Option<String> {
    let word = |word: &str| {
        let word = word.strip_suffix("...").unwrap_or(word).trim_matches(['\'', '"', '[', ']']);
        let placeholder = PLACEHOLDERS.iter().find(|(placeholder, _)| *placeholder == word);
        let bracketed = word.strip_prefix('<').and_then(|word| word.strip_suffix('>'));
        placeholder.map(|(_, value)| *value).or(bracketed).unwrap_or(word).to_owned()
    };
    let words = std::iter::once(PROGRAM.to_owned()).chain(command.split_whitespace().take_while(|word| *word != "...").map(word));
    let error = cli::command().try_get_matches_from(words).err()?;
    let fine = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
    ];
    Some(error.to_string()).filter(|_| !fine.contains(&error.kind()))
}

fn flags(command: &Command, found: &mut BTreeSet<String>) {
    found.extend(command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned));
    found.extend(["help", "version"].map(str::to_owned));
    command.get_subcommands().for_each(|below| flags(below, found));
}

#[test]
fn every_command_in_the_documentation_parses() {
    let verbs: BTreeSet<String> = cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let mut seen = 0;
    for (path, text) in pages() {
        let (blocks, prose) = parts(&text);
        let joined = blocks.join("\n").replace("\\\n", " ");
        let mut found: Vec<String> = joined.lines().flat_map(commands).collect();
        for span in spans(&prose) {
            found.extend(commands(&span));
            let verb = span.split(' ').next().unwrap_or_default();
            if verbs.contains(verb) && span != verb {
                found.push(span);
            }
        }
        seen += found.len();
        for command in found {
            assert_eq!(fault(&command), None, "{}: {command}", path.display());
        }
    }
    assert!(seen > 50, "{seen} commands are too few: they were not found");
}

#[test]
fn every_flag_in_the_documentation_exists() {
    let mut known = BTreeSet::new();
    flags(&cli::command(), &mut known);
    let flag = Regex::new(r"^--([a-z-]+)").unwrap();
    for (path, text) in pages() {
        for span in spans(&parts(&text).1) {
            if let Some(found) = flag.captures(&span) {
                assert!(known.contains(&found[1]), "{}: {span}", path.display());
            }
        }
    }
}

#[test]
fn every_verb_has_examples_that_parse() {
    fn check(command: &Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default().replace("\\\n", " ");
        let found: Vec<String> = help.lines().flat_map(commands).collect();
        assert!(!found.is_empty(), "{} has no example", command.get_name());
        for example in found {
            assert_eq!(fault(&example), None, "{}: {example}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&cli::command());
}

#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    for (path, text) in pages() {
        for found in link.captures_iter(&parts(&text).1) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target} is not there", path.display());
            if let Some(heading) = heading {
                let headings = anchors(&fs::read_to_string(&file).unwrap());
                assert!(headings.contains(heading), "{}: {target} has no such heading: {headings:?}", path.display());
            }
        }
    }
}

#[test]
fn every_page_is_in_the_index() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for (path, _) in pages() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "docs/README.md has no link to {name}");
    }
}

/// The anchors of a page's headings, as GitHub makes them: lower case, without punctuation, `-` for each blank.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = parts(text).1;
    let headings = headings.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    headings
        .map(|heading| {
            let kept = heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
            kept.map(|character| if character == ' ' { '-' } else { character }).collect()
        })
        .collect()
}

#[test]
fn a_mistake_is_found() {
    assert_eq!(commands("cd x && gitops-bootstrap init staging --sandbox   # as a comment says"), [" init staging --sandbox"]);
    assert_eq!(commands("source <(gitops-bootstrap completions bash)"), [" completions bash"]);
    assert_eq!(commands("- run: gitops-bootstrap drill staging | tee x"), [" drill staging"]);
    assert_eq!(commands("gitops-bootstrap-engine up"), [] as [String; 0]);
    assert!(fault("init staging --no-such-flag").is_some() && fault("no-such-verb").is_some() && fault("drill <cluster>").is_none());
    assert!(anchors("## A cluster's `identity`, at last\n").contains("a-clusters-identity-at-last"));
}
