//! Volumes that no backup covers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Concern, EXPENDABLE, Evidence, Finding, Harm};
use crate::domain::Object;

/// The kinds that tell of backups, in the versions in which they are read.
pub const BACKUPS: [(&str, &str); 6] = [
    ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
    ("velero.io/v1", "Schedule"),
    ("volsync.backube/v1alpha1", "ReplicationSource"),
    ("postgresql.cnpg.io/v1", "ScheduledBackup"),
    ("postgresql.cnpg.io/v1", "Cluster"),
    ("k8up.io/v1", "Schedule"),
];

/// The label by which CloudNativePG marks the claims of its clusters (cloudnative-pg.io, "Labels and annotations").
const CNPG_CLUSTER: &str = "cnpg.io/cluster";

/// The claims whose content is nowhere else, as far as the cluster tells. A claim that is in Git comes back, and empty.
pub(super) fn without_backup(evidence: &Evidence<'_>) -> Vec<Finding> {
    // A claim may have a snapshot for each day, and there may be thousands of claims: each is compared with what may be about it alone.
    let (anywhere, beside): (Vec<&Object>, Vec<&Object>) =
        evidence.backups.iter().partition(|backup| backup.resource().group() == "velero.io");
    let mut by_namespace: BTreeMap<Option<&str>, Vec<&Object>> = BTreeMap::new();
    for backup in beside {
        by_namespace.entry(backup.namespace()).or_default().push(backup);
    }
    let is_covered = |claim: &Object| {
        let beside = by_namespace.get(&claim.namespace()).into_iter().flatten();
        beside.chain(&anywhere).any(|backup| covers(backup, claim))
    };
    let claims = evidence.objects.iter().filter(|object| object.kind() == "PersistentVolumeClaim" && !object.is_being_deleted());
    claims
        .filter(|claim| !is_covered(claim))
        .map(|claim| {
            let why = "no snapshot, and no schedule of Velero, VolSync, K8up or CloudNativePG, covers what is in it";
            let hint = format!("back it up; or, if it may be lost, say so on the claim: `{EXPENDABLE}: REASON`");
            Finding::about(Harm::LostData, Concern::VolumeWithoutBackup, claim, why, hint)
        })
        .collect()
}

/// Whether the content of a claim is in what a backup tells of.
fn covers(backup: &Object, claim: &Object) -> bool {
    let is_beside = backup.namespace() == claim.namespace();
    match (backup.resource().group(), backup.kind()) {
        ("snapshot.storage.k8s.io", _) => {
            let is_ready = backup.at("/status/readyToUse") == Some(&Value::Bool(true));
            is_beside && is_ready && backup.text("/spec/source/persistentVolumeClaimName") == Some(claim.name())
        }
        ("velero.io", _) => is_of_velero(backup, claim),
        ("volsync.backube", _) => is_beside && !is_set(backup, "/spec/paused") && backup.text("/spec/sourcePVC") == Some(claim.name()),
        ("postgresql.cnpg.io", "ScheduledBackup") => {
            is_beside && !is_set(backup, "/spec/suspend") && backup.text("/spec/cluster/name") == claim.label(CNPG_CLUSTER)
        }
        // One that archives its log without a pause can be restored to any time.
        ("postgresql.cnpg.io", _) => {
            let archives = backup.at("/spec/backup/barmanObjectStore").is_some() || has_archiver(backup);
            is_beside && archives && Some(backup.name()) == claim.label(CNPG_CLUSTER)
        }
        ("k8up.io", _) => is_beside && backup.at("/spec/backup").is_some() && claim.annotation("k8up.io/backup") != Some("false"),
        _ => false,
    }
}

fn is_set(object: &Object, pointer: &str) -> bool {
    object.at(pointer) == Some(&Value::Bool(true))
}

/// Whether a plugin of a cluster of CloudNativePG archives its log (`isWALArchiver`, cloudnative-pg.io, "Backup").
fn has_archiver(cluster: &Object) -> bool {
    let plugins = cluster.at("/spec/plugins").and_then(Value::as_array).into_iter().flatten();
    plugins.into_iter().any(|plugin| plugin.get("isWALArchiver") == Some(&Value::Bool(true)))
}

