//! What each half of a move ends with.

use std::time::Duration;

use super::super::super::change::show;
use super::super::super::status::flags;
use super::Move;
use super::half::Half;
use crate::cli::access::CredentialKind;
use crate::cli::rotate_key::Arguments;
use crate::context::Context;
use crate::domain::PublicKey;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::engine::StepReport;
use crate::event::Event;
use crate::report::Ending;
use crate::steps::credential::Credential;

/// Tells people, and whoever reads the events, how the run has ended.
pub(super) fn tell(found: &Move, arguments: &Arguments, steps: &[StepReport], elapsed: Duration, context: &Context) {
    let ending = match found.half {
        Half::Prepare => prepared(found, arguments, elapsed),
        Half::Finish => finished(found, arguments, steps, elapsed),
    };
    show(&ending, context);
    let world = &found.world;
    let rotation = world.rotation();
    let credential = world.credential();
    let by_hand: Vec<_> = rotation.by_hand.iter().map(PublicKey::fingerprint).collect();
    context.events.send(Event::Finished {
        result: serde_json::json!({
            "cluster": arguments.cluster,
            "context": world.wanted.facts.context,
            "server": world.wanted.facts.server,
            "identity": world.wanted.facts.identity,
            "half": found.half,
            "from": found.from,
            "repository": world.wanted.tree.repository,
            "keyFingerprint": match &credential {
                Some(Credential::DeployKey { public, .. }) => Some(public.fingerprint()),
                _ => None,
            },
            "githubApp": match &credential {
                Some(Credential::GitHubApp(app)) => Some(serde_json::json!({"id": app.id, "installation": app.installation})),
                _ => None,
            },
            "registered": world.registered(),
            "inGit": found.changes,
            "otherClusters": found.others,
            "removedKeys": rotation.retired,
            "keysToRemoveByHand": by_hand,
            "removedSecrets": rotation.removed_secrets,
            "steps": steps,
            "milliseconds": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }),
    });
}

/// `a deploy key`.
const fn kind(to: CredentialKind) -> &'static str {
    match to {
        CredentialKind::DeployKey => "a deploy key",
        CredentialKind::GitHubApp => "a GitHub App",
    }
}

const fn flag(to: CredentialKind) -> &'static str {
    match to {
        CredentialKind::DeployKey => "deploy-key",
        CredentialKind::GitHubApp => "github-app",
    }
}

/// What is new, in words.
fn new_credential(found: &Move) -> Vec<(&'static str, String)> {
    let world = &found.world;
    let repository = &world.wanted.tree.repository;
    match world.credential() {
        Some(Credential::DeployKey { public, .. }) => {
            let registered = match world.registered() {
                Some(key) => format!("read-only, as \"{}\" (id {})", key.title, key.id),
                None => "registered by hand".to_owned(),
            };
            vec![("new", format!("the deploy key {}", public.fingerprint())), ("", registered), ("", format!("for {repository}"))]
        }
        Some(Credential::GitHubApp(app)) => vec![("new", app.to_string()), ("", format!("for {repository}"))],
        Some(Credential::Other(what)) => vec![("new", format!("{what}, for {repository}"))],
        None => Vec::new(),
    }
}

/// The changes in Git, a line each.
fn in_git(found: &Move) -> impl Iterator<Item = (&'static str, String)> {
    let label = |index: usize| if index == 0 { "in Git" } else { "" };
    found.changes.iter().enumerate().map(move |(index, change)| (label(index), change.to_string()))
}

fn prepared(found: &Move, arguments: &Arguments, took: Duration) -> Ending {
    let (cluster, to) = (&arguments.cluster, flag(found.to));
    let again = flags(&arguments.change.target);
    let mut about = new_credential(found);
    about.push(("old", format!("stays as it is, for {}", found.from)));
    about.extend(in_git(found));
    let others = found.others.iter().map(|other| {
        (format!("gitops-bootstrap rotate-key {other} --to {to}"), format!("first: `{other}` has the same address, and needs it too"))
    });
    let branch = &found.world.wanted.tree.revision;
    let next = others.chain([
        (
            format!("gitops-bootstrap render && git commit -am 'Let Argo CD in by {}' && git push", kind(found.to)),
            format!("when the above is written in Git, so that it comes to `{branch}`; Argo CD moves by itself"),
        ),
        (
            format!("gitops-bootstrap rotate-key {cluster} --to {to}{again}"),
            "then, for each cluster: waits until all of it has moved, and removes the old credential".to_owned(),
        ),
    ]);
    Ending {
        heading: format!("{cluster} is ready to move to {}: Argo CD has both credentials", kind(found.to)),
        took,
        about,
        next: next.collect(),
    }
}

fn finished(found: &Move, arguments: &Arguments, steps: &[StepReport], took: Duration) -> Ending {
    let cluster = &arguments.cluster;
    let again = flags(&arguments.change.target);
    let rotation = found.world.rotation();
    let mut about = new_credential(found);
    about.extend(
        rotation.removed_secrets.iter().map(|secret| ("old", format!("the Secret {ARGOCD_NAMESPACE}/{} was removed", secret.name))),
    );
    about.extend(rotation.retired.iter().map(|key| ("old key", format!("\"{}\" (id {}) was removed", key.title, key.id))));
    about.extend(rotation.by_hand.iter().map(|key| ("old key", format!("{} is still to be removed, by hand", key.fingerprint()))));
    about.extend(
        rotation.removed_secrets.iter().filter_map(|secret| secret.github_app).map(|app| {
            ("old App", format!("delete the private key of the GitHub App {app}, or the App, when no cluster needs it any more"))
        }),
    );
    let mut next = Vec::new();
    if !found.others.is_empty() && !steps.is_empty() {
        next.extend(
            found
                .others
                .iter()
                .map(|other| (format!("gitops-bootstrap rotate-key {other} --to {}", flag(found.to)), format!("the same for `{other}`"))),
        );
    }
    about.extend(in_git(found));
    if !found.changes.is_empty() {
        next.push((
            "gitops-bootstrap render && git commit -am 'Forget the old address' && git push".to_owned(),
            "when every cluster has moved, and the above is done".to_owned(),
        ));
    }
    if !steps.is_empty() {
        next.push((
            format!("gitops-bootstrap pack {cluster}{again}"),
            "if you keep a bundle: the one that there is holds the old credential".to_owned(),
        ));
    }
    next.push((format!("gitops-bootstrap status {cluster}{again}"), "how it stands".to_owned()));
    let heading = match steps.is_empty() {
        true => format!("nothing to do: Argo CD in {cluster} gets in by {} alone", kind(found.to)),
        false => format!("{cluster} has moved to {}, and Argo CD fetches by it", kind(found.to)),
    };
    Ending { heading, took, about, next }
}
