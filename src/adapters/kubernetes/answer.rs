//! What the answers of an API server mean.

use bytes::Bytes;
use http::StatusCode;
use kube::core::Status;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::domain::{Object, ObjectRef, Resource};
use crate::ports::cluster::{ClusterError, FieldConflict};

/// How much of an answer that is no `Status` is quoted.
const QUOTED: usize = 200;

/// An answer of the API server that is not a passing fault.
#[derive(Debug)]
pub(super) struct Answer {
    /// The address of the server, for messages.
    pub(super) server: String,
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// The server's clock, as the header `Date` has it.
    pub(super) date: Option<String>,
}

/// What a request was about.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    /// One object that is read.
    Object(&'a ObjectRef),
    /// One object that is sent.
    Sent(&'a ObjectRef, &'a Value),
    /// A kind.
    Kind(&'a Resource),
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// What the server says of a failure, in its own words if it is a `Status`.
    pub(super) fn message(&self) -> String {
        let status = self.said();
        if !status.message.is_empty() {
            return status.message;
        }
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        if text.is_empty() || text.starts_with('<') || text.starts_with('{') {
            // A proxy's page or a stranger's JSON is no help to anyone.
            self.status.to_string()
        } else {
            format!("{}: {}", self.status, text.chars().take(QUOTED).collect::<String>())
        }
    }

    fn said(&self) -> Status {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| Status::failure("", ""))
    }

    /// Whether this is how server-side apply refuses a field that the kind does not have: as an internal error (500) with these words
    /// (`managedfields/internal/structuredmerge.go` in Kubernetes' apimachinery). It does not pass.
    pub(super) fn is_schema_error(&self) -> bool {
        self.status == StatusCode::INTERNAL_SERVER_ERROR && self.message().starts_with("failed to create typed patch object")
    }

    /// The JSON of a good self. Its depth is limited by the parser, its size by the transport.
    pub(super) fn json(&self) -> Result<Value, ClusterError> {
        self.read()
    }

    /// Checks that a good self is JSON.
    pub(super) fn is_json(&self) -> Result<(), ClusterError> {
        self.read::<IgnoredAny>().map(drop)
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, ClusterError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Eof => "an answer that breaks off",
                _ if self.body.trim_ascii_start().starts_with(b"<") => "a page of HTML",
                _ => "what is no JSON, or nests too deep",
            };
            self.unintelligible(format!("{what}, with status {}", self.status))
        })
    }

    /// The object in a good self.
    pub(super) fn object(&self) -> Result<Object, ClusterError> {
        Object::new(self.json()?).map_err(|error| self.unintelligible(format!("an object without what every object has: {error}")))
    }

    /// What a refusal (4xx) means for `subject`.
    pub(super) fn refusal(&self, subject: Subject<'_>) -> ClusterError {
        let status = self.said();
        let (message, object) = match subject {
            Subject::Sent(object, sent) if object.resource.kind == "Secret" => (without_secrets(&self.message(), sent), Some(object)),
            Subject::Sent(object, _) => (self.message(), Some(object)),
            Subject::Object(object) => (self.message(), Some(object)),
            Subject::Kind(_) => (self.message(), None),
        };
        let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
        match (self.status.as_u16(), object) {
            (403, object)
                if causes.iter().any(|cause| cause.reason == "NamespaceTerminating") || message.contains("is being terminated") =>
            {
                let namespace = object.and_then(|object| object.namespace.clone());
                ClusterError::Terminating(namespace.unwrap_or_default())
            }
            (403, _) => ClusterError::Forbidden(message),
            (404, Some(object)) => match &status.details {
                Some(details) if details.kind == "namespaces" && object.resource.kind != "Namespace" => {
                    ClusterError::NotFound(ObjectRef::cluster_wide("v1", "Namespace", &details.name))
                }
                Some(details) if !details.name.is_empty() => ClusterError::NotFound(object.clone()),
                _ => ClusterError::NotServed(object.resource.clone()),
            },
            (409, Some(object)) => {
                let fields: Vec<_> = causes.iter().filter(|cause| cause.reason == "FieldManagerConflict").map(conflict).collect();
                match status.reason.as_str() {
                    _ if !fields.is_empty() => ClusterError::FieldConflict { object: object.clone(), fields },
                    "AlreadyExists" => ClusterError::AlreadyExists(object.clone()),
                    _ => ClusterError::Stale(object.clone()),
                }
            }
            (400..=500, Some(object)) => ClusterError::Invalid { object: object.clone(), message },
            (404, None) => match subject {
                Subject::Kind(resource) => ClusterError::NotServed(resource.clone()),
                Subject::Object(_) | Subject::Sent(..) => self.unintelligible(message),
            },
            _ => self.unintelligible(message),
        }
    }

    /// The error for an answer that no API server gives.
    pub(super) fn unintelligible(&self, message: impl Into<String>) -> ClusterError {
        ClusterError::Unintelligible { server: self.server.clone(), message: message.into() }
    }
}

