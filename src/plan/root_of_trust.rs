//! How a Secret of the bundle stands to the one in the cluster. Nothing that is there is ever overwritten.

use crate::domain::secret::{RESTORED_ANNOTATION, Secret};
use crate::domain::{Object, ObjectRef};

/// How a Secret of the bundle stands to the one in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not there.
    Missing,
    /// All of it is there. More may be: a controller adds to its own Secret.
    Same,
    /// Nothing in it is different, but these are missing: Argo CD's own Secret is shipped empty.
    Incomplete(Vec<String>),
    /// These are different, in a Secret that was restored or made by this tool: somebody changed it later, and later counts.
    Newer(Vec<String>),
    /// These are different, in a Secret that is not ours.
    Different(Vec<String>),
}

/// Compares a Secret of the bundle with the one in the cluster, if there is one.
pub fn compare(wanted: &Secret, live: Option<&Object>) -> Standing {
    let Some(object) = live else { return Standing::Missing };
    let Ok(live) = Secret::read(object) else { return Standing::Different(vec!["its form".to_owned()]) };
    let mut different = Vec::new();
    let mut missing = Vec::new();
    if live.kind != wanted.kind {
        different.push("type".to_owned());
    }
    for (key, value) in wanted.values() {
        match live.value(key) {
            None => missing.push(format!("data.{key}")),
            Some(there) if there != value => different.push(format!("data.{key}")),
            Some(_) => {}
        }
    }
    let labels = wanted.labels_of_controllers().filter(|(label, _)| !live.labels.contains_key(*label));
    missing.extend(labels.map(|(label, _)| format!("label {label}")));
    let ours = object.annotation(RESTORED_ANNOTATION).is_some() || object.label("app.kubernetes.io/managed-by") == Some("gitops-bootstrap");
    match (different.is_empty(), missing.is_empty(), ours) {
        (true, true, _) => Standing::Same,
        (true, false, _) => Standing::Incomplete(missing),
        (false, _, true) => Standing::Newer(different),
        (false, _, false) => Standing::Different(different),
    }
}

/// The object in the cluster with what is missing in it, at the version that was read.
pub fn completed(wanted: &Secret, live: &Object) -> Option<Object> {
    let mut secret = wanted.to_object().into_value();
    let mut value = live.clone().into_value();
    for field in ["/data", "/metadata/labels"] {
        let Some(wanted) = secret.pointer_mut(field).map(serde_json::Value::take) else { continue };
        let (parent, name) = field.rsplit_once('/')?;
        let parent = value.pointer_mut(parent).and_then(serde_json::Value::as_object_mut)?;
        let there = parent.entry(name).or_insert_with(|| serde_json::json!({}));
        if there.is_null() {
            *there = serde_json::json!({});
        }
        for (key, wanted) in wanted.as_object()? {
            there.as_object_mut()?.entry(key.clone()).or_insert_with(|| wanted.clone());
        }
    }
    Object::new(value).ok()
}

/// The namespaces that the Secrets need, each once, in order.
pub fn namespaces<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Vec<ObjectRef> {
    let mut names: Vec<&str> = secrets.into_iter().map(|secret| secret.namespace.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| ObjectRef::cluster_wide("v1", "Namespace", name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(data: Value) -> Object {
        Object::new(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": data,
            "metadata": {"name": "a", "namespace": "b", "labels": {"sealedsecrets.bitnami.com/sealed-secrets-key": "active", "team": "x"}},
        }))
        .unwrap()
    }

    fn standing(wanted: Value, live: &Object) -> Standing {
        compare(&Secret::read(&object(wanted)).unwrap(), Some(live))
    }

    #[test]
    fn what_a_controller_adds_to_its_own_secret_is_no_difference() {
        assert_eq!(standing(json!({"a": "1"}), &object(json!({"a": "1", "b": "2"}))), Standing::Same);
        assert_eq!(standing(json!({"a": "1", "b": "2"}), &object(json!({"b": "2"}))), Standing::Incomplete(vec!["data.a".to_owned()]));
    }

    #[test]
    fn another_value_is_a_conflict_unless_the_secret_was_restored_before() {
        let live = object(json!({"a": "2"}));
        assert_eq!(standing(json!({"a": "1"}), &live), Standing::Different(vec!["data.a".to_owned()]));
        let restored = live.with_annotation(RESTORED_ANNOTATION, "2026-11-21T00:00:00Z");
        assert_eq!(standing(json!({"a": "1"}), &restored), Standing::Newer(vec!["data.a".to_owned()]));
    }

    #[test]
    fn a_label_by_which_a_controller_finds_it_is_part_of_it_and_others_are_not() {
        let mut live = object(json!({"a": "1"})).into_value();
        live["metadata"]["labels"] = json!({});
        let live = Object::new(live).unwrap();
        let missing = "label sealedsecrets.bitnami.com/sealed-secrets-key".to_owned();
        assert_eq!(standing(json!({"a": "1"}), &live), Standing::Incomplete(vec![missing]));
    }

    #[test]
    fn completing_keeps_what_is_there() {
        let live =
            Object::new(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}, "data": {"b": "Mg=="}}))
                .unwrap();
        let wanted = Secret::read(&object(json!({"a": "1", "b": "other"}))).unwrap();
        let completed = completed(&wanted, &live).unwrap();
        assert_eq!(completed.at("/data"), Some(&json!({"a": "MQ==", "b": "Mg=="})));
        assert_eq!(completed.label("team"), Some("x"));
    }

    #[test]
    fn a_second_namespace_is_named_once() {
        let secret = Secret::read(&object(json!({}))).unwrap();
        assert_eq!(namespaces([&secret, &secret]).len(), 1);
    }
}
