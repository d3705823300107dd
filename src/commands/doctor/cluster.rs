//! One cluster: how it is reached, what it is, and what runs in it.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use super::board::{Board, failed};
use super::forge::{Subject, Told};
use super::machine::Heard;
use super::{Chosen, Context, Reach};
use crate::adapters::git::GitWorktree;
use crate::adapters::kubernetes::KubernetesCluster;
use crate::cli::doctor::Arguments;
use crate::commands::bootstrap::remote_head;
use crate::commands::connect::connect_to;
use crate::domain::application::Application;
use crate::domain::tree::{ARGOCD_NAMESPACE, Tree};
use crate::domain::{Check, CheckId, ClusterName, Declaration, Resource};
use crate::error::{Failure, Kind, Result};
use crate::plan::status::{ArgoCd, Bootstrap};
use crate::ports::cluster::{ClusterError, ClusterFacts};
use crate::ports::{Cluster, Forge, Worktree};
use crate::preflight::{self, Fleet};
use crate::steps::marker;

/// What only a cluster can tell that answers.
const OF_SERVER: [CheckId; 7] =
    [CheckId::Identity, CheckId::Rights, CheckId::ArgoCd, CheckId::Applications, CheckId::DeployKey, CheckId::KeyProof, CheckId::Bundle];

/// A cluster that answers.
pub(super) struct Answering {
    /// The cluster.
    pub(super) cluster: KubernetesCluster,
    /// What is known of it.
    pub(super) facts: ClusterFacts,
    /// Whether Argo CD's kinds are served: it is installed, or was.
    pub(super) has_argocd: bool,
    /// Whether it was bootstrapped by this tool.
    pub(super) is_bootstrapped: bool,
}

/// A cluster with what the fleet repository says of it.
pub(super) struct Subjected<'a> {
    /// Which, and how it is reached.
    pub(super) chosen: &'a Chosen,
    /// What the commit that is checked out says of it.
    pub(super) fleet: &'a Result<Fleet>,
    /// gitops.yaml.
    pub(super) declaration: Option<&'a Declaration>,
}

impl Subjected<'_> {
    pub(super) fn name(&self) -> &ClusterName {
        &self.chosen.name
    }

    fn tree(&self) -> Option<&Tree> {
        self.fleet.as_ref().ok().map(|fleet| &fleet.reading.tree)
    }
}

/// Connects, and checks what the cluster alone can tell. None if it does not answer.
pub(super) async fn look(
    board: &Board,
    subjected: &Subjected<'_>,
    arguments: &Arguments,
    sandbox: &Result<Option<crate::sandbox::State>>,
    deadline: Instant,
    context: &Context,
) -> (Option<Answering>, Heard) {
    let name = subjected.name();
    let mut heard = Heard::default();
    let note = |check: Check| board.note(check.of(name));
    let cluster = match connect(subjected.chosen, arguments, sandbox, deadline, context).await {
        Ok(cluster) => cluster,
        Err(Unconnected::NotNamed(because)) => {
            note(Check::not_checked(CheckId::Context, &because).hint(format!("name it: gitops-bootstrap doctor {name} --context NAME")));
            board.leave_out(&[CheckId::Server], Some(name), "no context is known for it");
            board.leave_out(&OF_SERVER, Some(name), "no context is known for it");
            return (None, heard);
        }
        Err(Unconnected::Failed(failure)) => {
            note(failed(CheckId::Context, &failure));
            board.leave_out(&[CheckId::Server], Some(name), "the context cannot be used");
            board.leave_out(&OF_SERVER, Some(name), "the context cannot be used");
            return (None, heard);
        }
    };
    note(Check::well(CheckId::Context, format!("{} leads to {}", cluster.context(), cluster.server())));
    heard.routes.push((cluster.server().to_owned(), cluster.proxy()));
    let facts = match cluster.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            let failure = Failure::from(error);
            note(failed(CheckId::Server, &failure));
            let because = if failure.kind == Kind::Denied { "the account may not even look" } else { "the API server does not answer" };
            board.leave_out(&OF_SERVER, Some(name), because);
            return (None, heard);
        }
    };
    note(match preflight::check_supported(&facts) {
        Ok(()) => Check::well(CheckId::Server, format!("Kubernetes {}", facts.git_version)),
        Err(failure) => failed(CheckId::Server, &failure),
    });
    let (identity, rights, argocd, ahead) = tokio::join!(
        identity(&cluster, &facts, subjected),
        rights(&cluster, subjected),
        argocd(&cluster, subjected),
        cluster.clock_ahead(),
    );
    heard.clocks.extend(ahead.ok().flatten().map(|ahead| (format!("the API server of {name}"), ahead)));
    let (identity, is_bootstrapped) = identity;
    note(identity);
    note(rights);
    let (workloads, applications, has_argocd) = argocd;
    note(workloads);
    note(applications);
    (Some(Answering { cluster, facts, has_argocd, is_bootstrapped }), heard)
}

