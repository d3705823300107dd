//! Whether an object in the cluster is as it was declared, and whose doing it is if not.
//!
//! Reading and comparing is a fraction of the price of applying: one apply of the largest of Argo CD's resource definitions costs the
//! API server most of a second even if nothing changes.

use serde_json::Value;

use super::managed_fields::{Entry, Path, Segment, entries, owners};
use crate::domain::{FieldConflict, Object};

/// The field manager of everything that Argo CD will manage itself. It is Argo CD's own (`argocd-controller`, common/common.go of Argo CD): with a
/// manager of ours the fields would stay co-owned for ever, and a field that is later taken out of Git would stay in the cluster.
pub const ARGOCD_MANAGER: &str = "argocd-controller";

/// The field manager of what only this tool manages.
pub const OWN_MANAGER: &str = "gitops-bootstrap";

/// By this annotation Argo CD marks what it manages; nobody else may set it, and an apply under Argo CD's name must not drop it.
pub const TRACKING_ANNOTATION: &str = "argocd.argoproj.io/tracking-id";

/// The managers under which is recorded what a person does by hand: with kubectl's commands, and in Argo CD's interface (`argocd-server`, which also makes the
/// project `default` at its first start). `kubectl apply` is not among them: it says that somebody manages the object.
const BY_HAND: [&str; 12] = [
    "argocd-server",
    "kubectl-edit",
    "kubectl-patch",
    "kubectl-set",
    "kubectl-label",
    "kubectl-annotate",
    "kubectl-scale",
    "kubectl-replace",
    "kubectl-rollout",
    "kubectl-autoscale",
    "kubectl-run",
    "kubectl-expose",
];

/// What comparing a declared object with the one in the cluster showed.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// It is not there.
    Missing,
    /// It is as declared.
    Same,
    /// It is different.
    Different(Difference),
}

/// How an object differs from its declaration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// Fields with another value than the declared one, or that are no longer declared, which may be set right.
    pub fields: Vec<String>,
    /// Those among them that somebody changed by hand.
    pub by_hand: Vec<FieldConflict>,
    /// Fields with another value that belong to another manager.
    pub foreign: Vec<FieldConflict>,
    /// Whether the object is managed by this tool or by Argo CD at all.
    pub managed: bool,
    foreign_paths: Vec<Path>,
}

impl Difference {
    /// Whether there is anything to set right once the fields of other managers are left alone.
    pub fn is_only_foreign(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Compares a declared object with the one in the cluster. Only what is declared counts, and what the manager owned before and no longer declares.
pub fn compare(declared: &Object, live: Option<&Object>, manager: &str) -> Comparison {
    let Some(live) = live else { return Comparison::Missing };
    let entries: Vec<Entry> = entries(live).into_iter().filter(|entry| entry.subresource.as_deref() != Some("status")).collect();
    let ours = |entry: &Entry| entry.manager == manager || entry.manager == OWN_MANAGER;
    let mut different = Vec::new();
    differing(declared.value(), live.value(), &Path::default(), &mut different);
    let mut difference =
        Difference { managed: entries.iter().any(ours) || live.annotation(TRACKING_ANNOTATION).is_some(), ..Difference::default() };
    for path in different {
        let others: Vec<&Entry> = owners(&entries, &path, live.value()).into_iter().filter(|entry| !ours(entry)).collect();
        let conflict = |entry: &&Entry| FieldConflict { manager: entry.manager.clone(), field: path.to_string() };
        if others.iter().any(|entry| !is_by_hand(entry)) {
            difference.foreign.extend(others.iter().map(conflict));
            difference.foreign_paths.push(path);
        } else {
            difference.by_hand.extend(others.iter().map(conflict));
            difference.fields.push(path.to_string());
        }
    }
    difference.fields.extend(no_longer_declared(declared, live, &entries, manager));
    if difference.fields.is_empty() && difference.foreign.is_empty() { Comparison::Same } else { Comparison::Different(difference) }
}

/// What to apply so that the fields of other managers stay as they are.
#[must_use]
pub fn without_foreign_fields(declared: &Object, difference: &Difference) -> Object {
    let mut value = declared.value().clone();
    for path in &difference.foreign_paths {
        path.remove_from(&mut value);
    }
    Object::new(value).unwrap_or_else(|_| declared.clone())
}

/// The declared object with Argo CD's mark, if the one in the cluster has it: Argo CD has taken the object over and keeps it.
#[must_use]
pub fn keeping_tracking(declared: &Object, live: Option<&Object>) -> Object {
    match live.and_then(|live| live.annotation(TRACKING_ANNOTATION)) {
        Some(mark) => declared.clone().with_annotation(TRACKING_ANNOTATION, mark),
        None => declared.clone(),
    }
}

/// Whether an object was made by this tool or by Argo CD: one of them owns fields of it, and `application`, if Argo CD has marked it, is the one
/// that it is marked for.
pub fn is_made_by_us(live: &Object, application: Option<&str>) -> bool {
    if let Some(mark) = live.annotation(TRACKING_ANNOTATION) {
        return mark.split_once(':').map(|(name, _)| name) == application;
    }
    entries(live).iter().any(|entry| entry.manager == ARGOCD_MANAGER || entry.manager == OWN_MANAGER)
}

/// Whether two states of an object say the same, apart from the server's bookkeeping: for the result of a dry run against what is there.
pub fn is_same_state(one: &Object, other: &Object) -> bool {
    without_bookkeeping(one) == without_bookkeeping(other)
}

/// What an object says, apart from the server's bookkeeping and its status.
pub fn without_bookkeeping(object: &Object) -> Value {
    let mut value = object.value().clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for bookkeeping in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"] {
            metadata.remove(bookkeeping);
        }
    }
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    value
}

