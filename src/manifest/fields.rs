//! Strict reading of files that people write: unknown keys and wrong types are errors that cite their place.

use serde_json::Value;

use super::yaml::{self, Located, Node};
use crate::domain::suggestion;
use crate::error::{Failure, Result};

/// One mapping of a file, whose keys are all known.
pub struct Fields<'a> {
    file: &'a str,
    /// What the mapping is, for messages: `clusters.staging`; empty at the top.
    path: String,
    place: (u64, u64),
    entries: &'a [(Located<String>, Located<Node>)],
}

/// One value of a file, and how messages call it.
pub struct Field<'a> {
    file: &'a str,
    path: String,
    node: &'a Located<Node>,
}

impl<'a> Field<'a> {
    /// The top of a document.
    pub fn top(file: &'a str, node: &'a Located<Node>) -> Self {
        Self { file, path: String::new(), node }
    }

    /// The line and the column where it begins, from 1.
    pub fn place(&self) -> (u64, u64) {
        (self.node.line, self.node.column)
    }

    /// The failure for something wrong with this value.
    pub fn fault(&self, what: impl std::fmt::Display) -> Failure {
        yaml::fault(self.file, self.node.line, self.node.column, what)
    }

    /// The failure for something wrong with the key of an entry of this mapping.
    pub fn fault_at(&self, key: &Located<&str>, what: impl std::fmt::Display) -> Failure {
        yaml::fault(self.file, key.line, key.column, what)
    }

    fn wrong_type(&self, wanted: &str) -> Failure {
        let name = if self.path.is_empty() { "the file".to_owned() } else { format!("`{}`", self.path) };
        self.fault(format_args!("{name} must be {wanted}, and is {}", self.node.value.what()))
    }

    /// Whether nothing is written after the key.
    pub fn is_null(&self) -> bool {
        self.node.value == Node::Scalar(Value::Null)
    }

    /// The text.
    pub fn text(&self) -> Result<&'a str> {
        match &self.node.value {
            Node::Scalar(Value::String(text)) => Ok(text),
            _ => Err(self.wrong_type("a text")),
        }
    }

    /// The text, read as a `T`.
    pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self) -> Result<T> {
        self.text()?.parse().map_err(|error| self.fault(format_args!("`{}`: {error}", self.path)))
    }

    /// True or false.
    pub fn boolean(&self) -> Result<bool> {
        match self.node.value {
            Node::Scalar(Value::Bool(value)) => Ok(value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// A whole number.
    pub fn integer(&self) -> Result<i64> {
        match &self.node.value {
            Node::Scalar(value) if value.is_i64() => Ok(value.as_i64().unwrap_or_default()),
            _ => Err(self.wrong_type("a whole number")),
        }
    }

    /// The items of a list.
    pub fn list(&self) -> Result<Vec<Self>> {
        match &self.node.value {
            Node::List(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, node)| Self { file: self.file, path: format!("{}[{index}]", self.path), node })
                .collect()),
            _ => Err(self.wrong_type("a list")),
        }
    }

    /// The entries of a mapping whose keys are free: each key as a text, and its value.
    pub fn entries(&self) -> Result<Vec<(Located<&'a str>, Self)>> {
        let Node::Mapping(entries) = &self.node.value else { return Err(self.wrong_type("a mapping")) };
        let entry = |(key, node): &'a (Located<String>, Located<Node>)| {
            let key = Located { value: key.value.as_str(), line: key.line, column: key.column };
            let field = Self { file: self.file, path: joined(&self.path, key.value), node };
            (key, field)
        };
        Ok(entries.iter().map(entry).collect())
    }

    /// The mapping, if all of its keys are in `known`.
    pub fn fields(&self, known: &[&str]) -> Result<Fields<'a>> {
        let Node::Mapping(entries) = &self.node.value else { return Err(self.wrong_type("a mapping")) };
        for (key, _) in entries {
            if !known.contains(&key.value.as_str()) {
                let unknown = yaml::fault(
                    self.file,
                    key.line,
                    key.column,
                    format_args!("unknown key `{}`{}", key.value.escape_debug(), suggestion(&key.value, known)),
                );
                let place = if self.path.is_empty() { "here".to_owned() } else { format!("in `{}`", self.path) };
                return Err(unknown.hint(format!("the keys {place} are {}", quoted(known))));
            }
        }
        Ok(Fields { file: self.file, path: self.path.clone(), place: (self.node.line, self.node.column), entries })
    }
}

impl<'a> Fields<'a> {
    /// The value of a key that must be there.
    pub fn required(&self, key: &str) -> Result<Field<'a>> {
        self.optional(key).ok_or_else(|| {
            let (line, column) = self.place;
            yaml::fault(self.file, line, column, format_args!("`{}` is missing", joined(&self.path, key)))
        })
    }

    /// The value of a key, if it is there and is not null.
    pub fn optional(&self, key: &str) -> Option<Field<'a>> {
        let (_, node) = self.entries.iter().find(|(known, _)| known.value == key)?;
        Some(Field { file: self.file, path: joined(&self.path, key), node }).filter(|field| !field.is_null())
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
