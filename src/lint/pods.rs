//! Where built-in kinds hold pods.

use serde_json::Value;

use crate::domain::Object;

/// The pod that an object runs, or runs many of, and the JSON pointer to its `spec`.
pub(super) fn spec(object: &Object) -> Option<(&'static str, &Value)> {
    let pointer = match (object.resource().group(), object.kind()) {
        ("", "Pod") => "/spec",
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") | ("", "ReplicationController") => {
            "/spec/template/spec"
        }
        ("batch", "CronJob") => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    };
    Some((pointer, object.at(pointer)?))
}

/// The containers of the pods of an object, and the JSON pointer to each.
pub(super) fn containers(object: &Object) -> Vec<(String, &Value)> {
    let Some((pointer, spec)) = spec(object) else { return Vec::new() };
    let mut containers = Vec::new();
    for list in ["initContainers", "containers"] {
        let items = spec.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        containers.extend(items.iter().enumerate().map(|(index, container)| (format!("{pointer}/{list}/{index}"), container)));
    }
    containers
}