fn is_by_hand(entry: &Entry) -> bool {
    // `kubectl scale` writes the subresource, and does so under the name that `kubectl apply --server-side` has too.
    let is_scaling = entry.manager == "kubectl" && !entry.applied && entry.subresource.as_deref() == Some("scale");
    is_scaling || BY_HAND.contains(&entry.manager.as_str())
}

/// The paths of declared fields that have another value in the cluster.
fn differing(declared: &Value, live: &Value, at: &Path, into: &mut Vec<Path>) {
    // Most of a large object is equal: no path is built for that.
    if declared == live {
        return;
    }
    match (declared, live) {
        (Value::Object(declared), Value::Object(live)) => {
            for (name, value) in declared {
                // The server drops `null` and writes the status and the time of creation itself.
                if value.is_null() || name == "creationTimestamp" || (name == "status" && at.is_root()) {
                    continue;
                }
                let path = at.then(Segment::Field(name.clone()));
                match live.get(name) {
                    Some(live) => differing(value, live, &path, into),
                    None if is_empty(value) => {}
                    None => into.push(path),
                }
            }
        }
        (Value::Array(declared), Value::Array(live)) => {
            for (index, value) in declared.iter().enumerate() {
                let path = at.then(Segment::Index(index));
                match counterpart(value, index, declared.len(), live) {
                    Some((place, live)) => differing(value, live, &at.then(Segment::Index(place)), into),
                    None => into.push(path),
                }
            }
            if live.len() > declared.len() && !declared.iter().all(|item| item.get("name").is_some()) {
                into.push(at.clone());
            }
        }
        (declared, live) if same_scalar(declared, live) => {}
        _ => into.push(at.clone()),
    }
}

/// The item of the list in the cluster that answers a declared item: the one of the same name, else the one at the same place.
fn counterpart<'a>(declared: &Value, index: usize, length: usize, live: &'a [Value]) -> Option<(usize, &'a Value)> {
    match declared.get("name") {
        Some(name) if length != live.len() || live.get(index).and_then(|item| item.get("name")) != Some(name) => {
            live.iter().enumerate().find(|(_, item)| item.get("name") == Some(name))
        }
        _ => live.get(index).map(|item| (index, item)),
    }
}

