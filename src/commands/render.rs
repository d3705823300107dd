//! `render`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Context;
use crate::adapters::files;
use crate::adapters::tools::{Start, Tool, Tools};
use crate::cli::Output;
use crate::cli::render::Arguments;
use crate::domain::{ClusterName, Declaration};
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::manifest::declaration;
use crate::render::{Changes, Rendering, Sources};
use crate::report;
use crate::sandbox::engine;

/// The most files that a message names.
const MOST_NAMED: usize = 10;

/// Runs `render`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let fleet = find_fleet(context)?;
    let declaration = declared(&fleet)?.ok_or_else(|| no_fleet(&fleet))?;
    let clusters = chosen(&arguments.clusters, &declaration)?;
    let rendering = render(&fleet, &declaration, &clusters, context).await?;
    let changes = rendering.compare(&fleet)?;
    let (added, changed, removed) = changes.counts();
    if arguments.check && !changes.is_empty() {
        return Err(stale(&changes, &arguments.clusters, context));
    }
    changes.apply(&fleet)?;
    warn_of_other_folders(&fleet, &declaration, context)?;
    let names = clusters.iter().map(ClusterName::as_str).collect::<Vec<_>>().join(", ");
    let text = format!("{names}: {} files of {} apps", rendering.files.len(), rendering.apps);
    context.events.send(Event::Fact { name: "rendered", text });
    let text = if changes.is_empty() {
        "nothing to do: all files are fresh".to_owned()
    } else {
        format!("{added} new, {changed} changed, {removed} removed")
    };
    context.events.send(Event::Fact { name: "files", text });
    if !changes.is_empty() {
        context
            .events
            .send(Event::Fact { name: "next", text: "git add --all && git diff --staged --stat, then commit and push".to_owned() });
    }
    let result = serde_json::json!({
        "clusters": clusters, "apps": rendering.apps, "files": rendering.files.len(), "added": added, "changed": changed, "removed": removed,
    });
    context.events.send(Event::Finished { result });
    Ok(())
}

/// Renders clusters of the fleet repository at `fleet`. Writes nothing there.
///
/// helm and kustomize come from the `PATH`; where they are not, the sandbox's engine stands in, which is looked for only if it is needed.
pub async fn render(fleet: &Path, declaration: &Declaration, clusters: &[ClusterName], context: &Context) -> Result<Rendering> {
    let sources = Sources::read(fleet, declaration)?;
    let plan = sources.plan(clusters)?;
    let tools = find_tools(&plan.tools(), context).await?;
    plan.render(&tools, &context.events, &context.cancel).await
}

/// The same with what is on this machine already. Where a tool is missing and the engine would have to be built, nothing is rendered: the tools
/// that are missing are returned.
pub(super) async fn render_at_hand(
    fleet: &Path,
    declaration: &Declaration,
    clusters: &[ClusterName],
    context: &Context,
) -> Result<Result<Rendering, Vec<Tool>>> {
    let sources = Sources::read(fleet, declaration)?;
    let plan = sources.plan(clusters)?;
    let (mut found, missing) = on_path(&plan.tools(), context);
    if !missing.is_empty() {
        let Ok(Some(engine)) = engine::find(context).await else { return Ok(Err(missing)) };
        found.extend(missing.into_iter().map(|tool| (tool, tool.of_engine(engine.path()))));
    }
    plan.render(&tools(found)?, &context.events, &context.cancel).await.map(Ok)
}

async fn find_tools(needed: &BTreeSet<Tool>, context: &Context) -> Result<Tools> {
    let (mut found, missing) = on_path(needed, context);
    if !missing.is_empty() {
        let names = missing.iter().map(|tool| tool.name()).collect::<Vec<_>>().join(" and ");
        let engine = engine::locate(context).await.map_err(|failure| {
            failure.hint(format!("or install {names}: they are not on the PATH, and the sandbox's engine would stand in for them"))
        })?;
        found.extend(missing.into_iter().map(|tool| (tool, tool.of_engine(engine.path()))));
    }
    tools(found)
}

