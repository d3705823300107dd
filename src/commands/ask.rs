//! Questions to the person at the terminal.

use std::io::ErrorKind;

use super::Context;
use crate::error::{Failure, Result};
use crate::steps::world::interrupted;

/// Asks a question while nothing else draws on the terminal.
///
/// # Errors
/// [`crate::error::Kind::Interrupted`] if the person would rather stop.
pub async fn ask<T: Send + 'static>(context: &Context, question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static) -> Result<T> {
    let events = context.events.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let mut question = Some(question);
        let mut answer = None;
        events.suspend(&mut || answer = question.take().map(|question| question()));
        answer
    });
    let answer = tokio::select! {
        answer = asked => answer,
        // A hidden answer does not end by Ctrl-C: its thread is left behind, and the terminal restored at the end.
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    match answer {
        Ok(Some(Ok(answer))) => Ok(answer),
        Ok(Some(Err(dialoguer::Error::IO(error)))) if error.kind() == ErrorKind::Interrupted => Err(interrupted()),
        Ok(Some(Err(error))) => {
            Err(Failure::usage("the question could not be asked").because(error).hint("answer it by a flag: `--help` lists them"))
        }
        Ok(None) | Err(_) => Err(Failure::bug("a question was not asked")),
    }
}
