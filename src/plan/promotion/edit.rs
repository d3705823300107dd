//! Writes a version into a file and leaves everything else in it as it is, byte for byte.

use serde_json::{Map, Value, json};

use super::pins::{Pin, Step, token};
use crate::domain::RepositoryPath;
use crate::error::{Failure, Result};
use crate::manifest::yaml::{Shape, Written, parse_documents, parse_written};

/// The text with the version of `pin` in it. What the text says then is compared with what it is to say, so that a file whose form is not understood is
/// refused rather than broken.
pub(super) fn set(text: &str, file: &RepositoryPath, pin: &Pin) -> Result<String> {
    let document = parse_written(text, file.as_str())?;
    let edited = match &document {
        None => format!("{}{}", with_newline(text), lines(&pin.path, &pin.token, 0)),
        Some(document) => within(text, file, document, pin)?,
    };
    let value =
        |text: &str| Ok::<_, Failure>(parse_documents(text, file.as_str())?.into_iter().next().map_or(Value::Null, |first| first.value));
    let mut wanted = value(text)?;
    let scalar = value(&format!("a: {}\n", pin.token))?["a"].take();
    put(&mut wanted, &pin.path, scalar);
    if value(&edited)? == wanted { Ok(edited) } else { Err(by_hand(file, pin)) }
}

fn by_hand(file: &RepositoryPath, pin: &Pin) -> Failure {
    Failure::repository(format!("`{}` cannot be written to {file} without changing more in it: write it by hand", pin.name()))
        .because("nothing was changed")
        .hint(format!("set it to {} in {file}, on a branch of your own", pin.token))
}

/// Follows the path of the version as far as the document goes, and changes or adds what comes next.
fn within(text: &str, file: &RepositoryPath, document: &Written, pin: &Pin) -> Result<String> {
    let mut found = document;
    // The column that new entries of what was found begin at.
    let mut indent = 0;
    for (number, step) in pin.path.iter().enumerate() {
        let rest = &pin.path[number..];
        let next = match (&found.shape, step) {
            (Shape::Mapping(entries), Step::Key(key)) => {
                if let Some((_, start, _)) = entries.first() {
                    indent = column(text, *start);
                }
                match entries.iter().find(|(name, ..)| name == key) {
                    Some((_, start, Written { shape: Shape::Scalar(Value::Null), .. })) if number + 1 < pin.path.len() => {
                        let line = end_of_line(text, *start);
                        return Ok(insert(text, line, &lines(&rest[1..], &pin.token, column(text, *start) + 2)));
                    }
                    Some((_, _, value)) => Some(value),
                    None => None,
                }
            }
            (Shape::List(items), Step::Item(name)) => {
                if let Some(first) = items.first() {
                    indent = dash(text, first.bytes.start).ok_or_else(|| by_hand(file, pin))?;
                }
                items.iter().find(|item| matches!(&item.entry("name"), Some((_, Written { shape: Shape::Scalar(Value::String(found)), .. })) if found == name))
            }
            _ => return Err(by_hand(file, pin)),
        };
        match next {
            Some(next) => found = next,
            None if is_block(text, found) => return Ok(insert(text, end_of_line(text, found.end()), &lines(rest, &pin.token, indent))),
            None => return Err(by_hand(file, pin)),
        }
    }
    let old = token(found, text, file.as_str())?;
    let start = found.bytes.start;
    Ok(format!("{}{}{}", &text[..start], pin.token, &text[start + old.len()..]))
}

/// Whether a list or a mapping is written over lines, not between brackets.
fn is_block(text: &str, written: &Written) -> bool {
    let is_empty = match &written.shape {
        Shape::Scalar(_) => true,
        Shape::List(items) => items.is_empty(),
        Shape::Mapping(entries) => entries.is_empty(),
    };
    !is_empty && !text[written.bytes.start..].starts_with(['{', '['])
}

/// The lines that say what is at the end of a path, from a column on.
fn lines(path: &[Step], token: &str, indent: usize) -> String {
    let blanks = " ".repeat(indent);
    match path {
        [] => String::new(),
        [Step::Key(key)] => format!("{blanks}{key}: {token}\n"),
        // Items of a list begin where its key does.
        [Step::Key(key), rest @ ..] => {
            let deeper = if matches!(rest.first(), Some(Step::Item(_))) { indent } else { indent + 2 };
            format!("{blanks}{key}:\n{}", lines(rest, token, deeper))
        }
        [Step::Item(name), rest @ ..] => format!("{blanks}- name: {name}\n{}", lines(rest, token, indent + 2)),
    }
}

/// Puts lines in after the line that ends at `at`.
fn insert(text: &str, at: usize, lines: &str) -> String {
    let (before, after) = text.split_at(at);
    format!("{}{lines}{after}", with_newline(before))
}

fn with_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// The byte after the end of the line that a byte is in; the same byte if a line ends right before it.
fn end_of_line(text: &str, at: usize) -> usize {
    if at > 0 && text.as_bytes().get(at - 1) == Some(&b'\n') {
        return at;
    }
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

fn column(text: &str, at: usize) -> usize {
    text[line_start(text, at)..at].chars().count()
}

/// The column of the dash before an item.
fn dash(text: &str, item: usize) -> Option<usize> {
    let line = &text[line_start(text, item)..];
    let indent = line.len() - line.trim_start_matches(' ').len();
    line[indent..].starts_with("- ").then_some(indent)
}

/// Sets what is at the end of a path, and makes what is not there on the way.
fn put(value: &mut Value, path: &[Step], scalar: Value) {
    match path {
        [] => *value = scalar,
        [Step::Key(key), rest @ ..] => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            if let Some(fields) = value.as_object_mut() {
                put(fields.entry(key.clone()).or_insert(Value::Null), rest, scalar);
            }
        }
        [Step::Item(name), rest @ ..] => {
            if !value.is_array() {
                *value = Value::Array(Vec::new());
            }
            if let Some(items) = value.as_array_mut() {
                let there = items.iter().position(|item| item.get("name").and_then(Value::as_str) == Some(name));
                let index = there.unwrap_or_else(|| {
                    items.push(json!({"name": name}));
                    items.len() - 1
                });
                put(&mut items[index], rest, scalar);
            }
        }
    }
}
