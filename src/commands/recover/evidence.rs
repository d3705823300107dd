//! What the run came to, gathered from the world, and written to files on request.

use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::check::Checked;
use crate::adapters::files;
use crate::commands::bootstrap::applications;
use crate::domain::RepositoryPath;
use crate::engine::StepReport;
use crate::error::{Failure, Result};
use crate::event::Outcome;
use crate::plan::recovery::{ApplicationEvidence, End, FORMAT, KeyEvidence, LossKind, Phase, Recovery, StaleKey, Target};
use crate::report::recovery as writers;
use crate::steps::World;
use crate::steps::credential::Credential;

/// What the run came to. `again` are the flags that name the cluster in the next commands.
pub(super) async fn gather(checked: &Checked, steps: &[StepReport], failure: Option<Failure>, began: Instant, again: &str) -> Recovery {
    let world = &checked.world;
    let (wanted, facts) = (&world.wanted, &world.wanted.facts);
    let applications = came_up(world, began).await;
    let stale_keys = stale_keys(checked);
    let end = match &failure {
        Some(_) => End::Incomplete,
        None if applications.iter().all(|application| application.cause.is_none()) => End::Converged,
        None => End::Waiting,
    };
    Recovery {
        format: FORMAT,
        tool: env!("CARGO_PKG_VERSION"),
        cluster: wanted.cluster.to_string(),
        end,
        failure,
        began: wanted.now.to_string(),
        milliseconds: since(began, Instant::now()),
        repository: wanted.tree.repository.clone(),
        commit: world.commit(),
        argocd_version: wanted.tree.argocd_version(),
        target: Target {
            context: facts.context.clone(),
            server: facts.server.clone(),
            kubernetes: facts.git_version.clone(),
            identity: facts.identity.clone(),
        },
        old_identity: old_identity(checked),
        key: key(world),
        needs_person: needs_person(checked, &stale_keys, again),
        stale_keys,
        restored: wanted.bundle.iter().flat_map(|bundle| &bundle.entries).map(|entry| entry.object.reference().to_string()).collect(),
        phases: steps.iter().map(phase).collect(),
        applications,
        kicks: world.kicks(),
        skipped: world.skipped(),
        losses: checked.losses.clone(),
    }
}

/// Writes the evidence into `folder`; returns the files.
pub(super) fn write(recovery: &Recovery, folder: &Path) -> Result<Vec<PathBuf>> {
    // Without a `.` in between, as it is shown.
    let folder: PathBuf = folder.components().collect();
    let mut written = Vec::new();
    for (extension, text) in [("md", writers::markdown(recovery)), ("json", writers::json(recovery))] {
        let name = format!("recovery-{}.{extension}", recovery.cluster);
        let path: RepositoryPath = name.parse().map_err(|_| Failure::bug("a cluster's name is no file name"))?;
        files::write_file(&folder, &path, text.as_bytes())?;
        written.push(folder.join(name));
    }
    Ok(written)
}

fn since(began: Instant, time: Instant) -> u64 {
    u64::try_from(time.saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX)
}

/// The Applications as they are now. If the cluster cannot be asked any more, what was seen of them is left.
async fn came_up(world: &World, began: Instant) -> Vec<ApplicationEvidence> {
    let seen = world.came_up();
    let now = applications(world).await.unwrap_or_default();
    let of = |name: &str| seen.get(name);
    let mut all: Vec<ApplicationEvidence> = now
        .into_iter()
        .map(|(application, state)| {
            let times = of(&application.reference.name);
            let state = state.after(times.and_then(|times| times.last_failure.as_deref()));
            ApplicationEvidence {
                name: application.reference.to_string(),
                parent: application.tracked_by.clone(),
                state: state.word(),
                cause: state.reason().map(str::to_owned),
                seen: times.map(|times| since(began, times.seen)),
                converged: times.and_then(|times| times.converged).map(|time| since(began, time)),
                kicks: times.map_or(0, |times| times.kicks),
            }
        })
        .collect();
    let declared = world.wanted.tree.applications.iter().map(|rendered| rendered.object.name());
    let missing: Vec<&str> = declared.filter(|name| all.iter().all(|application| application.name != *name)).collect();
    all.extend(missing.into_iter().map(|name| ApplicationEvidence {
        name: name.to_owned(),
        parent: None,
        state: "missing",
        cause: Some("it is not there".to_owned()),
        seen: of(name).map(|times| since(began, times.seen)),
        converged: None,
        kicks: of(name).map_or(0, |times| times.kicks),
    }));
    all.sort_by(|left, right| left.name.cmp(&right.name));
    all
}

