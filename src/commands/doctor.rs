//! `doctor`: every check of the preflight, and more, as a row each. It changes nothing and asks nobody.

mod access;
mod board;
mod cluster;
mod forge;
mod machine;
mod repository;

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};

use self::board::Board;
use self::cluster::{Answering, Subjected};
use self::forge::{Subject, Told};
use self::machine::Heard;
use super::Context;
use super::bootstrap::started;
use super::connect::{contexts_at_hand, sandbox_running};
use super::render;
use super::status::flags;
use crate::adapters::git::GitWorktree;
use crate::cli::Output;
use crate::cli::doctor::Arguments;
use crate::domain::{Check, CheckId, CheckResult, ClusterName, Declaration};
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::preflight::{self, Fleet};
use crate::report::{self, Circumstances};
use crate::sandbox::State;
use crate::settings::Environment;
use crate::steps::world::interrupted;

/// How much longer than its time the run may take, so that what was asked with that deadline can still say so.
const GRACE: Duration = Duration::from_secs(1);

/// A cluster that is checked, and how it is reached.
struct Chosen {
    name: ClusterName,
    reach: Reach,
}

/// How a cluster is reached.
enum Reach {
    /// As the flags and the kubeconfig say.
    AsFlagsSay,
    /// By the context that has its name.
    Context(String),
    /// It is not known how; why.
    Unknown(String),
}

/// What a run has come to.
struct Checkup {
    checks: Vec<Check>,
    clusters: Vec<ClusterName>,
    /// Those that were bootstrapped.
    bootstrapped: Vec<ClusterName>,
    /// How many checks the time did not suffice for.
    left: usize,
}

/// Runs `doctor`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    if context.global.output == Output::Json {
        context.events.send(started("doctor", arguments.cluster.as_ref().map(ToString::to_string)));
    }
    // Whoever looks for a fault wants to be told and not asked.
    let context = Context { environment: Environment { interactive: false, ..context.environment.clone() }, ..context.clone() };
    let checkup = tokio::select! {
        checkup = check(&arguments, &context) => checkup?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    show(&checkup, &arguments, &context);
    let wrong: Vec<String> = checkup.checks.iter().filter(|check| check.result == CheckResult::Wrong).map(named).collect();
    match (wrong.as_slice(), checkup.left) {
        ([], 0) => Ok(()),
        ([], left) => Err(Failure::new(Kind::Deadline, format!("the time was over before {left} of {} checks", checkup.checks.len()))
            .hint("give them more, as with `--timeout 10m`; what they waited for is not well either")),
        (wrong, _) => Err(found(wrong, &context)),
    }
}

async fn check(arguments: &Arguments, context: &Context) -> Result<Checkup> {
    let deadline = Instant::now() + arguments.timeout;
    let folder = render::fleet_or_folder(context);
    let declared = render::declared(&folder);
    let declaration = declared.as_ref().ok().and_then(Option::as_ref);
    let sandbox = sandbox_running(&arguments.target, context).await;
    let chosen = choose(arguments, declaration, context)?;
    let clusters: Vec<ClusterName> = chosen.iter().map(|chosen| chosen.name.clone()).collect();
    let board = Board::new(context.events.clone(), &clusters);
    repository::declaration(&board, &folder, &declared);

    let mut bootstrapped = Vec::new();
    let work = async {
        let surroundings = Surroundings { arguments, folder: &folder, declared: &declared, sandbox: &sandbox, deadline, context };
        bootstrapped = examine(&board, &chosen, &surroundings).await;
    };
    tokio::select! {
        _over = timeout_at(deadline + GRACE, work) => {}
        () = board.tell() => {}
    }
    let because = format!("the time of {} s was over before (`--timeout`)", arguments.timeout.as_secs());
    let (checks, left) = board.finish(&because);
    Ok(Checkup { checks, clusters, bootstrapped, left })
}

/// What all checks have to do with.
struct Surroundings<'a> {
    arguments: &'a Arguments,
    folder: &'a Path,
    declared: &'a Result<Option<Declaration>>,
    sandbox: &'a Result<Option<State>>,
    deadline: Instant,
    context: &'a Context,
}

