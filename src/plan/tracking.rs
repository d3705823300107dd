//! The mark by which Argo CD knows the objects of an Application.

use super::compare::TRACKING_ANNOTATION;
use crate::domain::Object;
use crate::domain::application::{SERVER_SIDE_APPLY, sync_options};
use crate::domain::tree::{ARGOCD_NAMESPACE, Tree};

/// What Argo CD's settings say of the mark, each with the value that leaves it at the annotation alone (util/settings/settings.go of Argo CD).
const SETTINGS: [(&str, &str); 2] = [("/data/application.resourceTrackingMethod", "annotation"), ("/data/installationID", "")];

/// How Argo CD marks the objects of one Application.
///
/// Objects that are made with the mark are as Git has them when Argo CD first compares them, so that it need not apply them once more to make them its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    application: String,
    namespace: String,
}

impl Tracking {
    /// How Argo CD is going to mark its own objects. None if no Application of `tree` has them, if Argo CD is set to mark objects in another way, and where it
    /// does not apply them as this tool does, by server-side apply: then it has more to write at them than the mark.
    pub fn of_argocd(tree: &Tree) -> Option<Self> {
        let application = &tree.argocd_application()?.object;
        if !sync_options(application).contains(&SERVER_SIDE_APPLY) {
            return None;
        }
        let settings = tree.argocd.iter().map(|rendered| &rendered.object);
        let mut settings = settings.filter(|object| object.kind() == "ConfigMap" && object.name() == "argocd-cm");
        let is_plain =
            |object: &Object| SETTINGS.iter().all(|(field, usual)| object.text(field).is_none_or(|text| text.is_empty() || text == *usual));
        settings.all(is_plain).then(|| Self {
            application: application.name().to_owned(),
            namespace: application.text("/spec/destination/namespace").unwrap_or(ARGOCD_NAMESPACE).to_owned(),
        })
    }

    /// `object` with the mark (`BuildAppInstanceValue` in util/argo/resource_tracking.go of Argo CD).
    #[must_use]
    pub fn mark(&self, object: Object) -> Object {
        let group = object.api_version().split_once('/').map_or("", |(group, _)| group);
        let namespace = object.namespace().unwrap_or(&self.namespace);
        let mark = format!("{}:{group}/{}:{namespace}/{}", self.application, object.kind(), object.name());
        object.with_annotation(TRACKING_ANNOTATION, &mark)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::tree::Rendered;

    fn rendered(path: &str, value: Value) -> Rendered {
        Rendered { path: path.parse().unwrap(), object: Object::new(value).unwrap() }
    }

    fn tree(settings: &Value) -> Tree {
        let application = |name: &str, takes: &str| {
            let spec = json!({"source": {"path": takes}, "destination": {"namespace": "argocd"}, "syncPolicy": {"syncOptions": [SERVER_SIDE_APPLY]}});
            let value = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name}, "spec": spec});
            rendered(&format!("r/argocd/{name}.yaml"), value)
        };
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": settings});
        Tree {
            cluster: "staging".parse().unwrap(),
            commit: "0".repeat(40).parse().unwrap(),
            repository: "git@github.com:acme/fleet.git".parse().unwrap(),
            revision: "main".to_owned(),
            root: application("root", "r/argocd"),
            projects: Vec::new(),
            applications: vec![application("root", "r/argocd"), application("argocd", "r/infrastructure/argocd")],
            argocd: vec![rendered("r/infrastructure/argocd/settings.yaml", settings)],
            paths: Vec::new(),
        }
    }

    #[test]
    fn an_object_is_marked_as_argo_cd_would_mark_it() {
        let tracking = Tracking::of_argocd(&tree(&json!({"url": "https://argocd.example.org"}))).unwrap();
        let mark = |api_version: &str, kind: &str, namespace: Option<&str>| {
            let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": namespace}});
            tracking.mark(Object::new(object).unwrap()).annotation(TRACKING_ANNOTATION).unwrap().to_owned()
        };
        assert_eq!(mark("apps/v1", "Deployment", Some("argocd")), "argocd:apps/Deployment:argocd/x");
        assert_eq!(mark("v1", "Service", Some("other")), "argocd:/Service:other/x");
        // The namespace of what has none is that of the Application's destination.
        assert_eq!(mark("rbac.authorization.k8s.io/v1", "ClusterRole", None), "argocd:rbac.authorization.k8s.io/ClusterRole:argocd/x");
    }

    #[test]
    fn where_argo_cd_marks_in_another_way_nothing_is_said() {
        for plain in [json!(null), json!({"application.resourceTrackingMethod": "annotation"}), json!({"installationID": ""})] {
            assert!(Tracking::of_argocd(&tree(&plain)).is_some(), "{plain}");
        }
        for other in [
            json!({"application.resourceTrackingMethod": "label"}),
            json!({"application.resourceTrackingMethod": "annotation+label"}),
            json!({"installationID": "west"}),
        ] {
            assert_eq!(Tracking::of_argocd(&tree(&other)), None, "{other}");
        }
        let mut other = tree(&json!({}));
        let mut client_side = other.applications.pop().unwrap();
        assert_eq!(Tracking::of_argocd(&other), None, "it manages itself no more");
        let mut value = client_side.object.into_value();
        value["spec"]["syncPolicy"] = json!({});
        client_side.object = Object::new(value).unwrap();
        other.applications.push(client_side);
        assert_eq!(Tracking::of_argocd(&other), None, "by client-side apply");
    }
}