fn key(world: &World) -> Option<KeyEvidence> {
    let Some(Credential::DeployKey { public, .. }) = world.credential() else { return None };
    let registered = world.registered();
    let restored = world.wanted.bundle.as_ref().and_then(|bundle| bundle.deploy_key_for(&world.wanted.tree.repository));
    Some(KeyEvidence {
        fingerprint: public.fingerprint(),
        restored: restored.is_some(),
        id: registered.as_ref().map(|registered| registered.id),
        title: registered.map(|registered| registered.title),
    })
}

fn stale_keys(checked: &Checked) -> Vec<StaleKey> {
    let removed = checked.world.pruned_keys();
    checked.stale_keys.iter().cloned().map(|key| StaleKey { removed: removed.contains(&key.id), ..key }).collect()
}

/// What the bundle or gitops.yaml say of the cluster that is gone.
fn old_identity(checked: &Checked) -> Option<String> {
    let bundle = checked.world.wanted.bundle.as_ref().map(|bundle| &bundle.identity);
    let new = &checked.world.wanted.facts.identity;
    bundle.or(checked.found.pinned.as_ref()).filter(|old| *old != new).map(ToString::to_string)
}

/// What is left for a person, in sentences.
fn needs_person(checked: &Checked, stale_keys: &[StaleKey], again: &str) -> Vec<String> {
    let wanted = &checked.world.wanted;
    let (cluster, identity) = (&wanted.cluster, &wanted.facts.identity);
    let mut needed = Vec::new();
    if checked.found.pinned.is_some() {
        let ca = identity.ca_sha256.as_ref().map(|ca| format!(", caSha256: {ca}")).unwrap_or_default();
        needed.push(format!(
            "Correct the identity in gitops.yaml: `clusters: {{{cluster}: {{identity: {{kubeSystemUid: {}{ca}}}}}}}`.",
            identity.kube_system_uid
        ));
    }
    if checked.world.served.is_some() {
        needed.push(format!(
            "Once the forge is back, push what was committed meanwhile and run `gitops-bootstrap init {cluster}{again}`: it registers the deploy key, moves the tree to the forge and removes the Git server."
        ));
    }
    for key in stale_keys.iter().filter(|key| !key.removed) {
        needed.push(format!(
            "Remove the deploy key of the cluster that is gone: `gitops-bootstrap recover {cluster}{again} --prune-stale-key {}`.",
            key.id
        ));
    }
    let lost = |kind: LossKind| checked.losses.iter().any(|loss| loss.kind == kind);
    if lost(LossKind::Volume) || lost(LossKind::Database) {
        needed.push("Restore the content of volumes and databases from their backups: Git has none of it.".to_owned());
    }
    if lost(LossKind::Address) {
        needed.push("Point DNS records, firewalls and allow-lists that are kept by hand to the new addresses.".to_owned());
    }
    if lost(LossKind::Undecryptable) || lost(LossKind::MissingSecret) {
        needed.push("Make the Secrets that are lost, and seal or encrypt them anew.".to_owned());
    }
    if lost(LossKind::ArgoCd) {
        needed.push("Set the secrets of webhooks and single sign-on again, and make new API tokens of Argo CD.".to_owned());
    }
    needed.push(match checked.has_bundle {
        true => format!("Pack the bundle again, for the new cluster: `gitops-bootstrap pack {cluster}{again}`."),
        false => format!("Pack a bundle, so that the next recovery loses less: `gitops-bootstrap pack {cluster}{again}`."),
    });
    needed
}

fn phase(report: &StepReport) -> Phase {
    let outcome = match report.outcome {
        Outcome::Changed => "changed",
        Outcome::InPlace => "in-place",
        Outcome::Skipped => "skipped",
    };
    Phase { step: report.step, outcome, because: report.because.clone(), milliseconds: report.milliseconds }
}
