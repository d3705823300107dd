//! What `pack` would change: the bundle that is there against the one that would be made now.

use std::collections::BTreeMap;

use crate::domain::bundle::{Index, IndexEntry, Why};
use crate::domain::secret::SecretName;

/// How the bundle that is there differs from the one that would be made now.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// Secrets that the cluster has and the bundle has not.
    pub missing: Vec<SecretName>,
    /// Secrets that are different.
    pub changed: Vec<SecretName>,
    /// Secrets that the bundle has and the cluster has not.
    pub gone: Vec<SecretName>,
    /// Whether it is for other recipients than those wanted.
    pub recipients: bool,
    /// Whether it was made of another cluster of the same name, such as the one before a recovery.
    pub identity: bool,
    /// Whether the contents cannot be told apart without opening the bundle: Argo CD has no signing key yet, or another one than before.
    pub unknown: bool,
}

impl Drift {
    /// Whether the bundle that is there is the one that would be made now.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What differs, for people: a line each.
    pub fn lines(&self) -> Vec<String> {
        let each = |names: &[SecretName], what: &str| names.iter().map(|name| format!("{name} {what}")).collect::<Vec<_>>();
        let mut lines = each(&self.missing, "is in the cluster and not in the bundle");
        lines.extend(each(&self.changed, "is another one in the cluster"));
        lines.extend(each(&self.gone, "is in the bundle and not in the cluster"));
        if self.recipients {
            lines.push("the bundle is for other recipients than it is to be for".to_owned());
        }
        if self.identity {
            lines.push("the bundle was made of an earlier cluster of this name".to_owned());
        }
        if self.unknown {
            lines.push(
                "the contents cannot be compared without opening the bundle: Argo CD's signing key is missing or another one".to_owned(),
            );
        }
        lines
    }
}

/// Compares the index of the bundle that is there with that of the one that would be made now.
pub fn drift(old: &Index, new: &Index) -> Drift {
    fn by_name(index: &Index) -> BTreeMap<SecretName, &IndexEntry> {
        index.entries.iter().map(|entry| (SecretName::new(&entry.namespace, &entry.name), entry)).collect()
    }
    let (before, now) = (by_name(old), by_name(new));
    let not_in = |names: &BTreeMap<SecretName, &IndexEntry>, others: &BTreeMap<SecretName, &IndexEntry>| {
        names.keys().filter(|name| !others.contains_key(*name)).cloned().collect::<Vec<_>>()
    };
    let both: Vec<(&SecretName, &IndexEntry, &IndexEntry)> =
        now.iter().filter_map(|(name, entry)| Some((name, *before.get(name)?, *entry))).collect();
    // With another key every hash is another one; then nothing can be said of any of them.
    let hashed = both.iter().all(|(_, before, now)| before.hmac_sha256.is_some() && now.hmac_sha256.is_some());
    let unknown = !both.is_empty() && (!hashed || both.iter().all(|(_, before, now)| before.hmac_sha256 != now.hmac_sha256));
    let differs = |before: &IndexEntry, now: &IndexEntry| {
        let same_form = (&before.kind, &before.keys, before.why) == (&now.kind, &now.keys, now.why);
        !same_form || !unknown && before.hmac_sha256 != now.hmac_sha256
    };
    Drift {
        missing: not_in(&now, &before),
        changed: both.iter().filter(|(_, before, now)| differs(before, now)).map(|(name, ..)| (*name).clone()).collect(),
        gone: not_in(&before, &now),
        recipients: old.recipients != new.recipients,
        identity: old.identity != new.identity,
        unknown,
    }
}

/// The Secrets with keys that decrypt something, which the bundle has and the one made now would not. Without them, what was encrypted for them is lost.
pub fn lost_keys(old: &Index, new: &Index) -> Vec<SecretName> {
    let keys = old.entries.iter().filter(|entry| matches!(entry.why, Why::SealingKey | Why::SopsKey));
    let lost = keys.filter(|entry| !new.entries.iter().any(|other| other.namespace == entry.namespace && other.name == entry.name));
    lost.map(|entry| SecretName::new(&entry.namespace, &entry.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Identity;

    fn index(entries: &[(&str, Why, &str)]) -> Index {
        Index {
            version: 1,
            cluster: "staging".parse().unwrap(),
            identity: Identity { kube_system_uid: "1".to_owned(), ca_sha256: None },
            made: jiff::Timestamp::UNIX_EPOCH,
            sha256: String::new(),
            recipients: vec!["age1a".to_owned()],
            entries: entries
                .iter()
                .map(|(name, why, hash)| IndexEntry {
                    namespace: "argocd".to_owned(),
                    name: (*name).to_owned(),
                    kind: "Opaque".to_owned(),
                    keys: vec!["a".to_owned()],
                    why: *why,
                    hmac_sha256: Some((*hash).to_owned()).filter(|hash| !hash.is_empty()),
                })
                .collect(),
        }
    }

    #[test]
    fn the_same_content_made_later_is_no_drift() {
        let old = index(&[("a", Why::Repository, "1"), ("b", Why::ArgoCd, "2")]);
        let mut new = old.clone();
        new.made = "2026-11-21T00:00:00Z".parse().unwrap();
        new.sha256 = "other".to_owned();
        assert!(drift(&old, &new).is_none());
    }

    #[test]
    fn each_kind_of_drift_names_its_secrets() {
        let old = index(&[("a", Why::Repository, "1"), ("b", Why::ArgoCd, "2"), ("gone", Why::Named, "3")]);
        let mut new = index(&[("a", Why::Repository, "9"), ("b", Why::ArgoCd, "2"), ("new", Why::Named, "4")]);
        new.recipients.push("age1b".to_owned());
        let found = drift(&old, &new);
        let name = |name: &str| vec![SecretName::new("argocd", name)];
        assert_eq!((found.changed, found.missing, found.gone, found.recipients), (name("a"), name("new"), name("gone"), true));
        assert!(!found.unknown);
    }

    #[test]
    fn without_a_key_to_hash_with_or_with_another_one_nothing_is_claimed() {
        let old = index(&[("a", Why::Repository, "1"), ("b", Why::ArgoCd, "2")]);
        for new in
            [index(&[("a", Why::Repository, "8"), ("b", Why::ArgoCd, "9")]), index(&[("a", Why::Repository, ""), ("b", Why::ArgoCd, "")])]
        {
            let found = drift(&old, &new);
            assert!(found.unknown && found.changed.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn a_decryption_key_that_would_be_lost_is_named() {
        let old = index(&[("sealing", Why::SealingKey, "1"), ("b", Why::Named, "2")]);
        assert_eq!(lost_keys(&old, &index(&[])), [SecretName::new("argocd", "sealing")]);
        assert!(lost_keys(&old, &old).is_empty());
    }
}
