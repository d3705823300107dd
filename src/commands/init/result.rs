//! What a run of `init` ends with: for people the tree and how to go on, for programs the same as one event.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::init::Arguments;
use crate::cli::{Output, Target};
use crate::commands::Context;
use crate::commands::bootstrap::applications;
use crate::commands::connect::{Connected, argocd_url};
use crate::domain::application::Application;
use crate::domain::{Fingerprint, GitHubApp, SandboxName};
use crate::engine::StepReport;
use crate::error::Result;
use crate::event::Event;
use crate::plan::StepId;
use crate::plan::diagnosis::State;
use crate::plan::tree::ApplicationTree;
use crate::report::{self, Access, Circumstances, Key, Shown, Summary};
use crate::steps::World;
use crate::steps::credential::Credential;

/// Tells what the run has come to.
pub(super) async fn report(
    world: &World,
    steps: &[StepReport],
    arguments: &Arguments,
    connected: &Connected,
    folder: &Path,
    elapsed: Duration,
    context: &Context,
) -> Result<()> {
    let applications = applications(world).await?;
    let fingerprint = match world.credential() {
        Some(Credential::DeployKey { public, .. }) => Some(public.fingerprint()),
        _ => None,
    };
    if context.global.output == Output::Text {
        let url = if connected.sandbox.is_some() { argocd_url(&arguments.run.change.target, context).await? } else { None };
        let shown = End { world, steps, applications: &applications, fingerprint: fingerprint.as_ref(), url: url.as_deref(), elapsed };
        shown.show(arguments, connected, folder, context);
        return Ok(());
    }
    context.events.send(Event::Finished {
        result: serde_json::json!({
            "cluster": world.wanted.cluster,
            "context": world.wanted.facts.context,
            "server": world.wanted.facts.server,
            "identity": world.wanted.facts.identity,
            "repository": world.wanted.tree.repository,
            "folder": folder,
            "commit": world.commit(),
            "argocdVersion": world.wanted.tree.argocd_version(),
            "keyFingerprint": fingerprint,
            "githubApp": app(world).map(|app| serde_json::json!({"id": app.id, "installation": app.installation})),
            "registered": world.registered(),
            "webhook": world.webhook,
            "applications": applications.iter().map(|(application, _)| &application.reference.name).collect::<Vec<_>>(),
            "steps": steps,
            "kicks": world.kicks(),
            "skipped": world.skipped(),
            "milliseconds": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }),
    });
    Ok(())
}

/// The GitHub App by which Argo CD gets in, if it is one.
fn app(world: &World) -> Option<GitHubApp> {
    match world.credential() {
        Some(Credential::GitHubApp(app)) => Some(app),
        _ => None,
    }
}

/// The end of a run as a person sees it.
struct End<'a> {
    world: &'a World,
    steps: &'a [StepReport],
    applications: &'a [(Application, State)],
    fingerprint: Option<&'a Fingerprint>,
    url: Option<&'a str>,
    elapsed: Duration,
}

impl End<'_> {
    fn show(&self, arguments: &Arguments, connected: &Connected, folder: &Path, context: &Context) {
        let wanted = &self.world.wanted;
        let tree = ApplicationTree::grow(self.applications);
        let causes = BTreeMap::new();
        let commit = self.world.commit();
        let repository = wanted.tree.repository.to_string();
        let steps: Vec<(StepId, Duration)> = self.steps.iter().map(|step| (step.step, Duration::from_millis(step.milliseconds))).collect();
        let kubectl = match &connected.sandbox {
            Some(_) => format!("gitops-bootstrap sandbox kubectl{} --", sandbox_name(&arguments.run.change.target)),
            None => format!("kubectl --context {}", wanted.facts.context),
        };
        let summary = Summary {
            cluster: wanted.cluster.as_str(),
            commit: commit.short(),
            tree: &tree,
            shown: Shown { causes: &causes, now: Timestamp::now(), fold: Some(report::FOLD) },
            steps: &steps,
            took: self.elapsed,
            key: self.fingerprint.map(|fingerprint| Key {
                fingerprint: fingerprint.to_string(),
                repository: &repository,
                registered: self.world.registered().map(|registered| (registered.title, registered.id)),
            }),
            app: app(self.world).map(|app| app.to_string()),
            access: self.url.map_or(Access::PortForward, Access::Address),
            kubectl: &kubectl,
            next: &next(arguments, wanted.cluster.as_str(), connected, folder, context),
        };
        let style = report::style(&Circumstances::of(&context.global, &context.environment));
        context.events.suspend(&mut || report::summary(&summary, &style));
    }
}

fn sandbox_name(target: &Target) -> String {
    if target.sandbox_name == SandboxName::default() { String::new() } else { format!(" --name {}", target.sandbox_name) }
}

/// The next commands, each with what it is for.
fn next(arguments: &Arguments, cluster: &str, connected: &Connected, folder: &Path, context: &Context) -> Vec<(String, String)> {
    let mut next = Vec::new();
    if folder != context.environment.folder {
        let shown = folder.strip_prefix(&context.environment.folder).unwrap_or(folder).display();
        next.push((format!("cd {shown}"), "the fleet repository: change it, render, commit and push; Argo CD does the rest".to_owned()));
    }
    let target = match &connected.sandbox {
        Some(_) if arguments.run.change.target.sandbox_name == SandboxName::default() => " --sandbox".to_owned(),
        Some(_) => format!(" --sandbox --sandbox-name {}", arguments.run.change.target.sandbox_name),
        None => arguments.run.change.target.context.as_ref().map(|context| format!(" --context {context}")).unwrap_or_default(),
    };
    next.push((format!("gitops-bootstrap status {cluster}{target}"), "how it stands".to_owned()));
    if connected.sandbox.is_some() {
        next.push((
            format!("gitops-bootstrap sandbox down{}", sandbox_name(&arguments.run.change.target)),
            "ends the sandbox and leaves nothing".to_owned(),
        ));
    }
    next
}