/// Whether a schedule of Velero takes a claim (velero.io, "Schedule API type" and "Backup API type").
fn is_of_velero(schedule: &Object, claim: &Object) -> bool {
    let names = |list: &str| -> Vec<&str> {
        let list = schedule.at(&format!("/spec/template/{list}")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let is_among = |names: &[&str], wanted: &[&str]| names.iter().any(|name| *name == "*" || wanted.contains(name));
    let namespace = [claim.namespace().unwrap_or_default()];
    let kind = ["persistentvolumeclaims", "persistentvolumeclaim", "pvc"];
    let takes = |included: &str, excluded: &str, wanted: &[&str]| {
        let included = names(included);
        (included.is_empty() || is_among(&included, wanted)) && !is_among(&names(excluded), wanted)
    };
    let fails = matches!(schedule.text("/status/phase"), Some("FailedValidation"));
    let labels = schedule.at("/spec/template/labelSelector/matchLabels").and_then(Value::as_object);
    let is_selected = labels.into_iter().flatten().all(|(name, value)| claim.label(name) == value.as_str());
    let takes_volumes = schedule.at("/spec/template/snapshotVolumes") != Some(&Value::Bool(false))
        || is_set(schedule, "/spec/template/defaultVolumesToFsBackup");
    !fails
        && !is_set(schedule, "/spec/paused")
        && takes_volumes
        && is_selected
        && takes("includedNamespaces", "excludedNamespaces", &namespace)
        && takes("includedResources", "excludedResources", &kind)
        && claim.label("velero.io/exclude-from-backup") != Some("true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim() -> Object {
        let labels = json!({"app": "shop", "cnpg.io/cluster": "main"});
        Object::new(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop", "labels": labels}}))
            .unwrap()
    }

    fn backup(number: usize, namespace: &str, spec: &Value, status: &Value) -> Object {
        let (version, kind) = BACKUPS[number];
        let metadata = json!({"name": if kind == "Cluster" { "main" } else { "backup" }, "namespace": namespace});
        Object::new(json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn each_kind_of_backup_covers_what_it_names_while_it_runs() {
        let claim = claim();
        let ready = json!({"readyToUse": true});
        for (number, namespace, spec, status, covered) in [
            (0, "shop", json!({"source": {"persistentVolumeClaimName": "data"}}), ready.clone(), true),
            (0, "shop", json!({"source": {"persistentVolumeClaimName": "data"}}), json!({}), false),
            (0, "other", json!({"source": {"persistentVolumeClaimName": "data"}}), ready.clone(), false),
            (1, "velero", json!({"template": {}}), json!({"phase": "Enabled"}), true),
            (1, "velero", json!({"template": {}, "paused": true}), json!({}), false),
            (1, "velero", json!({"template": {}}), json!({"phase": "FailedValidation"}), false),
            (1, "velero", json!({"template": {"includedNamespaces": ["web"]}}), json!({}), false),
            (1, "velero", json!({"template": {"includedNamespaces": ["*"], "excludedNamespaces": ["shop"]}}), json!({}), false),
            (1, "velero", json!({"template": {"includedResources": ["configmaps"]}}), json!({}), false),
            (1, "velero", json!({"template": {"labelSelector": {"matchLabels": {"app": "shop"}}}}), json!({}), true),
            (1, "velero", json!({"template": {"labelSelector": {"matchLabels": {"app": "web"}}}}), json!({}), false),
            (1, "velero", json!({"template": {"snapshotVolumes": false}}), json!({}), false),
            (2, "shop", json!({"sourcePVC": "data"}), json!({}), true),
            (2, "shop", json!({"sourcePVC": "data", "paused": true}), json!({}), false),
            (3, "shop", json!({"cluster": {"name": "main"}}), json!({}), true),
            (3, "shop", json!({"cluster": {"name": "main"}, "suspend": true}), json!({}), false),
            (4, "shop", json!({"backup": {"barmanObjectStore": {}}}), json!({}), true),
            (4, "shop", json!({"plugins": [{"name": "x", "isWALArchiver": true}]}), json!({}), true),
            (4, "shop", json!({}), json!({}), false),
            (5, "shop", json!({"backup": {"schedule": "@daily"}}), json!({}), true),
            (5, "other", json!({"backup": {"schedule": "@daily"}}), json!({}), false),
        ] {
            assert_eq!(covers(&backup(number, namespace, &spec, &status), &claim), covered, "{} {spec}", BACKUPS[number].1);
        }
    }

    #[test]
    fn a_claim_of_another_database_is_not_covered() {
        let mut other = claim().into_value();
        other["metadata"]["labels"] = json!({});
        let other = Object::new(other).unwrap();
        // Neither names a cluster: that is no match.
        assert!(!covers(&backup(3, "shop", &json!({"cluster": {"name": "main"}}), &json!({})), &other));
    }
}
