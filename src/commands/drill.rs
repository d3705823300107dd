//! `drill`: rehearses the recovery of a cluster in a sandbox, from the clone in this folder, and reports.

mod ground;
mod placeholders;
mod recovery;
mod reports;
mod result;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use self::ground::Ground;
use self::placeholders::Placeholders;
use self::recovery::{Rehearsal, rehearse};
use super::Context;
use super::bootstrap::{named_folder, started};
use super::connect::connect_to;
use crate::adapters::git::GitWorktree;
use crate::cli::drill::Arguments;
use crate::cli::{Output, Target};
use crate::domain::SandboxName;
use crate::domain::tree::Tree;
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::plan::drill::{Comparison, Report};
use crate::ports::Worktree as _;
use crate::ports::git::File;
use crate::preflight::{self, Fleet};
use crate::report::{self, Circumstances};
use crate::sandbox::State;

/// Runs `drill`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    context.events.send(started("drill", Some(arguments.cluster.to_string())));
    let time = Timestamp::now();
    let folder = named_folder(context);
    let worktree = GitWorktree::new(&folder);
    let fleet = preflight::load(&worktree, &arguments.cluster, arguments.commit.as_ref()).await?;
    tell(&fleet, &arguments, context);
    let former = reports::former(&arguments, &folder)?;
    let files = worktree.files(&fleet.reading.tree.commit, std::slice::from_ref(&fleet.folder)).await?;

    let begun = Instant::now();
    let ground = Ground::prepare(&arguments, &fleet, context).await?;
    let rehearsed = within(&ground, &arguments, &folder, &fleet, &files, begun.elapsed(), context).await;
    let left = ground.leave(arguments.keep, context).await;
    let mut report = rehearsed.inspect_err(|_| {
        if let Err(failure) = &left {
            context.events.warn(failure.to_string(), failure.hints.first().cloned());
        }
    })?;
    left?;
    report.time = Some(time);
    report.comparison = former.map(|former| Comparison::of(&former, &report));
    let written = reports::write(&report, &arguments, &folder)?;
    show(&report, &written, &arguments, context)
}

/// What a person should know before it begins.
fn tell(fleet: &Fleet, arguments: &Arguments, context: &Context) {
    let tree = &fleet.reading.tree;
    context.events.send(Event::Fact { name: "commit", text: format!("{} of {}", tree.commit.short(), tree.repository) });
    for warning in &fleet.reading.warnings {
        context.events.warn(warning.clone(), None);
    }
    let dirty: Vec<&str> =
        fleet.clone.dirty.iter().map(String::as_str).filter(|path| path.starts_with(&format!("{}/", fleet.folder))).collect();
    if !dirty.is_empty() && arguments.commit.is_none() {
        let message = format!("the clone has changes that are not committed, which the drill knows nothing of: {}", dirty.join(", "));
        context.events.warn(message, Some("commit them, then run the same command again".to_owned()));
    }
}

/// Rehearses on a ground that is prepared, and says what came of it.
async fn within(
    ground: &Ground,
    arguments: &Arguments,
    folder: &Path,
    fleet: &Fleet,
    files: &[File],
    preparation: Duration,
    context: &Context,
) -> Result<Report> {
    let tree = &fleet.reading.tree;
    ground.seed(folder, tree, context).await?;
    let target = target(&ground.name);
    let cluster = connect_to(&target, Some(ground.state.clone()), context, None).await?.cluster;
    let placeholders = match opens_bundle(arguments) {
        true => Placeholders::default(),
        false => placeholders::make(&arguments.cluster, folder, &tree.commit, &cluster).await?,
    };
    ground.switch(arguments.forge_down, context).await?;
    let rehearsal = rehearse(arguments, ground, tree, &cluster, context).await?;
    let mut report = report_of(arguments, tree, &ground.state, &rehearsal, preparation);
    result::look(&rehearsal, fleet, files, &ground.state, &cluster).await?.tell(&mut report);
    placeholders.tell(&mut report);
    Ok(report)
}

/// Whether there is something at hand that opens the bundle.
fn opens_bundle(arguments: &Arguments) -> bool {
    !arguments.identities.files.is_empty() || arguments.identities.passphrase_file.is_some()
}

