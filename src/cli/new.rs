//! `new`.

use std::path::PathBuf;

/// What `new` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder to write to
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}
