//! A document with the bytes at which each of its scalars is written, for changes that leave the rest of the file as it is.

use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::parse;
use crate::error::Result;

/// A value, and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// What it is.
    pub shape: Shape,
    /// The bytes of a scalar; of anything else only the beginning counts.
    pub bytes: Range<usize>,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Null, a boolean, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Written>),
    /// A mapping, in the order of the file: each key with the byte at which it begins.
    Mapping(Vec<(String, usize, Written)>),
}

/// Parses a file that holds one document; none if it is empty, or holds several.
pub fn parse_written(text: &str, file: &str) -> Result<Option<Written>> {
    let mut documents = parse::<Spanned<Shape>>(text, file)?;
    let document = documents.pop().filter(|_| documents.is_empty()).map(written);
    Ok(document.filter(|document| document.shape != Shape::Scalar(Value::Null)))
}

impl Written {
    /// The entry of a mapping: the byte at which its key begins, and its value.
    pub fn entry(&self, name: &str) -> Option<(usize, &Self)> {
        let Shape::Mapping(entries) = &self.shape else { return None };
        entries.iter().find(|(key, ..)| key == name).map(|(_, start, value)| (*start, value))
    }

    /// The end of the last scalar in it.
    pub fn end(&self) -> usize {
        let inside = match &self.shape {
            Shape::Scalar(_) => None,
            Shape::List(items) => items.iter().map(Self::end).max(),
            Shape::Mapping(entries) => entries.iter().map(|(_, start, value)| value.end().max(*start)).max(),
        };
        inside.unwrap_or(self.bytes.end)
    }
}

fn place<T>(spanned: &Spanned<T>) -> Range<usize> {
    let span = spanned.referenced.span();
    let number = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
    let start = number(span.byte_offset());
    start..start + number(span.byte_len())
}

fn written(spanned: Spanned<Shape>) -> Written {
    Written { bytes: place(&spanned), shape: spanned.value }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        Shape::deserialize(deserializer)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Shape, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Shape>>()? {
            list.push(written(item));
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut mapping = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Shape>>()? {
            mapping.push((key.value.clone(), place(&key).start, written(value)));
        }
        Ok(Shape::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token<'a>(text: &'a str, path: &[&str]) -> &'a str {
        let document = parse_written(text, "a.yaml").unwrap().unwrap();
        let mut found = &document;
        for name in path {
            found = found.entry(name).unwrap().1;
        }
        &text[found.bytes.clone()]
    }

    #[test]
    fn a_scalar_is_found_with_its_quotation_marks_and_without_its_comment() {
        let text = "# é\na:\n  plain: v1.2.3 # why\n  double: \"v\\\"2\"\n  single: 'it''s'\n  flow: {x: 1, y: two}\n";
        assert_eq!(token(text, &["a", "plain"]), "v1.2.3");
        assert_eq!(token(text, &["a", "double"]), "\"v\\\"2\"");
        assert_eq!(token(text, &["a", "single"]), "'it''s'");
        assert_eq!((token(text, &["a", "flow", "x"]), token(text, &["a", "flow", "y"])), ("1", "two"));
    }

    #[test]
    fn keys_know_where_they_begin_and_mappings_where_they_end() {
        let text = "a:\n  b: 1\n  c: two\n# end\n";
        let document = parse_written(text, "a.yaml").unwrap().unwrap();
        let (_, a) = document.entry("a").unwrap();
        assert_eq!(&text[a.entry("c").unwrap().0..][..1], "c");
        assert_eq!(&text[..document.end()], "a:\n  b: 1\n  c: two");
        assert_eq!(parse_written("# nothing\n", "a.yaml").unwrap(), None);
    }
}
