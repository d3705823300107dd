//! `unpack`: restores a bundle into a cluster by hand. `recover` does the same on its way.

use serde_json::json;

use super::bundle::{self, Place};
use super::pack::table;
use super::{Context, ask::ask, connect};
use crate::adapters::kubernetes::KubernetesCluster;
use crate::cli::Output;
use crate::cli::unpack::Arguments;
use crate::domain::Bundle;
use crate::domain::bundle::Index;
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event, How};
use crate::manifest::bundle as format;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::ClusterFacts;
use crate::steps::root_of_trust::{restore, survey, verdict};
use crate::steps::world::interrupted;
use crate::{preflight, report};

/// Runs `unpack`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    if context.global.output == Output::Json {
        let cluster = Some(arguments.cluster.to_string());
        context.events.send(Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb: "unpack", cluster });
    }
    let work = async { if arguments.list { list(&arguments, context).await } else { unpack(&arguments, context).await } };
    tokio::select! {
        done = work => done,
        () = context.cancel.cancelled() => Err(interrupted()),
    }
}

/// Prints what the index tells; where there is none, the bundle is opened.
async fn list(arguments: &Arguments, context: &Context) -> Result<()> {
    let locked = locked(arguments, context).await?;
    let index: Index = match &locked.index {
        Some(index) => index.clone(),
        None => {
            let bundle = bundle::unlock(&locked, &arguments.cluster, &arguments.identities, context).await?;
            format::index(&bundle, &[], format::sha256(&locked.file))
        }
    };
    if context.global.output == Output::Text {
        let rows: Vec<(String, String)> =
            index.entries.iter().map(|entry| (format!("{}/{}", entry.namespace, entry.name), entry.why.to_string())).collect();
        context.events.suspend(&mut || report::text(&table(&rows)));
    }
    let fact = |name, text: String| context.events.send(Event::Fact { name, text });
    fact("bundle", format!("{}, made {}", locked.name, index.made));
    fact("of", index.identity.to_string());
    if !index.recipients.is_empty() {
        fact("opens with", index.recipients.join(", "));
    }
    let result = serde_json::to_value(&index).map_err(|error| Failure::bug("the index cannot be written as JSON").because(error))?;
    context.events.send(Event::Finished { result });
    Ok(())
}

async fn unpack(arguments: &Arguments, context: &Context) -> Result<()> {
    let cluster = &arguments.cluster;
    let locked = locked(arguments, context).await?;
    let bundle = bundle::unlock(&locked, cluster, &arguments.identities, context).await?;
    let connected = connect::connect(&arguments.target, context).await?;
    let declaration = match &arguments.bundle {
        Some(_) => None,
        None => bundle::declared(&bundle::fleet_folder(context)?, cluster)?,
    };
    let facts = preflight::check_identity(&connected.cluster, cluster, declaration.as_ref()).await?;
    preflight::check_restore_rights(&connected.cluster, &bundle).await?;
    let seen = survey(&connected.cluster, &bundle).await?;
    let because = match verdict(&bundle, &seen)? {
        Verdict::Satisfied { because } => because,
        Verdict::Needed { because, changes } => {
            confirm(&because, &changes, &facts, connected.sandbox.is_some(), context).await?;
            put_back(&connected.cluster, &bundle, &seen, context).await?
        }
    };
    context.events.send(Event::Fact { name: "cluster", text: format!("{}: {because}", facts.context) });
    let result = json!({"cluster": cluster, "bundle": locked.name, "context": facts.context, "identity": facts.identity, "secrets": bundle.entries.len()});
    context.events.send(Event::Finished { result });
    Ok(())
}

async fn locked(arguments: &Arguments, context: &Context) -> Result<bundle::Locked> {
    let cluster = &arguments.cluster;
    if let Some(file) = &arguments.bundle {
        let file = context.environment.folder.join(file);
        let missing = || Failure::usage(format!("there is no bundle in `{}`", file.display())).hint("name its file: `--bundle FILE`");
        return bundle::locked(Place::File(&file), cluster).await?.ok_or_else(missing);
    }
    let folder = bundle::fleet_folder(context)?;
    if let Some(found) = bundle::locked(Place::Folder(&folder), cluster).await? {
        return Ok(found);
    }
    bundle::declared(&folder, cluster)?;
    Err(Failure::usage(format!("there is no bundle of `{cluster}` in this repository"))
        .hint(format!("as long as the cluster is there, make one: `gitops-bootstrap pack {cluster}`"))
        .hint("or name the file of one that is elsewhere: `--bundle FILE`"))
}

async fn put_back(
    cluster: &KubernetesCluster,
    bundle: &Bundle,
    seen: &crate::steps::root_of_trust::Survey,
    context: &Context,
) -> Result<String> {
    let events = &context.events;
    let changed = |object: crate::domain::ObjectRef, how: How| {
        events.send(Event::Changed { step: StepId::RootOfTrust, object: object.to_string(), how });
    };
    restore(cluster, bundle, seen, &changed).await?;
    match verdict(bundle, &survey(cluster, bundle).await?)? {
        Verdict::Satisfied { because } => Ok(because),
        Verdict::Needed { because, changes } => {
            Err(Failure::new(Kind::Transient, format!("the Secrets did not stay as they were made: {because}"))
                .because(format!("somebody else changes {}", changes.join(", ")))
                .hint("find out who; then run the same command again"))
        }
    }
}

/// Secrets go into a cluster only after somebody has said so.
async fn confirm(because: &str, changes: &[String], facts: &ClusterFacts, in_sandbox: bool, context: &Context) -> Result<()> {
    if context.global.yes || in_sandbox {
        return Ok(());
    }
    let target = format!("{} ({})", facts.context, facts.server);
    if !context.environment.interactive {
        return Err(Failure::usage(format!("{because} in {target}, and nobody can be asked whether to create them"))
            .because("nothing was changed")
            .hint("to create them: run the same command with `--yes`"));
    }
    for change in changes {
        context.events.send(Event::Fact { name: "create", text: change.clone() });
    }
    let question = format!("Create these in {target}?");
    if ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(false).interact()).await? {
        return Ok(());
    }
    Err(Failure::new(Kind::Interrupted, "nothing was changed, as you said"))
}
