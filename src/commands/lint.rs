//! `lint`: reads the fleet repository as it is on disk, checks it, and says by its exit status whether it may go on.

use std::path::Path;

use super::{Context, render};
use crate::adapters::survey::{Survey, survey};
use crate::cli::Output;
use crate::cli::lint::Arguments;
use crate::domain::{ClusterName, Declaration, RepositoryPath, Rule, Severity, Stale, suggestion};
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event};
use crate::lint::{Report, Repository, lint};
use crate::manifest::tree;
use crate::report::{self, Circumstances};

/// The most files that a message names.
const MOST_NAMED: usize = 5;

/// Runs `lint`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let style = report::style(&Circumstances::of(&context.global, &context.environment));
    if arguments.rules {
        return list(context, &style);
    }
    if context.global.output == Output::Json {
        let cluster = match arguments.clusters.as_slice() {
            [only] => Some(only.to_string()),
            _ => None,
        };
        context.events.send(Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb: "lint", cluster });
    }
    let fleet = render::fleet_or_folder(context);
    let Checked { report, clusters, unrendered } = tokio::select! {
        checked = check(&fleet, &arguments, context) => checked?,
        () = context.cancel.cancelled() => return Err(Failure::new(Kind::Interrupted, "interrupted while checking; nothing was changed")),
    };
    if let Some(file) = &arguments.sarif {
        write_sarif(&context.environment.folder.join(file), &report)?;
    }
    match context.global.output {
        Output::Json => send(&report, &clusters, context),
        Output::Text => context.events.suspend(&mut || report::lint(&report, &style)),
    }
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    if errors > 0 || (arguments.strict && warnings > 0) {
        if let Some(failure) = unrendered {
            context.events.warn(failure.to_string(), failure.hints.into_iter().next());
        }
        return Err(found(&report));
    }
    // A check that could not be made is none that was passed.
    if let Some(failure) = unrendered {
        return Err(failure);
    }
    let names = clusters.iter().map(ClusterName::as_str).collect::<Vec<_>>().join(", ");
    let allowed = if report.allowed.is_empty() { String::new() } else { format!("; {} allowed", report.allowed.len()) };
    let text = match warnings {
        0 => format!("nothing found{allowed}"),
        _ => format!("no errors, {}{allowed}", counted(warnings, "warning")),
    };
    context.events.send(Event::Fact { name: "checked", text: format!("{names}: {} objects, {} files", report.objects, report.files) });
    context.events.send(Event::Fact { name: "result", text });
    Ok(())
}

/// What a check came to.
pub(super) struct Checked {
    /// What was found.
    pub(super) report: Report,
    clusters: Vec<ClusterName>,
    /// Why the sources could not be rendered, if they could not.
    pub(super) unrendered: Option<Failure>,
}

/// Reads the fleet repository as it is on disk, and checks it.
pub(super) async fn check(fleet: &Path, arguments: &Arguments, context: &Context) -> Result<Checked> {
    let declaration = render::declared(fleet)?;
    let Survey { files, left_out } = survey(fleet).await?;
    let (rendered, clusters) = match &declaration {
        Some(declaration) => (declaration.repository.rendered.clone(), render::chosen(&arguments.clusters, declaration)?),
        None => undeclared(&arguments.clusters, files.iter().map(|file| &file.path))?,
    };
    if !left_out.is_empty() {
        let named: Vec<String> = left_out.iter().take(MOST_NAMED).map(|(path, reason)| format!("`{path}` is {reason}")).collect();
        let more = left_out.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        context.events.warn(format!("{} not looked at: {}{more}", counted(left_out.len(), "file"), named.join(", ")), None);
    }
    let (stale, unrendered) = match &declaration {
        Some(declaration) if !arguments.no_render => match stale(fleet, declaration, &clusters, context).await {
            Ok(stale) => (stale, None),
            // The rule `argocd-not-pinned` says so, at its place.
            Err(failure) if failure.kind == Kind::Unverified => (Vec::new(), None),
            Err(failure) => (Vec::new(), Some(failure)),
        },
        _ => (Vec::new(), None),
    };
    let named = clusters.clone();
    let checking = tokio::task::spawn_blocking(move || {
        let repository =
            Repository { files: &files, declaration: declaration.as_ref(), rendered: &rendered, stale: &stale, left_out: &left_out };
        lint(&repository, &named)
    });
    let report = checking.await.map_err(|error| Failure::bug("the check ended early").because(error))?;
    Ok(Checked { report, clusters, unrendered })
}

