//! What changes in an object, as people read it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use similar::TextDiff;

use super::compare::without_bookkeeping;
use crate::domain::Object;
use crate::manifest::yaml;

/// How many lines around a change are shown.
const CONTEXT: usize = 3;

/// Annotations in which clients keep a whole object as it once was: of no use in a diff, and a place where values of a Secret stand in clear.
const COPIES: [&str; 2] = ["kubectl.kubernetes.io/last-applied-configuration", "kapp.k14s.io/original"];

/// The unified diff of two states of an object as YAML, without the server's bookkeeping; none if they say the same. Of a Secret it tells which values
/// change, and no value.
pub fn unified_diff(before: &Object, after: &Object) -> Option<String> {
    let (mut one, mut other) = (without_bookkeeping(before), without_bookkeeping(after));
    for value in [&mut one, &mut other] {
        if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !COPIES.contains(&name.as_str()));
        }
    }
    if before.kind() == "Secret" {
        for place in ["/data", "/stringData", "/metadata/annotations"] {
            redact(&mut one, &mut other, place);
        }
    }
    let (one, other) = (yaml::to_text(&one), yaml::to_text(&other));
    let diff = TextDiff::from_lines(&one, &other).unified_diff().context_radius(CONTEXT).to_string();
    Some(diff).filter(|diff| !diff.is_empty())
}

/// Puts words in the place of the values at `place`: the same where they are equal.
fn redact(one: &mut Value, other: &mut Value, place: &str) {
    let map = |value: &Value| value.pointer(place).and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (map(one), map(other));
    let equal: BTreeSet<&String> = before.iter().filter(|(name, value)| after.get(*name) == Some(value)).map(|(name, _)| name).collect();
    let hide = |value: &mut Value, there: &Map<String, Value>, when: &str| {
        if let Some(place) = value.pointer_mut(place) {
            let word = |name: &String| if equal.contains(name) { "(redacted)".to_owned() } else { format!("(redacted, {when})") };
            *place = there.keys().map(|name| (name.clone(), Value::from(word(name)))).collect::<Map<_, _>>().into();
        }
    };
    hide(one, &before, "as it is");
    hide(other, &after, "as it will be");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::new(value).unwrap()
    }

    #[test]
    fn a_diff_shows_what_changes_and_nothing_of_the_servers_bookkeeping() {
        let with = |replicas: u32, version: &str| {
            object(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "server", "resourceVersion": version, "managedFields": [{"manager": version}]},
                "spec": {"replicas": replicas}, "status": {"replicas": replicas},
            }))
        };
        assert_eq!(unified_diff(&with(1, "1"), &with(1, "2")), None);
        insta::assert_snapshot!(unified_diff(&with(3, "1"), &with(1, "2")).unwrap(), @r"
        @@ -3,4 +3,4 @@
         metadata:
           name: server
         spec:
        -  replicas: 3
        +  replicas: 1
        ");
    }

    #[test]
    fn of_a_secret_no_value_is_shown() {
        let with = |password: &str, copy: &str| {
            object(json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "s", "annotations": {COPIES[0]: copy, "note": copy}},
                "data": {"user": "hunter0", "password": password}, "stringData": {"more": password},
            }))
        };
        let diff = unified_diff(&with("hunter1", "hunter1"), &with("hunter2", "hunter2")).unwrap();
        assert!(!diff.contains("hunter"), "{diff}");
        assert!(diff.contains("-  password: (redacted, as it is)") && diff.contains("+  password: (redacted, as it will be)"), "{diff}");
        assert!(diff.contains("   user: (redacted)\n"), "{diff}");
    }
}
