//! `status`: reads how a cluster stands, shows it, and says by its exit status whether all is well.

use jiff::Timestamp;

use super::{Context, connect};
use crate::cli::status::Arguments;
use crate::cli::{Output, Target};
use crate::diagnose;
use crate::domain::application::Application;
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use crate::domain::{ClusterName, Object, Resource, SandboxName};
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event};
use crate::manifest::git_server;
use crate::plan::diagnosis::{State, verdict};
use crate::plan::status::{ArgoCd, Bootstrap, Status};
use crate::ports::Cluster;
use crate::ports::cluster::ClusterError;
use crate::report::{self, Circumstances, Shown};
use crate::steps::marker;

/// Runs `status`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let again = flags(&arguments.target);
    let name = arguments.cluster.as_ref();
    if context.global.output == Output::Json {
        let cluster = name.map(ToString::to_string);
        context.events.send(Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb: "status", cluster });
    }
    let read = async {
        let connected = connect::connect(&arguments.target, context).await?;
        read(&connected.cluster, name).await
    };
    let found = tokio::select! {
        found = read => found?,
        () = context.cancel.cancelled() => return Err(Failure::new(Kind::Interrupted, "interrupted while reading; nothing was changed")),
    };
    let Some(status) = found else {
        let name = name.map_or("CLUSTER", ClusterName::as_str);
        return Err(Failure::new(Kind::Found, "Argo CD is not installed in this cluster")
            .hint(format!("bootstrap it: `gitops-bootstrap init {name}{again}`")));
    };
    for warning in &status.warnings {
        context.events.warn(warning, None);
    }
    match context.global.output {
        Output::Json => send(&status, context)?,
        Output::Text => {
            let style = report::style(&Circumstances::of(&context.global, &context.environment));
            let causes = status.causes();
            let shown = Shown { causes: &causes, now: Timestamp::now(), all: arguments.all };
            context.events.suspend(&mut || report::status(&status, shown, &style));
        }
    }
    if status.converged { Ok(()) } else { Err(not_converged(&status, &again)) }
}

/// The flags that name `target` again in a command to type, with a blank before each.
pub(super) fn flags(target: &Target) -> String {
    match (&target.context, target.sandbox) {
        (_, true) if target.sandbox_name == SandboxName::default() => " --sandbox".to_owned(),
        (_, true) => format!(" --sandbox --sandbox-name {}", target.sandbox_name),
        (Some(context), false) => format!(" --context {context}"),
        (None, false) => String::new(),
    }
}

fn send(status: &Status, context: &Context) -> Result<()> {
    let result = serde_json::to_value(status).map_err(|error| Failure::bug("the status cannot be written as JSON").because(error))?;
    context.events.send(Event::Finished { result });
    Ok(())
}

fn not_converged(status: &Status, again: &str) -> Failure {
    let name = status.cluster.as_ref().map_or("CLUSTER", ClusterName::as_str);
    let (number, wrong) = (status.applications.len(), status.not_converged());
    let init = format!("`gitops-bootstrap init {name}{again}`");
    if number == 0 {
        return Failure::new(Kind::Found, "Argo CD runs and has no Applications").hint(format!("bootstrap the cluster: {init}"));
    }
    if wrong == 0 {
        let names: Vec<String> = status.argocd.not_ready().map(|workload| format!("{} {}", workload.kind, workload.name)).collect();
        return Failure::new(Kind::Found, format!("the applications are well, but Argo CD is not: {} not ready", names.join(", ")))
            .hint(format!("put Argo CD right and wait for it: {init}"));
    }
    let failure = Failure::new(Kind::Found, format!("{wrong} of {number} applications have not converged"));
    let kickable = status.applications.iter().any(|application| matches!(application.node.state, State::Stalled { kickable: true, .. }));
    if kickable {
        failure.hint(format!("once the cause is gone, have Argo CD try again and wait for it: {init}"))
    } else if status.applications.iter().any(|application| matches!(application.node.state, State::Failed { .. } | State::Stalled { .. })) {
        failure.hint(format!("put right what is named above, then wait for it: {init}"))
    } else {
        failure.hint(format!("wait for them, and be told why it takes so long: {init}"))
    }
}