/// Makes all checks. Returns the clusters that were bootstrapped.
async fn examine(board: &Board, chosen: &[Chosen], surroundings: &Surroundings<'_>) -> Vec<ClusterName> {
    let Surroundings { arguments, folder, declared, sandbox, deadline, context } = *surroundings;
    let declaration = declared.as_ref().ok().and_then(Option::as_ref);
    let is_fleet = declaration.is_some() || declared.is_ok() && repository::is_fleet(folder);
    let state = sandbox.as_ref().ok().and_then(Option::as_ref);
    let worktree = GitWorktree::new(folder);
    let fleets: Vec<Result<Fleet>> = join_all(chosen.iter().map(|chosen| preflight::load(&worktree, &chosen.name, None))).await;
    for (chosen, fleet) in chosen.iter().zip(&fleets) {
        repository::tree(board, &chosen.name, fleet);
    }
    let subject = subject(declaration, &fleets, state, context);
    let subjected: Vec<Subjected<'_>> =
        chosen.iter().zip(&fleets).map(|(chosen, fleet)| Subjected { chosen, fleet, declaration }).collect();

    let machine = machine::programs(board, declaration.map(|declaration| (folder, declaration)), arguments.target.sandbox, context);
    let lint = async {
        match declared {
            Ok(_) if is_fleet => {
                let clusters: Vec<ClusterName> = chosen.iter().map(|chosen| chosen.name.clone()).collect();
                repository::lint(board, folder, &clusters, context).await;
            }
            Ok(_) => board.leave_out(&[CheckId::Lint], None, repository::NO_FLEET),
            Err(_) => board.leave_out(&[CheckId::Lint], None, "gitops.yaml cannot be read"),
        }
    };
    let forge = async {
        match &subject {
            Some(Ok(subject)) => forge::look(board, subject, declaration, &arguments.api.as_login(), deadline, context).await,
            Some(Err(failure)) => {
                forge::leave_out(board, &failure.message);
                Told::default()
            }
            None => {
                forge::leave_out(board, if is_fleet { "which repository is meant is not known" } else { repository::NO_FLEET });
                Told::default()
            }
        }
    };
    let clusters = join_all(subjected.iter().map(|subjected| cluster::look(board, subjected, arguments, sandbox, deadline, context)));
    let rest = async {
        let (told, clusters) = tokio::join!(forge, clusters);
        let deeper = subjected.iter().zip(&clusters).map(|(subjected, (answering, _))| {
            let subject = subject.as_ref().and_then(|subject| subject.as_ref().ok());
            look_deeper(board, subjected, answering.as_ref(), subject, &told, surroundings)
        });
        join_all(deeper).await;
        let heard = clusters.iter().map(|(_, heard)| heard).chain([&told.heard]);
        let heard = heard.fold(Heard::default(), |mut all, heard| {
            all.clocks.extend(heard.clocks.iter().cloned());
            all.routes.extend(heard.routes.iter().cloned());
            all
        });
        machine::surroundings(board, &heard, context);
        let answering = clusters.into_iter().map(|(answering, _)| answering);
        let bootstrapped = answering.zip(chosen).filter(|(answering, _)| answering.as_ref().is_some_and(|found| found.is_bootstrapped));
        bootstrapped.map(|(_, chosen)| chosen.name.clone()).collect()
    };
    let ((), (), bootstrapped) = tokio::join!(machine, lint, rest);
    bootstrapped
}

/// What needs both the cluster and the forge.
async fn look_deeper(
    board: &Board,
    subjected: &Subjected<'_>,
    answering: Option<&Answering>,
    subject: Option<&Subject>,
    told: &Told,
    surroundings: &Surroundings<'_>,
) {
    let Surroundings { folder, deadline, context, .. } = *surroundings;
    let key = async {
        match (subject, answering) {
            (Some(subject), Some(answering)) => access::deploy_key(board, subjected, answering, subject, told, deadline, context).await,
            _ => {
                board.leave_out(&[CheckId::DeployKey, CheckId::KeyProof], Some(subjected.name()), "which repository is meant is not known")
            }
        }
    };
    let clone = async {
        if let Some(subject) = subject {
            cluster::clone(board, subjected, subject, told, folder).await;
        }
    };
    tokio::join!(key, clone, access::bundle(board, subjected, answering, folder));
}

