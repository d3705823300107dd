//! Secrets that nothing makes again, and what is in the root of trust and not in the bundle.

use std::collections::{BTreeMap, BTreeSet};

use super::origin::Origin;
use super::{Concern, Evidence, Finding, Harm};
use crate::domain::bundle::{Index, IndexEntry, Why};
use crate::domain::secret::{Secret, SecretName};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef};
use crate::plan::packing::{Drift, drift};

/// Argo CD's own Secret.
const ARGOCD_SECRET: &str = "argocd-secret";

/// What Argo CD makes itself, and makes again (`util/settings/settings.go` of Argo CD). The password of `admin` is another one then.
const MADE_BY_ARGOCD: [&str; 5] = ["server.secretkey", "admin.password", "admin.passwordMtime", "tls.crt", "tls.key"];

/// Secrets that Argo CD makes when it first runs.
const MADE_AT_RUN_TIME: [&str; 2] = ["argocd-initial-admin-secret", "argocd-redis"];

/// The live root of trust, as an index: no secret is in it.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The index of the bundle that would be made now.
    pub index: Index,
    /// Those of its Secrets that this tool made, and makes again.
    pub own: BTreeSet<SecretName>,
}

/// What is in Argo CD's own Secret, as names and numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgoCdKeys {
    /// The names of the values that are not empty.
    keys: BTreeSet<String>,
    /// How many API tokens each account has.
    tokens: BTreeMap<String, usize>,
}

impl ArgoCdKeys {
    /// Reads the names in Argo CD's own Secret. None of its values is kept.
    pub fn read(secret: &Secret) -> Self {
        let mut found = Self::default();
        for (key, value) in secret.values() {
            match account_of(key, "tokens") {
                Some(account) => {
                    // A list of `{id, iat, exp}` (`util/settings/accounts.go` of Argo CD); the tokens themselves are nowhere.
                    let tokens = serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(value).map_or(1, |tokens| tokens.len());
                    if tokens > 0 && !value.is_empty() {
                        found.tokens.insert(account.to_owned(), tokens);
                    }
                }
                None if value.is_empty() => {}
                None => drop(found.keys.insert(key.to_owned())),
            }
        }
        found
    }
}

/// The account that `accounts.NAME.WHAT`, or `admin.WHAT`, is about.
fn account_of<'a>(key: &'a str, what: &str) -> Option<&'a str> {
    let account = key.strip_suffix(what)?.strip_suffix('.')?;
    match account.strip_prefix("accounts.") {
        Some(account) => Some(account),
        None => Some(account).filter(|account| *account == "admin"),
    }
}

/// What of the Secrets would not come back.
pub(super) fn lost(evidence: &Evidence<'_>, origin: &Origin<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut told: BTreeSet<SecretName> = BTreeSet::new();
    if let Some(trust) = evidence.trust {
        let drift = evidence.bundle.map(|bundle| drift(bundle, &trust.index));
        told.extend(trust.index.entries.iter().map(name_of));
        found.extend(not_in_bundle(evidence, trust, drift.as_ref(), origin));
    }
    let bundled: BTreeSet<SecretName> = evidence.bundle.into_iter().flat_map(|bundle| &bundle.entries).map(name_of).collect();
    found.extend(evidence.argocd_secret.iter().flat_map(|keys| argocd_secret(keys, evidence, origin)));
    found.extend(evidence.objects.iter().filter(|object| object.kind() == "Secret" && object.resource().group().is_empty()).filter_map(
        |secret| {
            let name = SecretName::new(secret.namespace().unwrap_or_default(), secret.name());
            let is_argocds =
                name.namespace == ARGOCD_NAMESPACE && (MADE_AT_RUN_TIME.contains(&secret.name()) || secret.name() == ARGOCD_SECRET);
            let comes_back =
                is_argocds || told.contains(&name) || bundled.contains(&name) || origin.comes_back(secret) || origin.makes_secret(secret);
            (!comes_back && !origin.is_left_out(&name.namespace)).then(|| nobody_makes(secret, evidence))
        },
    ));
    found
}

fn name_of(entry: &IndexEntry) -> SecretName {
    SecretName::new(&entry.namespace, &entry.name)
}

fn nobody_makes(secret: &Object, evidence: &Evidence<'_>) -> Finding {
    let why = "is neither in Git nor in the bundle, and no controller makes it";
    let hint = format!(
        "name it under `rootOfTrust.secrets` in gitops.yaml and pack: gitops-bootstrap pack {}; or put it into Git, sealed",
        evidence.tree.cluster
    );
    Finding::about(Harm::LostAccess, Concern::SecretNobodyMakes, secret, why, hint)
}

