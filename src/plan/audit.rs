//! What a live cluster has that neither Git nor the bundle would bring back.

mod argocd;
mod origin;
mod secrets;
mod strays;
#[cfg(test)]
mod tests;
mod volumes;

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::bundle::Index;
use crate::domain::tree::{Rendered, Tree};
use crate::domain::{Object, Resource};

use self::origin::Origin;
pub use self::secrets::{ArgoCdKeys, Trust};
pub use self::volumes::BACKUPS;

/// The annotation of a live object that may be lost: the reason, for the next person.
pub const EXPENDABLE: &str = "gitops-bootstrap.io/expendable";

/// The ConfigMaps with Argo CD's settings (docs/operator-manual/declarative-setup.md of Argo CD).
pub const SETTINGS: [&str; 7] = [
    "argocd-cm",
    "argocd-cmd-params-cm",
    "argocd-rbac-cm",
    "argocd-ssh-known-hosts-cm",
    "argocd-tls-certs-cm",
    "argocd-gpg-keys-cm",
    "argocd-notifications-cm",
];

/// The kinds without a namespace of which an object that somebody made by hand is missed, and the versions in which they are read.
pub const CLUSTER_WIDE: [(&str, &str); 9] = [
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("networking.k8s.io/v1", "IngressClass"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("cert-manager.io/v1", "ClusterIssuer"),
    ("external-secrets.io/v1", "ClusterSecretStore"),
];

/// What would be lost, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// Data that exists nowhere else, or that nothing decrypts any more.
    LostData,
    /// People, programs or clusters that do not get in any more.
    LostAccess,
    /// Something that runs now and would not.
    LostWorkload,
    /// Something that would run otherwise than now.
    LostSetting,
}

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// Something could not be looked at, so nothing is known of it.
    NotLookedAt,
    /// A volume that no backup covers.
    VolumeWithoutBackup,
    /// A Secret of the root of trust that the bundle has not.
    NotInBundle,
    /// A Secret of the root of trust that the bundle has otherwise.
    BundleOutOfDate,
    /// A Secret that nothing makes again.
    SecretNobodyMakes,
    /// A local account of Argo CD.
    LocalAccount,
    /// A token for Argo CD's API.
    ApiToken,
    /// A value that somebody put into Argo CD's own Secret.
    ArgoCdSecret,
    /// The secret by which a forge's webhook is told from others.
    Webhook,
    /// An ApplicationSet, Application or AppProject that Git has not.
    ApplicationByHand,
    /// An ApplicationSet, Application or AppProject that differs from Git.
    Override,
    /// A setting of Argo CD that Git has not, or has otherwise.
    ArgoCdSetting,
    /// A namespace that nothing makes.
    NamespaceByHand,
    /// An object that nothing makes.
    ObjectByHand,
}

/// Something that would not come back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    // The harm first: findings are ordered by it.
    /// What would be lost.
    pub harm: Harm,
    /// What kind of thing it is.
    pub concern: Concern,
    /// The object, as people name it: `ConfigMap shop/prices`.
    pub object: String,
    /// Why it would not come back. A lower-case fragment without a full stop; never a secret value.
    pub why: String,
    /// What to do about it.
    pub hint: String,
    /// Why it may be lost, where the object says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}

/// A kind that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The kind.
    pub resource: Resource,
    /// What the server said.
    pub why: String,
}

/// What was read of Git, of the bundle and of the cluster.
pub struct Evidence<'a> {
    /// The tree, as Git has it.
    pub tree: &'a Tree,
    /// All objects of the tree.
    pub declared: &'a [Rendered],
    /// The index of the bundle; none if there is no bundle.
    pub bundle: Option<&'a Index>,
    /// The live ApplicationSets, Applications and AppProjects, whole.
    pub applications: &'a [Object],
    /// The live ConfigMaps called as in [`SETTINGS`], whole.
    pub settings: &'a [Object],
    /// What is in Argo CD's own Secret, by name; none if it could not be read.
    pub argocd_secret: Option<ArgoCdKeys>,
    /// The live root of trust; none if it could not be read.
    pub trust: Option<&'a Trust>,
    /// The live Namespaces, by their metadata.
    pub namespaces: &'a [Object],
    /// All other live objects, by their metadata.
    pub objects: &'a [Object],
    /// The live objects of the kinds in [`BACKUPS`], whole.
    pub backups: &'a [Object],
    /// What could not be read.
    pub unseen: &'a [Unseen],
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// What would not come back, by harm.
    pub findings: Vec<Finding>,
    /// What would not come back either and may be lost, as the objects themselves say.
    pub allowed: Vec<Finding>,
}

