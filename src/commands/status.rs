//! `status`.

use super::Context;
use crate::cli::status::Arguments;
use crate::error::{Failure, Result};

/// Runs `status`.
pub async fn run(_arguments: Arguments, _context: &Context) -> Result<()> {
    Err(Failure::bug("not wired yet"))
}
