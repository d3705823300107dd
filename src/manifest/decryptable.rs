//! Whether what is encrypted in a tree can be decrypted with the keys at hand, before anything is installed that would need them.

use serde_json::Value;

use super::sealed_secret::{SealingKey, Unsealable, unseals};
use super::sops::{self, SopsKey, Unreadable};
use super::yaml;
use crate::domain::bundle::{Bundle, Why};
use crate::domain::{Object, RepositoryPath};
use crate::ports::git::File;

/// The keys at hand. They cannot be printed.
#[derive(Default)]
pub struct Keys {
    sealing: Vec<SealingKey>,
    sops: Vec<SopsKey>,
}

/// Something in a tree that the keys at hand do not decrypt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Undecryptable {
    /// The file.
    pub file: RepositoryPath,
    /// The line at which the document begins.
    pub line: u64,
    /// What it is: `SealedSecret shop/db`.
    pub what: String,
    /// What would decrypt it, or what is wrong with it.
    pub needs: String,
    /// Whether it is proven that it cannot be decrypted; false where that cannot be checked from here, as with a cloud's key service.
    pub proven: bool,
}

/// What came of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// How many encrypted documents there are.
    pub encrypted: usize,
    /// Those that the keys do not decrypt, in the order of the files.
    pub undecryptable: Vec<Undecryptable>,
}

impl Keys {
    /// The keys of a bundle; none at all where there is no bundle.
    pub fn of(bundle: Option<&Bundle>) -> Self {
        let entries = |why| bundle.into_iter().flat_map(move |bundle| bundle.of(why));
        Self {
            sealing: entries(Why::SealingKey).filter_map(|entry| SealingKey::read(&entry.object)).collect(),
            sops: entries(Why::SopsKey)
                .flat_map(|entry| {
                    entry.object.values().filter_map(|(_, value)| std::str::from_utf8(value).ok()).flat_map(SopsKey::read_all)
                })
                .collect(),
        }
    }
}

/// Checks every SealedSecret and every SOPS document in `files` against the keys. Nothing of what is decrypted is kept. A file that cannot be read as YAML is
/// not looked into, unless it says that it is SOPS's.
///
/// Takes some milliseconds for each sealed value, more for each further key.
pub fn check_decryptable(files: &[File], mut keys: Keys) -> Decryption {
    let mut result = Decryption::default();
    let destinations = destinations(files);
    for file in files {
        let Ok(text) = std::str::from_utf8(&file.content) else { continue };
        if !["SealedSecret", "ENC[AES256_GCM", "sops_mac="].iter().any(|mark| text.contains(mark)) {
            continue;
        }
        let mut report = |line, what, fault: Option<(String, bool)>| {
            result.encrypted += 1;
            if let Some((needs, proven)) = fault {
                result.undecryptable.push(Undecryptable { file: file.path.clone(), line, what, needs, proven });
            }
        };
        let Ok(documents) = yaml::parse_documents(text, file.path.as_str()) else {
            if text.contains("sops_mac=") || text.contains("[sops]") {
                report(
                    1,
                    "a SOPS file in the form of a list of variables".to_owned(),
                    Some(("cannot be checked from here".to_owned(), false)),
                );
            }
            continue;
        };
        for document in documents {
            if sops::is_encrypted(&document.value) {
                let fault = sops::decrypts(&document.value, &keys.sops).err().map(|fault| sops_fault(fault, &keys));
                report(document.line, name(&document.value, "a SOPS file"), fault);
            } else if document.value.get("kind").and_then(Value::as_str) == Some("SealedSecret") {
                let what = name(&document.value, "a SealedSecret");
                let Ok(object) = Object::new(document.value) else { continue };
                let namespaces: Vec<String> =
                    destinations.iter().filter(|(folder, _)| file.path.is_within(folder)).map(|(_, namespace)| namespace.clone()).collect();
                let fault = unseals(&object, &namespaces, &mut keys.sealing).err().map(|fault| sealing_fault(fault, &keys));
                report(document.line, what, fault);
            }
        }
    }
    result
}

/// The folders that Applications take their objects from, with the namespace for objects that name none.
fn destinations(files: &[File]) -> Vec<(RepositoryPath, String)> {
    let texts = files.iter().filter_map(|file| Some((std::str::from_utf8(&file.content).ok()?, file.path.as_str())));
    let documents = texts
        .filter(|(text, _)| text.contains("Application"))
        .filter_map(|(text, file)| yaml::parse_documents(text, file).ok())
        .flatten()
        .filter(|document| document.value.get("kind").and_then(Value::as_str) == Some("Application"));
    let mut destinations = Vec::new();
    for document in documents {
        let Some(namespace) = document.value.pointer("/spec/destination/namespace").and_then(Value::as_str) else { continue };
        let one = document.value.pointer("/spec/source").into_iter();
        let several = document.value.pointer("/spec/sources").and_then(Value::as_array).into_iter().flatten();
        for path in one.chain(several).filter_map(|source| source.get("path")?.as_str()?.parse::<RepositoryPath>().ok()) {
            destinations.push((path, namespace.to_owned()));
        }
    }
    destinations.sort();
    destinations.dedup();
    destinations
}

fn name(document: &Value, otherwise: &str) -> String {
    let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
    match (text("/kind"), text("/metadata/namespace"), text("/metadata/name")) {
        (Some(kind), Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (Some(kind), None, Some(name)) => format!("{kind} {name}"),
        _ => otherwise.to_owned(),
    }
}

fn sealing_fault(fault: Unsealable, keys: &Keys) -> (String, bool) {
    match fault {
        Unsealable::NoKey(value) => {
            let mut names: Vec<&str> = keys.sealing.iter().map(|key| key.name.as_str()).collect();
            names.sort_unstable();
            let hand = match names.len() {
                0 => "there is none".to_owned(),
                1 => format!("it is not {}", names[0]),
                several => format!("it is none of the {several}: {}", names.join(", ")),
            };
            (format!("the sealing key that `{value}` was sealed for, with this name and namespace; at hand {hand}"), true)
        }
        Unsealable::Malformed(value) => (format!("a value for `{value}` that was sealed: this one is not base64"), true),
        Unsealable::NoNamespace => {
            ("a namespace, which is part of what it is sealed for: neither it nor an Application names one".to_owned(), false)
        }
    }
}

fn sops_fault(fault: Unreadable, keys: &Keys) -> (String, bool) {
    match fault {
        Unreadable::NoKey(recipients) => {
            let hand = match keys.sops.len() {
                0 => "there is no age key at hand".to_owned(),
                1 => "the age key at hand is another one".to_owned(),
                several => format!("the {several} age keys at hand are others"),
            };
            (format!("the private half of {}; {hand}", recipients.join(" or ")), true)
        }
        Unreadable::Elsewhere(keys) => (format!("{}, which cannot be asked from here", keys.join(" or ")), false),
        Unreadable::Altered(place) => (format!("the file as it was encrypted: `{place}` was altered or moved since"), true),
        Unreadable::Malformed(reason) => (format!("to be encrypted again: {reason}"), true),
    }
}
