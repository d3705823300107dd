//! How an API server is reached, and what its clock says: beside what the port tells, for people who look for a fault.

use jiff::{SignedDuration, Timestamp};

use super::transport::Call;
use super::{KubernetesCluster, kubeconfig};
use crate::adapters::connection::ahead_of;
use crate::ports::cluster::ClusterError;

impl KubernetesCluster {
    /// The kubeconfig's context; empty for a client that was given.
    pub fn context(&self) -> &str {
        self.transport.access().map_or("", |access| access.context.as_str())
    }

    /// The address of the API server, without credentials.
    pub fn server(&self) -> &str {
        &self.transport.server
    }

    /// The proxy by which the server is reached, without credentials; none if it is reached directly.
    pub fn proxy(&self) -> Option<String> {
        self.transport.access()?.config.proxy_url.as_ref().map(|proxy| kubeconfig::shown(&proxy.to_string()))
    }

    /// How far this machine's clock is ahead of the server's, to a second; none if the server does not tell the time.
    pub async fn clock_ahead(&self) -> Result<Option<SignedDuration>, ClusterError> {
        let answer = self.transport.send(&Call::get("/version".to_owned())).await?;
        Ok(answer.date.as_deref().and_then(|date| ahead_of(date, Timestamp::now())))
    }
}
