//! SOPS files (github.com/getsops/sops, sops.go and aes/cipher.go): whether a key at hand decrypts them.

use std::io::Read as _;

use aes_gcm::aead::consts::{U12, U32};
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit as _, Nonce};
use age::armor::ArmoredReader;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

/// The most bytes of a data key; it has 32.
const LONGEST_KEY: u64 = 1024;

/// The lists of keys in the metadata other than age's, and what they are.
const OTHERS: [(&str, &str); 6] = [
    ("pgp", "a PGP key"),
    ("kms", "AWS KMS"),
    ("gcp_kms", "Google Cloud KMS"),
    ("azure_kv", "Azure Key Vault"),
    ("hc_vault", "HashiCorp Vault"),
    ("hckms", "Huawei Cloud KMS"),
];

/// The private half of an age key. It cannot be printed.
pub struct SopsKey(Box<dyn age::Identity + Send + Sync>);

/// Why a SOPS document cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// None of the keys at hand is a recipient; these are.
    NoKey(Vec<String>),
    /// Only these can decrypt it, and they cannot be asked here.
    Elsewhere(Vec<&'static str>),
    /// A key fits, and this part was altered after it was encrypted: `sops` refuses the file.
    Altered(String),
    /// Its metadata is not that of SOPS.
    Malformed(&'static str),
}

impl SopsKey {
    /// Takes the keys of an identity file of age, or a private key of OpenSSH: what SOPS reads from `SOPS_AGE_KEY_FILE`.
    pub fn read_all(text: &str) -> Vec<Self> {
        if text.trim_start().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
            let identity = age::ssh::Identity::from_buffer(text.trim_start().as_bytes(), None).ok();
            return identity.into_iter().map(|identity| Self(Box::new(identity))).collect();
        }
        let lines = text.lines().map(str::trim);
        lines.filter_map(|line| line.parse::<age::x25519::Identity>().ok()).map(|identity| Self(Box::new(identity))).collect()
    }
}

/// Whether a document is encrypted by SOPS: it has the metadata, with a message authentication code.
pub fn is_encrypted(document: &Value) -> bool {
    document.pointer("/sops/mac").is_some()
}

/// Whether `keys` decrypt a document: its data key, the message authentication code, and each value, which is bound to its place in the document.
///
/// # Errors
/// Why not.
pub fn decrypts(document: &Value, keys: &[SopsKey]) -> Result<(), Unreadable> {
    let metadata = document.get("sops").ok_or(Unreadable::Malformed("there is no `sops` in it"))?;
    if metadata.get("key_groups").and_then(Value::as_array).is_some_and(|groups| groups.len() > 1) {
        return Err(Unreadable::Elsewhere(vec!["several groups of keys"]));
    }
    let group = metadata.pointer("/key_groups/0").unwrap_or(metadata);
    let data_key = data_key(group, keys)?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    let (Some(mac), Some(modified)) = (text("mac"), text("lastmodified")) else {
        return Err(Unreadable::Malformed("`sops` has no `mac` or no `lastmodified`"));
    };
    if !opens(mac, &data_key, modified) {
        return Err(Unreadable::Altered("sops.mac".to_owned()));
    }
    let Some(fields) = document.as_object() else { return Err(Unreadable::Malformed("it is not a mapping")) };
    for (name, value) in fields.iter().filter(|(name, _)| *name != "sops") {
        check_values(value, &format!("{name}:"), &data_key)?;
    }
    Ok(())
}

fn data_key(group: &Value, keys: &[SopsKey]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let entries = |name: &str| group.get(name).and_then(Value::as_array).into_iter().flatten();
    for entry in entries("age") {
        let encrypted = entry.get("enc").and_then(Value::as_str).unwrap_or_default();
        if let Some(key) = open_data_key(encrypted, keys) {
            return Ok(key);
        }
    }
    let others: Vec<&str> = OTHERS.iter().filter(|(name, _)| entries(name).next().is_some()).map(|(_, what)| *what).collect();
    if !others.is_empty() {
        return Err(Unreadable::Elsewhere(others));
    }
    let recipients = entries("age").filter_map(|entry| entry.get("recipient")?.as_str());
    Err(Unreadable::NoKey(recipients.map(str::to_owned).collect()))
}

fn open_data_key(encrypted: &str, keys: &[SopsKey]) -> Option<Zeroizing<Vec<u8>>> {
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(encrypted.as_bytes())).ok()?;
    let reader = decryptor.decrypt(keys.iter().map(|key| key.0.as_ref() as &dyn age::Identity)).ok()?;
    let mut key = Zeroizing::new(Vec::with_capacity(64));
    reader.take(LONGEST_KEY).read_to_end(&mut key).ok()?;
    Some(key)
}

/// Checks the encrypted values below a place. A place is the keys that lead to it, each with a colon behind it; the items of a list have that of the list.
fn check_values(value: &Value, place: &str, key: &[u8]) -> Result<(), Unreadable> {
    match value {
        Value::String(text) if text.starts_with("ENC[") && !opens(text, key, place) => {
            Err(Unreadable::Altered(place.trim_end_matches(':').replace(':', ".")))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| check_values(value, &format!("{place}{name}:"), key)),
        Value::Array(items) => items.iter().try_for_each(|item| check_values(item, place, key)),
        _ => Ok(()),
    }
}

