//! `render`.

use super::Context;
use crate::cli::render::Arguments;
use crate::error::{Failure, Result};

/// Runs `render`.
pub async fn run(_arguments: Arguments, _context: &Context) -> Result<()> {
    Err(Failure::bug("not wired yet"))
}
