//! Rendered files that are not fresh.

use super::RepositoryPath;

/// A rendered file that is not what the sources render to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The file.
    pub file: RepositoryPath,
    /// The first line that differs.
    pub line: u64,
    /// How it differs.
    pub difference: Difference,
}

/// How a rendered file differs from what the sources render to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is not there.
    Missing,
    /// It has other content.
    Changed,
    /// Nothing renders to it.
    Extra,
}

impl Difference {
    /// What is said of the file.
    pub const fn said(self) -> &'static str {
        match self {
            Self::Missing => "is missing: the sources render to it",
            Self::Changed => "is not what the sources render to",
            Self::Extra => "is here, and nothing in the sources renders to it",
        }
    }
}
