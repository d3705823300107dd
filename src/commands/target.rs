//! The cluster that a verb is pointed at: a context of a kubeconfig, or a sandbox.

use super::Context;
use crate::adapters::kubernetes::{ConnectOptions, KubernetesCluster, kubeconfig_files};
use crate::cli::Target;
use crate::error::{Failure, Result};
use crate::sandbox::{Sandbox, engine};

/// How `target` is reached, with the deadline still to be set. A sandbox has to be there: it is not started here.
pub async fn options(target: &Target, context: &Context) -> Result<ConnectOptions> {
    let mut options = ConnectOptions {
        kubeconfig: kubeconfig_files(target.kubeconfig.as_ref().map(|files| files.as_os_str()), context.environment.home().as_deref()),
        context: target.context.clone(),
        allow_insecure_tls: target.allow_insecure_tls,
        environment: context.environment.variables.clone(),
        events: Some(context.events.clone()),
        ..ConnectOptions::default()
    };
    if target.sandbox {
        let name = target.sandbox_name.clone();
        let sandbox = Sandbox::new(engine::locate(context).await?, name.clone(), context)?;
        let state = sandbox.status(context).await?.ok_or_else(|| {
            Failure::usage(format!("there is no sandbox `{name}`"))
                .hint(format!("make one and bootstrap it: `gitops-bootstrap init staging --sandbox --sandbox-name {name}`"))
        })?;
        options.kubeconfig = vec![state.kubeconfig];
        options.context = Some(state.context);
    }
    Ok(options)
}

/// Connects to `target`.
pub async fn connect(target: &Target, context: &Context) -> Result<KubernetesCluster> {
    Ok(KubernetesCluster::connect(options(target, context).await?).await?)
}

/// The flags that name `target` again in a command to type, with a blank before each.
pub fn flags(target: &Target) -> String {
    if target.sandbox {
        let is_default = target.sandbox_name == crate::domain::SandboxName::default();
        return if is_default { " --sandbox".to_owned() } else { format!(" --sandbox --sandbox-name {}", target.sandbox_name) };
    }
    target.context.as_ref().map(|context| format!(" --context {context}")).unwrap_or_default()
}
