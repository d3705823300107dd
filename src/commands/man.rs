//! `man`.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;

use super::Context;
use crate::cli::Cli;
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::report;

/// Prints the manual page, or writes those of all verbs into `folder`.
pub fn run(folder: Option<&Path>, context: &Context) -> Result<()> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(|error| Failure::bug("the manual page cannot be made").because(error))?;
        report::data(&String::from_utf8_lossy(&page));
        return Ok(());
    };
    let folder = context.environment.folder.join(folder);
    fs::create_dir_all(&folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder))
        .map_err(|error| Failure::usage(format!("cannot write the manual pages to `{}`", folder.display())).because(error))?;
    context.events.send(Event::Fact { name: "manual pages", text: folder.display().to_string() });
    context.events.send(Event::Fact { name: "next", text: format!("man -l {}", folder.join("gitops-bootstrap.1").display()) });
    Ok(())
}