/// Why there is no connection.
enum Unconnected {
    /// It is not known which context is the cluster's.
    NotNamed(String),
    /// The context cannot be used.
    Failed(Failure),
}

async fn connect(
    chosen: &Chosen,
    arguments: &Arguments,
    sandbox: &Result<Option<crate::sandbox::State>>,
    deadline: Instant,
    context: &Context,
) -> Result<KubernetesCluster, Unconnected> {
    let mut target = arguments.target.clone();
    match &chosen.reach {
        Reach::AsFlagsSay => {}
        Reach::Context(context) => target.context = Some(context.clone()),
        Reach::Unknown(because) => return Err(Unconnected::NotNamed(because.clone())),
    }
    let sandbox = sandbox.clone().map_err(Unconnected::Failed)?;
    let connected = connect_to(&target, sandbox, context, Some(deadline)).await.map_err(Unconnected::Failed)?;
    Ok(connected.cluster)
}

/// Whether the cluster is the one that bears the name; and whether it was bootstrapped.
async fn identity(cluster: &KubernetesCluster, facts: &ClusterFacts, subjected: &Subjected<'_>) -> (Check, bool) {
    let (id, name) = (CheckId::Identity, subjected.name());
    let record = match cluster.get(&marker::reference()).await {
        Ok(record) => record,
        Err(error) => return (denied_or_failed(id, "read the record of the bootstrap", error), false),
    };
    let checked = match subjected.tree() {
        // That it is new enough is another check.
        Some(tree) if preflight::check_supported(facts).is_ok() => {
            preflight::check_cluster(cluster, name, subjected.declaration, tree).await
        }
        _ => preflight::check_identity(cluster, name, subjected.declaration).await,
    };
    if let Err(failure) = checked {
        return (failed(id, &failure), record.is_some());
    }
    let is_pinned =
        subjected.declaration.is_some_and(|declaration| declaration.clusters.get(name).is_some_and(|pin| pin.identity.is_some()));
    let pin = if is_pinned { "as gitops.yaml pins it" } else { "not pinned in gitops.yaml" };
    let uid = &facts.identity.kube_system_uid;
    let evidence = match &record {
        Some(record) => format!("recorded as `{}`; kube-system {uid}, {pin}", Bootstrap::read(record).cluster),
        None => format!("not recorded yet; kube-system {uid}, {pin}"),
    };
    (Check::well(id, evidence), record.is_some())
}

async fn rights(cluster: &KubernetesCluster, subjected: &Subjected<'_>) -> Check {
    let id = CheckId::Rights;
    let Some(tree) = subjected.tree() else { return Check::not_checked(id, "the tree cannot be read, and what it needs is not known") };
    match preflight::check_rights(cluster, tree).await {
        Ok(number) => Check::well(id, format!("all {number} that `init` needs")),
        Err(failure) => failed(id, &failure),
    }
}

