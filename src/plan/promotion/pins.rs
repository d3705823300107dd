//! The versions in a file.

use serde_json::Value;

use crate::error::Result;
use crate::manifest::yaml::{Shape, Written, fault, parse_written};

/// One step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// The item of a list that has this name.
    Item(String),
}

/// A version that is written in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The way to it.
    pub path: Vec<Step>,
    /// What it says.
    pub value: String,
    /// The same as it is written, with its quotation marks.
    pub token: String,
}

impl Pin {
    /// The way to it, as people write it: `images[web].newTag`.
    pub fn name(&self) -> String {
        let mut name = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if name.is_empty() => name.push_str(key),
                Step::Key(key) => {
                    name.push('.');
                    name.push_str(key);
                }
                Step::Item(item) => {
                    name.push('[');
                    name.push_str(item);
                    name.push(']');
                }
            }
        }
        name
    }

    fn key(&self) -> &str {
        match self.path.last() {
            Some(Step::Key(key) | Step::Item(key)) => key,
            None => "",
        }
    }

    /// Whether it is a hash of what is meant.
    pub(super) fn is_digest(&self) -> bool {
        self.key().to_lowercase().ends_with("digest")
    }

    /// Whether it is about the same thing as another.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        let parent = |pin: &Self| pin.path.split_last().map(|(_, parent)| parent.to_vec());
        self.path != other.path && parent(self) == parent(other)
    }
}

/// The versions in the `images` of a kustomization (kubectl.docs.kubernetes.io, "images").
pub(super) fn of_kustomization(text: &str, file: &str) -> Result<Vec<Pin>> {
    let Some(document) = parse_written(text, file)? else { return Ok(Vec::new()) };
    let Some((_, images)) = document.entry("images") else { return Ok(Vec::new()) };
    let mut pins = Vec::new();
    collect(images, &mut vec![Step::Key("images".to_owned())], &|key, _| matches!(key, "newTag" | "digest"), text, file, &mut pins)?;
    Ok(pins)
}

/// The versions in the values of a chart, by the names of their keys.
pub(super) fn of_values(text: &str, file: &str) -> Result<Vec<Pin>> {
    let Some(document) = parse_written(text, file)? else { return Ok(Vec::new()) };
    let mut pins = Vec::new();
    collect(&document, &mut Vec::new(), &is_version, text, file, &mut pins)?;
    Ok(pins)
}

/// Whether a key of a chart's values holds a version: `tag`, `digest`, `version`, what ends in one of them, and an `image` with one.
fn is_version(key: &str, value: &str) -> bool {
    let is_of_an_api = matches!(key, "apiVersion" | "kubeVersion");
    let ends = ["Tag", "Digest", "Version"].iter().any(|end| key.ends_with(end));
    let is_image = (key == "image" || key.ends_with("Image")) && (value.contains(':') || value.contains('@'));
    matches!(key, "tag" | "digest" | "version") || is_image || (ends && !is_of_an_api)
}

fn collect(
    written: &Written,
    path: &mut Vec<Step>,
    is_pin: &dyn Fn(&str, &str) -> bool,
    text: &str,
    file: &str,
    pins: &mut Vec<Pin>,
) -> Result<()> {
    match &written.shape {
        Shape::Scalar(_) => {}
        Shape::List(items) => {
            for item in items {
                // What has no name is at no place that two files would agree on.
                let Some((_, Written { shape: Shape::Scalar(Value::String(name)), .. })) = item.entry("name") else { continue };
                path.push(Step::Item(name.clone()));
                collect(item, path, is_pin, text, file, pins)?;
                path.pop();
            }
        }
        Shape::Mapping(entries) => {
            for (key, _, value) in entries {
                path.push(Step::Key(key.clone()));
                match &value.shape {
                    Shape::Scalar(scalar) => {
                        if let Some(said) = said(scalar).filter(|said| !said.is_empty() && is_pin(key, said)) {
                            pins.push(Pin { path: path.clone(), value: said, token: token(value, text, file)?.to_owned() });
                        }
                    }
                    _ => collect(value, path, is_pin, text, file, pins)?,
                }
                path.pop();
            }
        }
    }
    Ok(())
}

/// What a scalar says, as a text.
fn said(scalar: &Value) -> Option<String> {
    match scalar {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// How a scalar is written. One that is written on several lines, or that stands for another, is nothing to copy.
pub(super) fn token<'a>(written: &Written, text: &'a str, file: &str) -> Result<&'a str> {
    let token = text.get(written.bytes.clone()).map(str::trim_end).unwrap_or_default();
    if token.is_empty() || token.contains('\n') || token.starts_with(['&', '*', '|', '>', '!']) {
        let before = text.get(..written.bytes.start).unwrap_or_default();
        let line = before.matches('\n').count() as u64 + 1;
        return Err(fault(file, line, 1, "a version that is not written as one plain or quoted text cannot be promoted")
            .hint("write it on one line, without an anchor or an alias"));
    }
    Ok(token)
}
