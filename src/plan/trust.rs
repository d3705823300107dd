//! Which Secrets are part of the root of trust: what cannot come from Git in clear, and what nobody would make again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::bundle::{Entry, Why};
use crate::domain::secret::{Secret, SecretName};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, Resource};

/// The label by which Argo CD finds repositories, credentials and clusters (docs/operator-manual/declarative-setup.md of Argo CD).
const ARGOCD_TYPE: &str = "argocd.argoproj.io/secret-type";

/// The label of the keys of the Sealed Secrets controller, whether they are in use (`active`) or not (`compromised`).
pub const SEALING_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";

/// The Secrets that Argo CD and its notifications controller have by name.
const ARGOCD_OWN: [&str; 2] = ["argocd-secret", "argocd-notifications-secret"];

/// How an age key begins.
const AGE_KEY: &str = "AGE-SECRET-KEY-1";

/// Where a store or an issuer that is not in a namespace keeps its Secrets, if it does not say: the namespace of cert-manager (`--cluster-resource-namespace`).
const CERT_MANAGER_NAMESPACE: &str = "cert-manager";

/// A Secret that is part of the root of trust unless a controller makes it.
pub struct Candidate {
    /// The Secret.
    pub object: Object,
    /// Why it is part of it.
    pub why: Why,
    /// Whether somebody asked for it, so that it is in whoever makes it.
    pub asked_for: bool,
}

/// What was chosen.
#[derive(Debug, Default)]
pub struct Chosen {
    /// The Secrets, sorted by namespace and name, each once.
    pub entries: Vec<Entry>,
    /// Those that are left out, each with the controller that makes it again.
    pub left_out: BTreeMap<SecretName, &'static str>,
}

/// Chooses among candidates. A Secret that is a candidate for several reasons is in for the first of them, as [`Why`] orders them.
pub fn choose(mut candidates: Vec<Candidate>) -> Chosen {
    candidates.sort_by_key(|candidate| candidate.why);
    let mut entries: BTreeMap<SecretName, Entry> = BTreeMap::new();
    let mut left_out = BTreeMap::new();
    for Candidate { object, why, asked_for } in candidates {
        let Ok(secret) = Secret::read(&object) else { continue };
        match made_by(&object) {
            Some(controller) if !asked_for => drop(left_out.insert(secret.full_name(), controller)),
            // Argo CD ships its own empty, and fills it when it runs.
            _ if secret.data.is_empty() => {}
            _ => drop(entries.entry(secret.full_name()).or_insert(Entry { object: secret, why })),
        }
    }
    left_out.retain(|name, _| !entries.contains_key(name));
    Chosen { entries: entries.into_values().collect(), left_out }
}

/// The controller that makes a Secret, and makes it again, if one does.
fn made_by(object: &Object) -> Option<&'static str> {
    let owners = object.at("/metadata/ownerReferences").and_then(Value::as_array);
    let owner = owners.into_iter().flatten().find_map(|owner| owner.get("kind").and_then(Value::as_str));
    match owner {
        Some("SealedSecret") => return Some("Sealed Secrets"),
        Some("ExternalSecret" | "ClusterExternalSecret" | "PushSecret") => return Some("External Secrets"),
        Some("Certificate") => return Some("cert-manager"),
        Some(_) => return Some("its owner"),
        None => {}
    }
    if object.annotation("cert-manager.io/certificate-name").is_some() {
        return Some("cert-manager");
    }
    (object.label("reconcile.external-secrets.io/managed") == Some("true")).then_some("External Secrets")
}

/// Why a Secret in Argo CD's namespace is part of the root of trust by itself, if it is.
pub fn why_in_argocd(object: &Object) -> Option<Why> {
    match object.label(ARGOCD_TYPE) {
        Some("repository" | "repository-write") => return Some(Why::Repository),
        Some("repo-creds" | "repo-write-creds") => return Some(Why::RepositoryCredentials),
        Some("cluster") => return Some(Why::Cluster),
        Some("scm-creds") => return Some(Why::ForgeCredentials),
        _ => {}
    }
    if ARGOCD_OWN.contains(&object.name()) {
        return Some(Why::ArgoCd);
    }
    if object.label(SEALING_LABEL).is_some() {
        return Some(Why::SealingKey);
    }
    let secret = Secret::read(object).ok()?;
    let holds_age_key =
        |value: &[u8]| value.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_start().starts_with(AGE_KEY.as_bytes()));
    secret.values().any(|(_, value)| holds_age_key(value)).then_some(Why::SopsKey)
}

