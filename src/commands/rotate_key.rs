//! `rotate-key`: another deploy key, without Argo CD losing access.

use std::time::Duration;

use tokio::time::Instant;

use super::Context;
use super::bootstrap::{confirm, started, with_way_on};
use super::change::{Purpose, look, show};
use super::status::flags;
use crate::cli::access::CredentialKind;
use crate::cli::rotate_key::Arguments;
use crate::domain::PublicKey;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::engine::{self, StepReport};
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::plan::StepId;
use crate::report::Ending;
use crate::steps::credential::Credential;
use crate::steps::secret_create::{SecretCreate, app_secret_name, secret_name};
use crate::steps::world::{Registered, interrupted};
use crate::steps::{Step as _, World};

/// Runs `rotate-key`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    rotate(&arguments, context).await.map_err(|failure| with_way_on(failure, context))
}

async fn rotate(arguments: &Arguments, context: &Context) -> Result<()> {
    let begin = Instant::now();
    context.events.send(started("rotate-key", Some(arguments.cluster.to_string())));
    let recipe = if arguments.revoke_first { &StepId::REVOKE_AND_ROTATE } else { &StepId::ROTATE };
    let survey = async {
        let (world, connected) = look(Purpose::Rotate, &arguments.cluster, &arguments.change, arguments.paste_key, context).await?;
        check_kind(arguments, &world).await?;
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

/// Refuses to move to another kind of credential: the address is another one then, and that is in Git.
async fn check_kind(arguments: &Arguments, world: &World) -> Result<()> {
    let Some(to) = arguments.to else { return Ok(()) };
    SecretCreate.look(world).await?;
    let (cluster, repository) = (&arguments.cluster, &world.wanted.tree.repository);
    let (what, address, declare, flag, old) = match (to, world.credential()) {
        (CredentialKind::GitHubApp, Some(Credential::DeployKey { .. })) => (
            "from a deploy key to a GitHub App",
            repository.https(),
            "with `githubApp: {id: ID}` beside it",
            " --github-app-private-key-file FILE",
            "delete the deploy key in the settings of the repository",
        ),
        (CredentialKind::DeployKey, Some(Credential::GitHubApp(_))) => (
            "from a GitHub App to a deploy key",
            repository.ssh(),
            "without `githubApp`",
            "",
            "delete the App's private key, or the App, if nobody else needs it",
        ),
        _ => return Ok(()),
    };
    let secret = if to == CredentialKind::GitHubApp { secret_name(repository) } else { app_secret_name(repository) };
    Err(Failure::refused(format!("moving `{cluster}` {what} takes a change in Git"))
        .because(format!("a deploy key is for SSH and a GitHub App for https, and every Application names the address {repository}"))
        .because("nothing was changed")
        .hint(format!(
            "in gitops.yaml, under `repository`, write `url: {address}` {declare}, and the same address into `sourceRepos` in src/argocd/projects; then `gitops-bootstrap render`, commit and push; that is for all clusters of the fleet"
        ))
        .hint(format!(
            "right after that, for each cluster: gitops-bootstrap init {cluster}{flag}; until then Argo CD reports that it cannot fetch, and what runs goes on to run"
        ))
        .hint(format!("at last: kubectl -n {ARGOCD_NAMESPACE} delete secret {secret}; and {old}")))
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
