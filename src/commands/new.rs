//! `new`.

use super::Context;
use crate::cli::new::Arguments;
use crate::error::{Failure, Result};

/// Runs `new`.
pub async fn run(_arguments: Arguments, _context: &Context) -> Result<()> {
    Err(Failure::bug("not wired yet"))
}
