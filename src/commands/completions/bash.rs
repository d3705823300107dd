//! Completions of bash, which takes words apart at `:`, `=` and `@`: the names of contexts are full of them.
//!
//! So the script hands over the line as it was typed, and what bash is going to replace of it (the second argument of a completion function: bash(1),
//! "Programmable Completion"). The words are found here, and the part of each answer that bash keeps is left out.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use clap_complete::engine::complete;
use clap_complete::env::EnvCompleter;

use super::is_plain;
use crate::settings::Environment;

/// The variable with the line up to the cursor.
const LINE: &str = "GITOPS_BOOTSTRAP_COMPLETE_LINE";

/// Registers and answers bash, 3.2 and newer.
pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == self.name()
    }

    fn write_registration(&self, variable: &str, name: &str, program: &str, completer: &str, script: &mut dyn io::Write) -> io::Result<()> {
        let function = format!("_{}", name.replace('-', "_"));
        let completer = format!("'{}'", completer.replace('\'', r"'\''"));
        write!(
            script,
            r#"{function}() {{
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <({variable}=bash {LINE}="${{COMP_LINE:0:COMP_POINT}}" {completer} -- "$2" 2>/dev/null)
    if [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *[=/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}}
complete -o bashdefault -F {function} {program}
"#
        )
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        arguments: Vec<OsString>,
        folder: Option<&Path>,
        answer: &mut dyn io::Write,
    ) -> io::Result<()> {
        let words = line(&Environment::of_process()).unwrap_or_default();
        let Some((current, place)) = words.last().zip(words.len().checked_sub(1)) else { return Ok(()) };
        let replaced = arguments.first().map(|argument| argument.to_string_lossy()).unwrap_or_default();
        let kept = current.strip_suffix(replaced.as_ref()).unwrap_or_default();
        for candidate in complete(command, words.iter().map(Into::into).collect(), place, folder)? {
            let value = candidate.get_value().to_string_lossy();
            if let Some(rest) = value.strip_prefix(kept).filter(|_| is_plain(value.trim_start_matches('-'))) {
                writeln!(answer, "{rest}")?;
            }
        }
        Ok(())
    }
}

/// The words of the line that bash asks about; none if it is not bash that asks.
pub(super) fn line(environment: &Environment) -> Option<Vec<String>> {
    environment.variable(LINE).map(words)
}

/// Splits a line into words as a shell does, as far as it is typed. The last one is what is being typed, and may be empty.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let begins_next = quote.is_none() && character.is_whitespace();
        if begins_next && characters.as_str().starts_with(char::is_whitespace) {
            continue;
        }
        match (quote, character, words.last_mut()) {
            (None, _, _) if begins_next => words.push(String::new()),
            (None, '\'' | '"', _) => quote = Some(character),
            (Some(open), close, _) if open == close => quote = None,
            (None | Some('"'), '\\', Some(word)) => word.extend(characters.next()),
            (_, _, Some(word)) => word.push(character),
            (_, _, None) => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_line_is_split_as_a_shell_would_and_the_last_word_may_be_empty() {
        for (line, expected) in [
            ("", &[""][..]),
            ("a init ", &["a", "init", ""]),
            ("a   init\tst", &["a", "init", "st"]),
            ("a --context=arn:aws:eks", &["a", "--context=arn:aws:eks"]),
            ("a -C \"my fol", &["a", "-C", "my fol"]),
            ("a -C 'my fleet' in", &["a", "-C", "my fleet", "in"]),
            ("a -C my\\ fleet in", &["a", "-C", "my fleet", "in"]),
            ("a b\\", &["a", "b"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