/// The fleet repository as the forge knows it: that of the first tree that can be read, else that of the declaration; none if nothing names one.
fn subject(
    declaration: Option<&Declaration>,
    fleets: &[Result<Fleet>],
    sandbox: Option<&State>,
    context: &Context,
) -> Option<Result<Subject>> {
    let of_tree = fleets.iter().flatten().map(|fleet| (&fleet.reading.tree.repository, &fleet.reading.tree.revision)).next();
    let of_declaration = || declaration.map(|declaration| (&declaration.repository.url, &declaration.repository.branch));
    let (repository, branch) = of_tree.or_else(of_declaration)?;
    Some(Subject::new(repository, branch, declaration, sandbox, context))
}

/// The clusters to check: the one that is named, or all of the declaration that can be told apart in the kubeconfig.
fn choose(arguments: &Arguments, declaration: Option<&Declaration>, context: &Context) -> Result<Vec<Chosen>> {
    let target = &arguments.target;
    if let Some(name) = &arguments.cluster {
        if let Some(declaration) = declaration {
            render::chosen(std::slice::from_ref(name), declaration)?;
        }
        return Ok(vec![Chosen { name: name.clone(), reach: Reach::AsFlagsSay }]);
    }
    let names: Vec<ClusterName> = declaration.iter().flat_map(|declaration| declaration.clusters.keys().cloned()).collect();
    let is_named = target.sandbox || target.context.is_some();
    if is_named && names.len() > 1 {
        let listed: Vec<&str> = names.iter().map(ClusterName::as_str).collect();
        return Err(Failure::usage("a context is named, and not whose it is").hint(format!("name the cluster: {}", listed.join(", "))));
    }
    // That there is no kubeconfig is no fault before there is a cluster.
    let contexts: Vec<String> = contexts_at_hand(target, context).unwrap_or_default();
    let reach = |name: &ClusterName| match contexts.as_slice() {
        _ if is_named => Reach::AsFlagsSay,
        contexts if contexts.iter().any(|context| context == name.as_str()) => Reach::Context(name.to_string()),
        [_] if names.len() == 1 => Reach::AsFlagsSay,
        [] => Reach::Unknown("there is no kubeconfig with a context".to_owned()),
        _ => Reach::Unknown(format!("the kubeconfig has no context called `{name}`")),
    };
    Ok(names.iter().map(|name| Chosen { name: name.clone(), reach: reach(name) }).collect())
}

fn show(checkup: &Checkup, arguments: &Arguments, context: &Context) {
    let count = |result: CheckResult| checkup.checks.iter().filter(|check| check.result == result).count();
    let result = serde_json::json!({
        "clusters": checkup.clusters,
        "well": count(CheckResult::Well),
        "warnings": count(CheckResult::Warning),
        "wrong": count(CheckResult::Wrong),
        "notChecked": count(CheckResult::NotChecked),
    });
    if context.global.output == Output::Text {
        let style = report::style(&Circumstances::of(&context.global, &context.environment));
        let next = if count(CheckResult::Wrong) == 0 && checkup.left == 0 { next(checkup, arguments) } else { Vec::new() };
        context.events.suspend(&mut || report::doctor(&checkup.checks, &next, &style));
    }
    context.events.send(Event::Finished { result });
}

/// What to do next where nothing is wrong.
fn next(checkup: &Checkup, arguments: &Arguments) -> Vec<(String, &'static str)> {
    let again = flags(&arguments.target);
    let bootstrapped =
        checkup.bootstrapped.first().map(|name| (format!("gitops-bootstrap status {name}{again}"), "how its applications stand"));
    let other = checkup.clusters.iter().find(|name| !checkup.bootstrapped.contains(name));
    let init = other.map(|name| (format!("gitops-bootstrap init {name}{again}"), "bootstraps the cluster"));
    match (bootstrapped, init) {
        (Some(status), _) => vec![status],
        (None, Some(init)) => vec![init],
        (None, None) => vec![("gitops-bootstrap new fleet".to_owned(), "writes a fleet repository")],
    }
}

fn named(check: &Check) -> String {
    match &check.cluster {
        Some(cluster) => format!("{} of {cluster}", check.check),
        None => check.check.to_string(),
    }
}

fn found(wrong: &[String], context: &Context) -> Failure {
    let number = if wrong.len() == 1 { "1 check".to_owned() } else { format!("{} checks", wrong.len()) };
    Failure::new(Kind::Found, format!("{number} found something wrong: {}", wrong.join(", ")))
        .hint(format!("put right what is wrong, as the hints say, then check again: {}", context.environment.command_line()))
}