impl Harm {
    /// All of them, the worst first.
    pub const ALL: [Self; 4] = [Self::LostData, Self::LostAccess, Self::LostWorkload, Self::LostSetting];

    /// What each finding takes from a score of 100, and the most that all findings of this harm take.
    pub const fn weight(self) -> (usize, usize) {
        match self {
            Self::LostData => (10, 40),
            Self::LostAccess => (5, 30),
            Self::LostWorkload => (2, 20),
            Self::LostSetting => (1, 10),
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::LostData => "lost data",
            Self::LostAccess => "lost access",
            Self::LostWorkload => "lost workload",
            Self::LostSetting => "lost setting",
        })
    }
}

impl Finding {
    /// Something that is about no object that could say that it may be lost.
    fn new(harm: Harm, concern: Concern, object: impl Into<String>, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { harm, concern, object: object.into(), why: why.into(), hint: hint.into(), allowed: None }
    }

    /// Something about a live object, which may say that it may be lost.
    fn about(harm: Harm, concern: Concern, object: &Object, why: impl Into<String>, hint: impl Into<String>) -> Self {
        let allowed = object.annotation(EXPENDABLE).map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned);
        Self { allowed, ..Self::new(harm, concern, object.reference().to_string(), why, hint) }
    }
}

impl Audit {
    /// How many findings there are of each harm.
    pub fn counts(&self) -> BTreeMap<Harm, usize> {
        let mut counts: BTreeMap<Harm, usize> = Harm::ALL.map(|harm| (harm, 0)).into();
        for finding in &self.findings {
            *counts.entry(finding.harm).or_default() += 1;
        }
        counts
    }

    /// How rebuildable the cluster is, from 0 to 100: each finding takes away its weight, and each harm no more than its most.
    pub fn score(&self) -> usize {
        let lost: usize = self
            .counts()
            .into_iter()
            .map(|(harm, count)| {
                let (each, most) = harm.weight();
                count.saturating_mul(each).min(most)
            })
            .sum();
        100_usize.saturating_sub(lost)
    }

    /// Whether a gate lets the cluster pass: with a score of at least `minimum`, or without one if no data would be lost.
    pub fn passes(&self, minimum: Option<usize>) -> bool {
        match minimum {
            Some(minimum) => self.score() >= minimum,
            None => !self.findings.iter().any(|finding| finding.harm == Harm::LostData),
        }
    }
}

/// Names all that neither Git nor the bundle would bring back.
pub fn audit(evidence: &Evidence<'_>) -> Audit {
    let origin = Origin::of(evidence);
    let mut found: Vec<Finding> = evidence.unseen.iter().map(not_looked_at).collect();
    found.extend(volumes::without_backup(evidence));
    found.extend(secrets::lost(evidence, &origin));
    found.extend(argocd::lost(evidence, &origin));
    found.extend(strays::lost(evidence, &origin));
    found.sort();
    let (allowed, findings) = found.into_iter().partition(|finding| finding.allowed.is_some());
    Audit { findings, allowed }
}

/// What could not be looked at may be as bad as the worst of its kind.
fn not_looked_at(unseen: &Unseen) -> Finding {
    let resource = &unseen.resource;
    let harm = match (resource.group(), resource.kind.as_str()) {
        ("", "PersistentVolumeClaim") => Harm::LostData,
        ("", "Secret") => Harm::LostAccess,
        _ if BACKUPS.iter().any(|(version, kind)| *resource == Resource::new(version, kind)) => Harm::LostData,
        _ => strays::harm(resource.group(), &resource.kind),
    };
    let name = match resource.group() {
        "" => format!("every {}", resource.kind),
        group => format!("every {} ({group})", resource.kind),
    };
    let hint = "let the account list them: docs/audit.md has the rights that an audit needs";
    Finding::new(harm, Concern::NotLookedAt, name, format!("could not be looked at: {}", unseen.why), hint)
}
