//! What stands in for the bundle where nothing opens it: its index names the Secrets, and their values are made up.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::adapters::git::GitWorktree;
use crate::adapters::kubernetes::KubernetesCluster;
use crate::domain::bundle::{IndexEntry, Why};
use crate::domain::{ClusterName, Commit, Object};
use crate::error::{Failure, Result};
use crate::manifest::bundle::{index_from_text, index_path};
use crate::plan::drill::{Report, StandIn};
use crate::ports::cluster::ClusterError;
use crate::ports::{Cluster as _, Worktree as _};

/// What marks a Secret that was made up.
const MARK: &str = "gitops-bootstrap/stand-in";

/// The Secrets of the bundle: those that were made up, and those that were left out.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    made: Vec<String>,
    left_out: Vec<String>,
}

/// Makes up the Secrets that the index of the commit's bundle names, as far as any value will do.
pub(super) async fn make(name: &ClusterName, clone: &Path, commit: &Commit, cluster: &KubernetesCluster) -> Result<Placeholders> {
    let path = index_path(name)?;
    let Some(file) = GitWorktree::new(clone).files(commit, std::slice::from_ref(&path)).await?.pop() else {
        return Ok(Placeholders::default());
    };
    let text = String::from_utf8(file.content).map_err(|_| Failure::repository(format!("{path} is not UTF-8")))?;
    let index = index_from_text(&text, path.as_str())?;
    let mut placeholders = Placeholders::default();
    for entry in &index.entries {
        let named = format!("{}/{}", entry.namespace, entry.name);
        if !can_be_made_up(entry.why) {
            placeholders.left_out.push(format!("{named}: {}", entry.why));
            continue;
        }
        for object in [namespace(entry)?, secret(entry)?] {
            match cluster.create(&object).await {
                Ok(_) | Err(ClusterError::AlreadyExists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        placeholders.made.push(named);
    }
    Ok(placeholders)
}

/// Whether any value will do. A made-up key decrypts nothing, and a made-up access opens nothing.
const fn can_be_made_up(why: Why) -> bool {
    match why {
        Why::ExternalSecrets | Why::Tls | Why::AcmeAccount | Why::Named => true,
        Why::Repository
        | Why::RepositoryCredentials
        | Why::Cluster
        | Why::ForgeCredentials
        | Why::ArgoCd
        | Why::ArgoCdSetting
        | Why::SealingKey
        | Why::SopsKey => false,
    }
}

fn namespace(entry: &IndexEntry) -> Result<Object> {
    object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": entry.namespace}}))
}

fn secret(entry: &IndexEntry) -> Result<Object> {
    let values: Map<String, Value> = entry.keys.iter().map(|key| (key.clone(), "stand-in".into())).collect();
    let metadata = json!({"name": entry.name, "namespace": entry.namespace, "labels": {MARK: "drill"}});
    object(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": entry.kind, "stringData": values}))
}

fn object(value: Value) -> Result<Object> {
    Object::new(value).map_err(|error| Failure::bug("a Secret of the index is no object").because(error))
}

impl Placeholders {
    /// Names them in the report.
    pub(super) fn tell(self, report: &mut Report) {
        if !self.made.is_empty() {
            report.stand_ins.push(StandIn {
                what: "Secret of the bundle".to_owned(),
                by: "the bundle, which nothing opened".to_owned(),
                objects: self.made.clone(),
                secrets: self.made,
            });
        }
        if !self.left_out.is_empty() {
            report.not_rehearsed.push(format!("what the bundle also holds, and only `--identity` brings: {}", self.left_out.join("; ")));
        }
    }
}
