//! Objects and namespaces that nothing makes: no Application of Git, no owner, no controller.

use std::collections::BTreeMap;

use super::origin::Origin;
use super::{Concern, Evidence, Finding, Harm};
use crate::domain::Object;
use crate::domain::tree::ARGOCD_NAMESPACE;

/// Kinds that come and go by themselves, and those that are looked at elsewhere. An empty kind stands for all of a group.
const NOT_COUNTED: [(&str, &str); 19] = [
    ("", "Endpoints"),
    ("", "Event"),
    ("", "PersistentVolumeClaim"),
    ("", "Secret"),
    ("apps", "ControllerRevision"),
    ("argoproj.io", "Application"),
    ("argoproj.io", "ApplicationSet"),
    ("argoproj.io", "AppProject"),
    ("aquasecurity.github.io", ""),
    ("coordination.k8s.io", "Lease"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", ""),
    ("metrics.k8s.io", ""),
    ("postgresql.cnpg.io", "Backup"),
    ("reports.kyverno.io", ""),
    ("resource.k8s.io", "ResourceClaim"),
    ("snapshot.storage.k8s.io", "VolumeSnapshot"),
    ("storage.k8s.io", "CSIStorageCapacity"),
    ("wgpolicyk8s.io", ""),
];

/// The kinds of Velero that tell it what to do; its others are what it has done.
const OF_VELERO: [&str; 3] = ["Schedule", "BackupStorageLocation", "VolumeSnapshotLocation"];

/// Kinds without which everything runs that ran before, if maybe otherwise.
const SETTINGS: [(&str, &str); 17] = [
    ("", "ConfigMap"),
    ("", "LimitRange"),
    ("", "Namespace"),
    ("", "PodTemplate"),
    ("", "ResourceQuota"),
    ("", "ServiceAccount"),
    ("admissionregistration.k8s.io", ""),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("autoscaling.k8s.io", ""),
    ("monitoring.coreos.com", ""),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io", ""),
    ("scheduling.k8s.io", "PriorityClass"),
    ("cilium.io", ""),
    ("projectcalico.org", ""),
];

/// How the names of cluster-wide objects begin that Kubernetes, its installer or its provider makes.
const OF_THE_CLUSTER: [&str; 6] = ["system:", "system-", "kubeadm:", "eks:", "gce:", "aks:"];

/// What is lost without objects of a kind.
pub(super) fn harm(group: &str, kind: &str) -> Harm {
    if is_among(&SETTINGS, group, kind) { Harm::LostSetting } else { Harm::LostWorkload }
}

fn is_among(kinds: &[(&str, &str)], group: &str, kind: &str) -> bool {
    kinds.iter().any(|(wanted, of)| *wanted == group && (of.is_empty() || *of == kind))
}

fn is_counted(object: &Object) -> bool {
    let resource = object.resource();
    let of_velero = resource.group() == "velero.io" && !OF_VELERO.contains(&object.kind());
    !of_velero && !is_among(&NOT_COUNTED, resource.group(), object.kind())
}

/// What nothing makes. What is in a namespace that nothing makes is told of with it.
pub(super) fn lost(evidence: &Evidence<'_>, origin: &Origin<'_>) -> Vec<Finding> {
    let by_hand: BTreeMap<&str, &Object> = evidence
        .namespaces
        .iter()
        .filter(|namespace| is_by_hand(namespace, origin))
        .map(|namespace| (namespace.name(), namespace))
        .collect();
    let mut inside: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut found = Vec::new();
    for object in evidence.objects.iter().filter(|object| is_counted(object)) {
        let namespace = object.namespace().unwrap_or_default();
        let is_of_the_cluster = namespace.is_empty() && OF_THE_CLUSTER.iter().any(|prefix| object.name().starts_with(prefix));
        if origin.is_left_out(namespace) || is_of_the_cluster || origin.comes_back(object) {
            continue;
        }
        match by_hand.get(namespace) {
            Some(name) if !origin.destinations.contains(namespace) => {
                *inside.entry(name.name()).or_default().entry(object.kind()).or_default() += 1;
            }
            _ => found.push(stray(object)),
        }
    }
    found.extend(by_hand.values().map(|namespace| self::namespace(namespace, inside.get(namespace.name()), origin)));
    found
}

fn is_by_hand(namespace: &Object, origin: &Origin<'_>) -> bool {
    let name = namespace.name();
    name != "default"
        && name != ARGOCD_NAMESPACE
        && !origin.is_left_out(name)
        && !origin.namespaces.contains(name)
        && !origin.comes_back(namespace)
}

fn stray(object: &Object) -> Finding {
    let release = object.annotation("meta.helm.sh/release-name");
    let why = match release {
        Some(release) => format!("is of the release `{release}`, which somebody installed with Helm and Git has not"),
        None => "nothing makes it: it is not in Git and has no owner".to_owned(),
    };
    let hint = "put it into the fleet repository, or delete it";
    Finding::about(harm(object.resource().group(), object.kind()), Concern::ObjectByHand, object, why, hint)
}

fn namespace(namespace: &Object, inside: Option<&BTreeMap<&str, usize>>, origin: &Origin<'_>) -> Finding {
    let is_needed = origin.destinations.contains(namespace.name());
    let (harm, why) = match inside {
        _ if is_needed => {
            (Harm::LostWorkload, "nothing makes it, and Applications of Git put objects into it that would have no place".to_owned())
        }
        None => (Harm::LostSetting, "nothing makes it: it is not in Git".to_owned()),
        Some(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
            (Harm::LostWorkload, format!("nothing makes it, nor what is in it: {}", kinds.join(", ")))
        }
    };
    let hint = if is_needed {
        "declare it, or give the Application `CreateNamespace=true`"
    } else {
        "put it into the fleet repository, or delete it"
    };
    Finding::about(harm, Concern::NamespaceByHand, namespace, why, hint)
}
