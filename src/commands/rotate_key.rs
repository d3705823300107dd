//! `rotate-key`: another deploy key, or another kind of credential, without Argo CD losing access.

mod moving;

use std::time::Duration;

use tokio::time::Instant;

use super::Context;
use super::bootstrap::{confirm, started, with_way_on};
use super::change::{Purpose, look, show};
use super::status::flags;
use crate::cli::rotate_key::Arguments;
use crate::domain::PublicKey;
use crate::engine::{self, StepReport};
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::plan::StepId;
use crate::report::Ending;
use crate::steps::World;
use crate::steps::credential::Credential;
use crate::steps::world::{Registered, interrupted};

/// Runs `rotate-key`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let ran = match arguments.to {
        Some(to) => moving::run(&arguments, to, context).await,
        None => rotate(&arguments, context).await,
    };
    ran.map_err(|failure| with_way_on(failure, context))
}

async fn rotate(arguments: &Arguments, context: &Context) -> Result<()> {
    let begin = Instant::now();
    context.events.send(started("rotate-key", Some(arguments.cluster.to_string())));
    let recipe = if arguments.revoke_first { &StepId::REVOKE_AND_ROTATE } else { &StepId::ROTATE };
    let survey = async {
        let (world, connected) = look(Purpose::Rotate, &arguments.cluster, &arguments.change, arguments.paste_key, context).await?;
        world.note_rotation(|rotation| rotation.revoke_first = arguments.revoke_first);
        let planned = engine::survey(recipe, &world).await?;
        Ok::<_, Failure>((world, connected, planned))
    };
    // Looking changes nothing, so there is nothing to end well.
    let (world, connected, planned) = tokio::select! {
        surveyed = survey => surveyed?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    context.events.send(Event::Planned { steps: planned.clone() });
    confirm(&planned, &world, connected.sandbox.is_some(), context).await?;
    let steps = engine::run(recipe, &world).await?;
    end(arguments, &world, &steps, begin.elapsed(), context);
    Ok(())
}

fn end(arguments: &Arguments, world: &World, steps: &[StepReport], elapsed: Duration, context: &Context) {
    let rotation = world.rotation();
    let fingerprint = match world.credential() {
        Some(Credential::DeployKey { public, .. }) => Some(public.fingerprint()),
        _ => None,
    };
    let by_hand: Vec<_> = rotation.by_hand.iter().map(PublicKey::fingerprint).collect();
    let cluster = &arguments.cluster;
    let repository = &world.wanted.tree.repository;
    let named = |key: &Registered| format!("\"{}\" (id {})", key.title, key.id);
    let mut about = vec![("new key", fingerprint.as_ref().map(ToString::to_string).unwrap_or_default())];
    about.push((
        "",
        match world.registered() {
            Some(key) => format!("read-only on {repository}, as {}", named(&key)),
            None => format!("registered by hand on {repository}"),
        },
    ));
    about.extend(rotation.retired.iter().map(|key| ("old key", format!("{} was removed", named(key)))));
    about.extend(by_hand.iter().map(|key| ("old key", format!("{key} is still to be removed, by hand"))));
    let again = flags(&arguments.change.target);
    show(
        &Ending {
            heading: format!("{cluster} has another deploy key, and Argo CD fetches with it"),
            took: elapsed,
            about,
            next: vec![
                (
                    format!("gitops-bootstrap pack {cluster}{again}"),
                    "if you keep a bundle: the one that there is holds the old key".to_owned(),
                ),
                (format!("gitops-bootstrap status {cluster}{again}"), "how it stands".to_owned()),
            ],
        },
        context,
    );
    context.events.send(Event::Finished {
        result: serde_json::json!({
            "cluster": cluster,
            "context": world.wanted.facts.context,
            "server": world.wanted.facts.server,
            "identity": world.wanted.facts.identity,
            "repository": repository,
            "keyFingerprint": fingerprint,
            "registered": world.registered(),
            "removedKeys": rotation.retired,
            "keysToRemoveByHand": by_hand,
            "steps": steps,
            "milliseconds": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }),
    });
}
