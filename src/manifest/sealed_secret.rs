//! SealedSecrets (pkg/crypto/crypto.go and pkg/apis of bitnami-labs/sealed-secrets): whether a key at hand decrypts them.

use aes_gcm::aead::Aead as _;
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::{Oaep, RsaPrivateKey};
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::{Object, Secret};

/// The annotations that say in how much of the cluster a SealedSecret may be unsealed; it is sealed for that.
const CLUSTER_WIDE: &str = "sealedsecrets.bitnami.com/cluster-wide";
const NAMESPACE_WIDE: &str = "sealedsecrets.bitnami.com/namespace-wide";

/// The private half of a key of the Sealed Secrets controller. It cannot be printed, and is wiped when it is dropped.
pub struct SealingKey {
    /// The name of the Secret that it is from.
    pub name: String,
    key: RsaPrivateKey,
}

/// Why a SealedSecret cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsealable {
    /// No key decrypts this value.
    NoKey(String),
    /// This value is not one that was sealed.
    Malformed(String),
    /// It does not say in which namespace it is, which is part of what it is sealed for.
    NoNamespace,
}

impl SealingKey {
    /// Takes the Secret of a key (`tls.key`, PKCS #1 as the controller writes it, or PKCS #8); none if it holds no RSA key.
    pub fn read(secret: &Secret) -> Option<Self> {
        let text = secret.text("tls.key")?;
        let key = RsaPrivateKey::from_pkcs1_pem(text).or_else(|_| RsaPrivateKey::from_pkcs8_pem(text)).ok()?;
        Some(Self { name: secret.name.clone(), key })
    }

    /// Whether this key decrypts `sealed`, which is: the length of what is encrypted by RSA in two bytes, the session key encrypted by RSA-OAEP with SHA-256
    /// and `label`, the value encrypted by AES-256-GCM. The session key is used once, so the nonce is zero.
    fn decrypts(&self, sealed: &[u8], label: &str) -> bool {
        let split = sealed.split_first_chunk().and_then(|(length, rest)| rest.split_at_checked(u16::from_be_bytes(*length).into()));
        let Some((session, value)) = split else { return false };
        let Ok(session) = self.key.decrypt(Oaep::new_with_label::<Sha256, _>(label), session).map(Zeroizing::new) else { return false };
        let Ok(cipher) = Aes256Gcm::new_from_slice(&session) else { return false };
        cipher.decrypt(&Nonce::default(), value).map(Zeroizing::new).is_ok()
    }
}

/// Whether `keys` decrypt all values of a SealedSecret. `namespaces` are those that it may get if it names none itself. The key that decrypts is moved to
/// the front, since the next value is most likely sealed with the same.
///
/// # Errors
/// The first value that cannot be decrypted.
pub fn unseals(object: &Object, namespaces: &[String], keys: &mut [SealingKey]) -> Result<(), Unsealable> {
    let labels = labels(object, namespaces);
    if labels.is_empty() {
        return Err(Unsealable::NoNamespace);
    }
    let values = object.at("/spec/encryptedData").and_then(Value::as_object).into_iter().flatten();
    let values = values.map(|(name, value)| (name.as_str(), value));
    // Versions before 0.7 sealed the whole Secret into one value.
    let whole = object.at("/spec/data").filter(|value| value.is_string()).map(|value| ("data", value));
    for (name, value) in values.chain(whole) {
        let sealed = value.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(|| Unsealable::Malformed(name.to_owned()))?;
        let found = keys.iter().position(|key| labels.iter().any(|label| key.decrypts(&sealed, label)));
        let found = found.ok_or_else(|| Unsealable::NoKey(name.to_owned()))?;
        keys[..=found].rotate_right(1);
    }
    Ok(())
}

