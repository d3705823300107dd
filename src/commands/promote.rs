//! `promote`: the versions of an app that one cluster has, proposed for another. What the remote has is what counts: the work is done in a copy of its branch,
//! which is gone afterwards, and ends as a new branch and a pull request.

mod place;

use std::path::Path;

use tokio::time::Instant;

use self::place::Place;
use super::ask::ask;
use super::bootstrap::{started, with_way_on};
use super::change::show;
use super::{Context, bundle, render};
use crate::adapters::files;
use crate::adapters::git::GitWorktree;
use crate::adapters::git::branch::{BranchCopy, is_branch_name};
use crate::cli::Output;
use crate::cli::promote::Arguments;
use crate::domain::{ClusterName, Commit, Declaration, RepositoryPath, suggestion};
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::manifest::applications::Tier;
use crate::plan::promotion::{Promotion, Proposal, Sources, promote};
use crate::ports::Worktree as _;
use crate::ports::pull_requests::{NewPullRequest, PullRequest};
use crate::render::Changes;
use crate::report::{self, Ending};
use crate::steps::world::interrupted;

const UNCHANGED: &str = "nothing was changed";

/// Runs `promote`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    context.events.send(started("promote", Some(arguments.to.to_string())));
    let limit = arguments.timeout;
    let work = async { promotion(&arguments, context).await.map_err(|failure| with_way_on(failure, context)) };
    tokio::select! {
        done = tokio::time::timeout(limit, work) => done.unwrap_or_else(|_| {
            Err(Failure::new(Kind::Deadline, format!("it took longer than {} s", limit.as_secs()))
                .hint("run the same command again: what was pushed is found; `--timeout` gives it longer"))
        }),
        // What was pushed is a branch of its own that nothing follows, and is found by the next run.
        () = context.cancel.cancelled() => Err(with_way_on(interrupted(), context)),
    }
}

/// What is going to be pushed.
struct Prepared {
    promotion: Promotion,
    /// Where the app is rendered to.
    rendered: RepositoryPath,
    /// What changes in the rendered files.
    diff: String,
    /// How many of them change.
    files: usize,
}

/// What has been done at the forge.
struct Published {
    branch: String,
    commit: Commit,
    /// Whether this run has pushed it.
    pushed: bool,
    pull_request: Option<PullRequest>,
    /// Open pull requests for other versions of the same.
    older: Vec<PullRequest>,
}

async fn promotion(arguments: &Arguments, context: &Context) -> Result<()> {
    let begin = Instant::now();
    let fleet = bundle::fleet_folder(context)?;
    let declaration = declared(&fleet, arguments)?;
    let place = Place::find(arguments, &declaration, context, begin + arguments.timeout).await?;
    if let Some(name) = &arguments.branch {
        check_name(name, &place).await?;
    }
    let base = &declaration.repository.branch;
    let copy = BranchCopy::fetch(&place.url, base, place.access(context)).await.map_err(|error| place.no_access(error))?;
    let copy = copy.ok_or_else(|| Failure::refused(format!("{} has no branch `{base}`", place.url)).because(UNCHANGED))?;
    warn_of_local_changes(&fleet, &copy, base, context).await;
    let Some(prepared) = prepare(arguments, &copy.folder(), context).await? else {
        return nothing(
            arguments,
            "no version of it is pinned for one cluster: what is in its sources is on every cluster that is rendered",
            context,
        );
    };
    for kept in &prepared.promotion.kept {
        context
            .events
            .warn(format!("{} pins {kept}, and `{}` does not: it is left as it is", prepared.promotion.file, arguments.from), None);
    }
    if prepared.promotion.changes.is_empty() {
        return nothing(arguments, "the versions are the same already", context);
    }
    let proposal = proposal(arguments, &prepared);
    tell(&prepared, context);
    let branch = arguments.branch.clone().unwrap_or_else(|| proposal.branch());
    let there = copy.head_of(&branch).await.map_err(|error| place.no_access(error))?;
    if there.is_none() {
        confirm(&branch, &place, context).await?;
    }
    let published = publish(arguments, &place, &copy, &proposal, &prepared, (branch, there), context).await?;
    end(arguments, &place, &prepared, &published, begin, context);
    Ok(())
}