/// Reads how the cluster stands; none if it has no Argo CD.
///
/// Needs the right to list Applications. What else may not be read is left out, with a warning.
///
/// # Errors
/// Those of the cluster, apart from missing rights on anything but the Applications.
pub async fn read(cluster: &dyn Cluster, name: Option<&ClusterName>) -> Result<Option<Status>> {
    let facts = cluster.facts().await?;
    if cluster.served(&Application::resource()).await?.is_none() {
        return Ok(None);
    }
    let mut warnings = Vec::new();
    let record = marker::reference();
    let (objects, record, projects, deployments, stateful_sets) = tokio::join!(
        applications(cluster),
        cluster.get(&record),
        list_if_allowed(cluster, ARGOCD_API_VERSION, "AppProject"),
        list_if_allowed(cluster, "apps/v1", "Deployment"),
        list_if_allowed(cluster, "apps/v1", "StatefulSet"),
    );
    let (objects, all) = objects?;
    if !all {
        warnings
            .push(format!("only the Applications in `{ARGOCD_NAMESPACE}` are shown: the account may not list those of other namespaces"));
    }
    let [projects, deployments, stateful_sets] = [projects?, deployments?, stateful_sets?].map(|(objects, warning)| {
        warnings.extend(warning);
        objects
    });
    let workloads: Vec<Object> = deployments.into_iter().chain(stateful_sets).collect();
    let bootstrap = match record {
        Ok(record) => record.map(|record| Bootstrap::read(&record)),
        Err(ClusterError::Forbidden(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some((name, bootstrap)) = name.zip(bootstrap.as_ref()).filter(|(name, bootstrap)| bootstrap.cluster != name.as_str()) {
        warnings.push(format!("this cluster is recorded as `{}`, not as `{name}`: it may be the wrong context", bootstrap.cluster));
    }
    let mut judged = Vec::new();
    for object in &objects {
        match Application::read(object) {
            Ok(application) => {
                let application = application.with_windows(&projects);
                let state = verdict(&application, None);
                judged.push((application, state));
            }
            Err(error) => warnings.push(error.to_string()),
        }
    }
    warnings.extend(from_clone(judged.iter().map(|(application, _)| application), bootstrap.as_ref()));
    let causes = diagnose::causes(cluster, &judged).await;
    let status = Status {
        cluster: name.cloned().or_else(|| bootstrap.as_ref()?.cluster.parse().ok()),
        context: facts.context,
        server: facts.server,
        identity: facts.identity,
        kubernetes: facts.git_version,
        argocd: ArgoCd::read(&workloads),
        bootstrap,
        commit: None,
        converged: false,
        applications: Vec::new(),
        warnings,
        tree: crate::plan::tree::ApplicationTree::default(),
    };
    Ok(Some(status.with_applications(&judged, &causes)))
}

/// Says that Applications take their objects from a clone that is served inside of the cluster, if any do.
fn from_clone<'a>(applications: impl Iterator<Item = &'a Application>, bootstrap: Option<&Bootstrap>) -> Option<String> {
    let server = git_server::address();
    let readers = applications.filter(|application| application.sources().any(|source| server.is_named_by(&source.repository))).count();
    let recover = match bootstrap {
        Some(bootstrap) => format!("gitops-bootstrap recover {}", bootstrap.cluster),
        None => "gitops-bootstrap recover CLUSTER".to_owned(),
    };
    (readers > 0).then(|| {
        format!("{readers} Applications come from a clone that is served inside of the cluster, not from the forge; once the forge is back: `{recover}`")
    })
}

/// The Applications of all namespaces, or of Argo CD's own if more is not allowed; and whether it was all.
async fn applications(cluster: &dyn Cluster) -> Result<(Vec<Object>, bool), ClusterError> {
    match cluster.list(&Application::resource(), None, None).await {
        Err(ClusterError::Forbidden(_)) => Ok((cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await?, false)),
        all => Ok((all?, true)),
    }
}

/// The objects of a kind in Argo CD's namespace; a warning in their place if the account may not list them.
async fn list_if_allowed(cluster: &dyn Cluster, api_version: &str, kind: &str) -> Result<(Vec<Object>, Option<String>), ClusterError> {
    match cluster.list(&Resource::new(api_version, kind), Some(ARGOCD_NAMESPACE), None).await {
        Err(ClusterError::Forbidden(_)) => {
            let warning = format!("nothing is known of the {kind}s in `{ARGOCD_NAMESPACE}`: the account may not list them");
            Ok((Vec::new(), Some(warning)))
        }
        objects => Ok((objects?, None)),
    }
}
