//! What a run of `init` ends with.

use std::path::Path;
use std::time::Duration;

use crate::commands::Context;
use crate::commands::connect::Connected;
use crate::engine::StepReport;
use crate::error::Result;
use crate::event::Event;
use crate::steps::World;
use crate::steps::world::Credential;

/// Sends the result of the run.
pub(super) async fn report(
    world: &World,
    steps: &[StepReport],
    connected: &Connected,
    folder: &Path,
    elapsed: Duration,
    context: &Context,
) -> Result<()> {
    let fingerprint = match world.credential() {
        Some(Credential::DeployKey { public, .. }) => Some(public.fingerprint()),
        _ => None,
    };
    let _ = connected;
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
            "registered": world.registered(),
            "steps": steps,
            "kicks": world.kicks(),
            "skipped": world.skipped(),
            "milliseconds": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }),
    });
    Ok(())
}