/// The rendered folder and the clusters of a repository without `gitops.yaml`.
fn undeclared<'a>(
    named: &[ClusterName],
    paths: impl Iterator<Item = &'a RepositoryPath> + Clone,
) -> Result<(RepositoryPath, Vec<ClusterName>)> {
    let rendered = tree::detect(paths.clone())?;
    let known = tree::clusters(&rendered, paths);
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        let names: Vec<&str> = known.iter().map(ClusterName::as_str).collect();
        let meant = suggestion(unknown.as_str(), &names);
        return Err(Failure::usage(format!("`{rendered}` has no cluster `{unknown}`{meant}"))
            .hint(format!("its clusters are {}", names.join(", "))));
    }
    let clusters = known.into_iter().filter(|name| named.is_empty() || named.contains(name)).collect();
    Ok((rendered, clusters))
}

/// The rendered files that are not fresh. Where a tool is missing that renders them, that is said, and none are.
async fn stale(fleet: &Path, declaration: &Declaration, clusters: &[ClusterName], context: &Context) -> Result<Vec<Stale>> {
    match render::render_at_hand(fleet, declaration, clusters, context).await? {
        Ok(rendering) => Ok(rendering.compare(fleet)?.stale()),
        Err(missing) => {
            let names = missing.iter().map(|tool| tool.name()).collect::<Vec<_>>().join(" and ");
            let hint = format!("install {names}, or compare them with `gitops-bootstrap render --check`, which builds what stands in");
            context.events.warn(format!("whether the rendered files are fresh was not checked: {names} not found on the PATH"), Some(hint));
            Ok(Vec::new())
        }
    }
}

fn write_sarif(file: &Path, report: &Report) -> Result<()> {
    let text =
        serde_json::to_string_pretty(&report::sarif(report)).map_err(|error| Failure::bug("SARIF cannot be written").because(error))?;
    std::fs::write(file, text + "\n").map_err(|error| {
        Failure::usage(format!("`{}` cannot be written", file.display())).because(error).hint("name another file: `--sarif FILE`")
    })
}

fn send(report: &Report, clusters: &[ClusterName], context: &Context) {
    for finding in report.findings.iter().chain(&report.allowed) {
        context.events.send(Event::Finding(finding.clone()));
    }
    let result = serde_json::json!({
        "clusters": clusters,
        "objects": report.objects,
        "files": report.files,
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "allowed": report.allowed.len(),
    });
    context.events.send(Event::Finished { result });
}

fn found(report: &Report) -> Failure {
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let mut files: Vec<_> = report.findings.iter().map(|finding| &finding.file).collect();
    files.dedup();
    let of_boot = match report.cannot_boot().filter(|finding| finding.severity == Severity::Error).count() {
        0 => String::new(),
        number if number == errors => " that can keep a cluster from coming up".to_owned(),
        number => format!(" ({number} can keep a cluster from coming up)"),
    };
    let what = match (errors, warnings) {
        (_, 0) => format!("{}{of_boot}", counted(errors, "error")),
        (0, _) => counted(warnings, "warning"),
        _ => format!("{}{of_boot} and {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    Failure::new(Kind::Found, format!("{what}, in {}", counted(files.len(), "file")))
        .hint("correct what is named, or allow it with a reason: `lint.allow` in gitops.yaml")
        .hint("`gitops-bootstrap lint --rules` lists the rules; docs/lint.md says of each what, why, and how to correct it")
}

/// Lists the rules.
fn list(context: &Context, style: &report::Style) -> Result<()> {
    match context.global.output {
        Output::Json => {
            let rules: Vec<_> = Rule::ALL
                .into_iter()
                .map(|rule| {
                    serde_json::json!({
                        "rule": rule, "title": rule.title(), "severity": rule.severity(), "concernsBoot": rule.concerns_boot(),
                    })
                })
                .collect();
            context.events.send(Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb: "lint", cluster: None });
            context.events.send(Event::Finished { result: serde_json::json!({"rules": rules}) });
        }
        Output::Text => report::rules(style),
    }
    Ok(())
}

/// `1 file`, `2 files`.
fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
