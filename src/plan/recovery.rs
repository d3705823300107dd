//! What a recovery came to: the evidence, as plain values.

use crate::domain::{Commit, Fingerprint, Identity, RepositoryUrl};
use crate::error::Failure;

use super::StepId;

/// The version of the format of [`Recovery`] as JSON. Fields may be added within a version.
pub const FORMAT: u32 = 1;

/// What a recovery came to. No secret is in it.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The version of this format.
    pub format: u32,
    /// The tool's version.
    pub tool: &'static str,
    /// The cluster's name.
    pub cluster: String,
    /// How it ended.
    pub end: End,
    /// Why it is not complete; none if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When the run began (RFC 3339, UTC).
    pub began: String,
    /// How long it took, from the first look on, in milliseconds.
    pub milliseconds: u64,
    /// The fleet repository.
    pub repository: RepositoryUrl,
    /// The commit that the cluster was brought to.
    pub commit: Commit,
    /// Argo CD's version, as the commit has it.
    pub argocd_version: Option<String>,
    /// Where it was brought to.
    pub target: Target,
    /// The identity of the cluster that is gone, as far as something says it, such as the pin in gitops.yaml.
    pub old_identity: Option<String>,
    /// The deploy key.
    pub key: Option<KeyEvidence>,
    /// Keys of clusters of this name that are gone.
    pub stale_keys: Vec<StaleKey>,
    /// What was restored from the bundle, each as `Secret namespace/name`.
    pub restored: Vec<String>,
    /// The steps in their order.
    pub phases: Vec<Phase>,
    /// The Applications by name.
    pub applications: Vec<ApplicationEvidence>,
    /// How many syncs had to be asked for.
    pub kicks: usize,
    /// Objects that were left to Argo CD, each with the reason.
    pub skipped: Vec<String>,
    /// What cannot come back from Git.
    pub losses: Vec<Loss>,
    /// What a person has to do, in sentences.
    pub needs_person: Vec<String>,
}

/// How a recovery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Everything is Synced and Healthy.
    Converged,
    /// Everything is, but what waits for a time or a person, as Git itself says.
    Waiting,
    /// Something is missing.
    Incomplete,
}

/// The cluster that was recovered to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The kubeconfig's context.
    pub context: String,
    /// The address of the API server.
    pub server: String,
    /// The server's version.
    pub kubernetes: String,
    /// What tells it from other clusters.
    pub identity: Identity,
}

/// The deploy key that Argo CD uses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyEvidence {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whether it came from the bundle.
    pub restored: bool,
    /// Its number at the forge, if the forge was asked.
    pub id: Option<u64>,
    /// Its title there.
    pub title: Option<String>,
}

/// A deploy key of a cluster of the same name that is gone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaleKey {
    /// Its number at the forge.
    pub id: u64,
    /// Its title.
    pub title: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// When it was last used (RFC 3339), if the forge says so.
    pub last_used: Option<String>,
    /// Whether it was removed by this run.
    pub removed: bool,
}

/// A step and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// Which.
    pub step: StepId,
    /// `changed`, `in-place` or `failed`.
    pub outcome: &'static str,
    /// What came of it, in a few words.
    pub because: String,
    /// In milliseconds.
    pub milliseconds: u64,
}

/// An Application and how it came up.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationEvidence {
    /// Its name.
    pub name: String,
    /// The Application that it came from, if one.
    pub parent: Option<String>,
    /// How it stands, in a word.
    pub state: &'static str,
    /// Why it is not converged.
    pub cause: Option<String>,
    /// When it was first seen, in milliseconds from the beginning of the run.
    pub seen: Option<u64>,
    /// When it had converged, in milliseconds from the beginning of the run; none if it has not, or had before.
    pub converged: Option<u64>,
    /// How often a sync was asked for.
    pub kicks: u32,
}

/// Something that cannot come back from Git.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// What kind of thing.
    pub kind: LossKind,
    /// Which objects.
    pub what: String,
    /// What it means, and what to do.
    pub meaning: String,
    /// Where it is declared; empty if it is not.
    pub files: Vec<String>,
}

/// What kind of thing cannot come back from Git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Secrets in Git that no key at hand decrypts.
    Undecryptable,
    /// Secrets that are needed and made by nobody.
    MissingSecret,
    /// The content of volumes.
    Volume,
    /// The content of databases.
    Database,
    /// Certificates, which an issuer has to issue again.
    Certificate,
    /// Records in the DNS and addresses of load balancers.
    Address,
    /// Argo CD's own secrets: sessions, API tokens, webhooks.
    ArgoCd,
}

impl LossKind {
    /// The kind, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Undecryptable => "secrets that cannot be decrypted",
            Self::MissingSecret => "Secrets that nobody makes",
            Self::Volume => "volumes",
            Self::Database => "databases",
            Self::Certificate => "certificates",
            Self::Address => "addresses",
            Self::ArgoCd => "Argo CD's own secrets",
        }
    }
}

impl End {
    /// The end, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Converged => "everything is Synced and Healthy",
            Self::Waiting => "everything is up but what waits for a time or a person",
            Self::Incomplete => "not everything is up",
        }
    }
}