fn same_scalar(declared: &Value, live: &Value) -> bool {
    match (declared, live) {
        (Value::Number(declared), Value::Number(live)) => declared.as_f64() == live.as_f64(),
        // A quantity may be written as a number and is kept as a text.
        (Value::Number(declared), Value::String(live)) => declared.to_string() == *live,
        _ => declared == live,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Fields that the manager applied before and that are no longer declared: an apply would take them out.
fn no_longer_declared(declared: &Object, live: &Object, entries: &[Entry], manager: &str) -> Vec<String> {
    let tracked = Path::default()
        .then(Segment::Field("metadata".to_owned()))
        .then(Segment::Field("annotations".to_owned()))
        .then(Segment::Field(TRACKING_ANNOTATION.to_owned()));
    let applied = entries.iter().filter(|entry| entry.applied && entry.manager == manager).flat_map(|entry| &entry.fields);
    applied
        .filter(|path| **path != tracked && path.resolve(live.value()).is_some() && path.resolve(declared.value()).is_none())
        .map(Path::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(replicas: i32, managers: Value) -> Object {
        Object::new(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "managedFields": managers},
            "spec": {"replicas": replicas, "paused": false},
        }))
        .unwrap()
    }

    fn declared() -> Object {
        Object::new(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1}})).unwrap()
    }

    fn manager(name: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": name, "operation": operation, "fieldsV1": fields})
    }

    #[test]
    fn what_the_server_added_is_no_difference() {
        let live = deployment(1, json!([manager(ARGOCD_MANAGER, "Apply", json!({"f:spec": {"f:replicas": {}}}))]));
        assert_eq!(compare(&declared(), Some(&live), ARGOCD_MANAGER), Comparison::Same);
        assert_eq!(compare(&declared(), None, ARGOCD_MANAGER), Comparison::Missing);
    }

    #[test]
    fn a_change_by_hand_is_told_from_another_managers() {
        let edited = deployment(3, json!([manager("kubectl-edit", "Update", json!({"f:spec": {"f:replicas": {}}}))]));
        let Comparison::Different(difference) = compare(&declared(), Some(&edited), ARGOCD_MANAGER) else { panic!("no difference") };
        assert_eq!(difference.by_hand, [FieldConflict { manager: "kubectl-edit".to_owned(), field: ".spec.replicas".to_owned() }]);
        assert!(difference.foreign.is_empty());

        let scaled = deployment(3, json!([manager("horizontal-pod-autoscaler", "Update", json!({"f:spec": {"f:replicas": {}}}))]));
        let Comparison::Different(difference) = compare(&declared(), Some(&scaled), ARGOCD_MANAGER) else { panic!("no difference") };
        assert!(difference.is_only_foreign());
        assert_eq!(without_foreign_fields(&declared(), &difference).at("/spec/replicas"), None);
    }

    #[test]
    fn a_field_that_is_no_longer_declared_is_a_difference_unless_argo_cd_set_it_as_its_mark() {
        let fields = json!({"f:spec": {"f:replicas": {}, "f:paused": {}}, "f:metadata": {"f:annotations": {"f:argocd.argoproj.io/tracking-id": {}}}});
        let mut live = deployment(1, json!([manager(ARGOCD_MANAGER, "Apply", fields)])).into_value();
        live["metadata"]["annotations"] = json!({TRACKING_ANNOTATION: "argocd:apps/Deployment:argocd/d"});
        let live = Object::new(live).unwrap();
        let Comparison::Different(difference) = compare(&declared(), Some(&live), ARGOCD_MANAGER) else { panic!("no difference") };
        assert_eq!(difference.fields, [".spec.paused"]);
        assert_eq!(keeping_tracking(&declared(), Some(&live)).annotation(TRACKING_ANNOTATION), Some("argocd:apps/Deployment:argocd/d"));
    }

    #[test]
    fn lists_are_compared_by_name_where_items_have_one() {
        let declared = Object::new(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "b", "image": "2"}]}}),
        )
        .unwrap();
        let live = |image: &str| {
            Object::new(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b", "image": image, "x": 1}]}})).unwrap()
        };
        assert_eq!(compare(&declared, Some(&live("2")), ARGOCD_MANAGER), Comparison::Same);
        assert!(matches!(compare(&declared, Some(&live("3")), ARGOCD_MANAGER), Comparison::Different(_)));
    }
}
