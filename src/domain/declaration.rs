//! The declaration of a fleet: the content of `gitops.yaml`.

use std::collections::BTreeMap;

use super::loopback::is_loopback;
use super::secret::SecretName;
use super::{ClusterName, DeclaredApp, Gate, Identity, RepositoryPath, RepositoryUrl, Rule, WebhookUrl};

/// The version of the format that is read and written here.
pub const FORMAT: u32 = 1;

/// The oldest minor release of Argo CD that is installed: `retry.refresh`, without which a newer commit would wait for the retries of an
/// older one for ever, came with 3.2 (its resource definition of `Application`).
const OLDEST_ARGOCD: (u32, u32) = (3, 2);

/// The content of `gitops.yaml`. Made by `manifest::declaration::parse`, which checks it strictly.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Declaration {
    /// The version of this format.
    pub version: u32,
    /// The fleet repository.
    pub repository: Repository,
    /// Argo CD as it is installed.
    pub argocd: ArgoCd,
    /// The clusters, by name.
    pub clusters: BTreeMap<ClusterName, Cluster>,
    /// The age recipients (X25519 or ssh-ed25519) for which bundles are encrypted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// What belongs into the bundles beyond what is found by itself.
    #[serde(skip_serializing_if = "RootOfTrust::is_empty")]
    pub root_of_trust: RootOfTrust,
    /// How a cluster is recovered.
    #[serde(skip_serializing_if = "Recovery::is_default")]
    pub recovery: Recovery,
    /// How a drill is carried out.
    #[serde(skip_serializing_if = "Drill::is_default")]
    pub drill: Drill,
    /// What `lint` lets pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
}

/// How a drill is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    /// Folders of the repository with stages that stand in for controllers that cannot run in a sandbox.
    pub stand_ins: Vec<RepositoryPath>,
}

impl Drill {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What belongs into the bundles beyond what is found by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RootOfTrust {
    /// Secrets by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// Secrets with the age keys by which SOPS files are decrypted, where they are not in Argo CD's namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sops_keys: Vec<SecretName>,
    /// Whether certificates with their keys are in (type `kubernetes.io/tls`).
    pub tls: bool,
    /// Whether the accounts at certificate authorities are in, with the other Secrets that cert-manager's ACME issuers name.
    pub acme: bool,
}

impl RootOfTrust {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a cluster is recovered.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// What holds the services back, beside the health of the infrastructure.
    pub gates: Vec<Gate>,
}

impl Recovery {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// An exception from a rule of `lint`: an entry of `lint.allow`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Allow {
    /// The rule that is not to fire.
    pub rule: Rule,
    /// The files in which it is not to fire: a path in which `*` stands for any characters but `/`, and `**` for any at all.
    pub path: String,
    /// Why that is right, for the next person.
    pub reason: String,
    /// The line of `gitops.yaml` on which the exception stands.
    #[serde(skip)]
    pub line: u64,
    /// The column of that line.
    #[serde(skip)]
    pub column: u64,
}

/// Where the fleet repository is, and how it is laid out.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repository {
    /// The address from which Argo CD fetches.
    pub url: RepositoryUrl,
    /// The branch that the clusters follow.
    pub branch: String,
    /// The base address of the forge's REST API, for GitHub Enterprise; found from the address's host if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The GitHub App by which Argo CD gets in; a deploy key if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github_app: Option<DeclaredApp>,
    /// The client id of the OAuth app, or GitHub App, by which people log in to the forge with their browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_client_id: Option<String>,
    /// Host keys beyond those compiled in, as lines of a known-hosts file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_hosts: Vec<String>,
    /// The folder with what people write.
    pub source: RepositoryPath,
    /// The folder with what the clusters get.
    pub rendered: RepositoryPath,
}

/// Argo CD as it is installed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArgoCd {
    /// The release, as in `v3.5.7`.
    pub version: String,
    /// Which of the release's manifests.
    pub flavour: Flavour,
    /// SHA-256 of that manifest, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Which of Argo CD's install manifests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// `manifests/install.yaml`.
    #[default]
    Standard,
    /// `manifests/ha/install.yaml`, which needs three nodes.
    HighAvailability,
}

/// One cluster of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The only cluster that may bear this name, if it is pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Where the forge tells Argo CD of a push, if it is to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookUrl>,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Standard, Self::HighAvailability];

    /// The name in `gitops.yaml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::HighAvailability => "high-availability",
        }
    }

    /// The manifest's path in Argo CD's repository.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Standard => "manifests/install.yaml",
            Self::HighAvailability => "manifests/ha/install.yaml",
        }
    }
}