/// The Secrets that the settings of Argo CD take values from: `$name:key` in `argocd-cm`, and `$key` for its own.
pub fn named_by_settings(settings: &Object) -> BTreeSet<SecretName> {
    let texts = settings.at("/data").and_then(Value::as_object).into_iter().flatten().filter_map(|(_, value)| value.as_str());
    let mut names = BTreeSet::new();
    for text in texts {
        for after in text.split('$').skip(1) {
            let name: String =
                after.chars().take_while(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '.')).collect();
            let has_key = after.get(name.len()..).is_some_and(|rest| {
                rest.strip_prefix(':').is_some_and(|key| key.starts_with(|character: char| character.is_ascii_alphanumeric()))
            });
            if has_key && let Ok(name) = format!("{ARGOCD_NAMESPACE}/{name}").parse() {
                names.insert(name);
            }
        }
    }
    names
}

/// The kinds by which External Secrets is told how to get into a store, in the versions that are in use.
pub fn stores() -> Vec<Resource> {
    let versions = ["external-secrets.io/v1", "external-secrets.io/v1beta1"];
    versions.iter().flat_map(|version| ["SecretStore", "ClusterSecretStore"].map(|kind| Resource::new(version, kind))).collect()
}

/// The kinds by which cert-manager is told how to get certificates.
pub fn issuers() -> [Resource; 2] {
    ["Issuer", "ClusterIssuer"].map(|kind| Resource::new("cert-manager.io/v1", kind))
}

/// The Secrets that a store of External Secrets names anywhere in its provider's settings, and how many it names without a namespace though it is in none itself:
/// those are looked for in the namespace of each ExternalSecret.
pub fn named_by_store(store: &Object) -> (BTreeSet<SecretName>, usize) {
    let mut names = BTreeSet::new();
    let mut nowhere = 0;
    if let Some(provider) = store.at("/spec/provider") {
        references(provider, &mut |name, namespace| match namespace.or(store.namespace()) {
            Some(namespace) => names.extend([SecretName::new(namespace, name)]),
            None => nowhere += 1,
        });
    }
    (names, nowhere)
}

/// The Secrets that an issuer of cert-manager names for ACME: its account's key, and what it answers challenges with.
pub fn named_by_issuer(issuer: &Object) -> BTreeSet<SecretName> {
    let mut names = BTreeSet::new();
    if let Some(acme) = issuer.at("/spec/acme") {
        let namespace = issuer.namespace().unwrap_or(CERT_MANAGER_NAMESPACE);
        references(acme, &mut |name, _| names.extend([SecretName::new(namespace, name)]));
    }
    names
}

