//! Programs on the machine of the person who runs this, as the gates of a recovery name them.

use std::time::Duration;

use async_trait::async_trait;

/// Runs programs that a person has agreed to.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Runs a program to its end, but no longer than `limit`. It gets neither input nor a forge's token.
    async fn run(&self, arguments: &[String], limit: Duration) -> Ran;
}

/// What came of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It ended with exit status 0.
    Succeeded,
    /// It did not; why, in a few words.
    Failed(String),
}