/// The tools that are on the `PATH`, and those that are not.
fn on_path(needed: &BTreeSet<Tool>, context: &Context) -> (Vec<(Tool, Start)>, Vec<Tool>) {
    let path = context.environment.variable("PATH").unwrap_or_default();
    let found: Vec<(Tool, Start)> = needed.iter().filter_map(|tool| Some((*tool, tool.on_path(path)?))).collect();
    let missing = needed.iter().copied().filter(|tool| !found.iter().any(|(known, _)| known == tool)).collect();
    (found, missing)
}

fn tools(mut found: Vec<(Tool, Start)>) -> Result<Tools> {
    let mut start = |wanted| found.iter().position(|(tool, _)| *tool == wanted).map(|index| found.swap_remove(index).1);
    Tools::new(start(Tool::Helm), start(Tool::Kustomize))
}

/// The folder of the fleet repository: that of `--fleet`, or the nearest one above the working directory that has a `gitops.yaml`.
fn find_fleet(context: &Context) -> Result<PathBuf> {
    let start = context.environment.folder.clone();
    if let Some(folder) = &context.global.fleet {
        return Ok(start.join(folder));
    }
    let with_declaration = start.ancestors().find(|folder| folder.join(declaration::FILE).is_file());
    with_declaration.map(Path::to_owned).ok_or_else(|| no_fleet(&start))
}

/// The same, or the working directory where there is no `gitops.yaml`: a repository may do without.
pub(super) fn fleet_or_folder(context: &Context) -> PathBuf {
    find_fleet(context).unwrap_or_else(|_| context.environment.folder.clone())
}

fn no_fleet(folder: &Path) -> Failure {
    Failure::usage(format!("{} is not in a fleet repository: there is no `{}`", folder.display(), declaration::FILE))
        .hint("name its folder with `--fleet FOLDER`, or write a new one with `gitops-bootstrap new`")
}

/// The declaration in a folder, if there is one.
pub(super) fn declared(folder: &Path) -> Result<Option<Declaration>> {
    let path = declaration::FILE.parse().map_err(|error| Failure::bug(format!("{error}")))?;
    let Some(content) = files::read_file(folder, &path)? else { return Ok(None) };
    let text = String::from_utf8(content).map_err(|_| Failure::repository(format!("{}:1:1: not UTF-8", declaration::FILE)))?;
    declaration::parse(&text, declaration::FILE).map(Some)
}

pub(super) fn chosen(named: &[ClusterName], declaration: &Declaration) -> Result<Vec<ClusterName>> {
    if let Some(unknown) = named.iter().find(|name| !declaration.clusters.contains_key(name)) {
        return Err(crate::manifest::declaration::unknown_cluster(unknown, declaration));
    }
    let named: BTreeSet<&ClusterName> = named.iter().collect();
    Ok(declaration.clusters.keys().filter(|name| named.is_empty() || named.contains(name)).cloned().collect())
}

fn stale(changes: &Changes, clusters: &[ClusterName], context: &Context) -> Failure {
    if context.global.output == Output::Text {
        report::text(&changes.diff());
    }
    let (added, changed, removed) = changes.counts();
    let mut named: Vec<String> = changes.paths().take(MOST_NAMED).map(ToString::to_string).collect();
    let more = changes.paths().count().saturating_sub(MOST_NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let clusters: String = clusters.iter().map(|cluster| format!(" {cluster}")).collect();
    let message = format!("the rendered files are stale: {added} missing, {changed} different, {removed} too many");
    named
        .into_iter()
        .fold(Failure::new(Kind::Found, message), Failure::because)
        .hint(format!("render and commit them: `gitops-bootstrap render{clusters}`"))
}

/// A folder of a cluster that is not declared any more is nobody's: it is named, and left alone.
fn warn_of_other_folders(fleet: &Path, declaration: &Declaration, context: &Context) -> Result<()> {
    let rendered = &declaration.repository.rendered;
    let paths: Vec<_> = files::read_folder(fleet, rendered)?.into_iter().map(|file| file.path).collect();
    for name in crate::manifest::tree::clusters(rendered, &paths).iter().filter(|name| !declaration.clusters.contains_key(name)) {
        let hint = format!("remove it: `git rm -r {rendered}/{name}`");
        context.events.warn(format!("`{rendered}/{name}` is of no cluster that gitops.yaml names; it is left as it is"), Some(hint));
    }
    Ok(())
}
