//! The folder of the reports: the last one of each cluster, as Markdown and as JSON.

use std::path::{Path, PathBuf};

use crate::adapters::files::write_file;
use crate::cli::drill::Arguments;
use crate::domain::RepositoryPath;
use crate::error::{Failure, Result};
use crate::plan::drill::{Report, VERSION};
use crate::report;

/// The report that this one is compared with; none if none was named and there is none of this cluster in the folder.
pub(super) fn former(arguments: &Arguments, fleet: &Path) -> Result<Option<Report>> {
    let (path, named) = match &arguments.compare {
        Some(path) => (path.clone(), true),
        None => (folder(arguments, fleet).join(format!("{}.json", stem(arguments))), false),
    };
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("`{}` is not a report that can be compared with", path.display())).because(why).hint(match named {
            true => "name the JSON report of another drill with `--compare`",
            false => "move it away, then run the same command again",
        })
    };
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok(None),
        Err(error) => return Err(unusable(&error)),
    };
    let report: Report = serde_json::from_slice(&text).map_err(|error| unusable(&error))?;
    if report.version != VERSION {
        return Err(unusable(&format!("it has version {} of the format, and this tool reads {VERSION}", report.version)));
    }
    if report.cluster != arguments.cluster.as_str() {
        return Err(unusable(&format!("it is of the cluster `{}`", report.cluster)));
    }
    Ok(Some(report))
}

/// Writes the report into the folder, in the place of the last one. The paths, as a person can type them.
pub(super) fn write(report: &Report, arguments: &Arguments, fleet: &Path) -> Result<Vec<String>> {
    let mut json =
        serde_json::to_string_pretty(report).map_err(|error| Failure::bug("the report cannot be written as JSON").because(error))?;
    json.push('\n');
    let folder = folder(arguments, fleet);
    [("md", report::drill_markdown(report)), ("json", json)]
        .into_iter()
        .map(|(extension, text)| {
            let name: RepositoryPath = format!("{}.{extension}", stem(arguments))
                .parse()
                .map_err(|error| Failure::bug("the name of a report is no path").because(error))?;
            std::fs::create_dir_all(&folder).map_err(|error| {
                Failure::usage(format!("the folder of the reports, `{}`, cannot be made", folder.display()))
                    .because(error)
                    .hint("name another with `--reports FOLDER`")
            })?;
            write_file(&folder, &name, text.as_bytes())?;
            Ok(arguments.reports.join(name.as_str()).display().to_string())
        })
        .collect()
}

/// The name of the files. A drill with faults is none to measure others by, so it does not take their place.
fn stem(arguments: &Arguments) -> String {
    let has_faults = arguments.kill_at.is_some() || arguments.forge_down.is_some() || arguments.api_flaky.is_some();
    if has_faults { format!("{}-faults", arguments.cluster) } else { arguments.cluster.to_string() }
}

fn folder(arguments: &Arguments, fleet: &Path) -> PathBuf {
    fleet.join(&arguments.reports)
}
