//! `sandbox`.

use super::Context;
use crate::cli::sandbox::Arguments;
use crate::error::{Failure, Result};

/// Runs `sandbox`.
pub async fn run(_arguments: Arguments, _context: &Context) -> Result<()> {
    Err(Failure::bug("not wired yet"))
}
