//! Reads the root of trust of a live cluster. Which Secrets are part of it is decided in [`crate::plan::trust`].

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::domain::bundle::Why;
use crate::domain::declaration::RootOfTrust;
use crate::domain::secret::SecretName;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, Resource};
use crate::error::Result;
use crate::plan::trust::{self, Candidate, Chosen, SEALING_LABEL};
use crate::ports::Cluster;
use crate::ports::cluster::ClusterError;

/// How many Secrets are read at the same time.
const AT_ONCE: usize = 16;

/// What was found.
#[derive(Debug, Default)]
pub struct Discovered {
    /// The Secrets of the root of trust.
    pub chosen: Chosen,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Reads the root of trust of a cluster: what is found by itself, and what `asked` names.
///
/// # Errors
/// Those of the cluster, missing rights included: a bundle that lacks something without saying so would be worse than none.
pub async fn root_of_trust(cluster: &dyn Cluster, asked: &RootOfTrust) -> Result<Discovered> {
    let secrets = Resource::new("v1", "Secret");
    let settings = ObjectRef::namespaced("v1", "ConfigMap", ARGOCD_NAMESPACE, "argocd-cm");
    let (in_argocd, sealing, settings, stores, issuers) = futures::try_join!(
        cluster.list(&secrets, Some(ARGOCD_NAMESPACE), None),
        cluster.list(&secrets, None, Some(SEALING_LABEL)),
        cluster.get(&settings),
        list_served(cluster, trust::stores()),
        async { if asked.acme { list_served(cluster, trust::issuers().to_vec()).await } else { Ok(Vec::new()) } },
    )?;
    let mut found = Discovered::default();
    let by_itself = |object: Object, why| Candidate { object, why, asked_for: false };
    let mut candidates: Vec<Candidate> = sealing.into_iter().map(|object| by_itself(object, Why::SealingKey)).collect();
    candidates.extend(in_argocd.into_iter().filter_map(|object| Some(by_itself(object.clone(), trust::why_in_argocd(&object)?))));

    let mut wanted: BTreeSet<(SecretName, Why, bool)> = BTreeSet::new();
    let names = settings.iter().flat_map(trust::named_by_settings);
    wanted.extend(names.map(|name| (name, Why::ArgoCdSetting, false)));
    for store in &stores {
        let (names, nowhere) = trust::named_by_store(store);
        if nowhere > 0 {
            found.warnings.push(format!(
                "{} takes its credentials from the namespace of each ExternalSecret: name those Secrets under `rootOfTrust.secrets`",
                store.reference()
            ));
        }
        wanted.extend(names.into_iter().map(|name| (name, Why::ExternalSecrets, false)));
    }
    wanted.extend(issuers.iter().flat_map(trust::named_by_issuer).map(|name| (name, Why::AcmeAccount, false)));
    wanted.extend(asked.sops_keys.iter().map(|name| (name.clone(), Why::SopsKey, true)));
    wanted.extend(asked.secrets.iter().map(|name| (name.clone(), Why::Named, true)));
    let reads: Vec<_> = wanted.into_iter().map(|wanted| read(cluster, wanted)).collect();
    let read: Vec<_> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    for ((name, why, asked_for), object) in read {
        match object {
            Some(object) => candidates.push(Candidate { object, why, asked_for }),
            None => found.warnings.push(format!("the Secret {name} is not in the cluster, though {}", needed_by(why))),
        }
    }
    if asked.tls {
        let all = cluster.list(&secrets, None, None).await?.into_iter();
        let certificates = all.filter(|secret| secret.text("/type") == Some("kubernetes.io/tls"));
        candidates.extend(certificates.map(|object| Candidate { object, why: Why::Tls, asked_for: true }));
    }
    found.chosen = trust::choose(candidates);
    Ok(found)
}

type Wanted = (SecretName, Why, bool);

async fn read(cluster: &dyn Cluster, wanted: Wanted) -> Result<(Wanted, Option<Object>), ClusterError> {
    let object = cluster.get(&wanted.0.reference()).await?;
    Ok((wanted, object))
}

fn needed_by(why: Why) -> &'static str {
    match why {
        Why::ArgoCdSetting => "a setting in `argocd-cm` takes a value from it",
        Why::ExternalSecrets => "a store of External Secrets names it",
        Why::AcmeAccount => "an issuer of cert-manager names it",
        _ => "gitops.yaml names it under `rootOfTrust`",
    }
}

/// The objects of those kinds that the cluster serves. A kind in several versions is read in the first one that is served.
async fn list_served(cluster: &dyn Cluster, resources: Vec<Resource>) -> Result<Vec<Object>, ClusterError> {
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut objects = Vec::new();
    for resource in resources {
        if !done.contains(&resource.kind) && cluster.served(&resource).await?.is_some() {
            objects.extend(cluster.list(&resource, None, None).await?);
            done.insert(resource.kind);
        }
    }
    Ok(objects)
}
