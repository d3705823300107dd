//! What tells one cluster from another.

use std::fmt;

/// The identity of a cluster: the UID of its namespace `kube-system`, which lives as long as the cluster (OpenTelemetry
/// uses it as `k8s.cluster.uid`), and the SHA-256 of the API server's CA certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The UID of the namespace `kube-system`.
    pub kube_system_uid: String,
    /// SHA-256 of the CA certificate in DER form, in lower-case hexadecimal digits; absent where the platform's trust store is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_sha256: Option<String>,
}

impl Identity {
    /// The first 8 characters of the UID: short enough for a key's title, long enough to tell clusters apart.
    pub fn short(&self) -> &str {
        self.kube_system_uid.get(..8).unwrap_or(&self.kube_system_uid)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "kube-system {}", self.kube_system_uid)?;
        if let Some(ca) = &self.ca_sha256 {
            write!(formatter, ", CA sha256:{}", ca.get(..16).unwrap_or(ca))?;
        }
        Ok(())
    }
}