/// The declaration of the clone, which must have both clusters.
fn declared(fleet: &Path, arguments: &Arguments) -> Result<Declaration> {
    if arguments.from == arguments.to {
        return Err(Failure::usage(format!("`{}` is promoted to itself", arguments.from))
            .hint("name two clusters: `--from staging --to production`"));
    }
    bundle::declared(fleet, &arguments.from)?;
    bundle::declared(fleet, &arguments.to)?.ok_or_else(|| {
        Failure::usage(format!("`{}` has no gitops.yaml", fleet.display()))
            .hint("name the folder of the fleet repository: `--fleet FOLDER`")
    })
}

/// Refuses a name for the branch that is none, and one of a branch that people or clusters follow.
async fn check_name(name: &str, place: &Place) -> Result<()> {
    if !is_branch_name(name).await? {
        return Err(Failure::usage(format!("`{}` is not the name of a branch", name.escape_debug())));
    }
    if place.followed.iter().any(|followed| followed == name) {
        return Err(Failure::refused(format!("`{name}` is the branch that is followed: nothing is pushed to it past a review"))
            .because(UNCHANGED)
            .hint("name another one, or leave `--branch` out"));
    }
    Ok(())
}

/// Says that what is only in the clone of the person is not promoted.
async fn warn_of_local_changes(fleet: &Path, copy: &BranchCopy<'_>, base: &str, context: &Context) {
    let (Ok(facts), Ok(Some(head))) = (GitWorktree::new(fleet).facts().await, copy.head_of(base).await) else { return };
    if facts.head != head || !facts.dirty.is_empty() {
        let message = format!("what is promoted is what `{base}` has at the remote ({}), not what is in this clone", head.short());
        context.events.warn(message, Some("push what you have first, if it is meant".to_owned()));
    }
}

/// Writes the versions into the copy and renders it; none if no cluster has versions of its own.
async fn prepare(arguments: &Arguments, folder: &Path, context: &Context) -> Result<Option<Prepared>> {
    let declaration = declared(folder, arguments)?;
    let source = &declaration.repository.source;
    let found = files::read_folder(folder, source)?;
    let tier = tier(&arguments.app, source, found.iter().map(|file| &file.path))?;
    let app = join(&join(source, tier.name())?, &arguments.app)?;
    let sources: Sources<'_> = found
        .iter()
        .filter(|file| file.path.is_within(&app))
        .filter_map(|file| Some((file.path.clone(), std::str::from_utf8(&file.content).ok()?)))
        .collect();
    let Some(promotion) = promote(&app, &arguments.from, &arguments.to, &sources)? else { return Ok(None) };
    let of_cluster = join(&declaration.repository.rendered, arguments.to.as_str())?;
    let rendered = join(&join(&of_cluster, tier.name())?, &arguments.app)?;
    if promotion.changes.is_empty() {
        return Ok(Some(Prepared { promotion, rendered, diff: String::new(), files: 0 }));
    }
    files::write_file(folder, &promotion.file, promotion.text.as_bytes())?;
    let rendering = render::render(folder, &declaration, std::slice::from_ref(&arguments.to), context).await?;
    let changes = rendering.compare(folder)?;
    refuse_other_changes(&changes, &rendered, &arguments.to)?;
    if changes.is_empty() {
        let message = format!("nothing changes in `{of_cluster}`: `{}` does not run there, or does not use what changes", arguments.app);
        context.events.warn(message, None);
    }
    changes.apply(folder)?;
    Ok(Some(Prepared { diff: changes.diff(), files: changes.paths().count(), promotion, rendered }))
}

