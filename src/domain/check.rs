//! A check of `doctor`: what was looked at, what came of it, and what to do about it.

use std::fmt;

use super::ClusterName;

/// What is checked. The names are part of the JSON format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckId {
    /// The program `git`.
    Git,
    /// The program `ssh`.
    Ssh,
    /// The program `helm`.
    Helm,
    /// The program `kustomize`.
    Kustomize,
    /// The Go toolchain.
    Go,
    /// This machine's clock.
    Clock,
    /// The proxies of the environment, and who is reached by them.
    Proxy,
    /// gitops.yaml.
    Declaration,
    /// What `lint` finds.
    Lint,
    /// The pinned host keys against those that the forge says it has.
    HostKeys,
    /// The SSH server: whether it answers, and shows a pinned key.
    SshServer,
    /// The token: where it comes from, and whether the forge takes it.
    Token,
    /// What the token may do with the repository.
    TokenRights,
    /// When the token ends.
    TokenExpiry,
    /// Whether the owner of the repository allows deploy keys.
    DeployKeysAllowed,
    /// How many requests the forge still takes.
    RateLimit,
    /// The cluster's tree in the commit that is checked out.
    Tree,
    /// The clone against what the remote serves.
    Clone,
    /// The kubeconfig and its context.
    Context,
    /// The API server: whether it answers, and its version.
    Server,
    /// Whether the cluster is the one that bears the name.
    Identity,
    /// The account's rights in the cluster.
    Rights,
    /// Argo CD's workloads and version.
    ArgoCd,
    /// Half-deleted Applications, and whose the root is.
    Applications,
    /// The deploy key: in the cluster, and registered at the forge.
    DeployKey,
    /// The proof that the deploy key opens the repository.
    KeyProof,
    /// The bundle: whether there is one, and whether it is what the cluster has.
    Bundle,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// The machine that this runs on.
    Machine,
    /// The fleet repository.
    Repository,
    /// The forge that hosts it.
    Forge,
    /// One cluster.
    Cluster,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// It is as it should be.
    Well,
    /// It works, and a person should know something.
    Warning,
    /// A run would be refused, or would fail.
    Wrong,
    /// It could not be looked at, or there is nothing to look at yet.
    NotChecked,
}

/// A check that was made, or that could not be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was checked.
    pub check: CheckId,
    /// What it is about.
    pub area: Area,
    /// The cluster, for a check of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// What came of it.
    pub result: CheckResult,
    /// What was found, or why nothing was looked at. A lower-case fragment without a full stop.
    pub evidence: String,
    /// What to do about it; empty where there is nothing to do.
    pub hints: Vec<String>,
}

impl CheckId {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 27] = [
        Self::Git,
        Self::Ssh,
        Self::Helm,
        Self::Kustomize,
        Self::Go,
        Self::Clock,
        Self::Proxy,
        Self::Declaration,
        Self::Lint,
        Self::HostKeys,
        Self::SshServer,
        Self::Token,
        Self::TokenRights,
        Self::TokenExpiry,
        Self::DeployKeysAllowed,
        Self::RateLimit,
        Self::Tree,
        Self::Clone,
        Self::Context,
        Self::Server,
        Self::Identity,
        Self::Rights,
        Self::ArgoCd,
        Self::Applications,
        Self::DeployKey,
        Self::KeyProof,
        Self::Bundle,
    ];

    /// The name that people and programs see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Ssh => "ssh",
            Self::Helm => "helm",
            Self::Kustomize => "kustomize",
            Self::Go => "go",
            Self::Clock => "clock",
            Self::Proxy => "proxy",
            Self::Declaration => "declaration",
            Self::Lint => "lint",
            Self::HostKeys => "host-keys",
            Self::SshServer => "ssh-server",
            Self::Token => "token",
            Self::TokenRights => "token-rights",
            Self::TokenExpiry => "token-expiry",
            Self::DeployKeysAllowed => "keys-allowed",
            Self::RateLimit => "rate-limit",
            Self::Tree => "tree",
            Self::Clone => "clone",
            Self::Context => "context",
            Self::Server => "server",
            Self::Identity => "identity",
            Self::Rights => "rights",
            Self::ArgoCd => "argo-cd",
            Self::Applications => "applications",
            Self::DeployKey => "deploy-key",
            Self::KeyProof => "key-proof",
            Self::Bundle => "bundle",
        }
    }

    /// What it is about.
    pub const fn area(self) -> Area {
        match self {
            Self::Git | Self::Ssh | Self::Helm | Self::Kustomize | Self::Go | Self::Clock | Self::Proxy => Area::Machine,
            Self::Declaration | Self::Lint => Area::Repository,
            Self::HostKeys
            | Self::SshServer
            | Self::Token
            | Self::TokenRights
            | Self::TokenExpiry
            | Self::DeployKeysAllowed
            | Self::RateLimit => Area::Forge,
            Self::Tree
            | Self::Clone
            | Self::Context
            | Self::Server
            | Self::Identity
            | Self::Rights
            | Self::ArgoCd
            | Self::Applications
            | Self::DeployKey
            | Self::KeyProof
            | Self::Bundle => Area::Cluster,
        }
    }

    /// Those that are made once for a run (`false`), or once for each cluster (`true`).
    pub fn of_clusters(clusters: bool) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |check| (check.area() == Area::Cluster) == clusters)
    }
}

impl serde::Serialize for CheckId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl CheckResult {
    /// The word for people: no result is told by a colour alone.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
            Self::NotChecked => "not checked",
        }
    }
}

impl Check {
    fn new(check: CheckId, result: CheckResult, evidence: impl Into<String>) -> Self {
        Self { check, area: check.area(), cluster: None, result, evidence: evidence.into(), hints: Vec::new() }
    }

    /// A check that found what should be.
    pub fn well(check: CheckId, evidence: impl Into<String>) -> Self {
        Self::new(check, CheckResult::Well, evidence)
    }

    /// A check that found something to know.
    pub fn warning(check: CheckId, evidence: impl Into<String>) -> Self {
        Self::new(check, CheckResult::Warning, evidence)
    }

    /// A check that found something wrong.
    pub fn wrong(check: CheckId, evidence: impl Into<String>) -> Self {
        Self::new(check, CheckResult::Wrong, evidence)
    }

    /// A check that was not made; `because` completes the sentence "not checked, because ...".
    pub fn not_checked(check: CheckId, because: impl fmt::Display) -> Self {
        Self::new(check, CheckResult::NotChecked, format!("because {because}"))
    }

    /// The same with something to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same, of one cluster.
    #[must_use]
    pub fn of(mut self, cluster: &ClusterName) -> Self {
        self.cluster = Some(cluster.clone());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_comes_in_the_order_of_its_area() {
        let names: std::collections::BTreeSet<&str> = CheckId::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), CheckId::ALL.len());
        assert!(CheckId::ALL.is_sorted() && CheckId::ALL.is_sorted_by_key(|check| check.area()));
    }

    #[test]
    fn every_check_is_documented() {
        let documented = include_str!("../../docs/doctor.md");
        let missing: Vec<&str> =
            CheckId::ALL.iter().map(|check| check.name()).filter(|name| !documented.contains(&format!("| `{name}` |"))).collect();
        assert_eq!(missing, [] as [&str; 0]);
    }
}