/// Finds what refers to a Secret: a mapping with a `name` that has a `key` too, or that is the value of a key that ends in `SecretRef`. What says that it is
/// a ConfigMap is none.
fn references<'a>(value: &'a Value, found: &mut dyn FnMut(&'a str, Option<&'a str>)) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let text = |name: &str| value.get(name).and_then(Value::as_str);
                let refers = field.ends_with("SecretRef") || text("key").is_some();
                match text("name") {
                    Some(name) if refers && text("type") != Some("ConfigMap") && !name.is_empty() => found(name, text("namespace")),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(name: &str, metadata: &Value, data: &Value) -> Object {
        let mut value =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "argocd"}, "stringData": data});
        for (field, part) in metadata.as_object().unwrap() {
            value["metadata"][field] = part.clone();
        }
        Object::new(value).unwrap()
    }

    fn names(names: &BTreeSet<SecretName>) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn argo_cds_secrets_are_known_by_their_label_their_name_or_an_age_key_in_them() {
        let labelled = |value: &str| why_in_argocd(&secret("a", &json!({"labels": {ARGOCD_TYPE: value}}), &json!({"a": "b"})));
        assert_eq!(labelled("repository"), Some(Why::Repository));
        assert_eq!(labelled("repo-creds"), Some(Why::RepositoryCredentials));
        assert_eq!(labelled("cluster"), Some(Why::Cluster));
        assert_eq!(labelled("scm-creds"), Some(Why::ForgeCredentials));
        assert_eq!(labelled("unheard-of"), None);
        assert_eq!(why_in_argocd(&secret("argocd-secret", &json!({}), &json!({}))), Some(Why::ArgoCd));
        assert_eq!(why_in_argocd(&secret("argocd-redis", &json!({}), &json!({"auth": "x"}))), None);
        let keys = json!({"keys.txt": "# created: today\nAGE-SECRET-KEY-1QQQ\n"});
        assert_eq!(why_in_argocd(&secret("sops", &json!({}), &keys)), Some(Why::SopsKey));
    }

    #[test]
    fn what_a_controller_makes_is_left_out_unless_it_is_asked_for() {
        let owned = |kind: &str| json!({"ownerReferences": [{"kind": kind, "name": "x"}]});
        let candidate = |name: &str, metadata: Value, asked_for| Candidate {
            object: secret(name, &metadata, &json!({"a": "b"})),
            why: if asked_for { Why::Named } else { Why::Repository },
            asked_for,
        };
        let chosen = choose(vec![
            candidate("sealed", owned("SealedSecret"), false),
            candidate("external", owned("ExternalSecret"), false),
            candidate("certificate", json!({"annotations": {"cert-manager.io/certificate-name": "x"}}), false),
            candidate("plain", json!({}), false),
            candidate("sealed", owned("SealedSecret"), true),
        ]);
        let packed: Vec<(String, Why)> = chosen.entries.iter().map(|entry| (entry.object.name.clone(), entry.why)).collect();
        assert_eq!(packed, [("plain".to_owned(), Why::Repository), ("sealed".to_owned(), Why::Named)]);
        let left_out: Vec<String> = chosen.left_out.iter().map(|(name, controller)| format!("{name}: {controller}")).collect();
        assert_eq!(left_out, ["argocd/certificate: cert-manager", "argocd/external: External Secrets"]);
    }

    #[test]
    fn a_secret_is_in_once_for_the_first_reason_and_an_empty_one_is_not_in() {
        let candidate = |why| Candidate { object: secret("a", &json!({}), &json!({"a": "b"})), why, asked_for: why == Why::Named };
        let empty = Candidate { object: secret("argocd-secret", &json!({}), &json!({})), why: Why::ArgoCd, asked_for: false };
        let chosen = choose(vec![candidate(Why::Named), empty, candidate(Why::SopsKey)]);
        assert_eq!(chosen.entries.len(), 1);
        assert_eq!(chosen.entries[0].why, Why::SopsKey);
    }

    #[test]
    fn settings_name_secrets_and_argo_cds_own_keys_are_not_taken_for_names() {
        let settings = Object::new(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"},
            "data": {
                "oidc.config": "clientSecret: $oidc-secret:client.secret\nissuer: https://a:$x", "dex.config": "a: $dex.github.clientSecret\nb: $other.name:key",
                "resource.customizations": "price: 5$: no",
            },
        }));
        assert_eq!(names(&named_by_settings(&settings.unwrap())), ["argocd/oidc-secret", "argocd/other.name"]);
    }

    #[test]
    fn a_store_names_its_credentials_whatever_the_provider() {
        let store = |kind: &str, namespace: Value, provider: Value| {
            let value = json!({"apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": {"name": "s", "namespace": namespace}, "spec": {"provider": provider}});
            named_by_store(&Object::new(value).unwrap())
        };
        let aws = json!({"aws": {"region": "eu", "auth": {"secretRef": {
            "accessKeyIDSecretRef": {"name": "aws", "key": "id"}, "secretAccessKeySecretRef": {"name": "aws", "key": "secret"},
        }}}});
        assert_eq!(names(&store("SecretStore", "shop".into(), aws.clone()).0), ["shop/aws"]);
        assert_eq!(store("ClusterSecretStore", Value::Null, aws).1, 2);
        let vault = json!({"vault": {
            "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt", "namespace": "x"},
            "auth": {"tokenSecretRef": {"name": "token", "namespace": "vault"}, "kubernetes": {"serviceAccountRef": {"name": "account"}}},
        }});
        assert_eq!(names(&store("ClusterSecretStore", Value::Null, vault).0), ["vault/token"]);
    }

    #[test]
    fn an_issuer_names_its_account_and_what_it_answers_challenges_with() {
        let issuer = |kind: &str, namespace: Value| {
            let value = json!({"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": {"name": "le", "namespace": namespace}, "spec": {"acme": {
                "privateKeySecretRef": {"name": "account"},
                "solvers": [{"dns01": {"cloudflare": {"apiTokenSecretRef": {"name": "token", "key": "k"}}}}],
            }}});
            names(&named_by_issuer(&Object::new(value).unwrap()))
        };
        assert_eq!(issuer("ClusterIssuer", Value::Null), ["cert-manager/account", "cert-manager/token"]);
        assert_eq!(issuer("Issuer", "web".into()), ["web/account", "web/token"]);
    }
}
