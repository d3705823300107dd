//! The deploy keys of clusters of the same name: of one that is gone, or of one that still lives.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::refused;
use crate::domain::{ClusterName, Identity, PublicKey};
use crate::error::{Failure, Result};
use crate::ports::forge::DeployKey;

/// How long ago a key was last used by a cluster that counts as alive: Argo CD asks every few minutes.
const ALIVE: SignedDuration = SignedDuration::from_hours(24);

/// Whether a key was made for a cluster of this name with another identity: its title says so (`steps::secret_create::key_title`).
fn is_of_another(key: &DeployKey, cluster: &ClusterName, identity: &Identity) -> bool {
    let mut words = key.title.split_whitespace();
    words.next() == Some("gitops-bootstrap")
        && words.next() == Some(cluster.as_str())
        && words.next().is_some_and(|short| short != identity.short())
}

/// The keys of clusters of this name that are gone. A key that is `kept`, since the bundle restores it, is none of them.
pub fn stale<'a>(keys: &'a [DeployKey], cluster: &ClusterName, identity: &Identity, kept: Option<&PublicKey>) -> Vec<&'a DeployKey> {
    keys.iter().filter(|key| is_of_another(key, cluster, identity) && Some(&key.key) != kept).collect()
}

/// Refuses to recover a cluster whose old self seems to be alive: two clusters would work for one name.
pub fn check_old_cluster(keys: &[DeployKey], cluster: &ClusterName, identity: &Identity, is_gone: bool, now: Timestamp) -> Result<()> {
    let used = |key: &&DeployKey| key.last_used.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
    let of_another = keys.iter().filter(|key| is_of_another(key, cluster, identity));
    let alive: Vec<&DeployKey> = of_another.filter(|key| used(key).is_some_and(|used| now.duration_since(used) < ALIVE)).collect();
    if alive.is_empty() || is_gone {
        return Ok(());
    }
    let failure = refused(format!("the old cluster `{cluster}` seems to be alive"));
    Err(alive
        .iter()
        .fold(failure, |failure, key| {
            failure.because(format!(
                "its deploy key `{}` (id {}) was last used at {}",
                key.title,
                key.id,
                key.last_used.as_deref().unwrap_or_default()
            ))
        })
        .because("two clusters of one name fight over addresses, certificates and data")
        .hint("if it is gone for good: run the same command with `--old-cluster-is-gone`"))
}

/// Refuses to remove keys that are not those of a cluster of this name that is gone. One that is not registered is none to remove.
pub fn check_named(named: &BTreeSet<u64>, keys: &[DeployKey], stale: &[&DeployKey]) -> Result<()> {
    let is_stale = |id: u64| stale.iter().any(|key| key.id == id);
    let Some(wrong) = keys.iter().find(|key| named.contains(&key.id) && !is_stale(key.id)) else { return Ok(()) };
    let failure = Failure::usage(format!("the deploy key {} (`{}`) is not one of a cluster that is gone", wrong.id, wrong.title));
    let failure = failure.because(super::UNCHANGED);
    Err(stale.iter().fold(failure, |failure, key| failure.hint(format!("stale is: {} (`{}`)", key.id, key.title))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u64, title: &str, last_used: Option<&str>) -> DeployKey {
        let key = PublicKey::from_openssh("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl").unwrap();
        DeployKey {
            id,
            title: title.to_owned(),
            key,
            read_only: true,
            enabled: true,
            created: None,
            last_used: last_used.map(str::to_owned),
        }
    }

    #[test]
    fn a_key_of_the_old_cluster_that_was_used_within_a_day_stops_the_recovery() {
        let (cluster, now): (ClusterName, Timestamp) = ("staging".parse().unwrap(), "2026-11-21T12:00:00Z".parse().unwrap());
        let identity = Identity { kube_system_uid: "0c0ffee0-0000".to_owned(), ca_sha256: None };
        let check = |title: &str, used, gone| check_old_cluster(&[key(1, title, used)], &cluster, &identity, gone, now);
        let recent = Some("2026-11-20T13:00:00Z");
        assert!(check("gitops-bootstrap staging deadbeef", recent, false).is_err());
        assert!(check("gitops-bootstrap staging deadbeef", recent, true).is_ok());
        assert!(check("gitops-bootstrap staging deadbeef", Some("2026-11-20T11:00:00Z"), false).is_ok());
        assert!(check("gitops-bootstrap staging deadbeef", None, false).is_ok(), "the forge does not say");
        assert!(check("gitops-bootstrap staging 0c0ffee0", recent, false).is_ok(), "its own");
        assert!(check("gitops-bootstrap production deadbeef", recent, false).is_ok());
        assert!(check("deploy", recent, false).is_ok());
    }

    #[test]
    fn only_a_stale_key_can_be_removed() {
        let keys = [key(1, "gitops-bootstrap staging deadbeef", None), key(2, "somebody's", None)];
        let (cluster, identity) = ("staging".parse().unwrap(), Identity { kube_system_uid: "0c0ffee0-0000".to_owned(), ca_sha256: None });
        let stale_keys = stale(&keys, &cluster, &identity, None);
        assert_eq!(stale_keys.iter().map(|key| key.id).collect::<Vec<_>>(), [1]);
        assert!(stale(&keys, &cluster, &identity, Some(&keys[0].key)).is_empty(), "what is restored is no stale key");
        assert!(check_named(&BTreeSet::from([1, 9]), &keys, &stale_keys).is_ok(), "9 is gone already");
        assert!(check_named(&BTreeSet::from([2]), &keys, &stale_keys).is_err());
    }
}
