//! From flags and environment to the cluster and the forge that are meant.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::Context;
use super::ask::ask;
use crate::adapters::kubernetes::{ConnectOptions, KubernetesCluster, contexts, kubeconfig_files};
use crate::cli::Target;
use crate::error::{Failure, Kind, Result};
use crate::sandbox::{Sandbox, State, engine, names};

/// How long passing faults of the API server are borne: an API server's restart.
const PATIENCE: Duration = Duration::from_secs(45);

/// A cluster that was connected to.
pub struct Connected {
    /// The cluster.
    pub cluster: KubernetesCluster,
    /// The sandbox that it is in, if it is in one.
    pub sandbox: Option<State>,
}

/// The sandbox that the flags name, running: started if there is none.
pub async fn sandbox_up(target: &Target, context: &Context) -> Result<Option<State>> {
    if !target.sandbox {
        return Ok(None);
    }
    Ok(Some(named_sandbox(target, context).await?.up(context).await?))
}

/// The sandbox that the flags name, as it is; an error if it does not run.
pub async fn sandbox_running(target: &Target, context: &Context) -> Result<Option<State>> {
    if !target.sandbox {
        return Ok(None);
    }
    let name = &target.sandbox_name;
    let state = match names(&context.environment)?.contains(name) {
        true => named_sandbox(target, context).await?.status(context).await?.filter(State::is_running),
        false => None,
    };
    let missing =
        || Failure::usage(format!("the sandbox `{name}` does not run")).hint(format!("start it: `gitops-bootstrap sandbox up {name}`"));
    Ok(Some(state.ok_or_else(missing)?))
}

async fn named_sandbox(target: &Target, context: &Context) -> Result<Sandbox> {
    let name = target.sandbox_name.clone();
    Sandbox::new(engine::locate(context).await?, name, context)
}

/// Where Argo CD is opened in the sandbox that the flags name, once it runs there.
pub async fn argocd_url(target: &Target, context: &Context) -> Result<Option<String>> {
    Ok(named_sandbox(target, context).await?.argocd_url())
}

/// Connects to the cluster that the flags name, for verbs that only look: a sandbox must be running.
pub async fn connect(target: &Target, context: &Context) -> Result<Connected> {
    let sandbox = sandbox_running(target, context).await?;
    connect_to(target, sandbox, context, None).await
}

/// Connects to the cluster that the flags name, or to that of `sandbox`. On a terminal it asks which context is meant if that is not clear.
pub async fn connect_to(target: &Target, sandbox: Option<State>, context: &Context, deadline: Option<Instant>) -> Result<Connected> {
    let (kubeconfig, chosen) = match &sandbox {
        Some(state) => (vec![state.kubeconfig.clone()], Some(state.context.clone())),
        None => (kubeconfigs(target, context), choose_context(target, context).await?),
    };
    let options = ConnectOptions {
        kubeconfig,
        context: chosen,
        allow_insecure_tls: target.allow_insecure_tls,
        environment: context.environment.variables.clone(),
        patience: PATIENCE,
        deadline,
        events: Some(context.events.clone()),
        flakiness: target.api_flaky,
    };
    Ok(Connected { cluster: KubernetesCluster::connect(options).await?, sandbox })
}

/// The names of the contexts of the kubeconfig that the flags name, or of the person's own.
///
/// # Errors
/// A kubeconfig that is not there, or cannot be read.
pub(super) fn contexts_at_hand(target: &Target, context: &Context) -> Result<Vec<String>> {
    Ok(contexts(&kubeconfigs(target, context))?.into_iter().map(|choice| choice.name).collect())
}

/// The kubeconfig files that the flags and the environment name.
pub(super) fn kubeconfigs(target: &Target, context: &Context) -> Vec<PathBuf> {
    kubeconfig_files(
        target.kubeconfig.as_ref().map(|path| path.as_os_str()).filter(|path| *path != OsStr::new("")),
        context.environment.home().as_deref(),
    )
}

/// The context that the flags name. On a terminal it is asked which of several is meant. There is no default: the current context is where the last
/// command went, not where this one should go.
pub(super) async fn choose_context(target: &Target, context: &Context) -> Result<Option<String>> {
    if target.context.is_some() {
        return Ok(target.context.clone());
    }
    let choices = contexts(&kubeconfigs(target, context))?;
    if choices.len() < 2 || !context.environment.interactive {
        return Ok(None);
    }
    let items: Vec<String> = choices
        .iter()
        .map(|choice| format!("{}  {}{}", choice.name, choice.server, if choice.current { "  (current)" } else { "" }))
        .collect();
    let place =
        ask(context, move || dialoguer::FuzzySelect::new().with_prompt("Context of the kubeconfig").items(&items).interact_opt()).await?;
    match place.and_then(|place| choices.into_iter().nth(place)) {
        Some(choice) => Ok(Some(choice.name)),
        None => Err(Failure::new(Kind::Interrupted, "no cluster was chosen").hint("name it with `--context`")),
    }
}
