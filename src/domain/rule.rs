//! The rules that a fleet repository is checked against, and their names. What each looks for is in `lint::rules`.

use std::fmt;
use std::str::FromStr;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It will fail, lose data, or give away the cluster.
    Error,
    /// It works today and will hurt some day.
    Warning,
}

impl Severity {
    /// The name that people and programs read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A rule. Its name is part of the contract: people write it into their repositories to allow what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A private key, a token, a kubeconfig or a Secret that everyone who can read the repository can read.
    SecretInClear,
    /// A rendered file that is not a Kubernetes object.
    InvalidManifest,
    /// A tree that has no root, two, or one that follows something else.
    Root,
    /// An Application of a project that no file declares.
    MissingProject,
    /// An Application whose path, revision or repository cannot be there.
    MissingSource,
    /// An Application that takes from a repository which its project does not permit.
    SourceNotPermitted,
    /// A repository for which Argo CD has no credential.
    RepositoryWithoutCredential,
    /// A custom resource whose definition is nowhere in the tree.
    CustomResourceWithoutDefinition,
    /// A custom resource whose definition comes in a later wave.
    DefinitionTooLate,
    /// An object that is too large for the annotation of a client-side apply.
    LargeObject,
    /// A namespace that nobody makes.
    NamespaceNobodyMakes,
    /// A Secret that a workload needs and nobody makes.
    SecretNobodyMakes,
    /// Two Applications, or two files of one, that hold the same object.
    ObjectTwice,
    /// Waves between Applications, which do not wait without the health rule.
    WavesDoNotWait,
    /// An Application that is never synced by itself.
    NoAutomatedSync,
    /// An Application that gives up before a recovery is over.
    RetryGivesUp,
    /// An Application that leaves behind what was removed from Git.
    NoPrune,
    /// An Application that lets changes by hand stay.
    NoSelfHeal,
    /// A root app-of-apps, or a namespace of Argo CD, that a commit can delete.
    RootNotProtected,
    /// A resource definition that a commit can delete, with everything of its kind.
    DefinitionNotProtected,
    /// An `ApplicationSet` that deletes its Applications and what they run when its list becomes empty.
    ApplicationSetDeletes,
    /// A revision that means something else tomorrow.
    MutableRevision,
    /// An image that means something else tomorrow.
    MutableImage,
    /// An Application of the project `default`.
    DefaultProject,
    /// A project that allows everything.
    ProjectAllowsAll,
    /// A project of services that can write to Argo CD's namespace.
    ServicesWriteArgocd,
    /// An install manifest of Argo CD that is not the pinned one.
    ArgocdNotPinned,
    /// Rendered files that are not what the sources render to.
    StaleRendering,
    /// A tree that a bootstrap refuses for a reason that no other rule names.
    Refused,
    /// An exception that excuses nothing.
    UnusedAllow,
}

/// What is said of a rule wherever it is listed.
struct About {
    id: &'static str,
    title: &'static str,
    severity: Severity,
    boot: bool,
}