fn join(folder: &RepositoryPath, name: &str) -> Result<RepositoryPath> {
    folder.join(name).map_err(|error| Failure::usage(error.to_string()))
}

/// The tier that an app is in.
fn tier<'a>(app: &str, source: &RepositoryPath, paths: impl Iterator<Item = &'a RepositoryPath>) -> Result<Tier> {
    let mut known: Vec<(Tier, &str)> = Vec::new();
    for path in paths {
        let mut parts = path.as_str().strip_prefix(source.as_str()).unwrap_or_default().trim_start_matches('/').splitn(3, '/');
        let (Some(folder), Some(name), Some(_)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let Some(tier) = Tier::ALL.into_iter().find(|tier| tier.name() == folder) else { continue };
        if !known.contains(&(tier, name)) {
            known.push((tier, name));
        }
    }
    let names: Vec<&str> = known.iter().map(|(_, name)| *name).collect();
    let mut tiers = known.iter().filter(|(_, name)| *name == app).map(|(tier, _)| *tier);
    match (tiers.next(), tiers.next()) {
        (Some(tier), None) => Ok(tier),
        (Some(_), Some(_)) => Err(Failure::repository(format!("`{app}` is there twice: as infrastructure and as a service"))),
        (None, _) => Err(Failure::usage(format!("the repository has no app `{}`{}", app.escape_debug(), suggestion(app, &names)))
            .because(UNCHANGED)
            .hint(format!("its apps are {}", names.join(", ")))),
    }
}

/// Refuses a rendering that would bring in what has nothing to do with the app.
fn refuse_other_changes(changes: &Changes, of_app: &RepositoryPath, to: &ClusterName) -> Result<()> {
    let others: Vec<String> = changes.paths().filter(|path| !path.is_within(of_app)).map(ToString::to_string).collect();
    let Some(first) = others.first() else { return Ok(()) };
    Err(Failure::refused(format!("the rendered files of `{to}` are stale at the remote, and would change with this"))
        .because(if others.len() == 1 { first.clone() } else { format!("{first} and {} more", others.len() - 1) })
        .because(UNCHANGED)
        .hint(format!("render, commit and push first: gitops-bootstrap render {to}")))
}

fn proposal<'a>(arguments: &'a Arguments, prepared: &'a Prepared) -> Proposal<'a> {
    Proposal { app: &arguments.app, from: &arguments.from, to: &arguments.to, changes: &prepared.promotion.changes }
}

/// Shows what is going to be proposed.
fn tell(prepared: &Prepared, context: &Context) {
    for change in &prepared.promotion.changes {
        context.events.send(Event::Fact { name: "version", text: change.line() });
    }
    context.events.send(Event::Fact { name: "written to", text: prepared.promotion.file.to_string() });
    let files = if prepared.files == 1 { "1 file changes".to_owned() } else { format!("{} files change", prepared.files) };
    context.events.send(Event::Fact { name: "rendered", text: format!("{files} in {}", prepared.rendered) });
}

/// Asks whether the branch may be pushed: on a terminal, for a repository that is not a sandbox's.
async fn confirm(branch: &str, place: &Place, context: &Context) -> Result<()> {
    if context.global.yes || place.is_in_sandbox() || !context.environment.interactive {
        return Ok(());
    }
    let and = if place.pull_requests.is_some() { ", and open a pull request" } else { "" };
    let question = format!("Push the new branch {branch} to {}{and}?", place.url);
    if ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(false).interact()).await? {
        return Ok(());
    }
    Err(Failure::new(Kind::Interrupted, "nothing was changed, as you said"))
}

