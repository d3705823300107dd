//! YAML as Kubernetes reads it: the only place that knows which library parses and writes it.
//!
//! Scalars mean what they mean to `kubectl` (sigs.k8s.io/yaml: YAML 1.1, so `yes` is true and `012` is ten); duplicate keys, which
//! `kubectl` lets pass, are errors. Limits keep a hostile file from costing more than it weighs. No message repeats a line of the file,
//! since the line may be a secret.

mod written;

use std::sync::LazyLock;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::error::{Failure, Result};
use crate::ports::git::File;
pub use written::{Shape, Written, parse_written};

/// The largest file that is read, in bytes.
pub const LARGEST_FILE: usize = 64 * 1024 * 1024;

/// The most documents in one file, the deepest nesting (that of Argo CD's own manifest is 35), and the most nodes.
const MOST_DOCUMENTS: usize = 100_000;
const DEEPEST: usize = 100;
const MOST_NODES: usize = 5_000_000;

/// The most events that aliases may add to a file; real manifests stay below a thousand.
const MOST_ALIASED: usize = 100_000;

/// The stack that the deepest document needs, in bytes, with room to spare: parser and writer are recursive, and a thread may have 2 MiB.
const STACK: usize = 16 * 1024 * 1024;

/// Threads on whose stack the deepest document fits, so that no file needs a stack of its own: to make one takes longer than to parse a small file.
/// None if there are no threads to be had.
static PARSERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| ThreadPoolBuilder::new().stack_size(2 * STACK).build().ok());

/// Something, and where in its file it begins. Lines and columns are counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// The thing itself.
    pub value: T,
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// A document in which each key and each value knows where it is, for files that people write and that are checked strictly.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Null, a boolean, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Located<Node>>),
    /// A mapping, in the order of the file.
    Mapping(Vec<(Located<String>, Located<Node>)>),
}

/// Parses all documents of a file. Empty documents are left out, and a `kind: List` is replaced by its items. `file` is how messages call it.
pub fn parse_documents(text: &str, file: &str) -> Result<Vec<Located<Value>>> {
    let parsed: Vec<Spanned<Value>> = parse(text, file)?;
    let mut documents = Vec::with_capacity(parsed.len());
    for document in parsed {
        let mut document = located(document);
        whole_numbers(&mut document.value);
        match document.value {
            Value::Null => {}
            Value::Object(mut list) if list.get("kind").and_then(Value::as_str) == Some("List") && list.contains_key("items") => {
                let Some(Value::Array(items)) = list.remove("items") else {
                    return Err(fault(file, document.line, document.column, "`items` of a `List` is not a list"));
                };
                documents.extend(items.into_iter().map(|value| Located { value, ..document }));
            }
            value => documents.push(Located { value, ..document }),
        }
    }
    Ok(documents)
}

/// What `parse` makes of each file, in their order, on all processors: a fleet has thousands of files.
pub fn each_in_parallel<'a, T: Send>(files: &[&'a File], parse: impl Fn(&'a File) -> T + Send + Sync) -> Vec<T> {
    let all = || files.par_iter().map(|file| parse(file)).collect();
    PARSERS.as_ref().map_or_else(all, |parsers| parsers.install(all))
}

/// Parses a file that holds at most one document, with the place of everything in it; none if it is empty.
pub fn parse_located(text: &str, file: &str) -> Result<Option<Located<Node>>> {
    let mut documents: Vec<Located<Node>> = parse::<Spanned<Node>>(text, file)?
        .into_iter()
        .map(located)
        .filter(|document| document.value != Node::Scalar(Value::Null))
        .collect();
    match documents.get(1) {
        Some(second) => Err(fault(file, second.line, second.column, "a second document, where only one is taken")),
        None => Ok(documents.pop()),
    }
}

/// Parses all documents of a file with the place of everything in them: the same documents, in the same order, as [`parse_documents`].
pub fn parse_all_located(text: &str, file: &str) -> Result<Vec<Located<Node>>> {
    let mut documents = Vec::new();
    for document in parse::<Spanned<Node>>(text, file)?.into_iter().map(located) {
        let entry = |name: &str| match &document.value {
            Node::Mapping(entries) => entries.iter().find(|(key, _)| key.value == name).map(|(_, value)| &value.value),
            _ => None,
        };
        match (&document.value, entry("kind"), entry("items")) {
            (Node::Scalar(Value::Null), _, _) => {}
            (_, Some(Node::Scalar(Value::String(kind))), Some(Node::List(items))) if kind == "List" => {
                documents.extend(items.iter().cloned())
            }
            _ => documents.push(document),
        }
    }
    Ok(documents)
}

/// Writes a document so that every reader of YAML 1.1 or 1.2 gets the same values back: `apiVersion`, `kind` and `metadata` first, other
/// keys in alphabetical order, texts of several lines as literal blocks, texts that could be taken for something else in quotes. The same
/// value gives the same bytes.
pub fn to_text(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 1_000_000 };
    stacker::maybe_grow(STACK / 2, STACK, || serde_saphyr::to_string_with_options(&Ordered { value, top: true }, options))
        .unwrap_or_else(|error| unreachable!("a JSON value can be written as YAML: {error}"))
}

