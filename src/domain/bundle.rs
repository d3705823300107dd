//! The bundle: the root of trust of one cluster, which cannot come from Git in clear; and its index, which is no secret.

use std::fmt;

use jiff::Timestamp;

use super::secret::Secret;
use super::{ClusterName, Identity, ObjectRef, RepositoryUrl};

/// The root of trust of one cluster. What is secret in it cannot be printed.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The cluster whose it is.
    pub cluster: ClusterName,
    /// What told that cluster from others when the bundle was made.
    pub identity: Identity,
    /// When it was made.
    pub made: Timestamp,
    /// The Secrets, sorted by namespace and name, each once.
    pub entries: Vec<Entry>,
}

/// A Secret of the root of trust.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The Secret.
    pub object: Secret,
    /// Why it is in the bundle.
    pub why: Why,
}

/// Why a Secret is part of the root of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// By it Argo CD gets into a repository.
    Repository,
    /// By it Argo CD gets into all repositories below an address.
    RepositoryCredentials,
    /// By it Argo CD gets into another cluster, or calls this one by its name.
    Cluster,
    /// By it ApplicationSets ask a forge.
    ForgeCredentials,
    /// Argo CD's own: the key that signs its tokens, the administrator's password, webhook secrets.
    ArgoCd,
    /// A setting of Argo CD takes a value from it (`$name:key` in `argocd-cm`).
    ArgoCdSetting,
    /// By it the Sealed Secrets controller decrypts.
    SealingKey,
    /// By it SOPS files are decrypted.
    SopsKey,
    /// By it External Secrets gets into its store.
    ExternalSecrets,
    /// A certificate with its key, asked for by `rootOfTrust.tls`.
    Tls,
    /// An account at a certificate authority, asked for by `rootOfTrust.acme`.
    AcmeAccount,
    /// It is named in `rootOfTrust.secrets`.
    Named,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Repository,
        Self::RepositoryCredentials,
        Self::Cluster,
        Self::ForgeCredentials,
        Self::ArgoCd,
        Self::ArgoCdSetting,
        Self::SealingKey,
        Self::SopsKey,
        Self::ExternalSecrets,
        Self::Tls,
        Self::AcmeAccount,
        Self::Named,
    ];

    /// The name in the index.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::RepositoryCredentials => "repository-credentials",
            Self::Cluster => "cluster",
            Self::ForgeCredentials => "forge-credentials",
            Self::ArgoCd => "argo-cd",
            Self::ArgoCdSetting => "argo-cd-setting",
            Self::SealingKey => "sealing-key",
            Self::SopsKey => "sops-key",
            Self::ExternalSecrets => "external-secrets",
            Self::Tls => "tls",
            Self::AcmeAccount => "acme-account",
            Self::Named => "named",
        }
    }

    /// The reason, for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Repository => "Argo CD's access to a repository",
            Self::RepositoryCredentials => "Argo CD's access to repositories",
            Self::Cluster => "Argo CD's access to a cluster",
            Self::ForgeCredentials => "Argo CD's access to a forge's API",
            Self::ArgoCd => "Argo CD's signing key, password and webhook secrets",
            Self::ArgoCdSetting => "a setting of Argo CD takes a value from it",
            Self::SealingKey => "decrypts SealedSecrets",
            Self::SopsKey => "decrypts SOPS files",
            Self::ExternalSecrets => "External Secrets' access to its store",
            Self::Tls => "certificate and key (rootOfTrust.tls)",
            Self::AcmeAccount => "account at a certificate authority (rootOfTrust.acme)",
            Self::Named => "named in rootOfTrust.secrets",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl Bundle {
    /// The entry that lets Argo CD into a repository by an SSH key, if there is one.
    pub fn deploy_key_for(&self, repository: &RepositoryUrl) -> Option<&Entry> {
        self.access_to(repository).filter(|entry| entry.object.text("sshPrivateKey").is_some_and(|key| !key.trim().is_empty()))
    }

    /// The entry that lets Argo CD into a repository, if there is one: the repository Secret for the address (as Argo CD compares addresses) that
    /// serves all projects.
    pub fn access_to(&self, repository: &RepositoryUrl) -> Option<&Entry> {
        let wanted = repository.normalised();
        self.entries.iter().find(|entry| {
            let secret = &entry.object;
            let url = || secret.text("url").and_then(|url| url.parse::<RepositoryUrl>().ok());
            entry.why == Why::Repository
                && secret.labels.get("argocd.argoproj.io/secret-type").is_some_and(|kind| kind == "repository")
                && url().is_some_and(|url| url.normalised() == wanted)
                && secret.text("project").is_none_or(str::is_empty)
        })
    }

    /// The entries that are in for a reason.
    pub fn of(&self, why: Why) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.why == why)
    }
}

/// What is readable beside a bundle: it names all and tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    /// The version of this format.
    pub version: u32,
    /// The cluster whose bundle it is.
    pub cluster: ClusterName,
    /// What told that cluster from others when the bundle was made.
    pub identity: Identity,
    /// When the bundle was made.
    pub made: Timestamp,
    /// SHA-256 of the encrypted bundle, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Who can open the bundle: age recipients, or the one word `passphrase`.
    pub recipients: Vec<String>,
    /// The Secrets.
    pub entries: Vec<IndexEntry>,
}

/// What an index tells of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IndexEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its type, as in `Opaque`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The names of its values.
    pub keys: Vec<String>,
    /// Why it is in the bundle.
    pub why: Why,
    /// HMAC-SHA-256 of its content, in lower-case hexadecimal digits, under a key that only the cluster and the bundle have; absent where there is no such key.
    /// A plain hash would let everybody who reads the repository try passwords against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_sha256: Option<String>,
}

impl IndexEntry {
    /// Which object this is.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::namespaced("v1", "Secret", &self.namespace, &self.name)
    }
}