/// The branch if none is named.
pub fn default_branch() -> String {
    "main".to_owned()
}

/// The folder with what people write if none is named.
pub fn default_source() -> RepositoryPath {
    "src".parse().unwrap_or_else(|_| unreachable!("a constant"))
}

/// The folder with what the clusters get if none is named.
pub fn default_rendered() -> RepositoryPath {
    "rendered".parse().unwrap_or_else(|_| unreachable!("a constant"))
}

/// What keeps a text from being the name of a branch, if anything (git-check-ref-format(1)).
pub fn branch_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 255 {
        return Some("it is empty or longer than 255 bytes");
    }
    if name.starts_with('-') {
        return Some("it starts with `-`");
    }
    if name.contains("..") || name.contains("@{") || name == "@" {
        return Some("it has `..` or `@{` in it, or is `@`");
    }
    if name.chars().any(|character| character.is_control() || character.is_whitespace() || "~^:?*[\\".contains(character)) {
        return Some("it has a blank, a control character or one of `~^:?*[\\` in it");
    }
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with('.') || part.ends_with(".lock");
    name.split('/').any(bad_part).then_some("a part of it is empty, starts or ends with `.`, or ends with `.lock`")
}

/// What keeps a text from being a release of Argo CD, if anything: it is `vMAJOR.MINOR.PATCH`, with `-rc1` or the like where it is not final.
pub fn release_fault(version: &str) -> Option<&'static str> {
    let number = |text: &str| !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    let suffix = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let valid = version.strip_prefix('v').is_some_and(|rest| {
        let (release, pre) = rest.split_once('-').map_or((rest, None), |(release, pre)| (release, Some(pre)));
        release.split('.').count() == 3 && release.split('.').all(number) && pre.is_none_or(suffix)
    });
    if !valid {
        return Some("is not a release of Argo CD; write it as in `v3.5.7`");
    }
    let mut numbers = version.trim_start_matches('v').split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let minor = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    (minor < OLDEST_ARGOCD).then_some("is older than v3.2.0, the first release with all that the rendered Applications use")
}

/// What keeps a text from being the client id of an OAuth app, if anything. A secret of the app is longer than that.
pub fn client_id_fault(text: &str) -> Option<&'static str> {
    let valid = (8..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    (!valid).then_some("is not the client id of an OAuth app; write it as in `Iv23li...`")
}

/// What is wrong with the base address of a forge's API, if anything: it takes tokens, so it must be HTTPS unless it is on this machine.
pub fn api_fault(text: &str) -> Option<&'static str> {
    let Ok(url) = url::Url::parse(text) else { return Some("is not an address") };
    if !url.username().is_empty() || url.password().is_some() {
        return Some("has a user name or a password in it");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Some("has a query or a fragment");
    }
    if url.host().is_none() {
        return Some("has no host");
    }
    match url.scheme() {
        "https" => None,
        "http" if is_loopback(&url) => None,
        _ => Some("must start with `https://`, since tokens are sent to it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_what_git_takes_and_never_an_option() {
        for good in ["main", "release/1.2", "feature-x", "ä"] {
            assert_eq!(branch_fault(good), None, "{good}");
        }
        for bad in ["", "-x", "a..b", "a b", "a/", "/a", "a//b", ".a", "a.lock", "a/.b", "a@{1", "@", "a~1", "a\nb", &"a".repeat(256)] {
            assert!(branch_fault(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn tokens_are_sent_to_https_or_to_this_machine_only() {
        for good in ["https://github.acme.com/api/v3", "http://127.0.0.1:3000/api/v3", "http://localhost/", "http://[::1]:80"] {
            assert_eq!(api_fault(good), None, "{good}");
        }
        for bad in ["", "github.com", "http://github.acme.com", "https://u:p@h", "https://h/?a=b", "ftp://h", "http://127.0.0.1.evil.com"] {
            assert!(api_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_release_has_three_numbers() {
        for good in ["v3.5.7", "v3.6.0-rc1"] {
            assert_eq!(release_fault(good), None, "{good}");
        }
        for bad in ["3.5.7", "v3.5", "v3.5.7/../x", "stable", "v3.5.x", "v3.5.7-", "v3.5.7-a/b", "v3.1.9", "v2.14.0"] {
            assert!(release_fault(bad).is_some(), "{bad}");
        }
    }
}