/// The failure for something wrong at a place of a file.
pub fn fault(file: &str, line: u64, column: u64, what: impl std::fmt::Display) -> Failure {
    Failure::repository(format!("{file}:{line}:{column}: {what}"))
}

fn parse<'text, T: Deserialize<'text>>(text: &'text str, file: &str) -> Result<Vec<T>> {
    if text.len() > LARGEST_FILE {
        return Err(fault(file, 1, 1, format_args!("the file has {} bytes; {LARGEST_FILE} is the most that is read", text.len())));
    }
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_ALIASED },
        budget: serde_saphyr::budget! {
            max_documents: MOST_DOCUMENTS,
            max_nodes: MOST_NODES,
            max_events: 4 * MOST_NODES,
            max_depth: DEEPEST,
        },
    };
    stacker::maybe_grow(STACK / 2, STACK, || serde_saphyr::from_multiple_with_options(text, options)).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line().max(1), place.column().max(1)));
        let said = error.render();
        let said = said.split(" at line ").next().unwrap_or(&said).trim_start_matches("error: ");
        fault(file, line, column, said)
    })
}

fn located<T>(spanned: Spanned<T>) -> Located<T> {
    Located { line: spanned.referenced.line().max(1), column: spanned.referenced.column().max(1), value: spanned.value }
}