/// Argo CD's workloads, its Applications, and whether it is there at all.
async fn argocd(cluster: &KubernetesCluster, subjected: &Subjected<'_>) -> (Check, Check, bool) {
    let (workloads, applications) = (CheckId::ArgoCd, CheckId::Applications);
    let none = "Argo CD is not installed yet";
    let init = format!("gitops-bootstrap init {}", subjected.name());
    match cluster.served(&Application::resource()).await {
        Ok(Some(_)) => {}
        Ok(None) => return (Check::not_checked(workloads, none).hint(init), Check::not_checked(applications, none), false),
        Err(error) => {
            let failure = Failure::from(error);
            return (failed(workloads, &failure), Check::not_checked(applications, "the API server does not tell its kinds"), false);
        }
    }
    let list = |kind: &'static str| {
        let resource = Resource::new("apps/v1", kind);
        async move { cluster.list(&resource, Some(ARGOCD_NAMESPACE), None).await }
    };
    let (deployments, stateful_sets) = tokio::join!(list("Deployment"), list("StatefulSet"));
    let running = match (deployments, stateful_sets) {
        (Ok(deployments), Ok(stateful_sets)) => judge(&ArgoCd::read(&[deployments, stateful_sets].concat()), subjected, init),
        (Err(error), _) | (_, Err(error)) => denied_or_failed(workloads, "list the workloads of Argo CD", error),
    };
    let listed = match cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await {
        Err(error) => denied_or_failed(applications, "list the Applications", error),
        Ok(listed) => match subjected.tree() {
            None => Check::not_checked(applications, "the tree cannot be read, and whose they are is not known"),
            Some(tree) => match preflight::check_trees(cluster, tree).await {
                Ok(()) => Check::well(applications, format!("{}, none half deleted, and the root is of this repository", listed.len())),
                Err(failure) => failed(applications, &failure),
            },
        },
    };
    (running, listed, true)
}

fn judge(argocd: &ArgoCd, subjected: &Subjected<'_>, init: String) -> Check {
    let id = CheckId::ArgoCd;
    if argocd.workloads.is_empty() {
        return Check::wrong(id, "its resource definitions are there, and nothing of it runs").hint(init);
    }
    let version = argocd.version.as_deref().unwrap_or("of an unknown version");
    let not_ready: Vec<String> =
        argocd.not_ready().map(|workload| format!("{} ({} of {})", workload.name, workload.ready, workload.wanted)).collect();
    if !not_ready.is_empty() {
        return Check::wrong(id, format!("{version}, not ready: {}", not_ready.join(", ")))
            .hint(format!("see why: kubectl -n {ARGOCD_NAMESPACE} get pods; then: {init}"));
    }
    let declared = subjected.tree().and_then(Tree::argocd_version);
    match declared.filter(|declared| Some(declared) != argocd.version.as_ref()) {
        Some(declared) => Check::warning(id, format!("{version} runs, and the commit has {declared}"))
            .hint("it updates itself once the commit is pushed and synced"),
        None => Check::well(id, format!("{version}, {} workloads ready", argocd.workloads.len())),
    }
}

/// What could not be read: not checked for want of a right, which `rights` names; else wrong.
pub(super) fn denied_or_failed(check: CheckId, what: &str, error: ClusterError) -> Check {
    match error {
        ClusterError::Forbidden(_) => Check::not_checked(check, format!("the account may not {what}")),
        error => failed(check, &error.into()),
    }
}

/// Compares the clone with what the remote serves, asked by whatever access there is.
pub(super) async fn clone(board: &Board, subjected: &Subjected<'_>, subject: &Subject, told: &Told, folder: &Path) {
    let Ok(fleet) = subjected.fleet else { return };
    let tree = &fleet.reading.tree;
    let id = CheckId::Clone;
    let own = async {
        match (&subject.hosts, told.silent) {
            (Ok(hosts), None) => {
                remote_head(subject.remote.as_ref(), &tree.repository, &tree.revision, hosts, subject.sandbox.as_ref()).await
            }
            _ => None,
        }
    };
    let head = match (own.await, &told.github) {
        (Some(head), _) => Some(head),
        (None, Some(github)) => github.branch_head(&tree.revision).await.ok().flatten(),
        (None, None) => None,
    };
    let worktree: Arc<dyn Worktree> = Arc::new(GitWorktree::new(folder));
    let checked = preflight::check_clone(&preflight::clone_of(worktree, fleet), fleet, head.as_ref(), None).await;
    let check = match (checked, head) {
        (Err(failure), _) => failed(id, &failure),
        (Ok(_), Some(head)) if head == tree.commit => Check::well(id, format!("clean, and at {} as {} is", head.short(), tree.revision)),
        (Ok(_), Some(head)) => {
            Check::well(id, format!("clean, and the same as {} for this cluster, which is at {}", tree.revision, head.short()))
        }
        (Ok(_), None) => Check::warning(
            id,
            format!("clean; what {} serves is not known: neither your own Git access nor the API tells", tree.repository),
        )
        .hint("see that `git ls-remote` works, or give a token that may read the repository"),
    };
    board.note(check.of(subjected.name()));
}
