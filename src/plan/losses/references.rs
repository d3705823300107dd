//! Secrets that the objects of a tree refer to and that nothing in the tree or in the bundle makes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Placed, issuer_of, loss};
use crate::domain::Object;
use crate::domain::bundle::Bundle;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::plan::recovery::{Loss, LossKind};

/// A Secret: its namespace and its name.
pub(in crate::plan) type Name = (String, String);

/// Secrets that Argo CD's own manifest refers to and makes when it first runs.
const MADE_BY_ARGOCD: [&str; 2] = ["argocd-redis", "argocd-initial-admin-secret"];

/// The Secrets that are needed and that nobody makes, as far as the tree shows.
pub(super) fn missing(placed: &[Placed<'_>], bundle: Option<&Bundle>) -> Vec<Loss> {
    let mut made: BTreeSet<Name> = placed.iter().flat_map(makes).collect();
    let entries = bundle.into_iter().flat_map(|bundle| &bundle.entries);
    made.extend(entries.map(|entry| (entry.object.namespace.clone(), entry.object.name.clone())));
    made.extend(MADE_BY_ARGOCD.map(|name| (ARGOCD_NAMESPACE.to_owned(), name.to_owned())));
    let mut missing: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
    for placed in placed {
        for name in needs(placed.object()) {
            let name = (placed.namespace.clone(), name);
            if !made.contains(&name) {
                missing.entry(name).or_default().insert(placed.file());
            }
        }
    }
    let meaning = "is needed, and nothing in Git or in the bundle makes it: make it by hand, or by whatever made it before";
    missing
        .into_iter()
        .map(|((namespace, name), files)| {
            loss(LossKind::MissingSecret, format!("Secret {namespace}/{name}"), meaning, files.into_iter().collect())
        })
        .collect()
}

/// The Secrets that an object makes, or has a controller make: the namespace and the name of each.
pub(in crate::plan) fn makes(placed: &Placed<'_>) -> Vec<Name> {
    let object = placed.object();
    let text = |pointer: &str| object.text(pointer).map(str::to_owned);
    let own = object.name().to_owned();
    let names: Vec<String> = match (object.resource().group(), object.kind()) {
        ("", "Secret") => vec![own],
        ("bitnami.com", "SealedSecret") => vec![text("/spec/template/metadata/name").unwrap_or(own)],
        ("external-secrets.io", "ExternalSecret") => vec![text("/spec/target/name").unwrap_or(own)],
        ("cert-manager.io", "Certificate") => text("/spec/secretName").into_iter().collect(),
        ("cert-manager.io", _) => text("/spec/acme/privateKeySecretRef/name").into_iter().collect(),
        ("secrets.hashicorp.com", _) => text("/spec/destination/name").into_iter().collect(),
        ("postgresql.cnpg.io", "Cluster") => {
            ["app", "superuser", "ca", "server", "replication"].map(|suffix| format!("{own}-{suffix}")).to_vec()
        }
        ("networking.k8s.io", "Ingress") if issuer_of(object).is_some() => tls(object).collect(),
        _ => Vec::new(),
    };
    names.into_iter().map(|name| (placed.namespace.clone(), name)).collect()
}

fn tls(object: &Object) -> impl Iterator<Item = String> {
    let tls = object.at("/spec/tls").and_then(Value::as_array).into_iter().flatten();
    tls.filter_map(|tls| tls.get("secretName")?.as_str().map(str::to_owned))
}

/// The Secrets that an object does not work without.
fn needs(object: &Object) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let pod = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"].into_iter().find_map(|pointer| object.at(pointer));
    let pod = pod.or_else(|| object.at("/spec").filter(|_| object.kind() == "Pod"));
    if let Some(pod) = pod {
        of_pod(pod, &mut needed);
    }
    if object.kind() == "Ingress" && object.resource().group() == "networking.k8s.io" {
        needed.extend(tls(object));
    }
    if object.kind() == "ServiceAccount" {
        needed.extend(named(object.at("/imagePullSecrets"), "/name"));
    }
    needed
}

fn of_pod(pod: &Value, needed: &mut BTreeSet<String>) {
    needed.extend(named(pod.get("imagePullSecrets"), "/name"));
    let volumes = pod.get("volumes").and_then(Value::as_array).into_iter().flatten();
    for volume in volumes {
        needed.extend(required(volume.get("secret"), "secretName"));
        let projected = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
        needed.extend(projected.filter_map(|source| required(source.get("secret"), "name")));
    }
    for list in ["initContainers", "containers"] {
        for container in pod.get(list).and_then(Value::as_array).into_iter().flatten() {
            let all = container.get("envFrom").and_then(Value::as_array).into_iter().flatten();
            needed.extend(all.filter_map(|from| required(from.get("secretRef"), "name")));
            let each = container.get("env").and_then(Value::as_array).into_iter().flatten();
            needed.extend(each.filter_map(|variable| required(variable.pointer("/valueFrom/secretKeyRef"), "name")));
        }
    }
}

/// The name in a reference to a Secret, unless the reference says that it may be missing.
fn required(reference: Option<&Value>, field: &str) -> Option<String> {
    let reference = reference.filter(|reference| reference.get("optional") != Some(&Value::Bool(true)))?;
    reference.get(field)?.as_str().map(str::to_owned)
}

fn named<'a>(list: Option<&'a Value>, pointer: &'a str) -> impl Iterator<Item = String> + 'a {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(move |item| item.pointer(pointer)?.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::tree::Rendered;

    fn missing_of(objects: &[Value]) -> Vec<String> {
        let rendered: Vec<Rendered> =
            objects.iter().map(|value| Rendered { path: "a.yaml".parse().unwrap(), object: Object::new(value.clone()).unwrap() }).collect();
        let placed: Vec<Placed<'_>> = rendered.iter().map(|rendered| Placed { rendered, namespace: "shop".to_owned() }).collect();
        missing(&placed, None).into_iter().map(|loss| loss.what).collect()
    }

    #[test]
    fn a_secret_that_nobody_makes_is_missing_unless_it_may_be() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": {
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [{"secret": {"secretName": "config"}}, {"secret": {"secretName": "extra", "optional": true}}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}], "envFrom": [{"secretRef": {"name": "api"}}]}],
        }}}});
        assert_eq!(
            missing_of(std::slice::from_ref(&deployment)),
            ["Secret shop/api", "Secret shop/config", "Secret shop/db", "Secret shop/registry"]
        );
        let made = [
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry"}}),
            json!({"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "config"}}),
            json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "x"}, "spec": {"target": {"name": "api"}}}),
            json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "x"}, "spec": {"secretName": "db"}}),
            deployment,
        ];
        assert!(missing_of(&made).is_empty());
    }
}