/// Reads `conflict with "kubectl-edit" using v1`, the server's words for the owner of a field
/// (`managedfields/internal/conflict.go` in Kubernetes' apimachinery).
fn conflict(cause: &kube::core::response::StatusCause) -> FieldConflict {
    let quoted = cause.message.split_once('"').and_then(|(_, rest)| {
        let mut escaped = false;
        let end = rest.char_indices().find(|&(_, character)| {
            let closing = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            closing
        })?;
        rest.get(..end.0)
    });
    let manager = quoted.unwrap_or(&cause.message).replace("\\\"", "\"");
    FieldConflict { manager, field: cause.field.clone() }
}

/// The shortest run of characters that is withheld.
const SHORTEST_SECRET: usize = 12;

/// The server's message without anything that stands in the Secret that was sent: servers and webhooks quote what they refuse.
fn without_secrets(message: &str, sent: &Value) -> String {
    let mut hidden = String::new();
    for field in ["data", "stringData"] {
        for text in sent.get(field).and_then(Value::as_object).into_iter().flatten().filter_map(|(_, value)| value.as_str()) {
            hidden.push_str(text);
            hidden.push('\n');
            if let Ok(decoded) = serde_json::from_value::<k8s_openapi::ByteString>(Value::from(text)) {
                hidden.push_str(&String::from_utf8_lossy(&decoded.0));
                hidden.push('\n');
            }
        }
    }
    let characters: Vec<char> = message.chars().collect();
    let mut withheld = vec![false; characters.len()];
    for (at, window) in characters.windows(SHORTEST_SECRET).enumerate() {
        if hidden.contains(&window.iter().collect::<String>()) {
            withheld.iter_mut().skip(at).take(SHORTEST_SECRET).for_each(|character| *character = true);
        }
    }
    let mut safe = String::with_capacity(message.len());
    for run in characters.iter().zip(&withheld).collect::<Vec<_>>().chunk_by(|(_, before), (_, after)| before == after) {
        match run.first() {
            Some((_, true)) => safe.push_str("[withheld]"),
            _ => safe.extend(run.iter().map(|(character, _)| *character)),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_owner_of_a_field_is_read_from_the_servers_words() {
        let cause = |message: &str| kube::core::response::StatusCause {
            reason: "FieldManagerConflict".to_owned(),
            message: message.to_owned(),
            field: ".spec.replicas".to_owned(),
        };
        assert_eq!(conflict(&cause(r#"conflict with "kubectl-edit" using v1"#)).manager, "kubectl-edit");
        assert_eq!(conflict(&cause(r#"conflict with "a \"b\" c" with subresource "status" using v1"#)).manager, r#"a "b" c"#);
        assert_eq!(conflict(&cause("something else")).manager, "something else");
    }

    #[test]
    fn a_refused_secret_is_never_quoted() {
        let key = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE";
        let secret = json!({ "stringData": { "sshPrivateKey": format!("-----BEGIN-----\n{key}\n") } });
        let message = format!("Secret \"repo\" is invalid: Invalid value: \"-----BEGIN-----\\n{key}\\n\" and part {}", &key[4..24]);
        let safe = without_secrets(&message, &secret);
        assert!(!safe.contains(&key[4..24]), "{safe}");
        assert!(safe.starts_with("Secret \"repo\" is invalid"), "{safe}");
    }

    #[test]
    fn a_secret_is_withheld_in_clear_and_in_base64() {
        let secret = json!({ "data": { "password": "Y29ycmVjdGhvcnNlYmF0dGVyeQ==" } });
        assert_eq!(without_secrets("no correcthorsebattery", &secret), "no [withheld]");
        assert_eq!(without_secrets("no Y29ycmVjdGhvcnNlYmF0dGVyeQ==", &secret), "no [withheld]");
    }
}
