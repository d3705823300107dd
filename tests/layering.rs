//! The layers of `src/`: who may use whom, and what the pure modules may not touch.
//!
//! `cli -> settings -> plan -> engine -> steps -> ports <- adapters`, with `engine -> event -> report` on the side.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// A module of `src/` and the modules that it may use besides itself.
const LAYERS: [(&str, &[&str]); 20] = [
    // Pure: values in, values out.
    ("domain", &[]),
    ("manifest", &["domain", "error", "ports"]),
    ("plan", &["domain", "error", "manifest"]),
    ("lint", &["domain", "error", "manifest", "ports"]),
    // What the world looks like, and what can go wrong.
    ("error", &[]),
    ("ports", &["domain", "error"]),
    ("event", &["domain", "error", "plan", "ports"]),
    // The work.
    ("preflight", &["domain", "error", "event", "manifest", "plan", "ports", "steps"]),
    ("steps", &["domain", "error", "event", "manifest", "plan", "ports"]),
    ("engine", &["domain", "error", "event", "plan", "steps"]),
    ("diagnose", &["domain", "error", "plan", "ports"]),
    ("discover", &["domain", "error", "plan", "ports"]),
    ("render", &["adapters", "domain", "error", "event", "manifest"]),
    // The edges: the world, the sandbox, and people.
    ("adapters", &["domain", "error", "event", "ports"]),
    ("context", &["cli", "event", "settings"]),
    ("sandbox", &["adapters", "context", "domain", "error", "event", "manifest", "ports", "settings"]),
    ("cli", &["domain"]),
    ("settings", &["cli", "domain", "error"]),
    ("report", &["cli", "domain", "error", "event", "lint", "plan", "ports", "settings"]),
    // Wires one verb, so it may use everything.
    (
        "commands",
        &[
            "adapters",
            "cli",
            "context",
            "diagnose",
            "discover",
            "domain",
            "engine",
            "error",
            "event",
            "lint",
            "manifest",
            "plan",
            "ports",
            "preflight",
            "render",
            "report",
            "sandbox",
            "settings",
            "steps",
        ],
    ),
];

/// The modules without a clock, randomness, input or output.
const PURE: [&str; 4] = ["domain", "manifest", "plan", "lint"];

/// What a pure module may not name.
const IMPURE: [&str; 13] = [
    "std::env",
    "std::fs",
    "std::process",
    "std::net",
    "std::thread",
    "std::io::std",
    "tokio::",
    "async fn",
    ".await",
    "Instant",
    "SystemTime",
    "getrandom",
    "OsRng",
];

#[test]
fn each_module_uses_only_what_is_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found in {}", root.display());
    let offences: Vec<String> =
        files.iter().flat_map(|path| offences(path.strip_prefix(&root).unwrap(), &fs::read_to_string(path).unwrap())).collect();
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn a_forbidden_use_is_found_however_it_is_written() {
    for (file, text) in [
        ("domain/name.rs", "use crate::adapters::git;"),
        ("domain/name.rs", "fn f() { crate::report::data(\"\") }"),
        ("plan.rs", "use crate::{domain::Commit, steps};"),
        ("plan/deep/er.rs", "use super::super::super::adapters;"),
        ("cli.rs", "use super::commands;"),
        ("plan/step.rs", "let now = std::time::Instant::now();"),
        ("manifest/tree.rs", "async fn f() {}"),
        ("manifest.rs", "use std::{fs, io};"),
        ("unheard_of.rs", ""),
    ] {
        assert!(!offences(Path::new(file), text).is_empty(), "{file}: {text}");
    }
}

#[test]
fn an_allowed_use_is_none_and_comments_and_tests_may_name_anything() {
    for (file, text) in [
        ("plan/step.rs", "use crate::domain::Commit;\nuse super::compare;"),
        ("plan/deep/er.rs", "use super::super::step;"),
        ("steps/ns.rs", "use crate::{domain::{Commit, Object}, ports::Cluster};"),
        ("domain/name.rs", "//! Unlike [`crate::adapters`], no `std::fs`.\n"),
        ("plan/step.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::testing;\n    use std::fs;\n}\n"),
    ] {
        assert_eq!(offences(Path::new(file), text), [] as [String; 0], "{file}: {text}");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() {
            collect(&path, files);
        } else if name != "tests" && !name.ends_with("_tests") && path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What `file`, which is named from `src/`, uses and must not.
fn offences(file: &Path, text: &str) -> Vec<String> {
    let parts: Vec<&str> = file.iter().map(|part| part.to_str().unwrap().trim_end_matches(".rs")).collect();
    let module = parts[0];
    if matches!(file.to_str(), Some("lib.rs" | "main.rs")) {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: `{module}` has no layer yet: give it one in tests/layering.rs", file.display())];
    };
    let code = code(text);
    let used = used(&code, parts.len());
    let mut offences: Vec<String> = used
        .iter()
        .filter(|used| *used != module && !allowed.contains(&used.as_str()) && LAYERS.iter().any(|(name, _)| name == used))
        .map(|used| format!("{}: `{module}` may not use `{used}`", file.display()))
        .collect();
    if PURE.contains(&module) {
        let written_out = written_out(&code);
        let impure = IMPURE.iter().filter(|impure| code.contains(**impure) || written_out.iter().any(|path| path.starts_with(**impure)));
        offences.extend(impure.map(|impure| format!("{}: `{module}` is pure and may not use `{impure}`", file.display())));
    }
    offences
}

/// The text without comments and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules at the root of the crate that a file `depth` levels below it names.
fn used(code: &str, depth: usize) -> Vec<String> {
    let to_root = "super::".repeat(depth);
    let mut used = Vec::new();
    for root in ["crate::", &to_root] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if !before.is_some_and(|character| character.is_alphanumeric() || matches!(character, '_' | ':')) {
                used.extend(first_names(&code[at + root.len()..]));
            }
        }
    }
    used
}

/// The names with which the paths after `crate::` begin: one, or each of a group in braces.
fn first_names(rest: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim_start().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let mut names = Vec::new();
    let mut start = 0;
    let mut depth = 0;
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            ',' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
            }
            '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

/// The paths that groups such as `std::{fs, io}` stand for.
fn written_out(code: &str) -> Vec<String> {
    let groups = code.match_indices("std::{").map(|(at, _)| &code[at + "std::".len()..]);
    groups.flat_map(first_names).map(|name| format!("std::{name}")).collect()
}
