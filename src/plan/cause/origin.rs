//! Where a Secret should have come from: External Secrets (`external-secrets.io`), Sealed Secrets (`bitnami.com`) and cert-manager.
//!
//! The chain is followed to its root: an `ExternalSecret`, the store that it reads, the credential of the store, and what should have made that.

use serde_json::Value;

use crate::domain::{Object, ObjectRef, Resource};
use crate::plan::plain_words::explain;
use crate::plan::pod;

use super::evidence::Found;
use super::live::{Condition, Live, condition, conditions};

/// How many Secrets a chain goes through; more can only be a circle.
const LONGEST: usize = 3;

/// The versions of External Secrets, the current one first (<https://external-secrets.io/latest/api/spec/>).
const EXTERNAL_SECRETS: [&str; 2] = ["external-secrets.io/v1", "external-secrets.io/v1beta1"];

impl<'a> Live<'a> {
    /// Why an object that makes a Secret, or that a Secret is made with, does not; none for those that do, and for all other kinds.
    pub(super) fn origin(&self, object: &Object) -> Option<String> {
        self.origin_of(object, LONGEST)
    }

    /// `Secret web/db`, with why it is not there.
    pub(super) fn missing_secret(&self, name: &str) -> String {
        let secret = self.called("Secret", name);
        match self.maker(name, LONGEST) {
            Maker::Fails(why) => format!("{secret}: {why}"),
            Maker::Nobody => format!("{secret}, which is not there and which no ExternalSecret, SealedSecret or Certificate makes"),
            Maker::Unknown => format!("{secret}, which is not there"),
        }
    }

    fn maker(&self, name: &str, depth: usize) -> Maker {
        let Some(depth) = depth.checked_sub(1) else { return Maker::Unknown };
        let external = EXTERNAL_SECRETS.map(|version| self.makers(version, "ExternalSecret"));
        let sealed = self.makers("bitnami.com/v1alpha1", "SealedSecret");
        let certificates = self.makers("cert-manager.io/v1", "Certificate");
        let all = [external[0], external[1], sealed, certificates];
        let maker = all.into_iter().flatten().flatten().find(|object| makes(object, name));
        match maker {
            Some(maker) => {
                let named = self.named(maker);
                Maker::Fails(self.origin_of(maker, depth).unwrap_or_else(|| format!("{named} says that it has made it")))
            }
            None if all.iter().all(Option::is_some) => Maker::Nobody,
            None => Maker::Unknown,
        }
    }

