//! The bundle as text: what is encrypted, and the index beside it.
//!
//! What is encrypted is a `List` of Secrets in JSON, so that a person without this program can restore it too:
//! `age --decrypt --identity KEY bundles/staging.age | kubectl create --filename -`.

use std::collections::BTreeMap;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::yaml;
use crate::domain::bundle::{Bundle, Entry, Index, IndexEntry, Why};
use crate::domain::{ClusterName, Identity, RepositoryPath, Secret};
use crate::error::{Failure, Kind, Result};

/// The version of both formats that is read and written here.
const FORMAT: u32 = 1;

/// The word that stands for the recipients of a bundle that is locked by a passphrase.
pub const PASSPHRASE: &str = "passphrase";

/// What is written above an index.
const ABOUT: &str =
    "# What is in the bundle beside this file, written by `gitops-bootstrap pack`. There is no secret in here, and nothing to edit.\n";

/// How many bytes of `server.secretkey` make it a key that nobody can guess. Argo CD makes 32 random ones (util/session of Argo CD).
const KEY_LENGTH: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    api_version: String,
    kind: String,
    bundle: About,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct About {
    version: u32,
    cluster: ClusterName,
    identity: Identity,
    made: Timestamp,
    /// Why each item is in, in their order.
    why: Vec<Why>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Item {
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(rename = "type")]
    secret_type: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    immutable: bool,
    data: BTreeMap<String, Encoded>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    namespace: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// A value in base64, which leaves no copy of itself in memory.
struct Encoded(SecretSlice<u8>);

impl Serialize for Encoded {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0.expose_secret())))
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Borrowed: base64 has nothing that JSON escapes.
        let text = <&str>::deserialize(deserializer)?;
        // The error would quote the value.
        let bytes = STANDARD.decode(text).map_err(|_| serde::de::Error::custom("a value is not base64"))?;
        Ok(Self(bytes.into()))
    }
}

/// Where the bundle of a cluster is in the fleet repository: `bundles/staging.age`.
pub fn bundle_path(cluster: &ClusterName) -> Result<RepositoryPath> {
    path(cluster, "age")
}

/// Where the index of a cluster's bundle is in the fleet repository: `bundles/staging.index.yaml`.
pub fn index_path(cluster: &ClusterName) -> Result<RepositoryPath> {
    path(cluster, "index.yaml")
}

fn path(cluster: &ClusterName, extension: &str) -> Result<RepositoryPath> {
    format!("bundles/{cluster}.{extension}").parse().map_err(|error| Failure::bug(format!("{error}")))
}

/// Writes the plain text of a bundle into memory that is wiped.
pub fn to_plain(bundle: &Bundle) -> Result<Zeroizing<Vec<u8>>> {
    let item = |entry: &Entry| {
        let secret = entry.object.clone();
        Item {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            metadata: Metadata { name: secret.name, namespace: secret.namespace, labels: secret.labels, annotations: secret.annotations },
            secret_type: secret.kind,
            immutable: secret.immutable,
            data: secret.data.into_iter().map(|(key, value)| (key, Encoded(value))).collect(),
        }
    };
    let list = List {
        api_version: "v1".to_owned(),
        kind: "List".to_owned(),
        bundle: About {
            version: FORMAT,
            cluster: bundle.cluster.clone(),
            identity: bundle.identity.clone(),
            made: bundle.made,
            why: bundle.entries.iter().map(|entry| entry.why).collect(),
        },
        items: bundle.entries.iter().map(item).collect(),
    };
    let cannot = |error| Failure::bug("the bundle cannot be written").because(error);
    // Measured first: memory that grows leaves copies behind.
    let mut length = Length(0);
    serde_json::to_writer_pretty(&mut length, &list).map_err(cannot)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(length.0 + 1));
    serde_json::to_writer_pretty(&mut *plain, &list).map_err(cannot)?;
    plain.push(b'\n');
    Ok(plain)
}

/// Counts what is written, and forgets it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the plain text of a bundle. `file` is how messages call it; they quote no value.
pub fn from_plain(plain: &[u8], file: &str) -> Result<Bundle> {
    let invalid = |reason: &str| Failure::new(Kind::Unverified, format!("{file} was opened, and is not a bundle: {reason}"));
    let list: List =
        serde_json::from_slice(plain).map_err(|error| invalid(&format!("line {}, column {}", error.line(), error.column())))?;
    if list.bundle.version != FORMAT {
        return Err(invalid(&format!("its format has version {}; this gitops-bootstrap reads {FORMAT}", list.bundle.version))
            .hint("update gitops-bootstrap"));
    }
    if list.kind != "List" || list.items.len() != list.bundle.why.len() || list.items.iter().any(|item| item.kind != "Secret") {
        return Err(invalid("it is not a list of Secrets, each with its reason"));
    }
    let entry = |(item, why): (Item, Why)| Entry {
        object: Secret {
            namespace: item.metadata.namespace,
            name: item.metadata.name,
            kind: item.secret_type,
            labels: item.metadata.labels,
            annotations: item.metadata.annotations,
            immutable: item.immutable,
            data: item.data.into_iter().map(|(key, value)| (key, value.0)).collect(),
        },
        why,
    };
    Ok(Bundle {
        cluster: list.bundle.cluster,
        identity: list.bundle.identity,
        made: list.bundle.made,
        entries: list.items.into_iter().zip(list.bundle.why).map(entry).collect(),
    })
}