/// The Secrets of the root of trust that the bundle has not, or has otherwise.
fn not_in_bundle(evidence: &Evidence<'_>, trust: &Trust, drift: Option<&Drift>, origin: &Origin<'_>) -> Vec<Finding> {
    let pack = format!("pack, and commit what it writes: gitops-bootstrap pack {}", evidence.tree.cluster);
    let is_changed = |name: &SecretName| drift.is_some_and(|drift| drift.changed.contains(name));
    let is_missing = |name: &SecretName| drift.is_none_or(|drift| drift.missing.contains(name));
    let live: BTreeMap<SecretName, &Object> = evidence
        .objects
        .iter()
        .filter(|object| object.kind() == "Secret")
        .map(|secret| (SecretName::new(secret.namespace().unwrap_or_default(), secret.name()), secret))
        .collect();
    let finding = |name: &SecretName, harm, concern, why: &str| match live.get(name) {
        Some(secret) => Finding::about(harm, concern, secret, why, pack.as_str()),
        None => Finding::new(harm, concern, name.reference().to_string(), why, pack.as_str()),
    };
    let entries = trust.index.entries.iter().map(|entry| (name_of(entry), entry.why));
    // Argo CD's own Secret is looked at value by value.
    let entries = entries.filter(|(name, _)| !trust.own.contains(name) && name.name != ARGOCD_SECRET);
    entries
        .filter_map(|(name, why)| {
            let (harm, what) = meaning(why);
            if is_missing(&name) {
                let from_git = live.get(&name).is_some_and(|secret| origin.comes_back(secret)) && why != Why::ArgoCd;
                (!from_git).then(|| finding(&name, harm, Concern::NotInBundle, &format!("{what}, and is neither in Git nor in the bundle")))
            } else {
                is_changed(&name)
                    .then(|| finding(&name, harm, Concern::BundleOutOfDate, &format!("{what}, and the bundle has it otherwise")))
            }
        })
        .collect()
}

/// What a Secret of the root of trust is, and what is lost without it.
const fn meaning(why: Why) -> (Harm, &'static str) {
    match why {
        Why::SealingKey => (Harm::LostData, "opens Sealed Secrets that nothing else opens"),
        Why::SopsKey => (Harm::LostData, "decrypts files that nothing else decrypts"),
        Why::Repository | Why::RepositoryCredentials => (Harm::LostAccess, "is how Argo CD gets into a repository"),
        Why::Cluster => (Harm::LostAccess, "is how Argo CD gets into a cluster"),
        Why::ForgeCredentials => (Harm::LostAccess, "is how Argo CD gets into a forge's API"),
        Why::ExternalSecrets => (Harm::LostAccess, "is how External Secrets gets into its store"),
        Why::ArgoCd | Why::ArgoCdSetting => (Harm::LostAccess, "is part of Argo CD's settings"),
        Why::AcmeAccount => (Harm::LostAccess, "is an account at a certificate authority"),
        Why::Tls => (Harm::LostAccess, "is a certificate with its key"),
        Why::Named => (Harm::LostAccess, "is named under `rootOfTrust` in gitops.yaml"),
    }
}

/// What somebody put into Argo CD's own Secret: tokens, passwords, webhooks.
fn argocd_secret(found: &ArgoCdKeys, evidence: &Evidence<'_>, origin: &Origin<'_>) -> Vec<Finding> {
    let bundle = evidence.bundle;
    let entry =
        bundle.and_then(|bundle| bundle.entries.iter().find(|entry| entry.namespace == ARGOCD_NAMESPACE && entry.name == ARGOCD_SECRET));
    let declared = origin.declared_data("Secret", ARGOCD_SECRET);
    let is_kept = |key: &str| {
        entry.is_some_and(|entry| entry.keys.iter().any(|kept| kept == key)) || declared.is_some_and(|declared| declared.get(key).is_some())
    };
    let object = ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, ARGOCD_SECRET).to_string();
    let pack = format!("pack, and commit what it writes: gitops-bootstrap pack {}", evidence.tree.cluster);
    let finding = |harm, concern, why: String, or: &str| Finding::new(harm, concern, object.as_str(), why, format!("{pack}; or {or}"));
    let mut findings = Vec::new();
    for (account, number) in &found.tokens {
        let key = if account == "admin" { "admin.tokens".to_owned() } else { format!("accounts.{account}.tokens") };
        if !is_kept(&key) {
            let tokens = if *number == 1 { "1 API token".to_owned() } else { format!("{number} API tokens") };
            let why = format!("{tokens} of the account `{account}` will not be taken any more");
            findings.push(finding(Harm::LostAccess, Concern::ApiToken, why, "be ready to make new ones where they are used"));
        }
    }
    for key in found.keys.iter().filter(|key| !MADE_BY_ARGOCD.contains(&key.as_str()) && !is_kept(key)) {
        if let Some(account) = account_of(key, "password").or_else(|| account_of(key, "passwordMtime")) {
            if key.ends_with(".password") {
                let why = format!("the password of the account `{account}` is nowhere else");
                findings.push(finding(Harm::LostAccess, Concern::LocalAccount, why, "let the account in by single sign-on"));
            }
        } else if key.starts_with("webhook.") {
            let why = format!("`{key}` is nowhere else: the forge's webhook will not be believed any more");
            findings.push(finding(Harm::LostSetting, Concern::Webhook, why, "make the webhook again after a recovery"));
        } else {
            let why = format!("`{key}` was put there by hand and is nowhere else");
            findings.push(finding(Harm::LostAccess, Concern::ArgoCdSecret, why, "move it into a Secret that Git has sealed"));
        }
    }
    findings
}
