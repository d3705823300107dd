//! Asking Argo CD to go on where it would not by itself, or not soon.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::watched::{Known, Watched};
use crate::error::Result;
use crate::event::How;
use crate::plan::StepId;
use crate::plan::diagnosis::State;
use crate::ports::cluster::ClusterError;
use crate::steps::World;
use crate::steps::key_verify::{self, Seen};

/// The shortest pause between two requests to Argo CD about the same Application.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// How many requests about one Application are made at most: what ten have not helped, an eleventh does not.
const MOST: u32 = 10;

/// What is asked for.
enum Request {
    /// To look into Git again.
    Refresh(&'static str),
    /// A sync, where Argo CD has given up.
    Sync,
    /// The next try of a sync, now instead of after the rest of a long pause.
    Hurry,
    /// To look at the objects again, without anything being wrong.
    LookAgain,
}

/// Asks Argo CD to look again where it is at another commit or holds on to an error, to sync where it has given up, and to try again at once where
/// something has come up since the last try that may have been missing.
pub(super) async fn ask(watched: &mut Watched, world: &World, step: StepId) -> Result<()> {
    if watched.applications.values().any(|known| known.at_another_commit && known.times_asked > 0) {
        follow_the_branch(world).await?;
    }
    let now = Instant::now();
    let last_success = watched.last_success;
    for (reference, known) in &mut watched.applications {
        let Some(request) = request(known, last_success, now) else { continue };
        world.go_on()?;
        if let (Request::LookAgain, Some(rest)) = (&request, known.rest) {
            known.rest = Some(rest.looked_again(now));
        } else {
            known.asked = Some(now);
        }
        let patch = match request {
            Request::Refresh(how) => refresh(how),
            Request::LookAgain => refresh("normal"),
            Request::Sync => sync(known),
            Request::Hurry => hurry(),
        };
        // Hurrying and looking again are no tries that failed.
        known.times_asked += u32::from(matches!(request, Request::Refresh(_) | Request::Sync));
        if matches!(request, Request::Sync | Request::Hurry) {
            world.count_kick(&reference.name);
        }
        match world.cluster.merge_patch(reference, &patch).await {
            // Looking again starts nothing.
            Ok(_) if matches!(request, Request::LookAgain) => {
                tracing::debug!(application = reference.name, "Argo CD is asked to look again")
            }
            Ok(_) => world.changed(step, reference, How::Kicked),
            Err(ClusterError::NotFound(_) | ClusterError::Stale(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What Argo CD is to be asked about an Application now.
fn request(known: &Known, last_success: Option<Instant>, now: Instant) -> Option<Request> {
    let pause = PAUSE * 2u32.saturating_pow(known.times_asked.saturating_sub(1).min(3));
    let is_too_soon = known.asked.is_some_and(|asked| now.duration_since(asked) < pause);
    let kick = if is_too_soon || known.times_asked >= MOST { None } else { kick(known, last_success, now) };
    kick.or_else(|| known.rest.filter(|rest| rest.ends() <= now).map(|_| Request::LookAgain))
}

/// What would move an Application that does not move by itself.
fn kick(known: &Known, last_success: Option<Instant>, now: Instant) -> Option<Request> {
    match &known.state {
        State::Stalled { kickable: true, .. } => Some(Request::Sync),
        _ if known.at_another_commit => Some(Request::Refresh("normal")),
        State::Failed { .. } if known.has_error => Some(Request::Refresh("hard")),
        _ => {
            let (_, since) = known.next_try?;
            let came_up = last_success.is_some_and(|success| success > since);
            // What it waited for may have been put right before this run: each gets one try in it.
            let is_new = known.asked.is_none();
            ((came_up || is_new) && now.duration_since(since) > PAUSE).then_some(Request::Hurry)
        }
    }
}

fn refresh(how: &str) -> Value {
    json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": how}}})
}

/// Asks for a sync. A request inherits neither the options nor the retries of the Application: without them a sync would fall back to client-side
/// apply, which fails for large objects.
fn sync(known: &Known) -> Value {
    json!({"operation": {
        "initiatedBy": {"username": "gitops-bootstrap"},
        "retry": known.retry,
        "sync": {"prune": known.prune, "syncOptions": known.sync_options, "syncStrategy": {"hook": {}}},
    }})
}

/// Makes the next try due. Argo CD counts the pause from the end of the last try (`NextRetryAt` in its types.go); the sync with its retries stays as it
/// is, so nothing is lost if nobody follows up. The refresh has Argo CD look at the operation now.
fn hurry() -> Value {
    let long_ago = jiff::Timestamp::UNIX_EPOCH.to_string();
    let mut patch = refresh("normal");
    patch["status"] = json!({"operationState": {"finishedAt": long_ago}});
    patch
}

/// If the branch has moved since the run began, its new commit is the one that counts.
async fn follow_the_branch(world: &World) -> Result<()> {
    // What is served from the clone does not move.
    if world.served.is_some() {
        return Ok(());
    }
    let Some(credential) = world.credential() else { return Ok(()) };
    let tree = &world.wanted.tree;
    let Ok(Seen::Head(Some(head))) = key_verify::ask(world, &credential).await else { return Ok(()) };
    if head != world.commit() {
        world.events.warn(format!("{} moved to {} during the run: that is what the cluster goes to", tree.revision, head.short()), None);
        world.note_commit(head);
    }
    Ok(())
}