/// Makes integers of floats without a fraction, as `kubectl` sends them: the API server refuses `1.0` replicas.
fn whole_numbers(value: &mut Value) {
    /// Above this, a float no longer holds every integer.
    const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < LARGEST_EXACT) {
                #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small enough")]
                let whole = float as i64;
                *value = Value::from(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

impl Node {
    /// The plain value, without places.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.value.to_value()).collect(),
            Self::Mapping(entries) => entries.iter().map(|(key, node)| (key.value.clone(), node.value.to_value())).collect(),
        }
    }

    /// The line and column at which what a JSON pointer (RFC 6901) names begins: that of the key, or of the item of a list. Where nothing has
    /// this name, the place of the nearest thing around it; none if that is the document itself.
    pub fn place(&self, pointer: &str) -> Option<(u64, u64)> {
        let mut node = self;
        let mut place = None;
        for name in pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")) {
            let (at, next) = match node {
                Self::Mapping(entries) => {
                    let Some((key, value)) = entries.iter().find(|(key, _)| key.value == name) else { break };
                    ((key.line, key.column), &value.value)
                }
                Self::List(items) => {
                    let Some(item) = name.parse::<usize>().ok().and_then(|index| items.get(index)) else { break };
                    ((item.line, item.column), &item.value)
                }
                Self::Scalar(_) => break,
            };
            place = Some(at);
            node = next;
        }
        place
    }

    /// What it is, for messages that say what was found instead.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Scalar(Value::Null) => "nothing",
            Self::Scalar(Value::Bool(_)) => "true or false",
            Self::Scalar(Value::Number(_)) => "a number",
            Self::Scalar(_) => "a text",
            Self::List(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        let mut value = Value::from(value);
        whole_numbers(&mut value);
        Ok(Node::Scalar(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Node>>()? {
            list.push(located(item));
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut mapping = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Node>>()? {
            mapping.push((located(key), located(value)));
        }
        Ok(Node::Mapping(mapping))
    }
}

/// A value whose keys are written in the order in which people look for them.
struct Ordered<'a> {
    value: &'a Value,
    top: bool,
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = |value| Ordered { value, top: false };
        match self.value {
            Value::Array(items) => serializer.collect_seq(items.iter().map(inner)),
            Value::Object(fields) => {
                let rank = |key: &str| match key {
                    "apiVersion" if self.top => 0,
                    "kind" if self.top => 1,
                    "metadata" if self.top => 2,
                    _ => 3,
                };
                let mut keys: Vec<&String> = fields.keys().collect();
                keys.sort_by_key(|key| (rank(key), *key));
                let mut map = serializer.serialize_map(Some(keys.len()))?;
                for key in keys {
                    map.serialize_entry(key, &inner(&fields[key]))?;
                }
                map.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(text: &str) -> Vec<Value> {
        parse_documents(text, "a.yaml").unwrap().into_iter().map(|document| document.value).collect()
    }

    fn refusal(text: &str) -> String {
        parse_documents(text, "a.yaml").unwrap_err().to_string()
    }

    #[test]
    fn scalars_mean_what_they_mean_to_kubectl() {
        assert_eq!(
            values("[yes, off, 012, 0x1F, 1e3, 1.0, 1.5, ~, 2026-01-01, 22:22, 1.2.3, '1']"),
            [json!([true, false, 10, 31, 1000, 1, 1.5, null, "2026-01-01", "22:22", "1.2.3", "1"])]
        );
        assert_eq!(values("a: &x {b: 1}\nc: {<<: *x, d: 2}"), [json!({"a": {"b": 1}, "c": {"b": 1, "d": 2}})]);
    }

    #[test]
    fn documents_know_their_line_and_empty_ones_are_left_out() {
        let documents = parse_documents("# only a comment\n---\na: 1\n---\n---\n\nb: 2\n", "a.yaml").unwrap();
        let seen: Vec<_> = documents.iter().map(|document| (document.line, &document.value)).collect();
        assert_eq!(seen, [(3, &json!({"a": 1})), (7, &json!({"b": 2}))]);
    }

    #[test]
    fn a_list_is_its_items() {
        assert_eq!(values("kind: List\napiVersion: v1\nitems: [{kind: A}, {kind: B}]"), [json!({"kind": "A"}), json!({"kind": "B"})]);
        assert_eq!(refusal("\nkind: List\nitems: 1"), "a.yaml:2:1: `items` of a `List` is not a list");
    }

    #[test]
    fn documents_with_places_are_the_same_documents() {
        for text in ["", "a: 1\n---\n---\nb: [{c: 1}]\n", "kind: List\nitems: [{kind: A}, {kind: B}]\n---\nkind: C\n"] {
            let with_places: Vec<_> = parse_all_located(text, "a.yaml").unwrap().iter().map(|document| document.value.to_value()).collect();
            assert_eq!(with_places, values(text));
        }
    }

    #[test]
    fn byte_order_marks_and_line_ends_of_windows_are_taken() {
        assert_eq!(values("\u{feff}a: 1\r\nb: |\r\n  x\r\n  y\r\n"), [json!({"a": 1, "b": "x\ny\n"})]);
    }

    #[test]
    fn a_fault_is_cited_with_line_and_column_and_without_the_line_itself() {
        let refusal = refusal("a: 1\n---\npassword: hunter2\npassword: hunter3\n");
        assert!(refusal.starts_with("a.yaml:4:1: "), "{refusal}");
        assert!(!refusal.contains("hunter"), "{refusal}");
        assert_eq!(parse_documents("a: [1", "a.yaml").unwrap_err().kind, crate::error::Kind::InvalidRepository);
    }

    #[test]
    fn hostile_files_are_refused_before_they_are_expanded() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(","));
        }
        for (hostile, name) in [
            (bomb, "aliases"),
            ("[".repeat(10_000), "flow depth"),
            ("- ".repeat(10_000), "block depth"),
            ("---\na\n".repeat(200_000), "documents"),
        ] {
            let refusal = refusal(&hostile);
            assert!(refusal.starts_with("a.yaml:"), "{name}: {refusal}");
            assert!(parse_located(&hostile, "a.yaml").is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let nasty = [
            "yes",
            "on",
            "y",
            "No",
            "1_000",
            "0X1F",
            "<<",
            "012",
            "1e3",
            "~",
            "null",
            "",
            " ",
            "a: b",
            "- a",
            "#",
            "a #b",
            "'",
            "\"",
            "\\",
            "@",
            "%",
            "!",
            "&a",
            "*a",
            "|",
            ">",
            "2026-01-01",
            "22:22",
            "a\nb",
            "a\nb\n",
            "\na",
            "a\n\n",
            " a\nb",
            "a \nb",
            "\t",
            "\u{1b}",
            "é",
            "\u{85}",
            "=",
            "0o14",
            ".inf",
            "{}",
            "[]",
        ];
        for text in nasty {
            let value = json!({"key": text, text: 1, "list": [text, {"deep": text}]});
            assert_eq!(values(&to_text(&value)), [value], "{text:?}");
        }
        let long = "word ".repeat(100);
        assert_eq!(values(&to_text(&json!({"a": long}))), [json!({"a": long})]);
    }

    #[test]
    fn a_document_is_written_as_people_write_it() {
        let object = json!({
            "spec": {"b": [{"name": "x", "args": ["--yes", "on"]}], "a": {}, "kind": "inner"},
            "metadata": {"name": "n", "annotations": {"wave": "1"}},
            "kind": "ConfigMap", "apiVersion": "v1", "data": {"file": "one\ntwo\n"},
        });
        insta::assert_snapshot!(to_text(&object));
    }

    #[test]
    fn everything_in_a_located_document_knows_its_place() {
        let document = parse_located("a:\n  - b: 1.0\n", "a.yaml").unwrap().unwrap();
        assert_eq!(document.value.to_value(), json!({"a": [{"b": 1}]}));
        let Node::Mapping(entries) = &document.value else { panic!("a mapping") };
        let Node::List(items) = &entries[0].1.value else { panic!("a list") };
        assert_eq!((entries[0].0.line, entries[0].0.column, items[0].line, items[0].column), (1, 1, 2, 5));
        assert_eq!(document.value.place("/a/0/b"), Some((2, 5)));
        assert_eq!(document.value.place("/a/0/c"), Some((2, 5)), "the nearest thing that is there");
        assert_eq!(document.value.place("/b"), None);
        assert_eq!(parse_located("# nothing\n", "a.yaml").unwrap(), None);
        assert_eq!(
            parse_located("a: 1\n---\nb: 1\n", "a.yaml").unwrap_err().to_string(),
            "a.yaml:3:1: a second document, where only one is taken"
        );
    }
}
