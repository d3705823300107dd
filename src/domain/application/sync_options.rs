//! The sync options of an Application (docs/user-guide/sync-options.md of Argo CD): texts of the form `Name=value`.

use serde_json::Value;

use crate::domain::Object;

/// Has Argo CD make the namespace that the objects go to.
pub const CREATE_NAMESPACE: &str = "CreateNamespace=true";

/// Has Argo CD apply objects on the server.
pub const SERVER_SIDE_APPLY: &str = "ServerSideApply=true";

/// The options that the spec of an Application lists, in their order.
pub fn sync_options(application: &Object) -> Vec<&str> {
    let options = application.at("/spec/syncPolicy/syncOptions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    options.iter().filter_map(Value::as_str).collect()
}

/// Whether two options are about the same, whatever value they give it.
pub fn is_same_option(one: &str, other: &str) -> bool {
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
    name(one) == name(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_are_read_from_the_spec_and_told_apart_by_their_names() {
        let application = |policy: Value| {
            Object::new(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"}, "spec": policy}))
                .unwrap()
        };
        let listed = application(json!({"syncPolicy": {"syncOptions": [CREATE_NAMESPACE, 7, SERVER_SIDE_APPLY]}}));
        assert_eq!(sync_options(&listed), [CREATE_NAMESPACE, SERVER_SIDE_APPLY]);
        assert_eq!(sync_options(&application(json!({}))), [""; 0]);
        assert!(is_same_option("Validate=true", "Validate=false") && !is_same_option("Validate=true", "ValidateMore=true"));
    }
}
