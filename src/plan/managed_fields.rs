//! Who owns which field of an object, read from `metadata.managedFields`
//! (kubernetes.io, "Server-Side Apply"; the format `FieldsV1` is described in sigs.k8s.io/structured-merge-diff).

use std::fmt;

use serde_json::{Map, Value};

use crate::domain::Object;

/// One step on the way to a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// A key of a mapping.
    Field(String),
    /// The item of a list whose keys have these values.
    Item(Map<String, Value>),
    /// This value in a list that is a set.
    Member(Value),
    /// The item of a list at this place.
    Index(usize),
}

/// The way to a field from the root of the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path(Vec<Segment>);

/// One manager's entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The manager's name.
    pub manager: String,
    /// Whether it applied (server-side apply) or updated.
    pub applied: bool,
    /// The subresource through which it wrote, as in `status`.
    pub subresource: Option<String>,
    /// The fields that it owns, the deepest ones.
    pub fields: Vec<Path>,
}

impl Path {
    /// This path and one more step.
    pub fn then(&self, segment: Segment) -> Self {
        let mut longer = self.0.clone();
        longer.push(segment);
        Self(longer)
    }

    /// Whether this is the whole object.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The value at this path, if there is one.
    pub fn resolve<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(root, |value, segment| match segment {
            Segment::Field(name) => value.get(name),
            Segment::Item(keys) => value.as_array()?.iter().find(|item| has_keys(item, keys)),
            Segment::Member(member) => value.as_array()?.iter().find(|item| *item == member),
            Segment::Index(index) => value.as_array()?.get(*index),
        })
    }

    /// Takes the value at this path out of the document.
    pub fn remove_from(&self, root: &mut Value) {
        let Some((last, way)) = self.0.split_last() else { return };
        let mut value = root;
        for segment in way {
            let next = match segment {
                Segment::Field(name) => value.get_mut(name),
                Segment::Item(keys) => value.as_array_mut().and_then(|items| items.iter_mut().find(|item| has_keys(item, keys))),
                Segment::Member(member) => value.as_array_mut().and_then(|items| items.iter_mut().find(|item| *item == member)),
                Segment::Index(index) => value.get_mut(*index),
            };
            match next {
                Some(next) => value = next,
                None => return,
            }
        }
        match (last, value) {
            (Segment::Field(name), Value::Object(fields)) => drop(fields.remove(name)),
            (Segment::Item(keys), Value::Array(items)) => items.retain(|item| !has_keys(item, keys)),
            (Segment::Member(member), Value::Array(items)) => items.retain(|item| item != member),
            _ => {}
        }
    }

    /// Whether this path leads to `other`, or through it.
    fn covers(&self, other: &Self, root: &Value) -> bool {
        // The same field can be named by a key or by its place: what counts is where both lead.
        self.0.len() <= other.0.len()
            && match (self.resolve(root), Self(other.0.iter().take(self.0.len()).cloned().collect()).resolve(root)) {
                (Some(mine), Some(theirs)) => std::ptr::eq(mine, theirs),
                _ => self.0.iter().zip(&other.0).all(|(mine, theirs)| mine == theirs),
            }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Field(name) if name.contains(['.', '/']) => write!(formatter, "[{name}]")?,
                Segment::Field(name) => write!(formatter, ".{name}")?,
                Segment::Item(keys) => {
                    let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                    write!(formatter, "[{}]", keys.join(","))?;
                }
                Segment::Member(value) => write!(formatter, "[={value}]")?,
                Segment::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The entries of an object, as the server reports them.
pub fn entries(object: &Object) -> Vec<Entry> {
    let entries = object.at("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(entry).collect()
}

/// The managers among `entries` that own the field at `path`.
pub fn owners<'a>(entries: &'a [Entry], path: &Path, live: &Value) -> Vec<&'a Entry> {
    entries.iter().filter(|entry| entry.fields.iter().any(|field| field.covers(path, live))).collect()
}

fn entry(value: &Value) -> Option<Entry> {
    let mut fields = Vec::new();
    if let Some(Value::Object(tree)) = value.get("fieldsV1") {
        collect(tree, &Path::default(), &mut fields);
    }
    Some(Entry {
        manager: value.get("manager")?.as_str()?.to_owned(),
        applied: value.get("operation").and_then(Value::as_str) == Some("Apply"),
        subresource: value.get("subresource").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned),
        fields,
    })
}

fn collect(tree: &Map<String, Value>, at: &Path, into: &mut Vec<Path>) {
    let children: Vec<(Segment, &Value)> = tree.iter().filter_map(|(key, below)| Some((segment(key)?, below))).collect();
    if children.is_empty() && !at.0.is_empty() {
        into.push(at.clone());
    }
    for (segment, below) in children {
        let path = at.then(segment);
        match below.as_object() {
            Some(below) => collect(below, &path, into),
            None => into.push(path),
        }
    }
}

/// Reads one key of `FieldsV1`; `.` stands for the parent itself and is none.
fn segment(key: &str) -> Option<Segment> {
    let (kind, rest) = key.split_once(':')?;
    match kind {
        "f" => Some(Segment::Field(rest.to_owned())),
        "k" => serde_json::from_str(rest).ok().map(Segment::Item),
        "v" => serde_json::from_str(rest).ok().map(Segment::Member),
        "i" => rest.parse().ok().map(Segment::Index),
        _ => None,
    }
}

fn has_keys(item: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter().all(|(key, value)| match item.get(key) {
        Some(found) => found == value,
        // A key that is not written has its default, which the server knows and the document does not: `protocol: TCP` of a port.
        None => key == "protocol" && value == "TCP",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object() -> Object {
        Object::new(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "managedFields": [
                {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"server\"}": {".": {}, "f:image": {}}}}}}}},
                {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:finalizers": {"v:\"a\"": {}}}}},
            ]},
            "spec": {"replicas": 1, "finalizers": ["a"], "template": {"spec": {"containers": [{"name": "server", "image": "x"}]}}},
        }))
        .unwrap()
    }

    #[test]
    fn each_entry_tells_the_deepest_fields_it_owns() {
        let entries = entries(&object());
        assert_eq!(
            entries[0].fields.iter().map(Path::to_string).collect::<Vec<_>>(),
            [".spec.template.spec.containers[name=\"server\"].image"]
        );
        assert!(entries[1].applied);
        assert_eq!(entries[1].fields.len(), 2);
    }

    #[test]
    fn a_field_named_by_its_place_has_the_owner_of_the_one_named_by_its_key() {
        let object = object();
        let entries = entries(&object);
        let path = ["spec", "template", "spec", "containers"]
            .iter()
            .fold(Path::default(), |path, name| path.then(Segment::Field((*name).to_owned())));
        let image = path.then(Segment::Index(0)).then(Segment::Field("image".to_owned()));
        let owners = owners(&entries, &image, object.value());
        assert_eq!(owners.iter().map(|entry| entry.manager.as_str()).collect::<Vec<_>>(), ["kubectl-edit"]);
    }

    #[test]
    fn a_field_is_taken_out_wherever_it_is() {
        let mut value = object().into_value();
        let image = entries(&object())[0].fields[0].clone();
        image.remove_from(&mut value);
        assert_eq!(value.pointer("/spec/template/spec/containers/0"), Some(&json!({"name": "server"})));
    }
}
