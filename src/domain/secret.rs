//! A Kubernetes Secret whose values cannot be printed, and are wiped when it is dropped.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice};
use serde_json::{Map, Value, json};

use super::{Object, ObjectRef};

/// Annotations that are of one cluster's life, not of the Secret: what `kubectl apply` keeps is a copy of the values, what Argo CD writes is its own
/// record, and the last says where a restored Secret came from.
const LEFT_OUT: [&str; 3] = ["kubectl.kubernetes.io/last-applied-configuration", "argocd.argoproj.io/tracking-id", RESTORED_ANNOTATION];

/// The prefixes of labels by which controllers find their Secrets.
const CONTROLLERS: [&str; 2] = ["argocd.argoproj.io/", "sealedsecrets.bitnami.com/"];

/// The annotation of a Secret that was restored from a bundle: when that bundle was made.
pub const RESTORED_ANNOTATION: &str = "gitops-bootstrap/restored-from-bundle";

/// Which Secret: `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A text that does not say which Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a Secret: write it as `NAMESPACE/NAME`")]
pub struct InvalidSecretName(String);

impl SecretName {
    /// The Secret `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Which object it is.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::namespaced("v1", "Secret", &self.namespace, &self.name)
    }
}

impl FromStr for SecretName {
    type Err = InvalidSecretName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // RFC 1123, as the API server checks it.
        let valid = |part: &str, most: usize, dots: bool| {
            let character = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || dots && byte == b'.';
            !part.is_empty() && part.len() <= most && part.bytes().all(character) && !part.starts_with('-') && !part.ends_with('-')
        };
        match text.split_once('/') {
            Some((namespace, name)) if valid(namespace, 63, false) && valid(name, 253, true) => Ok(Self::new(namespace, name)),
            _ => Err(InvalidSecretName(text.escape_default().to_string())),
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

impl serde::Serialize for SecretName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A Secret of the core group. [`fmt::Debug`] shows the names of its keys and none of the values.
#[derive(Clone)]
pub struct Secret {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `type`, as in `Opaque`.
    pub kind: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`, without those that are of one cluster's life.
    pub annotations: BTreeMap<String, String>,
    /// `immutable`.
    pub immutable: bool,
    /// The values, decoded.
    pub data: BTreeMap<String, SecretSlice<u8>>,
}

/// An object that is not a Secret that can be read. It quotes no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {reason}")]
pub struct InvalidSecret {
    object: ObjectRef,
    reason: &'static str,
}

impl Secret {
    /// Takes a Secret as a server sends it, or as it is written (`stringData` included, which wins as it does on the server).
    pub fn read(object: &Object) -> Result<Self, InvalidSecret> {
        let invalid = |reason| InvalidSecret { object: object.reference(), reason };
        if object.kind() != "Secret" || object.api_version() != "v1" {
            return Err(invalid("is not a Secret"));
        }
        let namespace = object.namespace().ok_or_else(|| invalid("has no namespace"))?.to_owned();
        let mut data = BTreeMap::new();
        for (key, value) in object.at("/data").and_then(Value::as_object).into_iter().flatten() {
            let encoded = value.as_str().ok_or_else(|| invalid("has a value that is not text"))?;
            let bytes = STANDARD.decode(encoded).map_err(|_| invalid("has a value that is not base64"))?;
            data.insert(key.clone(), SecretSlice::from(bytes));
        }
        for (key, value) in object.at("/stringData").and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().ok_or_else(|| invalid("has a value that is not text"))?;
            data.insert(key.clone(), SecretSlice::from(text.as_bytes().to_vec()));
        }
        let texts = |pointer: &str| {
            let entries = object.at(pointer).and_then(Value::as_object).into_iter().flatten();
            entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect::<BTreeMap<_, _>>()
        };
        let mut annotations = texts("/metadata/annotations");
        annotations.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
        Ok(Self {
            namespace,
            name: object.name().to_owned(),
            kind: object.text("/type").unwrap_or("Opaque").to_owned(),
            labels: texts("/metadata/labels"),
            annotations,
            immutable: object.at("/immutable").and_then(Value::as_bool).unwrap_or_default(),
            data,
        })
    }

    /// Which Secret this is.
    pub fn full_name(&self) -> SecretName {
        SecretName::new(&self.namespace, &self.name)
    }

    /// Which object this is.
    pub fn reference(&self) -> ObjectRef {
        self.full_name().reference()
    }

    /// The labels by which controllers find the Secret; without them it is there and does nothing.
    pub fn labels_of_controllers(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
        labels.filter(|(label, _)| CONTROLLERS.iter().any(|prefix| label.starts_with(prefix)))
    }

    /// The names of the values, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.data.keys().map(String::as_str)
    }

    /// A value, to be used and not kept.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(ExposeSecret::expose_secret)
    }

    /// A value that is text, to be used and not kept.
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.value(key)?).ok()
    }

    /// The values, to be used and not kept.
    pub fn values(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.data.iter().map(|(key, value)| (key.as_str(), value.expose_secret()))
    }

    /// The Secret as it is sent to a server. Whoever has it must not print it.
    pub fn to_object(&self) -> Object {
        let data: Map<String, Value> = self.values().map(|(key, value)| (key.to_owned(), STANDARD.encode(value).into())).collect();
        let mut metadata = json!({"name": self.name, "namespace": self.namespace});
        for (field, texts) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !texts.is_empty() {
                metadata[field] = json!(texts);
            }
        }
        let mut value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": self.kind, "data": data});
        if self.immutable {
            value["immutable"] = true.into();
        }
        Object::new(value).unwrap_or_else(|_| unreachable!("an object with a version, a kind and a name"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.keys().collect();
        formatter.debug_struct("Secret").field("namespace", &self.namespace).field("name", &self.name).field("keys", &keys).finish()
    }
}