/// The index of a bundle. `sha256` is that of the encrypted bundle.
pub fn index(bundle: &Bundle, recipients: &[String], sha256: String) -> Index {
    let key = hash_key(bundle);
    let entry = |entry: &Entry| IndexEntry {
        namespace: entry.object.namespace.clone(),
        name: entry.object.name.clone(),
        kind: entry.object.kind.clone(),
        keys: entry.object.keys().map(str::to_owned).collect(),
        why: entry.why,
        hmac_sha256: key.as_ref().map(|key| content_hash(key, &entry.object)),
    };
    Index {
        version: FORMAT,
        cluster: bundle.cluster.clone(),
        identity: bundle.identity.clone(),
        made: bundle.made,
        sha256,
        recipients: recipients.to_vec(),
        entries: bundle.entries.iter().map(entry).collect(),
    }
}

/// The key of the index's hashes, from the key by which Argo CD signs its tokens: whoever has that one is administrator of Argo CD and needs to guess
/// nothing. It makes the same content have the same hash in every run, with no need to open the bundle.
fn hash_key(bundle: &Bundle) -> Option<Zeroizing<[u8; 32]>> {
    let secret = bundle.of(Why::ArgoCd).find_map(|entry| entry.object.value("server.secretkey")).filter(|key| key.len() >= KEY_LENGTH)?;
    let mut mac = <Hmac<Sha256>>::new_from_slice(secret).ok()?;
    mac.update(b"gitops-bootstrap bundle index v1");
    Some(Zeroizing::new(mac.finalize().into_bytes().into()))
}

/// The hash of what a Secret is for: its type, its values, and the labels by which controllers find it. Each part with its length, so that no two contents
/// give the same bytes.
fn content_hash(key: &[u8; 32], secret: &Secret) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    let mut part = |bytes: &[u8]| {
        mac.update(&(bytes.len() as u64).to_be_bytes());
        mac.update(bytes);
    };
    for text in [&secret.namespace, &secret.name, &secret.kind] {
        part(text.as_bytes());
    }
    part(&(secret.data.len() as u64).to_be_bytes());
    for (key, value) in secret.values() {
        part(key.as_bytes());
        part(value);
    }
    for (label, value) in secret.labels_of_controllers() {
        part(label.as_bytes());
        part(value.as_bytes());
    }
    hexadecimal(&mac.finalize().into_bytes())
}

/// Whether two Secrets are the same in what they are for.
pub fn same_content(one: &Secret, other: &Secret) -> bool {
    let key = [0; 32];
    content_hash(&key, one) == content_hash(&key, other)
}

/// SHA-256 of an encrypted bundle as its index has it.
pub fn sha256(file: &[u8]) -> String {
    hexadecimal(&Sha256::digest(file))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes an index. The same index gives the same bytes.
pub fn index_to_text(index: &Index) -> Result<String> {
    let value = serde_json::to_value(index).map_err(|error| Failure::bug("the index cannot be written").because(error))?;
    Ok(format!("{ABOUT}{}", yaml::to_text(&value)))
}

/// Reads an index. `file` is how messages call it.
pub fn index_from_text(text: &str, file: &str) -> Result<Index> {
    let again =
        || format!("write it anew: `gitops-bootstrap pack {}`", file.trim_start_matches("bundles/").trim_end_matches(".index.yaml"));
    let mut documents = yaml::parse_documents(text, file).map_err(|failure| failure.hint(again()))?;
    let (Some(document), true) = (documents.pop(), documents.is_empty()) else {
        return Err(Failure::repository(format!("{file}:1:1: an index is one document")).hint(again()));
    };
    let line = document.line;
    let index: Index = serde_json::from_value(document.value)
        .map_err(|error| Failure::repository(format!("{file}:{line}:1: not an index of a bundle")).because(error).hint(again()))?;
    if index.version != FORMAT {
        return Err(
            Failure::repository(format!("{file}: version {} of an index is not known", index.version)).hint("update gitops-bootstrap")
        );
    }
    Ok(index)
}
