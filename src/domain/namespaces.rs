//! Namespaces that a cluster has before anybody puts anything into it.

/// The namespaces that Kubernetes, its distributions and the clouds bring, by the beginnings of their names: what is in them is nobody's work.
const BROUGHT: [&str; 22] = [
    "kube-",
    "local-path-storage",
    "gke-",
    "gmp-",
    "aks-",
    "azure-",
    "gatekeeper-system",
    "amazon-",
    "aws-",
    "eks-",
    "openshift-",
    "cattle-",
    "cluster-fleet-",
    "fleet-",
    "calico-",
    "tigera-",
    "cilium",
    "ibm-",
    "vmware-system-",
    "tkg-",
    "talos-",
    "metrics-server",
];

/// Whether a namespace is one of those that a cluster comes with.
pub fn is_brought(namespace: &str) -> bool {
    BROUGHT.iter().any(|brought| namespace.starts_with(brought))
}