/// Whether `ENC[AES256_GCM,data:...,iv:...,tag:...,type:...]` opens with a key, at this place.
fn opens(encrypted: &str, key: &[u8], place: &str) -> bool {
    let part = |name: &str| {
        let (_, rest) = encrypted.split_once(&format!("{name}:"))?;
        STANDARD.decode(rest.split([',', ']']).next()?).ok()
    };
    let (Some(mut message), Some(nonce), Some(tag)) = (part("data"), part("iv"), part("tag")) else { return false };
    message.extend(tag);
    let payload = Payload { msg: &message, aad: place.as_bytes() };
    let plain = match nonce.len() {
        32 => AesGcm::<Aes256, U32>::new_from_slice(key).ok().and_then(|cipher| cipher.decrypt(Nonce::from_slice(&nonce), payload).ok()),
        12 => AesGcm::<Aes256, U12>::new_from_slice(key).ok().and_then(|cipher| cipher.decrypt(Nonce::from_slice(&nonce), payload).ok()),
        _ => None,
    };
    plain.map(Zeroizing::new).is_some()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use age::armor::{ArmoredWriter, Format};
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    const DATA_KEY: [u8; 32] = [9; 32];
    const MODIFIED: &str = "2026-11-21T12:00:00Z";

    fn encrypt(plain: &str, place: &str) -> String {
        let nonce = [3; 32];
        let payload = Payload { msg: plain.as_bytes(), aad: place.as_bytes() };
        let sealed = AesGcm::<Aes256, U32>::new_from_slice(&DATA_KEY).unwrap().encrypt(Nonce::from_slice(&nonce), payload).unwrap();
        let (data, tag) = sealed.split_at(sealed.len() - 16);
        let [data, nonce, tag] = [data, &nonce, tag].map(|part| STANDARD.encode(part));
        format!("ENC[AES256_GCM,data:{data},iv:{nonce},tag:{tag},type:str]")
    }

    /// A Secret as `sops --encrypt --encrypted-regex '^(data|stringData)$'` writes it.
    fn document(identity: &age::x25519::Identity) -> Value {
        let recipient: Box<dyn age::Recipient> = Box::new(identity.to_public());
        let mut armoured = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
        let mut writer = age::Encryptor::with_recipients([recipient.as_ref()].into_iter()).unwrap().wrap_output(&mut armoured).unwrap();
        writer.write_all(&DATA_KEY).unwrap();
        writer.finish().unwrap();
        let encrypted = String::from_utf8(armoured.finish().unwrap()).unwrap();
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "stringData": {"password": encrypt("hunter2", "stringData:password:"), "list": [encrypt("a", "stringData:list:")], "empty": ""},
            "sops": {
                "age": [{"recipient": identity.to_public().to_string(), "enc": encrypted}],
                "lastmodified": MODIFIED, "mac": encrypt("ABCDEF", MODIFIED), "version": "3.9.0",
            },
        })
    }

    fn keys(identity: &age::x25519::Identity) -> Vec<SopsKey> {
        SopsKey::read_all(&format!("# created: today\n{}\n", identity.to_string().expose_secret()))
    }

    #[test]
    fn the_right_key_decrypts_and_a_wrong_one_is_told_whose_is_right() {
        let (right, wrong) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        let document = document(&right);
        assert!(is_encrypted(&document));
        assert_eq!(decrypts(&document, &keys(&right)), Ok(()));
        let recipients = vec![right.to_public().to_string()];
        assert_eq!(decrypts(&document, &keys(&wrong)), Err(Unreadable::NoKey(recipients.clone())));
        assert_eq!(decrypts(&document, &[]), Err(Unreadable::NoKey(recipients)));
    }

    #[test]
    fn what_was_altered_after_it_was_encrypted_is_named() {
        let identity = age::x25519::Identity::generate();
        let mut moved = document(&identity);
        moved["stringData"]["user"] = moved["stringData"]["password"].clone();
        assert_eq!(decrypts(&moved, &keys(&identity)), Err(Unreadable::Altered("stringData.user".to_owned())));
        let mut dated = document(&identity);
        dated["sops"]["lastmodified"] = "2026-11-22T12:00:00Z".into();
        assert_eq!(decrypts(&dated, &keys(&identity)), Err(Unreadable::Altered("sops.mac".to_owned())));
    }

    #[test]
    fn keys_that_are_elsewhere_are_not_taken_for_missing() {
        let identity = age::x25519::Identity::generate();
        let mut document = document(&identity);
        document["sops"]["age"] = json!([]);
        document["sops"]["kms"] = json!([{"arn": "arn:aws:kms:eu:1:key/2"}]);
        assert_eq!(decrypts(&document, &keys(&identity)), Err(Unreadable::Elsewhere(vec!["AWS KMS"])));
    }
}
