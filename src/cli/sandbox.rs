//! `sandbox`.

/// What `sandbox` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {}