/// What a SealedSecret may be sealed for (`EncryptionLabel`): a name in a namespace, a namespace, or nothing in particular.
fn labels(object: &Object, namespaces: &[String]) -> Vec<String> {
    if object.annotation(CLUSTER_WIDE) == Some("true") {
        return vec![String::new()];
    }
    let own = object.namespace().map(str::to_owned);
    let namespaces = own.as_ref().map_or(namespaces, std::slice::from_ref).iter();
    if object.annotation(NAMESPACE_WIDE) == Some("true") {
        return namespaces.cloned().collect();
    }
    namespaces.map(|namespace| format!("{namespace}/{}", object.name())).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use rsa::pkcs1::EncodeRsaPrivateKey as _;
    use serde_json::json;

    use super::*;

    /// Two keys: making one takes a while.
    fn keys() -> &'static [RsaPrivateKey; 2] {
        static KEYS: OnceLock<[RsaPrivateKey; 2]> = OnceLock::new();
        KEYS.get_or_init(|| [(); 2].map(|()| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap()))
    }

    fn at_hand(key: &RsaPrivateKey) -> Vec<SealingKey> {
        let pem = key.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "kube-system"}, "stringData": {"tls.key": pem.as_str()}});
        vec![SealingKey::read(&Secret::read(&Object::new(object).unwrap()).unwrap()).unwrap()]
    }

    /// Seals as `kubeseal` does.
    fn seal(key: &RsaPrivateKey, label: &str) -> String {
        let session = [7_u8; 32];
        let rsa = key.to_public_key().encrypt(&mut rsa::rand_core::OsRng, Oaep::new_with_label::<Sha256, _>(label), &session).unwrap();
        let value = Aes256Gcm::new_from_slice(&session).unwrap().encrypt(&Nonce::default(), b"hunter2".as_slice()).unwrap();
        STANDARD.encode([&u16::try_from(rsa.len()).unwrap().to_be_bytes()[..], &rsa, &value].concat())
    }

    fn sealed(metadata: Value, value: &str) -> Object {
        Object::new(json!({"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": metadata, "spec": {"encryptedData": {"password": value}}})).unwrap()
    }

    #[test]
    fn each_scope_has_its_own_label_and_another_one_does_not_open_it() {
        let key = &keys()[0];
        let wide = |annotation: &str| json!({"name": "db", "namespace": "shop", "annotations": {annotation: "true"}});
        for (metadata, label) in
            [(json!({"name": "db", "namespace": "shop"}), "shop/db"), (wide(NAMESPACE_WIDE), "shop"), (wide(CLUSTER_WIDE), "")]
        {
            let mut hand = at_hand(key);
            assert_eq!(unseals(&sealed(metadata.clone(), &seal(key, label)), &[], &mut hand), Ok(()), "{label}");
            assert_eq!(
                unseals(&sealed(metadata, &seal(key, "other/db")), &[], &mut hand),
                Err(Unsealable::NoKey("password".to_owned())),
                "{label}"
            );
        }
    }

    #[test]
    fn all_keys_are_tried_and_a_missing_one_is_found_out() {
        let [old, new] = keys();
        let object = sealed(json!({"name": "db", "namespace": "shop"}), &seal(new, "shop/db"));
        let mut both = at_hand(old);
        both.extend(at_hand(new));
        assert_eq!(unseals(&object, &[], &mut both), Ok(()));
        assert_eq!(unseals(&object, &[], &mut at_hand(old)), Err(Unsealable::NoKey("password".to_owned())));
        assert_eq!(unseals(&object, &[], &mut []), Err(Unsealable::NoKey("password".to_owned())));
    }

    #[test]
    fn without_a_namespace_it_is_that_of_the_application() {
        let key = &keys()[0];
        let object = sealed(json!({"name": "db"}), &seal(key, "shop/db"));
        assert_eq!(unseals(&object, &["shop".to_owned()], &mut at_hand(key)), Ok(()));
        assert_eq!(unseals(&object, &[], &mut at_hand(key)), Err(Unsealable::NoNamespace));
    }

    #[test]
    fn rubbish_is_named_and_never_a_panic() {
        let mut hand = at_hand(&keys()[0]);
        let object = |value: &str| sealed(json!({"name": "db", "namespace": "shop"}), value);
        assert_eq!(unseals(&object("%"), &[], &mut hand), Err(Unsealable::Malformed("password".to_owned())));
        for short in ["", "AA==", "//8=", "AAE="] {
            assert_eq!(unseals(&object(short), &[], &mut hand), Err(Unsealable::NoKey("password".to_owned())), "{short}");
        }
    }
}
