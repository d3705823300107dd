//! `detach`: Argo CD out of a cluster, with every workload kept.

use std::time::Duration;

use tokio::time::Instant;

use super::Context;
use super::ask::ask;
use super::bootstrap::{started, with_way_on};
use super::change::{Purpose, look, show};
use super::status::flags;
use crate::cli::detach::Arguments;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::engine::{self, StepReport};
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, PlannedStep};
use crate::plan::StepId;
use crate::plan::inventory::Inventory;
use crate::report::Ending;
use crate::steps::World;
use crate::steps::apply::count;
use crate::steps::world::interrupted;

/// How many names a fact has.
const NAMED: usize = 20;

/// Runs `detach`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    detach(&arguments, context).await.map_err(|failure| with_way_on(failure, context))
}

async fn detach(arguments: &Arguments, context: &Context) -> Result<()> {
    let begin = Instant::now();
    context.events.send(started("detach", Some(arguments.cluster.to_string())));
    let survey = async {
        let (world, _) = look(Purpose::Detach, &arguments.cluster, &arguments.change, arguments.keep_key, context).await?;
        world.note_detachment(|detachment| {
            detachment.keep_definitions = arguments.keep_crds;
            detachment.keep_key = arguments.keep_key;
        });
        let planned = engine::survey(&StepId::DETACH, &world).await?;
        Ok::<_, Failure>((world, planned))
    };
    // Looking changes nothing, so there is nothing to end well.
    let (world, planned) = tokio::select! {
        surveyed = survey => surveyed?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    let is_needed = planned.iter().any(|step| step.needed);
    if is_needed {
        tell(&planned, &world.detachment().inventory, context);
    }
    context.events.send(Event::Planned { steps: planned });
    let steps = if is_needed {
        confirm(arguments, &world, context).await?;
        engine::run(&StepId::DETACH, &world).await?
    } else {
        Vec::new()
    };
    end(arguments, &world, &steps, begin.elapsed(), context);
    Ok(())
}

/// Says what goes and what stays.
fn tell(planned: &[PlannedStep], inventory: &Inventory, context: &Context) {
    let step = |id: StepId| planned.iter().find(|step| step.step == id && step.needed);
    let mut goes: Vec<String> = step(StepId::Applications).map(|step| step.because.clone()).into_iter().collect();
    goes.extend(step(StepId::Remove).map(|step| format!("{} of Argo CD", count(step.changes.len(), "object"))));
    goes.extend(step(StepId::Definitions).map(|step| count(step.changes.len(), "resource definition")));
    goes.extend(step(StepId::KeyRemove).map(|step| count(step.changes.len(), "deploy key")));
    goes.extend(step(StepId::WebhookRemove).map(|step| count(step.changes.len(), "webhook")));
    if !goes.is_empty() {
        context.events.send(Event::Fact { name: "goes", text: goes.join(", ") });
    }
    if !inventory.stays.is_empty() {
        context.events.send(Event::Fact { name: "stays", text: stays(inventory) });
        let namespaces: Vec<&str> = inventory.namespaces().into_iter().collect();
        let more = if namespaces.len() > NAMED { format!(" and {} more", namespaces.len() - NAMED) } else { String::new() };
        let names = namespaces.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        context.events.send(Event::Fact { name: "stays in", text: format!("{names}{more}") });
    }
}

/// `9 objects (Pod 4, Deployment 3, Service 2)`.
fn stays(inventory: &Inventory) -> String {
    let kinds: Vec<String> = inventory.kinds_that_stay().iter().map(|(kind, number)| format!("{kind} {number}")).collect();
    format!("{} ({})", count(inventory.stays.len(), "object"), kinds.join(", "))
}

/// Asks for the cluster's name: a yes is given too easily. Without a terminal, two flags say the same.
async fn confirm(arguments: &Arguments, world: &World, context: &Context) -> Result<()> {
    let name = arguments.cluster.to_string();
    if let Some(given) = arguments.confirm.as_ref().filter(|given| **given != arguments.cluster) {
        return Err(Failure::usage(format!("`--confirm` names `{given}`, and the cluster to take Argo CD out of is `{name}`"))
            .because("nothing was changed"));
    }
    if arguments.confirm.is_some() && context.global.yes {
        return Ok(());
    }
    if !context.environment.interactive {
        return Err(Failure::usage(format!("taking Argo CD out of `{name}` must be confirmed"))
            .because("nothing was changed")
            .hint(format!("read what goes and what stays; then add: --yes --confirm {name}")));
    }
    let facts = &world.wanted.facts;
    let question = format!("Argo CD is taken out of `{}` ({}). Type the cluster's name to go on", facts.context, facts.server);
    let typed = ask(context, move || dialoguer::Input::<String>::new().with_prompt(question).allow_empty(true).interact_text()).await?;
    if typed.trim() == name {
        return Ok(());
    }
    Err(Failure::new(Kind::Interrupted, format!("nothing was changed: `{}` is not `{name}`", typed.trim())))
}

fn end(arguments: &Arguments, world: &World, steps: &[StepReport], elapsed: Duration, context: &Context) {
    let detachment = world.detachment();
    let (cluster, inventory) = (&arguments.cluster, &detachment.inventory);
    let pods = inventory.stays.keys().filter(|object| object.resource.kind == "Pod").count();
    let mut about = Vec::new();
    if detachment.proven.is_some() {
        about.push(("proof", format!("{} have the UID that they had before", stays(inventory))));
        about.push(("", format!("{}, none was restarted", count(pods, "pod"))));
    }
    about.extend(
        detachment
            .removed_keys
            .iter()
            .map(|key| ("deploy key", format!("\"{}\" (id {}) was removed from {}", key.title, key.id, key.forge))),
    );
    about.extend(detachment.removed_webhooks.iter().map(|webhook| ("webhook", format!("{} (id {}) was removed", webhook.url, webhook.id))));
    if arguments.keep_key {
        about.push(("deploy key", "left at the forge, as you said: remove it by hand if nobody else needs it".to_owned()));
    }
    if !detachment.others.is_empty() {
        let names: Vec<String> = detachment.others.iter().take(NAMED).map(ToString::to_string).collect();
        about.push(("namespace", format!("{ARGOCD_NAMESPACE} was kept: it holds {}", names.join(", "))));
    }
    let heading = if steps.is_empty() { format!("nothing of Argo CD is in {cluster}") } else { format!("Argo CD is out of {cluster}") };
    let command = format!("gitops-bootstrap init {cluster}{}", flags(&arguments.change.target));
    let next = vec![(command, "puts Argo CD back: it takes over what is there, and nothing is restarted".to_owned())];
    show(&Ending { heading, took: elapsed, about, next }, context);
    context.events.send(Event::Finished {
        result: serde_json::json!({
            "cluster": cluster,
            "context": world.wanted.facts.context,
            "server": world.wanted.facts.server,
            "identity": world.wanted.facts.identity,
            "removed": {"applications": inventory.applications.len(), "objects": inventory.goes.len()},
            "proof": detachment.proven.map(|objects| serde_json::json!({
                "objects": objects,
                "pods": pods,
                "namespaces": inventory.namespaces(),
                "kinds": inventory.kinds_that_stay().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            })),
            "removedKeys": detachment.removed_keys,
            "removedWebhooks": detachment.removed_webhooks,
            "keptInNamespace": detachment.others.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "steps": steps,
            "milliseconds": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }),
    });
}