/// The sandbox as the target of a verb.
fn target(name: &SandboxName) -> Target {
    Target { kubeconfig: None, context: None, sandbox: true, sandbox_name: name.clone(), allow_insecure_tls: false, api_flaky: None }
}

/// What can be said without a further look at the cluster.
fn report_of(arguments: &Arguments, tree: &Tree, state: &State, rehearsal: &Rehearsal, preparation: Duration) -> Report {
    let mut versions = state.versions.clone();
    let evidence = rehearsal.evidence.as_ref();
    let losses = evidence.iter().flat_map(|evidence| &evidence.losses);
    versions.extend(tree.argocd_version().map(|version| ("argocd".to_owned(), version)));
    Report {
        version: crate::plan::drill::VERSION,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: arguments.cluster.to_string(),
        repository: tree.repository.to_string(),
        branch: tree.revision.clone(),
        commit: tree.commit.to_string(),
        recovered: rehearsal.recovered,
        milliseconds: crate::plan::drill::milliseconds(rehearsal.took),
        sandbox_milliseconds: crate::plan::drill::milliseconds(preparation),
        limit_milliseconds: arguments.max.map(crate::plan::drill::milliseconds),
        machine: crate::plan::drill::Machine {
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        },
        versions,
        phases: rehearsal.phases.clone(),
        applications: rehearsal.timeline.applications(),
        faults: faults(arguments),
        kicks: evidence.map_or(0, |evidence| u64::try_from(evidence.kicks).unwrap_or(u64::MAX)),
        losses: losses.map(|loss| format!("{}: {}: {}", loss.kind.title(), loss.what, loss.meaning)).collect(),
        needs_person: evidence.map(|evidence| evidence.needs_person.clone()).unwrap_or_default(),
        ..Report::default()
    }
}

/// The faults that were asked for, in a sentence each.
fn faults(arguments: &Arguments) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(point) = &arguments.kill_at {
        faults.push(format!("the recovery was killed at `{point}` and run again"));
    }
    if let Some(what) = arguments.forge_down {
        faults.push(format!("{} was down", ground::described(what)));
    }
    if let Some(flakiness) = arguments.api_flaky {
        faults.push(format!(
            "{}% of the recovery's requests to the API server failed: 503, 429, a cut connection or a lost answer (seed {})",
            flakiness.percent(),
            flakiness.seed()
        ));
    }
    faults
}

/// Shows the report, and turns what it found into the exit status.
fn show(report: &Report, written: &[String], arguments: &Arguments, context: &Context) -> Result<()> {
    match context.global.output {
        Output::Json => {
            let result =
                serde_json::to_value(report).map_err(|error| Failure::bug("the report cannot be written as JSON").because(error))?;
            context.events.send(Event::Finished { result });
        }
        Output::Text => {
            let style = report::style(&Circumstances::of(&context.global, &context.environment));
            context.events.suspend(&mut || report::drill(report, written, &style));
        }
    }
    if report.is_clean() {
        return Ok(());
    }
    let name = &arguments.cluster;
    let failure = if !report.recovered {
        Failure::new(
            Kind::Found,
            format!("`{name}` would not come back from this commit: {} of {} applications came up", report.up(), report.applications.len()),
        )
    } else if report.is_over_limit() {
        Failure::new(Kind::Found, format!("the recovery of `{name}` takes longer than it may"))
    } else {
        Failure::new(Kind::Found, format!("`{name}` came up, and something was found that a sandbox does not notice"))
    };
    let failure = report.obstacles.iter().take(MOST_CAUSES).fold(failure, |failure, obstacle| failure.because(obstacle.sentence()));
    let failure = match report.obstacles.len().saturating_sub(MOST_CAUSES) {
        0 => failure,
        more => failure.because(format!("and {more} more")),
    };
    Err(match arguments.keep {
        true => failure,
        false => failure.hint(format!("look around in the sandbox yourself: `gitops-bootstrap drill {name} --keep`")),
    })
}

/// How many obstacles the failure names; the report has all.
const MOST_CAUSES: usize = 10;