async fn publish(
    arguments: &Arguments,
    place: &Place,
    copy: &BranchCopy<'_>,
    proposal: &Proposal<'_>,
    prepared: &Prepared,
    (branch, there): (String, Option<Commit>),
    context: &Context,
) -> Result<Published> {
    let author = place.author(context).await?;
    let made = copy.commit(&branch, &author, &proposal.message()).await?;
    let (commit, pushed) = match there {
        None => {
            copy.push(&branch).await.map_err(|error| place.no_access(error))?;
            (made, true)
        }
        Some(_) if arguments.branch.is_some() && !copy.is_same_as(&branch).await? => {
            return Err(Failure::refused(format!("{} has a branch `{branch}` already, with something else", place.url))
                .because(UNCHANGED)
                .hint("name another one, or leave `--branch` out"));
        }
        Some(commit) => (commit, false),
    };
    finish(place, proposal, prepared, Published { branch, commit, pushed, pull_request: None, older: Vec::new() }).await
}

/// Opens the pull request for a branch that is there, or finds it.
async fn finish(place: &Place, proposal: &Proposal<'_>, prepared: &Prepared, mut published: Published) -> Result<Published> {
    let Some(pull_requests) = &place.pull_requests else { return Ok(published) };
    let open = pull_requests.open_pull_requests(&place.base).await?;
    let is_other = |request: &PullRequest| request.head.starts_with(&proposal.branches()) && request.head != published.branch;
    published.older = open.iter().filter(|request| is_other(request)).cloned().collect();
    published.pull_request = match open.into_iter().find(|request| request.head == published.branch) {
        Some(request) => Some(request),
        None => {
            let new = NewPullRequest {
                title: proposal.title(),
                body: proposal.body(prepared.rendered.as_str(), &prepared.diff),
                head: published.branch.clone(),
                base: place.base.clone(),
            };
            let opened = pull_requests.open_pull_request(&new).await.map_err(|error| {
                Failure::from(error)
                    .because(format!("the branch `{}` is at {}, and has no pull request", published.branch, place.url))
                    .hint("run the same command again: it finds the branch; or open the pull request by hand")
                    .hint(format!(
                        "if it was merged before: remove it (git push origin --delete {}), then run the same command again",
                        published.branch
                    ))
            })?;
            Some(opened)
        }
    };
    Ok(published)
}

fn nothing(arguments: &Arguments, why: &str, context: &Context) -> Result<()> {
    let Arguments { app, from, to, .. } = arguments;
    context.events.send(Event::Fact { name: "result", text: format!("nothing to promote: {why}") });
    let result =
        serde_json::json!({"app": app, "from": from, "to": to, "changes": [], "branch": null, "pullRequest": null, "because": why});
    context.events.send(Event::Finished { result });
    Ok(())
}

fn end(arguments: &Arguments, place: &Place, prepared: &Prepared, published: &Published, begin: Instant, context: &Context) {
    let Arguments { app, from, to, .. } = arguments;
    let Published { branch, commit, pushed, pull_request, older } = published;
    let mut about = vec![("branch", format!("{branch}, {}", if *pushed { "pushed" } else { "there already" }))];
    about.extend(pull_request.iter().map(|request| ("pull request", request.url.clone())));
    about
        .extend(older.iter().map(|request| ("older", format!("{}: of other versions; close it if this one takes its place", request.url))));
    let next = match pull_request {
        Some(_) => vec![(format!("gitops-bootstrap status {to}"), format!("once it is reviewed and merged into `{}`", place.base))],
        None => vec![(format!("git fetch origin {branch} && git log -p FETCH_HEAD -1"), "look at it, and open a pull request".to_owned())],
    };
    show(&Ending { heading: format!("{app} is proposed for {to}, as it is on {from}"), took: begin.elapsed(), about, next }, context);
    if let (Output::Text, Some(request)) = (context.global.output, pull_request) {
        context.events.suspend(&mut || report::text(&format!("{}\n", request.url)));
    }
    context.events.send(Event::Finished {
        result: serde_json::json!({
            "app": app, "from": from, "to": to, "file": prepared.promotion.file, "changes": prepared.promotion.changes,
            "kept": prepared.promotion.kept, "repository": place.url, "base": place.base, "branch": branch, "commit": commit, "pushed": pushed,
            "pullRequest": pull_request, "older": older, "diff": prepared.diff,
        }),
    });
}