impl Rule {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 30] = [
        Self::SecretInClear,
        Self::InvalidManifest,
        Self::Root,
        Self::MissingProject,
        Self::MissingSource,
        Self::SourceNotPermitted,
        Self::RepositoryWithoutCredential,
        Self::CustomResourceWithoutDefinition,
        Self::DefinitionTooLate,
        Self::LargeObject,
        Self::NamespaceNobodyMakes,
        Self::SecretNobodyMakes,
        Self::ObjectTwice,
        Self::WavesDoNotWait,
        Self::NoAutomatedSync,
        Self::RetryGivesUp,
        Self::NoPrune,
        Self::NoSelfHeal,
        Self::RootNotProtected,
        Self::DefinitionNotProtected,
        Self::ApplicationSetDeletes,
        Self::MutableRevision,
        Self::MutableImage,
        Self::DefaultProject,
        Self::ProjectAllowsAll,
        Self::ServicesWriteArgocd,
        Self::ArgocdNotPinned,
        Self::StaleRendering,
        Self::Refused,
        Self::UnusedAllow,
    ];

    const fn about(self) -> About {
        use Severity::{Error, Warning};
        let (id, title, severity, boot) = match self {
            Self::SecretInClear => ("secret-in-clear", "Secret material is committed in clear", Error, false),
            Self::InvalidManifest => ("invalid-manifest", "A rendered file is not a Kubernetes object", Error, true),
            Self::Root => ("root", "The tree has not exactly one root that follows this repository", Error, true),
            Self::MissingProject => ("missing-project", "An Application is of a project that no file declares", Error, true),
            Self::MissingSource => ("missing-source", "An Application takes what is not there", Error, true),
            Self::SourceNotPermitted => ("source-not-permitted", "A project does not permit the repository of an Application", Error, true),
            Self::RepositoryWithoutCredential => {
                ("repository-without-credential", "Argo CD has no credential for a repository", Warning, true)
            }
            Self::CustomResourceWithoutDefinition => {
                ("custom-resource-without-definition", "Nothing in the tree defines the kind of a custom resource", Error, true)
            }
            Self::DefinitionTooLate => ("definition-too-late", "A custom resource comes before its definition", Error, true),
            Self::LargeObject => ("large-object", "An object is too large to be applied on the client's side", Error, true),
            Self::NamespaceNobodyMakes => ("namespace-nobody-makes", "A namespace is used that nobody makes", Error, true),
            Self::SecretNobodyMakes => ("secret-nobody-makes", "A Secret is needed that nobody makes", Warning, true),
            Self::ObjectTwice => ("object-twice", "One object is in two places of the tree", Error, false),
            Self::WavesDoNotWait => ("waves-do-not-wait", "Waves between Applications do not wait for their health", Error, true),
            Self::NoAutomatedSync => ("no-automated-sync", "An Application is never synced by itself", Error, true),
            Self::RetryGivesUp => ("retry-gives-up", "An Application gives up before a recovery is over", Warning, true),
            Self::NoPrune => ("no-prune", "What is removed from Git stays in the cluster", Warning, false),
            Self::NoSelfHeal => ("no-self-heal", "Changes by hand stay in the cluster", Warning, false),
            Self::RootNotProtected => {
                ("root-not-protected", "A commit can delete the root app-of-apps or Argo CD's namespace", Error, false)
            }
            Self::DefinitionNotProtected => {
                ("definition-not-protected", "A commit can delete a resource definition and all of its kind", Warning, false)
            }
            Self::ApplicationSetDeletes => {
                ("applicationset-deletes", "An ApplicationSet deletes everything when its list becomes empty", Error, false)
            }
            Self::MutableRevision => ("mutable-revision", "A revision means something else tomorrow", Warning, false),
            Self::MutableImage => ("mutable-image", "An image means something else tomorrow", Warning, false),
            Self::DefaultProject => ("default-project", "An Application is of the project `default`", Warning, false),
            Self::ProjectAllowsAll => ("project-allows-all", "A project allows everything", Warning, false),
            Self::ServicesWriteArgocd => ("services-write-argocd", "Services can write to Argo CD's namespace", Error, false),
            Self::ArgocdNotPinned => ("argocd-not-pinned", "Argo CD's manifest is not the pinned one", Error, true),
            Self::StaleRendering => ("stale-rendering", "A rendered file is not what the sources render to", Error, false),
            Self::Refused => ("refused", "A bootstrap refuses the tree", Error, true),
            Self::UnusedAllow => ("unused-allow", "An exception excuses nothing", Warning, false),
        };
        About { id, title, severity, boot }
    }

    /// The name, as in `no-prune`.
    pub const fn id(self) -> &'static str {
        self.about().id
    }

    /// What is wrong where it fires, in a line.
    pub const fn title(self) -> &'static str {
        self.about().title
    }

    /// How much what it finds weighs.
    pub const fn severity(self) -> Severity {
        self.about().severity
    }

    /// Whether what it finds can keep a cluster from becoming healthy when everything starts from nothing.
    pub const fn concerns_boot(self) -> bool {
        self.about().boot
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

/// A text that is not the name of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule has this name")]
pub struct UnknownRule;

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|rule| rule.id() == text).ok_or(UnknownRule)
    }
}

impl serde::Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_name_which_reads_back() {
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule.id().parse(), Ok(rule));
            assert_eq!(rule as usize, index, "{rule} is listed once, in order");
            assert!(rule.id().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{rule}");
        }
    }
}
