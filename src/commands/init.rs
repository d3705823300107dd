//! `init`.

use super::Context;
use crate::cli::init::Arguments;
use crate::error::{Failure, Result};

/// Runs `init`.
pub async fn run(_arguments: Arguments, _context: &Context) -> Result<()> {
    Err(Failure::bug("not wired yet"))
}
