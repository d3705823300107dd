//! `status`: reads how a cluster stands, shows it, and says by its exit status whether all is well.

mod survey;
mod viewers;
mod watch;

use jiff::Timestamp;

use super::{Context, connect};
use crate::cli::status::Arguments;
use crate::cli::{Output, Target};
use crate::diagnose;
use crate::domain::{ClusterName, SandboxName};
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event};
use crate::plan::diagnosis::State;
use crate::plan::status::Status;
use crate::ports::Cluster;
use crate::report::{self, Circumstances, FOLD, Shown, Style};

use self::survey::Survey;
pub use self::watch::{News, Viewer, watch};

/// Runs `status`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let again = flags(&arguments.target);
    let name = arguments.cluster.as_ref();
    if context.global.output == Output::Json {
        let cluster = name.map(ToString::to_string);
        context.events.send(Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb: "status", cluster });
    }
    let style = report::style(&Circumstances::of(&context.global, &context.environment));
    let fold = Some(FOLD).filter(|_| !arguments.all && context.global.verbose == 0);
    let connected = tokio::select! {
        connected = connect::connect(&arguments.target, context) => connected?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    let found = if arguments.watch {
        viewers::watch(&connected.cluster, name, fold, &style, context).await?
    } else {
        let found = tokio::select! {
            found = read(&connected.cluster, name) => found?,
            () = context.cancel.cancelled() => return Err(interrupted()),
        };
        found.map(|status| show(&status, fold, &style, context).map(|()| status)).transpose()?
    };
    match found {
        None => {
            let name = name.map_or("CLUSTER", ClusterName::as_str);
            Err(Failure::new(Kind::Found, "Argo CD is not installed in this cluster")
                .hint(format!("bootstrap it: `gitops-bootstrap init {name}{again}`")))
        }
        Some(status) if status.converged => Ok(()),
        Some(status) => Err(not_converged(&status, &again)),
    }
}

fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted while reading; nothing was changed")
}

/// Shows what was found: as the result of the run, or as a screen.
fn show(status: &Status, fold: Option<usize>, style: &Style, context: &Context) -> Result<()> {
    status.warnings.iter().for_each(|warning| context.events.warn(warning, None));
    match context.global.output {
        Output::Json => context.events.send(Event::Finished { result: document(status)? }),
        Output::Text => {
            let causes = status.causes();
            let shown = Shown { causes: &causes, now: Timestamp::now(), fold };
            context.events.suspend(&mut || report::status(status, shown, style));
        }
    }
    Ok(())
}

/// `value` as it stands in events.
fn document(value: &impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| Failure::bug("the status cannot be written as JSON").because(error))
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
    let Some(survey) = Survey::of(cluster, name).await? else { return Ok(None) };
    let judged = survey.judged();
    let causes = diagnose::causes(cluster, &judged).await;
    Ok(Some(survey.status(&judged, &causes)))
}