    fn makers(&self, api_version: &str, kind: &str) -> Option<&'a [Object]> {
        self.reader.known_list(&Resource::new(api_version, kind), self.namespace)
    }

    fn origin_of(&self, object: &Object, depth: usize) -> Option<String> {
        match (object.resource().group(), object.kind()) {
            ("external-secrets.io", "ExternalSecret") => self.external_secret(object, depth),
            ("external-secrets.io", "SecretStore" | "ClusterSecretStore") => {
                self.store(object, depth).map(|why| format!("{} is not valid: {why}", self.named(object)))
            }
            ("bitnami.com", "SealedSecret") => self.sealed_secret(object),
            ("cert-manager.io", "Certificate") => self.certificate(object),
            _ => None,
        }
    }

    fn external_secret(&self, object: &Object, depth: usize) -> Option<String> {
        let named = self.named(object);
        let said = match readiness(object, "Ready") {
            Readiness::Ready => return None,
            Readiness::Unsaid => {
                return Some(format!(
                    "nobody has acted on {named} yet: the External Secrets controller does not run, or has not come to it"
                ));
            }
            Readiness::Not(condition) => condition,
        };
        let store = object.text("/spec/secretStoreRef/name").map(|name| {
            let kind = object.text("/spec/secretStoreRef/kind").unwrap_or("SecretStore");
            self.beside_or_cluster_wide(object.api_version(), kind, "ClusterSecretStore", name)
        });
        if let Some((place, reference)) = store {
            let store = reference.to_string();
            match self.reader.object(reference) {
                Found::Absent => return Some(format!("{named} cannot read its values: {store} is not there")),
                Found::There(found) => {
                    if let Some(why) = place.store(found, depth) {
                        return Some(format!("{named} cannot read its values, since {store} is not valid: {why}"));
                    }
                }
                Found::Unknown => {}
            }
        }
        let told = pod::last_event(self.events(), object, &["UpdateFailed"]);
        Some(format!("{named} cannot read its values: {}", told.map_or_else(|| said.words(), explain)))
    }

    /// Why a store cannot be used.
    fn store(&self, store: &Object, depth: usize) -> Option<String> {
        let said = match readiness(store, "Ready") {
            Readiness::Ready => return None,
            Readiness::Unsaid => return Some("nobody has acted on it yet".to_owned()),
            Readiness::Not(condition) => condition,
        };
        let credentials = store.at("/spec/provider").map(credentials).unwrap_or_default();
        let missing = credentials.into_iter().find_map(|credential| {
            let namespace = credential.namespace.filter(|_| self.namespace.is_none()).or(self.namespace)?;
            let place = Live { reader: self.reader, namespace: Some(namespace) };
            match self.reader.object(ObjectRef::namespaced("v1", "Secret", namespace, credential.name)) {
                Found::Absent => Some(match place.maker(credential.name, depth) {
                    Maker::Fails(why) => format!("{} is not there: {why}", place.called("Secret", credential.name)),
                    Maker::Nobody | Maker::Unknown => format!("{} is not there", place.called("Secret", credential.name)),
                }),
                Found::There(secret) => {
                    let has_key = secret.at("/data").is_some_and(|data| data.get(credential.key).is_some());
                    (!has_key).then(|| format!("{} has no key `{}`", place.called("Secret", credential.name), credential.key))
                }
                Found::Unknown => None,
            }
        });
        Some(missing.unwrap_or_else(|| said.words()))
    }

    fn sealed_secret(&self, object: &Object) -> Option<String> {
        let named = self.named(object);
        match readiness(object, "Synced") {
            Readiness::Ready => None,
            Readiness::Unsaid => {
                Some(format!("nobody has acted on {named} yet: the Sealed Secrets controller does not run, or has not come to it"))
            }
            Readiness::Not(said) if said.message.contains("no key could decrypt") => {
                Some(format!("{named} cannot be decrypted: no sealing key of this cluster opens it"))
            }
            Readiness::Not(said) => Some(format!("{named} cannot be unsealed: {}", said.words())),
        }
    }

    fn certificate(&self, object: &Object) -> Option<String> {
        let named = self.named(object);
        let said = match readiness(object, "Ready") {
            Readiness::Ready => return None,
            Readiness::Unsaid => return Some(format!("nobody has acted on {named} yet: cert-manager does not run, or has not come to it")),
            Readiness::Not(condition) => condition,
        };
        let group = object.text("/spec/issuerRef/group").unwrap_or("cert-manager.io");
        if let Some(name) = object.text("/spec/issuerRef/name").filter(|_| group == "cert-manager.io") {
            let kind = object.text("/spec/issuerRef/kind").unwrap_or("Issuer");
            let (_, reference) = self.beside_or_cluster_wide(object.api_version(), kind, "ClusterIssuer", name);
            let issuer = reference.to_string();
            match self.reader.object(reference) {
                Found::Absent => return Some(format!("{named} cannot be issued: {issuer} is not there")),
                Found::There(found) => {
                    if let Some(why) = condition(found) {
                        return Some(format!("{named} cannot be issued, since {issuer} is not ready: {why}"));
                    }
                }
                Found::Unknown => {}
            }
        }
        Some(format!("{named} is not issued: {}", said.words()))
    }

    /// An object that another one refers to: cluster-scoped if it is of that kind, else in the same namespace; and the place that it is in.
    fn beside_or_cluster_wide(&self, api_version: &str, kind: &str, cluster_wide: &str, name: &str) -> (Self, ObjectRef) {
        let namespace = self.namespace.filter(|_| kind != cluster_wide);
        let resource = Resource::new(api_version, kind);
        (Self { namespace, ..*self }, ObjectRef { resource, namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }
}

/// What should have made a Secret.
enum Maker {
    /// An object that does not do it, for this reason.
    Fails(String),
    /// There is none.
    Nobody,
    /// It cannot be known.
    Unknown,
}

/// Whether `object` makes the Secret `name` of its namespace.
fn makes(object: &Object, name: &str) -> bool {
    let target = match object.kind() {
        "ExternalSecret" => object.text("/spec/target/name"),
        "SealedSecret" => object.text("/spec/template/metadata/name"),
        _ => object.text("/spec/secretName"),
    };
    target.unwrap_or_else(|| object.name()) == name
}

/// What an object says of itself by one condition.
enum Readiness<'a> {
    Ready,
    Not(Condition<'a>),
    Unsaid,
}

fn readiness<'a>(object: &'a Object, name: &str) -> Readiness<'a> {
    match conditions(object).find(|condition| condition.name == name) {
        Some(condition) if condition.status == "True" => Readiness::Ready,
        Some(condition) => Readiness::Not(condition),
        None => Readiness::Unsaid,
    }
}

impl Condition<'_> {
    fn words(&self) -> String {
        match (self.message, self.reason) {
            ("", "") => format!("its condition {} is {}", self.name, self.status),
            ("", reason) => reason.to_owned(),
            (message, _) => explain(message),
        }
    }
}

/// A key of a Secret that a store authenticates with.
struct Credential<'a> {
    name: &'a str,
    key: &'a str,
    namespace: Option<&'a str>,
}

/// The keys of Secrets that a store's provider names: `SecretKeySelector`s, whatever the provider calls them.
fn credentials(provider: &Value) -> Vec<Credential<'_>> {
    let mut found = Vec::new();
    let mut to_visit = vec![provider];
    while let Some(value) = to_visit.pop() {
        let Value::Object(fields) = value else { continue };
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        match (text("name"), text("key")) {
            (Some(name), Some(key)) if text("type").is_none_or(|kind| kind == "Secret") => {
                found.push(Credential { name, key, namespace: text("namespace") });
            }
            // The first field is visited first.
            _ => to_visit.extend(fields.values().rev()),
        }
    }
    found
}
